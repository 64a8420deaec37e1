"""Drop files from the page cache of the operating system, and check that they are gone.

MLPerf demands that caches are cleared before a run. Only root may use `/proc/sys/vm/drop_caches`.
Any user may use posix_fadvise(2) for single files, but it is only advice: pages of a file that is
mapped, dirty, or in a file system in memory stay. So the result is checked with mincore(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

METHOD = "posix_fadvise(POSIX_FADV_DONTNEED), residency checked by mincore"
MAX_RESIDENT_FRACTION = 0.0  # a cleared cache has no page of the files
# The first try skips pages that are still in a processor's list of new pages. In tests the second
# try always dropped them.
MAX_TRIES = 3
WINDOW_BYTES = 1 << 30  # mapped at once; the vector of mincore has 262,144 pages of 4 KiB
MAP_FAILED = ctypes.c_void_p(-1).value
RESIDENT = 1  # lowest bit of each byte of mincore; the other bits are reserved
TRUE_BYTES = bytes(byte & RESIDENT for byte in range(256))


@dataclass(frozen=True)
class CacheClear:
    """The outcome of clearing the cache: `timing.cache_clear` of a record.

    Attributes:
        done: whether no page of the files was in memory afterwards.
        method: how the files were dropped and checked; None if nothing was tried.
        files: number of files.
        resident_fraction_after: pages in memory divided by pages of all files; None if not known.
        reason: why the cache was not cleared; None if it was.
    """

    done: bool
    method: str | None
    files: int
    resident_fraction_after: float | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a record has them."""
        return asdict(self)


NOT_REQUESTED = CacheClear(
    done=False, method=None, files=0, resident_fraction_after=None, reason="not asked for"
)


def clear_cached(paths: Iterable[Path]) -> CacheClear:
    """Drop files, and all files below folders, from the page cache of this computer.

    Files are not changed. A failure does not raise; it is in the outcome.

    Args:
        paths: of files and folders; duplicates count once.
    """
    files = _files(paths)
    if not files:
        return CacheClear(False, None, 0, None, "no file was named that is there")
    if not hasattr(os, "posix_fadvise"):
        reason = "this system has no posix_fadvise"
        return CacheClear(False, None, len(files), None, reason)
    try:
        resident, pages = _drop_all(files)
    except (OSError, AttributeError) as error:  # AttributeError: a C library without mincore
        return CacheClear(False, METHOD, len(files), None, _cause(error))
    fraction = resident / pages if pages else 0.0
    if fraction <= MAX_RESIDENT_FRACTION:
        return CacheClear(True, METHOD, len(files), fraction, None)
    return CacheClear(False, METHOD, len(files), fraction, _why_resident(files, resident, pages))


def resident_pages(path: Path) -> tuple[int, int]:
    """Return (pages of a file in memory, all pages of the file).

    Linux reports every page as resident to users who neither own the file nor may write it.

    Raises:
        OSError: the file cannot be opened or mapped.
    """
    with path.open("rb") as stream:
        return _resident(stream.fileno())


def _files(paths: Iterable[Path]) -> list[Path]:
    files: dict[Path, None] = {}  # an ordered set
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        files.update((file.resolve(), None) for file in inside if file.is_file())
    return list(files)


def _drop_all(files: Sequence[Path]) -> tuple[int, int]:
    """Drop every file, and return (pages that stayed in memory, all pages)."""
    resident, pages = 0, 0
    for path in files:
        with path.open("rb") as stream:
            resident_of_file, pages_of_file = _drop_and_check(stream.fileno())
        resident, pages = resident + resident_of_file, pages + pages_of_file
    return resident, pages


def _drop_and_check(number: int) -> tuple[int, int]:
    """Drop a file until no page is left in memory, at most `MAX_TRIES` times."""
    counts = (0, 0)
    for _ in range(MAX_TRIES):
        _drop(number)
        counts = _resident(number)
        if counts[0] == 0:
            break
    return counts


def _drop(number: int) -> None:
    """Write dirty pages to disk, because the kernel keeps them, and advise to drop the file."""
    with contextlib.suppress(OSError):  # a read-only file system has no dirty pages
        os.fsync(number)
    os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)


def _resident(number: int) -> tuple[int, int]:
    size = os.fstat(number).st_size
    counts = [
        _resident_window(number, start, min(WINDOW_BYTES, size - start))
        for start in range(0, size, WINDOW_BYTES)
    ]
    return sum(counts), math.ceil(size / mmap.PAGESIZE)


def _resident_window(number: int, start: int, length: int) -> int:
    """Return the number of resident pages in a range of a file that starts at a page."""
    library = _library()
    address = library.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, number, start)
    if address == MAP_FAILED:
        raise _system_error()
    try:
        vector = (ctypes.c_ubyte * math.ceil(length / mmap.PAGESIZE))()
        if library.mincore(address, length, vector):
            raise _system_error()
    finally:
        library.munmap(address, length)
    return sum(bytes(vector).translate(TRUE_BYTES))


@functools.cache
def _library() -> Any:
    """Return the C library; Python's own mmap does not give the address that mincore needs."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int64,
    ]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.mincore.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_ubyte),
    ]
    return library


def _system_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def _cause(error: Exception) -> str:
    message = error.strerror if isinstance(error, OSError) else None
    return f"the system refused: {message or error}"


def _why_resident(files: Sequence[Path], resident: int, pages: int) -> str:
    """Return the likeliest cause; the system does not report the real one."""
    if not all(_is_ours(path) for path in files):
        return (
            "residency is not known: the system reports it only to the owner of a file, and to "
            "users who may write it"
        )
    return (
        f"{resident} of {pages} pages stayed in memory: files are mapped or being read by another "
        "process, or are on a file system in memory"
    )


def _is_ours(path: Path) -> bool:
    return path.stat().st_uid == os.geteuid() or os.access(path, os.W_OK)
