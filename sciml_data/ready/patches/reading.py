"""Pixels of one scene, straight from where its file has them.

HDF5's library does one thing at a time in a process. Offsets of chunks are known (`heads.py`), so
the bytes are read with `pread`, which any number of threads may do at once, and are unpacked by
zlib where they are compressed. CPU ms of a patch of 256 x 256 with all channels, label and mask
from the page cache: h5py's slices 2.0, its `read_direct_chunk` 0.8, `preadv` into memory that is
there 0.3; with gzip 5.2, 4.3 (left shuffled) and 3.8 (`benchmarks/pipeline.py --ways`).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import ConversionError, Problem
from sciml_data.ready.patches.heads import Layout
from sciml_data.ready.patches.scenes import Scenes


@dataclass(frozen=True)
class Window:
    """Rows and columns of a scene; those beyond its edges are missing."""

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True)
class _Piece:
    """What one chunk has of a window: where it lies, what of it, and where in the window it goes.

    rows and columns: (from, to) in the chunk; at: row and column in the window.
    """

    offset: int
    size: int
    filters_left_out: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    at: tuple[int, int]


def read_window(
    scenes: Scenes, scene: int, window: Window, into: Mapping[str, NDArray[Any]]
) -> None:
    """Fill arrays with the stored values of a window.

    One file is opened, and closed again; the system is told of all reads before the first.

    Args:
        scenes: where everything lies.
        scene: number of the scene.
        window: what to read; where it is beyond the scene's edges the fill value is set, or 0.
        into: by variable, an array (rows, columns[, bands]) of the stored type, C-contiguous.

    Raises:
        ConversionError: the file is gone, cut, changed or damaged; `.problems` names it.
    """
    path = scenes.paths[scene]
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _require_unchanged(scenes, scene, os.fstat(file))
            jobs = []
            for name, target in into.items():
                layout = scenes.layouts[name]
                if _is_beyond(window, layout):
                    target[...] = 0 if layout.fill is None else layout.fill
                for piece in _pieces(layout, scenes.places[name][scene], window):
                    os.posix_fadvise(file, piece.offset, piece.size, os.POSIX_FADV_WILLNEED)
                    jobs.append((layout, piece, target))
            for layout, piece, target in jobs:
                _read_piece(file, layout, piece, target=target)
        finally:
            os.close(file)
    except (OSError, zlib.error, ValueError) as error:
        raise ConversionError(
            f"a ready scene cannot be read: {path.name}",
            problems=[Problem("unreadable", str(path), f"{type(error).__name__}: {error}")],
            untouched="nothing was changed",
            hint="convert the dataset again, and open it anew",
        ) from error


def _require_unchanged(scenes: Scenes, scene: int, found: os.stat_result) -> None:
    expected = (int(scenes.sizes[scene]), int(scenes.changed[scene]))
    if (found.st_size, found.st_mtime_ns) != expected:
        raise ValueError("it was written anew since the scenes were looked up")


def _is_beyond(window: Window, layout: Layout) -> bool:
    return (
        min(window.row, window.column) < 0
        or window.row + window.rows > layout.shape[0]
        or window.column + window.columns > layout.shape[1]
    )


def _pieces(layout: Layout, places: NDArray[np.int64], window: Window) -> Iterator[_Piece]:
    """Yield what chunks have of a window, row of chunks by row of chunks."""
    across = layout.chunks[1]
    for row, rows, row_at in _cuts(window.row, window.rows, layout.chunk[0], layout.shape[0]):
        for column, columns, column_at in _cuts(
            window.column, window.columns, layout.chunk[1], layout.shape[1]
        ):
            offset, size, left_out = places[row * across + column].tolist()
            yield _Piece(offset, size, left_out, rows, columns, (row_at, column_at))


def _cuts(
    start: int, length: int, chunk: int, extent: int
) -> Iterator[tuple[int, tuple[int, int], int]]:
    """Yield along one axis: number of a chunk, from and to in it, where in the window."""
    first, last = max(start, 0), min(start + length, extent)
    for number in range(first // chunk, -(-last // chunk)):
        low, high = max(first, number * chunk), min(last, (number + 1) * chunk)
        yield number, (low - number * chunk, high - number * chunk), low - start


def _read_piece(file: int, layout: Layout, piece: _Piece, *, target: NDArray[Any]) -> None:
    (top, bottom), (left, right), (row, column) = piece.rows, piece.columns, piece.at
    width = layout.chunk[1]
    if not layout.filters and (left, right) == (0, width) and width == target.shape[1]:
        _fill(file, target[row : row + bottom - top], piece.offset + top * _row_bytes(layout))
        return
    if not layout.filters:
        values = np.empty((bottom - top, *layout.chunk_shape[1:]), layout.dtype)
        _fill(file, values, piece.offset + top * _row_bytes(layout))
    else:
        values = _unpacked(os.pread(file, piece.size, piece.offset), layout, piece)[top:bottom]
    target[row : row + bottom - top, column : column + right - left] = values[:, left:right]


def _row_bytes(layout: Layout) -> int:
    return layout.chunk[1] * layout.bands * np.dtype(layout.dtype).itemsize


def _fill(file: int, target: NDArray[Any], offset: int) -> None:
    """Read as many bytes as an array has, whatever number a call gives."""
    left = target.data.cast("B")
    while left:
        count = os.preadv(file, [left], offset)
        if count == 0:
            raise ValueError("the file ends before the pixels do")
        left, offset = left[count:], offset + count


def _unpacked(stored: bytes | memoryview, layout: Layout, piece: _Piece) -> NDArray[Any]:
    """Return a chunk as an array; HDF5 leaves a filter out where it did not pay."""
    dtype = np.dtype(layout.dtype)
    count = int(np.prod(layout.chunk_shape))
    for number, name in reversed(list(enumerate(layout.filters))):
        if piece.filters_left_out >> number & 1:
            continue
        if name == "gzip":
            stored = zlib.decompress(stored, bufsize=count * dtype.itemsize)
        elif dtype.itemsize > 1:
            stored = _unshuffled(stored, dtype)
    return np.frombuffer(stored, dtype, count).reshape(layout.chunk_shape)


def _unshuffled(stored: bytes | memoryview, dtype: np.dtype[Any]) -> bytes | memoryview:
    """Return bytes in the order of the values: shuffle puts the first byte of each first.

    Two-byte values are put together by shifting, seventeen times as quick as turning the array.
    """
    planes = np.frombuffer(stored, np.uint8).reshape(dtype.itemsize, -1)
    if dtype.itemsize != 2 or dtype.byteorder == ">":
        return planes.T.tobytes()
    values = planes[1].astype("<u2")
    values <<= 8
    values |= planes[0]
    unshuffled: memoryview = values.data.cast("B")
    return unshuffled
