"""Read samples at the byte offsets that they have in a ready file, without the HDF5 library.

HDF5 reads one chunk after the other, so that a disk has one request at a time. Here the system gets
notice of all reads before the first (`posix_fadvise`), and a sample is read straight into the
array of its batch. That is possible for arrays whose samples are stored as they are in memory:
uncompressed, each in a chunk of its own, or all one after the other.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import ConversionError
from sciml_data.formats import open_hdf5

if TYPE_CHECKING:
    from collections.abc import Iterator

Offsets: TypeAlias = npt.NDArray[np.int64]
# Of one notice: Linux shortens a longer one to the largest request of the disk, often 1.25 MiB.
NOTICE_BYTES = 1 << 20


@dataclass(frozen=True)
class SamplePlaces:
    """Where the samples of an array are in a file.

    Attributes:
        path: of the file.
        state: size, modification time in ns and inode of the file when it was looked at.
        offsets: (sample,) bytes from the beginning of the file; None if HDF5 has to read them.
        sample_bytes: size of a sample.
    """

    path: Path
    state: tuple[int, int, int]
    offsets: Offsets | None
    sample_bytes: int

    @property
    def is_current(self) -> bool:
        """Return whether the file is the one that was looked at."""
        try:
            return _state(self.path.stat()) == self.state
        except OSError:
            return False

    def expect(self, rows: npt.NDArray[np.intp]) -> None:
        """Let the system begin to read samples.

        Args:
            rows: their numbers in the file.
        """
        if self.offsets is None:
            return
        with suppress(OSError), _opened(self.path) as file:
            for first in self.offsets[rows].tolist():
                stop = first + self.sample_bytes
                for start in range(first, stop, NOTICE_BYTES):
                    size = min(NOTICE_BYTES, stop - start)
                    os.posix_fadvise(file, start, size, os.POSIX_FADV_WILLNEED)

    def read(self, rows: npt.NDArray[np.intp], values: npt.NDArray[Any], into: Any) -> bool:
        """Fill items of an array with samples; return False if HDF5 has to read them.

        Args:
            rows: numbers of the samples in the file.
            values: (item, ...) array of the stored type.
            into: number of the item for each sample.
        """
        if self.offsets is None or values[0].nbytes != self.sample_bytes:
            return False
        offsets = self.offsets[rows]
        try:
            with _opened(self.path) as file:
                if _state(os.fstat(file)) != self.state:
                    return False
                for number in np.argsort(offsets).tolist():
                    _fill(file, values[into[number]], int(offsets[number]))
        except (OSError, EOFError):  # HDF5 says what is wrong with the file
            return False
        return True


def find_places(path: Path, array: str, dtype: npt.DTypeLike) -> SamplePlaces:
    """Return where the samples of an array are in a ready file.

    Args:
        path: of the file.
        array: name, (sample, ...).
        dtype: type of the memory to fill.

    Raises:
        ConversionError: the file cannot be read.
    """
    with open_hdf5(path, error=ConversionError, is_verified=True) as file:
        state = _state(path.stat())
        stored = file[array]
        size = int(np.prod(stored.shape[1:])) * stored.dtype.itemsize
        is_plain = stored.dtype == dtype and not stored.id.get_create_plist().get_nfilters()
        return SamplePlaces(path, state, _offsets(stored, size) if is_plain else None, size)


def _offsets(stored: Any, size: int) -> Offsets | None:
    """Return the offset of each sample; None if it is not in one piece, or was never written."""
    if stored.chunks is None:
        start = stored.id.get_offset()  # None if nothing was written
        return None if start is None else start + size * np.arange(len(stored), dtype=np.int64)
    if stored.chunks != (1, *stored.shape[1:]):
        return None
    offsets = np.full(len(stored), -1, np.int64)

    def add(info: Any) -> None:
        offsets[info.chunk_offset[0]] = info.byte_offset

    stored.id.chunk_iter(add)
    return None if (offsets < 0).any() else offsets


def _state(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_size, state.st_mtime_ns, state.st_ino


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _fill(file: int, target: npt.NDArray[Any], offset: int) -> None:
    """Fill an array with bytes of a file; a call may return fewer bytes than requested."""
    left = target.data.cast("B")
    while left:
        count = os.preadv(file, [left], offset)
        if not count:
            raise EOFError
        left, offset = left[count:], offset + count
