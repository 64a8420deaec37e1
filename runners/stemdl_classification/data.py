"""Stacks of three diffraction patterns: space groups, keys, and log intensities.

A network sees fewer pixels than the files have, on a logarithmic scale. Patterns are averaged over
blocks of pixels first, and the logarithm is taken of the means. That is what a detector with larger
pixels would have recorded: the intensity of a disc is preserved, and a pixel of zero does not pull
its neighbours down. The setting `mean_of = "levels"` averages the logarithms instead. The published
npz files were made like that; they hold logarithms ("levels"), so there is nothing else to average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.errors import CallError, Problem
from sciml_data.ready import SampleCache, SampleIndex, index_samples
from sciml_data.ready.samples import Floats, Numbers, damaged

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

MEBIBYTE = 1 << 20
STACK, GROUP, MATERIAL, FORMULA = "cbed_stack", "space_group", "material", "formula"
COLUMNS = {
    GROUP: None,
    "energy": np.nan,  # of the beam in keV
    "native_file": None,
    "native_sample": None,
    MATERIAL: "",
    FORMULA: "",
}
UNSCALED = "none"  # value of the attribute `scaling` if stacks are intensities
INTENSITY = "intensity"  # value of the setting `mean_of`
MAX_LOG_INTENSITY = 255.0  # of the scaled logarithm, as published
LAST = 230  # space group
SYSTEMS = (
    "triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic",
)  # fmt: skip
LAST_OF_SYSTEMS = (2, 15, 74, 142, 167, 194, 230)  # International Tables for Crystallography A
# A mirrored crystal has the same space group, chiral crystals included. These 11 pairs of groups
# have screw axes of one hand and swap instead (International Tables A, 3.2).
HANDED_PAIRS = (
    (76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154),
    (169, 170), (171, 172), (178, 179), (180, 181), (212, 213),
)  # fmt: skip

Groups: TypeAlias = npt.NDArray[np.integer[Any]]


def systems_of(groups: Groups) -> npt.NDArray[np.int64]:
    """Return the index of each group's crystal system in `SYSTEMS`."""
    return np.searchsorted(LAST_OF_SYSTEMS, groups, side="left")


def mirrored_groups() -> npt.NDArray[np.int64]:
    """Return for each space group (231,) the group of its mirrored crystal; 22 groups differ."""
    partner = np.arange(LAST + 1)
    for right, left in HANDED_PAIRS:
        partner[right], partner[left] = left, right
    return partner


def find_stacks(converted: Converted) -> SampleIndex:
    """Return the stacks of all ready files, with labels and names.

    Raises:
        CallError: there is no stack.
        ConversionError: files cannot be read, differ from the first, or have a wrong label; all of
            them are listed.
    """
    ranges = {GROUP: (1, LAST)}
    stacks = index_samples(converted, [STACK], COLUMNS, same=["scaling"], ranges=ranges)
    shape = stacks.shapes[STACK]
    if len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2]:
        message = f"(3, y, y) expected, {shape} found"
        raise damaged(stacks.dataset, [Problem("shape", stacks.paths[0].name, message)])
    return stacks


def keys_of(stacks: SampleIndex) -> pd.DataFrame:
    """Return a row for each stack: its folder, space group, material and formula."""
    keys = stacks.table.set_index("name")[["folder", GROUP, MATERIAL, FORMULA]]
    return keys.rename_axis("stack").rename(columns={GROUP: "stratum"})


class Patterns:
    """Scaled logarithms of intensity of all stacks: gain (ln intensity - floor), within 0 to 255.

    The published npz files have gain 10 and floor -17 (mlcommons/science, benchmarks/stemdl/ornl,
    hdf5_helper.py).

    Attributes:
        stacks: all stacks.
        size: pixels along a side.
        block: pixels of the files along a side that are averaged to one.
        is_log_intensity: whether the files hold scaled logarithms already.
        cache: log intensities (stack, row, column, view) in the type of the setting `storage`.
    """

    def __init__(self, stacks: SampleIndex, settings: Mapping[str, Any]) -> None:
        """Read nothing yet; `size` 0 keeps every pixel.

        Args:
            stacks: all stacks.
            settings: `size`, `floor`, `gain`, `mean_of`, `storage` and `memory_mib` of task.toml.

        Raises:
            CallError: `size` does not divide the pixels.
        """
        native = stacks.shapes[STACK][-1]
        self.size = settings["size"] or native
        if native % self.size:
            raise CallError(
                f"patterns of {native} x {native} pixels cannot be averaged to "
                f"{self.size} x {self.size}",
                untouched="nothing was trained",
                hint="--set size=0 keeps every pixel; else a divisor of the pixels along a side",
            )
        self.block = native // self.size
        self.is_log_intensity = stacks.attributes["scaling"] != UNSCALED
        self.stacks, self._settings = stacks, settings
        self._dtype = np.dtype(settings["storage"])
        self._budget = settings["memory_mib"] * MEBIBYTE
        self.cache = SampleCache(self._prepare, budget_bytes=self._budget)

    def take(self, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return log intensities, 0 to 255, in the given order: (stack, row, column, view) float32.

        Raises:
            ConversionError: a file cannot be read.
        """
        return np.asarray(self.cache.take(numbers)[0], np.float32)

    def log_intensity(self, stacks: Floats) -> npt.NDArray[Any]:
        """Return (stack, row, column, view) in the cache's type from files' (stack, view, y, x)."""
        values = stacks.astype(np.float32, copy=False)
        if self.is_log_intensity:
            values = self._averaged(values)
        elif self._settings["mean_of"] == INTENSITY:
            values = self._logarithm(self._averaged(values))
        else:
            values = self._averaged(self._logarithm(values))
        clipped = np.clip(values, 0.0, MAX_LOG_INTENSITY)
        rounded = np.rint(clipped) if self._dtype.kind == "u" else clipped
        return np.ascontiguousarray(np.moveaxis(rounded.astype(self._dtype), 1, -1))

    def describe(self) -> dict[str, Any]:
        """Return how log intensities are computed and stored, for the record."""
        settings, is_scaled_here = self._settings, not self.is_log_intensity
        needed = len(self.stacks) * 3 * self.size**2 * self._dtype.itemsize
        formula = "gain (ln intensity - floor)" if is_scaled_here else "level as in the files"
        return {
            "level": f"{formula}, 0 to 255",
            "floor": settings["floor"] if is_scaled_here else None,
            "gain": settings["gain"] if is_scaled_here else None,
            "pixels": {"native": self.size * self.block, "shown": self.size},
            "mean_of": settings["mean_of"] if is_scaled_here else "levels",
            "stored_as": str(self._dtype),
            "in_memory": needed <= self._budget,
            "bytes": needed,
        }

    def _prepare(self, numbers: Numbers) -> tuple[npt.NDArray[Any]]:
        values = np.empty((len(numbers), self.size, self.size, 3), self._dtype)
        for places, intensities in self.stacks.blocks(STACK, numbers):
            values[places] = self.log_intensity(intensities)
        return (values,)

    def _averaged(self, values: Floats) -> Floats:
        shape = (*values.shape[:2], self.size, self.block, self.size, self.block)
        return np.asarray(values.reshape(shape).mean(axis=(3, 5)))

    def _logarithm(self, values: Floats) -> Floats:
        floor = np.float32(self._settings["floor"])
        logarithm = np.log(np.maximum(values, np.exp(floor)))
        return np.asarray(self._settings["gain"] * (logarithm - floor))
