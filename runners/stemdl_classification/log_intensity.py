"""From diffracted intensity to the input of a network: fewer pixels, on a logarithmic scale.

Patterns are averaged over blocks of pixels first, and the logarithm is taken of the means. That is
what a detector with larger pixels would have recorded: the intensity of a disc is preserved, and a
pixel of zero does not pull its neighbours down. The setting `mean_of = "levels"` averages the
logarithms instead. The published npz files were made like that; they hold logarithms ("levels"), so
there is nothing else to average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError

INTENSITY, LOG_INTENSITY = "intensity", "levels"  # values of the setting `mean_of`
MAX_LOG_INTENSITY = 255.0  # of the scaled logarithm, as published
STORAGES = {"uint8": np.uint8, "float16": np.float16}
Floats: TypeAlias = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scaling:
    """How intensities become scaled logarithms: gain (ln intensity - floor), clipped to 0..255.

    Attributes:
        size: pixels along a side of the result.
        native: pixels along a side of the files.
        floor: ln intensity that becomes 0. The published npz files have -17 (mlcommons/science,
            benchmarks/stemdl/ornl, hdf5_helper.py).
        gain: units for each unit of ln intensity; 10 as published.
        mean_of: quantity that is averaged over a block of pixels, `INTENSITY` or `LOG_INTENSITY`.
        is_log_intensity: whether the files hold scaled logarithms already.
        dtype: type in which the result is stored.
    """

    size: int
    native: int
    floor: float
    gain: float
    mean_of: str
    is_log_intensity: bool
    dtype: np.dtype[Any]

    @property
    def block(self) -> int:
        """Return the pixels along a side that are averaged to one."""
        return self.native // self.size

    @property
    def bytes_each(self) -> int:
        """Return the bytes of one stack of three patterns."""
        return 3 * self.size**2 * self.dtype.itemsize

    def log_intensity(self, stacks: Floats) -> npt.NDArray[Any]:
        """Return scaled logarithms (stack, row, column, view) as `dtype`.

        Args:
            stacks: (stack, view, y, x) as in the files.
        """
        values = stacks.astype(np.float32, copy=False)
        if self.is_log_intensity or self.mean_of == INTENSITY:
            values = self._averaged(values)
        if not self.is_log_intensity:
            values = self._logarithm(values)
            if self.mean_of == LOG_INTENSITY:
                values = self._averaged(values)
        clipped = np.clip(values, 0.0, MAX_LOG_INTENSITY)
        rounded = np.rint(clipped) if self.dtype.kind == "u" else clipped
        return np.ascontiguousarray(np.moveaxis(rounded.astype(self.dtype), 1, -1))

    def _averaged(self, values: Floats) -> Floats:
        if self.block == 1:
            return values
        shape = (*values.shape[:2], self.size, self.block, self.size, self.block)
        return np.asarray(values.reshape(shape).mean(axis=(3, 5)))

    def _logarithm(self, values: Floats) -> Floats:
        minimum = np.exp(np.float32(self.floor))
        return np.asarray(
            self.gain * (np.log(np.maximum(values, minimum)) - np.float32(self.floor))
        )


def make_scaling(settings: Mapping[str, Any], native: int, *, is_log_intensity: bool) -> Scaling:
    """Return the scaling of the settings; `size` 0 keeps every pixel.

    Args:
        settings: see task.toml.
        native: pixels along a side of the files.
        is_log_intensity: whether the files hold scaled logarithms.

    Raises:
        CallError: `size` does not divide the pixels.
    """
    size = settings["size"] or native
    if native % size:
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
        is_log_intensity=is_log_intensity,
        dtype=np.dtype(STORAGES[settings["storage"]]),
    )
