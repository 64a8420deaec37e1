"""Divide a whole scene into overlapping windows, and combine predictions of the windows.

The geometry is that of the reference implementation. Windows are `stride` pixels apart, cover the
scene and are centred on it. Pixels of windows beyond the scene are padding. On 1200 x 1500 pixels,
a size of 256 and a stride of 176 give 7 x 9 windows with 56 and 82 pixels of padding at each side
(research: cloudmask, section 2.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError

MIN_WEIGHT = 1e-6  # above 0, so that a pixel in the corner of one window only has a mean


@dataclass(frozen=True)
class WindowGrid:
    """Positions of the windows on a scene.

    Attributes:
        shape: rows and columns of the scene.
        size: rows and columns of a window.
        stride: rows or columns from a window to the next.
        row: (window,) first row; negative in the padding.
        column: (window,) first column; negative in the padding.
    """

    shape: tuple[int, int]
    size: int
    stride: int
    row: NDArray[np.int64]
    column: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.row)

    @property
    def padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the number of pixels beyond the scene: (above, below), (left, right)."""
        above, left = -int(self.row.min()), -int(self.column.min())
        below = int(self.row.max()) + self.size - self.shape[0]
        return (above, below), (left, int(self.column.max()) + self.size - self.shape[1])


def window_grid(shape: tuple[int, int], *, size: int = 256, stride: int = 176) -> WindowGrid:
    """Return windows that cover a scene.

    Args:
        shape: rows and columns of the scene.
        size: rows and columns of a window.
        stride: rows or columns from a window to the next.

    Raises:
        CallError: the stride leaves gaps, or a number is below 1.
    """
    if not 0 < stride <= size or min(shape) < 1:
        raise CallError(
            f"windows of {size} pixels with a stride of {stride} do not cover {shape}",
            hint="choose a stride from 1 to the size of a window",
        )
    starts = []
    for length in shape:
        count = -(-length // stride)
        first = -((size - stride) // 2) - (count * stride - length) // 2
        starts.append(first + stride * np.arange(count))
    row, column = (axis.ravel() for axis in np.meshgrid(*starts, indexing="ij"))
    return WindowGrid(shape, size, stride, row, column)


def extract_windows(
    grid: WindowGrid,
    scene: NDArray[Any],
    *,
    batch_size: int,
    padding: Literal["reflect", "edge", "constant"] = "reflect",
) -> Iterator[NDArray[Any]]:
    """Yield the windows of a scene in batches: (window, size, size, ...) of the scene's type.

    Args:
        grid: positions of the windows.
        scene: (row, column, ...).
        batch_size: windows in a batch.
        padding: values beyond the scene: "reflect" mirrors it, "edge" repeats its last pixel,
            "constant" is 0.

    Raises:
        CallError: the scene does not have the shape of the grid.
    """
    if scene.shape[:2] != grid.shape:
        raise CallError(f"a window grid for {grid.shape} does not fit a scene of {scene.shape[:2]}")
    above_and_left = [before for before, _ in grid.padding]
    padded = np.pad(scene, [*grid.padding, *[(0, 0)] * (scene.ndim - 2)], mode=padding)
    rows, columns = (
        starts + before
        for starts, before in zip((grid.row, grid.column), above_and_left, strict=True)
    )
    for start in range(0, len(grid), batch_size):
        batch = slice(start, start + batch_size)
        yield np.stack(
            [
                padded[row : row + grid.size, column : column + grid.size]
                for row, column in zip(rows[batch], columns[batch], strict=True)
            ]
        )


def smooth_weights(grid: WindowGrid) -> NDArray[np.float32]:
    """Return (size, size) weights of the pixels of a window: 1 in the middle, near 0 at the edges.

    They follow the square of a sine over the overlap, so the weights of two neighbours sum to 1.
    """
    overlap = grid.size - grid.stride
    ramp = np.sin(np.pi / 2 * (np.arange(overlap) + 0.5) / max(overlap, 1)) ** 2
    along = np.ones(grid.size)
    along[:overlap] *= ramp
    along[grid.size - overlap :] *= ramp[::-1]
    along = np.maximum(along, MIN_WEIGHT)
    weights: NDArray[np.float32] = np.outer(along, along).astype(np.float32)
    return weights


def centre_weights(grid: WindowGrid) -> NDArray[np.float32]:
    """Return the (size, size) weights of the reference: 1 in the middle `stride` pixels, else 0."""
    first = (grid.size - grid.stride) // 2
    weights = np.zeros((grid.size, grid.size), np.float32)
    weights[first : first + grid.stride, first : first + grid.stride] = 1
    return weights


def blend(
    grid: WindowGrid, predictions: NDArray[Any], weights: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the weighted mean of all windows at each pixel: (row, column, ...) float32.

    Args:
        grid: positions of the windows.
        predictions: (window, size, size, ...), in the order of the windows.
        weights: (size, size) weights of the pixels of a window; None is `smooth_weights`.

    Raises:
        CallError: predictions do not have this shape, or a pixel of the scene has no weight.
    """
    expected = (len(grid), grid.size, grid.size)
    if predictions.shape[:3] != expected:
        raise CallError(f"expected predictions of shape {expected}, not {predictions.shape[:3]}")
    weights = smooth_weights(grid) if weights is None else weights
    rest = predictions.shape[3:]
    weight = weights.reshape(*weights.shape, *[1] * len(rest))
    total = np.zeros((*grid.shape, *rest), np.float32)
    weight_sum = np.zeros((*grid.shape, *[1] * len(rest)), np.float32)
    for number in range(len(grid)):
        on_scene, in_window = _overlap(grid, number)
        total[on_scene] += predictions[number][in_window] * weight[in_window]
        weight_sum[on_scene] += weight[in_window]
    if not weight_sum.all():
        raise CallError("the weights are 0 for a pixel of the scene")
    total /= weight_sum
    return total


def _overlap(grid: WindowGrid, number: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the part of a window that is on the scene, in coordinates of scene and of window."""
    on_scene, in_window = [], []
    for start, length in zip((grid.row[number], grid.column[number]), grid.shape, strict=True):
        low, high = max(int(start), 0), min(int(start) + grid.size, length)
        on_scene.append(slice(low, high))
        in_window.append(slice(low - int(start), high - int(start)))
    return (on_scene[0], on_scene[1]), (in_window[0], in_window[1])
