"""Levels of stacks, from memory where they fit, from the ready files where they do not."""

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
    """Levels of all stacks, whether kept or read when asked for.

    `kept` is (stack, row, column, view) of the scaling's type, or None; `loaded_s` what it took.
    """

    stacks: Stacks
    scaling: Scaling
    kept: npt.NDArray[Any] | None = None
    loaded_s: float = 0.0

    def take(self, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return levels of stacks in the order asked for: (stack, row, column, view), 0 to 255.

        Raises:
            ConversionError: a file cannot be read.
        """
        if self.kept is not None:
            return np.asarray(self.kept[numbers], np.float32)
        found = np.empty((len(numbers), *self.shape), np.float32)
        for places, values in self.stacks.blocks(numbers):
            found[places] = self.scaling.levels(values)
        return found

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return rows, columns and views of a stack."""
        return self.scaling.size, self.scaling.size, 3

    def facts(self) -> dict[str, Any]:
        """Return how levels are made and kept, for the record."""
        scaling, needed = self.scaling, len(self.stacks) * self.scaling.bytes_each
        made = "level as in the files" if scaling.is_scaled else "gain (ln intensity - floor)"
        return {
            "level": f"{made}, 0 to 255",
            "floor": None if scaling.is_scaled else scaling.floor,
            "gain": None if scaling.is_scaled else scaling.gain,
            "pixels": {"native": scaling.native, "shown": scaling.size},
            "mean_of": "levels" if scaling.is_scaled else scaling.mean_of,
            "stored_as": str(scaling.dtype),
            "in_memory": self.kept is not None,
            "bytes": needed,
            "load_s": round(self.loaded_s, 2),
        }


def open_patterns(stacks: Stacks, scaling: Scaling, *, memory_gib: float) -> Patterns:
    """Return the levels, kept in memory if all of them take at most so many GiB.

    Raises:
        ConversionError: a file cannot be read.
    """
    if len(stacks) * scaling.bytes_each > memory_gib * GIB:
        return Patterns(stacks, scaling)
    started = time.perf_counter()
    kept = np.empty((len(stacks), scaling.size, scaling.size, 3), scaling.dtype)
    for places, values in stacks.blocks(np.arange(len(stacks))):
        kept[places] = scaling.levels(values)
    return Patterns(stacks, scaling, kept, time.perf_counter() - started)
