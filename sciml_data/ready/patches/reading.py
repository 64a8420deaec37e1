"""Read pixels of a scene at the known byte offsets of its chunks, into memory that is reused.

The HDF5 library does one thing at a time in a process. The offsets of chunks are known
(`scenes.py`), so bytes are read with `preadv`, which any number of threads can do at once, and
decompressed by zlib if needed. CPU time in ms of a patch of 256 x 256 with all channels, label and
mask, from the page cache: 2.0 for slices of h5py, 0.8 for its `read_direct_chunk`, 0.3 for `preadv`
into existing memory; with gzip 5.2, 4.3 (without unshuffling) and 3.8 (`benchmarks/pipeline.py
--ways`).

A batch of 32 patches has 75 MB. Memory of this size that comes new from the system costs as much
CPU time as reading and unpacking: pages are cleared, and merged to huge pages. `MemoryPool` reuses
it.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import ConversionError, Problem
from sciml_data.ready.patches.scenes import Layout, Scenes

if TYPE_CHECKING:
    from sciml_data.ready.streaming.reader import ChunkReader

# TensorFlow uses an array with this alignment without a copy, and copies any other
# (EIGEN_MAX_ALIGN_BYTES, tensorflow/python/lib/core/py_func.cc).
ALIGNMENT = 64


@dataclass(frozen=True)
class Window:
    """First row and column, and numbers of rows and columns, of a part of a scene.

    It may reach beyond the edges of the scene; pixels there are missing. Of each axis, every
    `step`-th pixel is read, beginning with the first.
    """

    row: int
    column: int
    rows: int
    columns: int
    step: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Return how many rows and columns are read."""
        return -(-self.rows // self.step), -(-self.columns // self.step)


@dataclass(frozen=True)
class Piece:
    """The part of a window that is in a chunk.

    Attributes:
        offset: of the chunk in the file, bytes.
        size: of the chunk, bytes.
        skipped_filters: bit mask of HDF5.
        rows: first and end row in the chunk.
        columns: first and end column in the chunk.
        at: row and column in the window.
    """

    offset: int
    size: int
    skipped_filters: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    at: tuple[int, int]


def read_window(
    scenes: Scenes, scene: int, window: Window, into: Mapping[str, NDArray[Any]]
) -> None:
    """Fill arrays with the stored values of a window.

    The file is opened and closed. The system gets notice of all reads before the first
    (`posix_fadvise`), so that a disk or a network file system works on them at the same time.

    Args:
        scenes: scenes with the offsets of their chunks.
        scene: number of the scene.
        window: part of the scene; pixels beyond its edges get the fill value, or 0.
        into: by variable, a C-contiguous array (*window.shape[, bands]) of the stored type.

    Raises:
        ConversionError: the file does not exist, is truncated, damaged or was changed; `.problems`
            names it.
    """
    if scenes.remote is not None:
        _read_remote(scenes.remote, scenes, scene, window, into=into)
        return
    path = scenes.paths[scene]
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _require_unchanged(scenes, scene, os.fstat(file))
            jobs = list(_jobs(scenes, scene, window, into))
            for _, piece, _ in jobs:
                os.posix_fadvise(file, piece.offset, piece.size, os.POSIX_FADV_WILLNEED)
            for layout, piece, target in jobs:
                _read_piece(file, layout, piece, target=target, step=window.step)
        finally:
            os.close(file)
    except (OSError, zlib.error, ValueError) as error:
        raise ConversionError(
            f"cannot read the ready scene {path.name}",
            problems=[Problem("unreadable", str(path), f"{type(error).__name__}: {error}")],
            untouched="nothing was changed",
            hint="sciml-data verify ID --ready --full --repair; then find the scenes again",
        ) from error


def expect_window(scenes: Scenes, scene: int, window: Window, names: Iterable[str]) -> None:
    """Let the system begin to read a window that is needed soon; files on a mirror are left out.

    Of a variable whose first chunk is in the page cache nothing is announced: the other chunks are
    probably there too, and a call for each costs more than a patch gains.

    Args:
        scenes: see `read_window`, as for scene and window.
        scene: number of the scene.
        window: part of the scene.
        names: variables.
    """
    if scenes.remote is not None:
        return
    try:
        file = os.open(scenes.paths[scene], os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # `read_window` names the file
        return
    try:
        for name in names:
            for number, piece in enumerate(
                pieces(scenes.layouts[name], scenes.chunks[name][scene], window)
            ):
                if number == 0 and _is_cached(file, piece):
                    break
                os.posix_fadvise(file, piece.offset, piece.size, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(file)


def _is_cached(file: int, piece: Piece) -> bool:
    """Return whether the last byte of a chunk is in the page cache, without reading from the disk.

    File systems that do not know (NFS, for example) count as not cached.
    """
    try:
        return os.preadv(file, [bytearray(1)], piece.offset + piece.size - 1, os.RWF_NOWAIT) == 1
    except OSError:
        return False


def _jobs(
    scenes: Scenes, scene: int, window: Window, into: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[Layout, Piece, NDArray[Any]]]:
    """Yield the parts of a window to read; pixels beyond the scene are filled."""
    for name, target in into.items():
        layout = scenes.layouts[name]
        if _is_beyond(window, layout):
            target[...] = 0 if layout.fill is None else layout.fill
        for piece in pieces(layout, scenes.chunks[name][scene], window):
            yield layout, piece, target


def _read_remote(
    remote: ChunkReader,
    scenes: Scenes,
    scene: int,
    window: Window,
    *,
    into: Mapping[str, NDArray[Any]],
) -> None:
    """Fill arrays with a window of a scene on a mirror; whole chunks are read and checked.

    Raises:
        FetchError: a chunk with the right bytes could not be read.
        ConversionError: a chunk cannot be decompressed.
    """
    path = scenes.paths[scene]
    jobs = list(_jobs(scenes, scene, window, into))
    spans = [(piece.offset, piece.size) for _, piece, _ in jobs]

    def put(number: int, stored: bytes | memoryview) -> None:
        layout, piece, target = jobs[number]
        rows, columns = slice(*piece.rows), slice(*piece.columns)
        _put(_unpacked(stored, layout, piece)[rows, columns], piece, target, window.step)

    try:
        remote.read_each(remote.name_of(path), spans, put)
    except (zlib.error, ValueError) as error:
        raise ConversionError(
            f"cannot read the ready scene {path.name}",
            problems=[Problem("unreadable", path.name, f"{type(error).__name__}: {error}")],
            untouched="nothing was changed",
            hint="the published file is damaged, although its hash is right: tell its curator",
        ) from error


def _require_unchanged(scenes: Scenes, scene: int, state: os.stat_result) -> None:
    expected = (int(scenes.sizes[scene]), int(scenes.mtimes[scene]))
    if (state.st_size, state.st_mtime_ns) != expected:
        raise ValueError("the file was written again after its header was read")


def _is_beyond(window: Window, layout: Layout) -> bool:
    """Return whether a window reaches beyond the edges of a scene."""
    return (
        min(window.row, window.column) < 0
        or window.row + window.rows > layout.shape[0]
        or window.column + window.columns > layout.shape[1]
    )


def pieces(layout: Layout, chunks: NDArray[np.int64], window: Window) -> Iterator[Piece]:
    """Yield the parts of a window by chunk, in rows of chunks.

    Args:
        layout: layout of the variable.
        chunks: (chunk, 3) byte offset, bytes and mask of skipped filters.
        window: part of the scene.
    """
    across = layout.chunks[1]
    for row, rows, row_at in _cuts(window.row, window.rows, layout.chunk[0], layout.shape[0]):
        for column, columns, column_at in _cuts(
            window.column, window.columns, layout.chunk[1], layout.shape[1]
        ):
            offset, size, skipped = chunks[row * across + column].tolist()
            yield Piece(offset, size, skipped, rows, columns, (row_at, column_at))


def _cuts(
    start: int, length: int, chunk: int, extent: int
) -> Iterator[tuple[int, tuple[int, int], int]]:
    """Yield the parts of a window along an axis.

    Args:
        start: first pixel of the window.
        length: pixels of the window.
        chunk: pixels of a chunk.
        extent: pixels of the scene.

    Yields:
        Number of the chunk, first and end pixel in it, and first pixel in the window.
    """
    first, last = max(start, 0), min(start + length, extent)
    for number in range(first // chunk, -(-last // chunk)):
        low, high = max(first, number * chunk), min(last, (number + 1) * chunk)
        yield number, (low - number * chunk, high - number * chunk), low - start


def _read_piece(
    file: int, layout: Layout, piece: Piece, *, target: NDArray[Any], step: int
) -> None:
    """Read a part of a window; full rows without filters go into the target without a copy."""
    (top, bottom), (left, right), (row, _) = piece.rows, piece.columns, piece.at
    width = layout.chunk[1]
    is_whole = step == 1 and (left, right) == (0, width) and width == target.shape[1]
    if not layout.filters and is_whole:
        _fill(file, target[row : row + bottom - top], piece.offset + top * _row_bytes(layout))
        return
    if not layout.filters:
        values = np.empty((bottom - top, *layout.chunk_shape[1:]), layout.dtype)
        _fill(file, values, piece.offset + top * _row_bytes(layout))
    else:
        values = _unpacked(os.pread(file, piece.size, piece.offset), layout, piece)[top:bottom]
    _put(values[:, left:right], piece, target, step)


def _put(values: NDArray[Any], piece: Piece, target: NDArray[Any], step: int) -> None:
    """Copy the pixels of a part of a window to their places; of a window every step-th pixel."""
    first = [-at % step for at in piece.at]
    row, column = ((at + skipped) // step for at, skipped in zip(piece.at, first, strict=True))
    values = values[first[0] :: step, first[1] :: step]
    target[row : row + values.shape[0], column : column + values.shape[1]] = values


def _row_bytes(layout: Layout) -> int:
    return layout.chunk[1] * layout.bands * np.dtype(layout.dtype).itemsize


def _fill(file: int, target: NDArray[Any], offset: int) -> None:
    """Fill an array with bytes of a file; a call may return fewer bytes than requested."""
    left = target.data.cast("B")
    while left:
        count = os.preadv(file, [left], offset)
        if count == 0:
            raise ValueError("the file is truncated")
        left, offset = left[count:], offset + count


def _unpacked(stored: bytes | memoryview, layout: Layout, piece: Piece) -> NDArray[Any]:
    """Return a chunk as an array; HDF5 skips a filter that does not make a chunk smaller."""
    dtype = np.dtype(layout.dtype)
    count = int(np.prod(layout.chunk_shape))
    for number, name in reversed(list(enumerate(layout.filters))):
        if piece.skipped_filters >> number & 1:
            continue
        if name == "gzip":
            stored = zlib.decompress(stored, bufsize=count * dtype.itemsize)
        elif dtype.itemsize > 1:
            stored = _unshuffled(stored, dtype)
    return np.frombuffer(stored, dtype, count).reshape(layout.chunk_shape)


def _unshuffled(stored: bytes | memoryview, dtype: np.dtype[Any]) -> bytes | memoryview:
    """Undo HDF5's shuffle filter, which stores the first bytes of all values, then the second ones.

    Two-byte values are combined by shifts, which is seventeen times faster than a transpose.
    """
    planes = np.frombuffer(stored, np.uint8).reshape(dtype.itemsize, -1)
    if dtype.itemsize != 2 or dtype.byteorder == ">":
        return planes.T.tobytes()
    values = planes[1].astype("<u2")
    values <<= 8
    values |= planes[0]
    unshuffled: memoryview = values.data.cast("B")
    return unshuffled


# --- memory --------------------------------------------------------------------------------------


class _Lease:
    """Owner of an array in pooled memory; when it is collected, the memory is free again.

    NumPy keeps the object behind `__array_interface__` alive as long as the array or a view exists.
    """

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (address, False),
            "version": 3,
        }


class MemoryPool:
    """Memory for arrays that is used again, by any number of threads at once.

    There is no lock: `pop` and `append` of a list are atomic.
    """

    def __init__(self) -> None:
        """Begin without memory; blocks are kept by size in bytes."""
        self._free: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)

    def __reduce__(self) -> tuple[type[MemoryPool], tuple[()]]:
        """Pickle as an empty pool: free memory is not sent to another process."""
        return MemoryPool, ()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an aligned array with arbitrary values.

        Its memory returns to the pool when neither the array nor a view of it exists.
        """
        size = int(np.prod(shape)) * dtype.itemsize
        free = self._free[size]
        try:
            block = free.pop()
        except IndexError:
            block = np.empty(size + ALIGNMENT, np.uint8)
        address = block.ctypes.data
        lease = _Lease(address + -address % ALIGNMENT, shape, dtype)
        weakref.finalize(lease, free.append, block).atexit = False
        return np.asarray(lease)
