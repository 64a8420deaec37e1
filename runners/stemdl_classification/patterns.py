"""Find stacks, and give their log intensities: from memory up to a budget, else from the files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.errors import Problem
from sciml_data.ready import SampleCache, SampleIndex, index_samples
from sciml_data.ready.samples import Numbers, damaged

from .log_intensity import Scaling
from .space_groups import LAST

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

GIB = 1 << 30
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
    columns = {"folder": "folder", "stratum": GROUP, "material": MATERIAL, "formula": FORMULA}
    return pd.DataFrame(
        {name: stacks[column] for name, column in columns.items()},
        index=pd.Index(stacks["name"], name="stack"),
    )


def material_of(stacks: SampleIndex) -> npt.NDArray[Any] | None:
    """Return the material of each stack (stack,); None if the dataset does not name them."""
    return stacks[MATERIAL] if stacks.is_known(MATERIAL) else None


@dataclass
class Patterns:
    """Log intensities of all stacks.

    Attributes:
        stacks: where the stacks are.
        scaling: how intensities become log intensities.
        cache: log intensities (stack, row, column, view) in the type of the scaling.
        loaded_s: seconds that filling the cache took.
    """

    stacks: SampleIndex
    scaling: Scaling
    cache: SampleCache
    loaded_s: float = 0.0

    def take(self, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return log intensities, 0 to 255, in the given order: (stack, row, column, view) float32.

        Raises:
            ConversionError: a file cannot be read.
        """
        return np.asarray(self.cache.take(numbers)[0], np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return rows, columns and views of a stack."""
        return self.scaling.size, self.scaling.size, 3

    def describe(self) -> dict[str, Any]:
        """Return how log intensities are computed and stored, for the record."""
        scaling, needed = self.scaling, len(self.stacks) * self.scaling.bytes_each
        formula = (
            "level as in the files" if scaling.is_log_intensity else "gain (ln intensity - floor)"
        )
        return {
            "level": f"{formula}, 0 to 255",
            "floor": None if scaling.is_log_intensity else scaling.floor,
            "gain": None if scaling.is_log_intensity else scaling.gain,
            "pixels": {"native": scaling.native, "shown": scaling.size},
            "mean_of": "levels" if scaling.is_log_intensity else scaling.mean_of,
            "stored_as": str(scaling.dtype),
            "in_memory": len(self.cache) == len(self.stacks),
            "bytes": needed,
            "load_s": round(self.loaded_s, 2),
        }


def open_patterns(stacks: SampleIndex, scaling: Scaling, *, memory_gib: float) -> Patterns:
    """Return the log intensities of stacks. If all of them fit into memory, they are loaded now.

    Args:
        stacks: all stacks.
        scaling: how intensities become log intensities.
        memory_gib: limit in GiB.

    Raises:
        ConversionError: a file cannot be read.
    """

    def prepare(numbers: Numbers) -> tuple[npt.NDArray[Any], ...]:
        values = np.empty((len(numbers), scaling.size, scaling.size, 3), scaling.dtype)
        for places, intensities in stacks.blocks(STACK, numbers):
            values[places] = scaling.log_intensity(intensities)
        return (values,)

    patterns = Patterns(stacks, scaling, SampleCache(prepare, budget_bytes=memory_gib * GIB))
    if len(stacks) * scaling.bytes_each <= memory_gib * GIB:
        started = time.perf_counter()
        for numbers in np.array_split(np.arange(len(stacks)), -(-len(stacks) // 32)):
            patterns.cache.take(numbers)
        patterns.loaded_s = time.perf_counter() - started
    return patterns
