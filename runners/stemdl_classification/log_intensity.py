"""From diffracted intensity to what a network is shown: fewer pixels, on a logarithmic scale.

Patterns are averaged over blocks of pixels first and the logarithm is taken then: that is what a
detector with larger pixels would have seen, the intensity of a disc is kept, and a pixel of zero
does not pull its neighbours to the floor. `mean_of = "levels"` does it the other way round, as the
published npz files were made (which hold levels: there is nothing else to average).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, nearest

INTENSITY, LEVELS = "intensity", "levels"
ORDERS = (INTENSITY, LEVELS)
HIGHEST = 255.0  # of the levels, as published
STORAGES = {"uint8": np.uint8, "float16": np.float16}
Floats: TypeAlias = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scaling:
    """How patterns become levels.

    Attributes:
        size: pixels along a side that are shown.
        native: pixels along a side that there are.
        floor, gain: a level is gain (ln I - floor), cut to 0..255; -17 and 10 are those of the
            published npz files (mlcommons/science, benchmarks/stemdl/ornl, hdf5_helper.py).
        mean_of: what is averaged over a block of pixels.
        is_scaled: whether the files hold levels already.
        dtype: what levels are kept as.
    """

    size: int
    native: int
    floor: float
    gain: float
    mean_of: str
    is_scaled: bool
    dtype: np.dtype[Any]

    @property
    def block(self) -> int:
        """Return the pixels along a side that become one."""
        return self.native // self.size

    @property
    def bytes_each(self) -> int:
        """Return the bytes of one stack of three patterns."""
        return 3 * self.size**2 * self.dtype.itemsize

    def levels(self, stacks: Floats) -> npt.NDArray[Any]:
        """Return levels (stack, row, column, view) of (stack, view, y, x), as `dtype`."""
        values = stacks.astype(np.float32, copy=False)
        if self.is_scaled or self.mean_of == INTENSITY:
            values = self._averaged(values)
        if not self.is_scaled:
            values = self._logarithm(values)
            if self.mean_of == LEVELS:
                values = self._averaged(values)
        cut = np.clip(values, 0.0, HIGHEST)
        whole = np.rint(cut) if self.dtype.kind == "u" else cut
        return np.ascontiguousarray(np.moveaxis(whole.astype(self.dtype), 1, -1))

    def _averaged(self, values: Floats) -> Floats:
        if self.block == 1:
            return values
        shape = (*values.shape[:2], self.size, self.block, self.size, self.block)
        return np.asarray(values.reshape(shape).mean(axis=(3, 5)))

    def _logarithm(self, values: Floats) -> Floats:
        least = np.exp(np.float32(self.floor))
        return np.asarray(self.gain * (np.log(np.maximum(values, least)) - np.float32(self.floor)))


def scaling_of(settings: Mapping[str, Any], native: int, *, is_scaled: bool) -> Scaling:
    """Return the scaling that the settings ask for; `size` 0 keeps every pixel.

    Raises:
        CallError: a setting names what does not exist, or so many pixels cannot be had.
    """
    for name, known in (("mean_of", ORDERS), ("storage", tuple(STORAGES))):
        if settings[name] not in known:
            raise CallError(
                f"{name}={settings[name]!r}{nearest(settings[name], known)}; "
                f"one of {', '.join(known)} is expected",
                untouched="nothing was trained",
            )
    size = settings["size"] or native
    if size < 1 or native % size:
        raise CallError(
            f"patterns of {native} x {native} pixels cannot be averaged to {size} x {size}",
            untouched="nothing was trained",
            hint="--set size=0 keeps every pixel; else a divisor of the pixels along a side",
        )
    return Scaling(
        size=size,
        native=native,
        floor=settings["floor"],
        gain=settings["gain"],
        mean_of=settings["mean_of"],
        is_scaled=is_scaled,
        dtype=np.dtype(STORAGES[settings["storage"]]),
    )
