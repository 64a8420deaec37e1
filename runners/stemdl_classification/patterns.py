"""Log intensities of stacks: in memory if they fit, else read from the ready files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .log_intensity import Scaling
from .stacks import Numbers, Stacks

GIB = 1 << 30


@dataclass
class Patterns:
    """Log intensities of all stacks, in memory or read for each batch.

    Attributes:
        stacks: where the stacks are.
        scaling: how intensities become log intensities.
        cached: (stack, row, column, view) in the type of the scaling; None if read for each batch.
        loaded_s: seconds that filling `cached` took.
    """

    stacks: Stacks
    scaling: Scaling
    cached: npt.NDArray[Any] | None = None
    loaded_s: float = 0.0

    def take(self, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return log intensities, 0 to 255, in the given order: (stack, row, column, view) float32.

        Raises:
            ConversionError: a file cannot be read.
        """
        if self.cached is not None:
            return np.asarray(self.cached[numbers], np.float32)
        log_intensity = np.empty((len(numbers), *self.shape), np.float32)
        for places, values in self.stacks.blocks(numbers):
            log_intensity[places] = self.scaling.log_intensity(values)
        return log_intensity

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
            "in_memory": self.cached is not None,
            "bytes": needed,
            "load_s": round(self.loaded_s, 2),
        }


def open_patterns(stacks: Stacks, scaling: Scaling, *, memory_gib: float) -> Patterns:
    """Return the log intensities of stacks, in memory if all of them fit.

    Args:
        stacks: all stacks.
        scaling: how intensities become log intensities.
        memory_gib: limit in GiB; larger datasets are read for each batch.

    Raises:
        ConversionError: a file cannot be read.
    """
    if len(stacks) * scaling.bytes_each > memory_gib * GIB:
        return Patterns(stacks, scaling)
    started = time.perf_counter()
    cached = np.empty((len(stacks), scaling.size, scaling.size, 3), scaling.dtype)
    for places, values in stacks.blocks(np.arange(len(stacks))):
        cached[places] = scaling.log_intensity(values)
    return Patterns(stacks, scaling, cached, time.perf_counter() - started)
