"""A whole scene in windows that overlap, and their predictions put together again.

The geometry is the reference's: windows every `stride` pixels, so many that they cover the scene,
centred on it; what they reach beyond it is padding. On 1200 x 1500 pixels, 256 and 176 give 7 x 9
windows with 56 and 82 pixels of padding at each side (research: cloudmask, section 2.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError

LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class Windows:
    """Where the windows lie.

    Attributes:
        shape: rows and columns of the scene.
        size: rows and columns of a window.
        stride: from one to the next.
        row, column: (window,) first row and column; below 0 in the padding.
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
        """Return the pixels beyond the scene: (above, below), (left, right)."""
        above, left = -int(self.row.min()), -int(self.column.min())
        below = int(self.row.max()) + self.size - self.shape[0]
        return (above, below), (left, int(self.column.max()) + self.size - self.shape[1])


def windows(shape: tuple[int, int], *, size: int = 256, stride: int = 176) -> Windows:
    """Return windows that cover a scene.

    Raises:
        CallError: the stride leaves gaps, or sizes cannot be.
    """
    if not 0 < stride <= size or min(shape) < 1:
        raise CallError(f"windows of {size} pixels every {stride} do not cover {shape}")
    starts = []
    for length in shape:
        count = -(-length // stride)
        first = -((size - stride) // 2) - (count * stride - length) // 2
        starts.append(first + stride * np.arange(count))
    row, column = (axis.ravel() for axis in np.meshgrid(*starts, indexing="ij"))
    return Windows(shape, size, stride, row, column)


def cut(
    tiles: Windows,
    scene: NDArray[Any],
    *,
    batch_size: int,
    padding: Literal["reflect", "edge", "constant"] = "reflect",
) -> Iterator[NDArray[Any]]:
    """Yield the windows of a scene in batches: (window, size, size, ...) of the scene's type.

    Args:
        tiles: where they lie.
        scene: (row, column, ...).
        batch_size: windows at a time.
        padding: what stands beyond the scene: it mirrored, its last pixel, or 0.

    Raises:
        CallError: the scene has another shape.
    """
    if scene.shape[:2] != tiles.shape:
        raise CallError(f"windows on {tiles.shape} do not fit a scene of {scene.shape[:2]}")
    above_and_left = [before for before, _ in tiles.padding]
    around = np.pad(scene, [*tiles.padding, *[(0, 0)] * (scene.ndim - 2)], mode=padding)
    rows, columns = (
        starts + before
        for starts, before in zip((tiles.row, tiles.column), above_and_left, strict=True)
    )
    for start in range(0, len(tiles), batch_size):
        some = slice(start, start + batch_size)
        yield np.stack(
            [
                around[row : row + tiles.size, column : column + tiles.size]
                for row, column in zip(rows[some], columns[some], strict=True)
            ]
        )


def smooth_weights(tiles: Windows) -> NDArray[np.float32]:
    """Return a weight for each pixel of a window: 1 in its middle, near 0 at its edges.

    The square of a sine over the overlap, so that two neighbours add up to 1: (size, size).
    """
    overlap = tiles.size - tiles.stride
    ramp = np.sin(np.pi / 2 * (np.arange(overlap) + 0.5) / max(overlap, 1)) ** 2
    along = np.ones(tiles.size)
    along[:overlap] *= ramp
    along[tiles.size - overlap :] *= ramp[::-1]
    along = np.maximum(along, LEAST_WEIGHT)
    weights: NDArray[np.float32] = np.outer(along, along).astype(np.float32)
    return weights


def centre_weights(tiles: Windows) -> NDArray[np.float32]:
    """Return the reference's weight: 1 in the middle `stride` pixels, 0 around: (size, size)."""
    first = (tiles.size - tiles.stride) // 2
    weights = np.zeros((tiles.size, tiles.size), np.float32)
    weights[first : first + tiles.stride, first : first + tiles.stride] = 1
    return weights


def blend(
    tiles: Windows, predictions: NDArray[Any], weights: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the mean of all windows at each pixel of the scene: (row, column, ...) float32.

    Args:
        tiles: where they lie.
        predictions: (window, size, size, ...), in the order of the windows.
        weights: (size, size) of a window's pixels; None is `smooth_weights`.

    Raises:
        CallError: predictions have another shape, or the weights leave a pixel out.
    """
    expected = (len(tiles), tiles.size, tiles.size)
    if predictions.shape[:3] != expected:
        raise CallError(f"predictions {expected} expected, {predictions.shape[:3]} given")
    weights = smooth_weights(tiles) if weights is None else weights
    rest = predictions.shape[3:]
    weight = weights.reshape(*weights.shape, *[1] * len(rest))
    total = np.zeros((*tiles.shape, *rest), np.float32)
    known = np.zeros((*tiles.shape, *[1] * len(rest)), np.float32)
    for number in range(len(tiles)):
        on_scene, in_tile = _overlap(tiles, number)
        total[on_scene] += predictions[number][in_tile] * weight[in_tile]
        known[on_scene] += weight[in_tile]
    if not known.all():
        raise CallError("the weights leave pixels of the scene out")
    total /= known
    return total


def _overlap(tiles: Windows, number: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where a window lies on the scene, and what part of the window that is."""
    on_scene, in_tile = [], []
    for start, length in zip((tiles.row[number], tiles.column[number]), tiles.shape, strict=True):
        low, high = max(int(start), 0), min(int(start) + tiles.size, length)
        on_scene.append(slice(low, high))
        in_tile.append(slice(low - int(start), high - int(start)))
    return (on_scene[0], on_scene[1]), (in_tile[0], in_tile[1])
