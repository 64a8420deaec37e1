"""Drop files from the operating system's page cache, and look whether they are gone.

MLPerf asks that a run begins with caches cleared. `/proc/sys/vm/drop_caches` is for root; anybody
may ask for single files with posix_fadvise(2), which is advice only: a file that is mapped, dirty,
or on a file system that lives in memory stays. So only what mincore(2) confirms is believed.
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
LARGEST_RESIDENT_FRACTION = 0.0  # a clear cache holds no page at all
# Pages that wait in a processor's list of new pages are passed over once; none was seen to last.
MOST_TRIES = 3
WINDOW_BYTES = 1 << 30  # mapped at once: a vector of 262,144 pages of 4 KiB
MAP_FAILED = ctypes.c_void_p(-1).value
RESIDENT = 1  # lowest bit of each byte that mincore writes; the others are reserved
TRUE_BYTES = bytes(byte & RESIDENT for byte in range(256))


@dataclass(frozen=True)
class CacheClear:
    """What came of clearing: `timing.cache_clear` of a record.

    Attributes:
        done: whether not one page of the files was in memory afterwards.
        method: how they were dropped and checked; None where nothing was tried.
        files: how many were asked for.
        resident_fraction_after: pages in memory over pages of all files; None where not known.
        reason: why it is not done; None where it is.
    """

    done: bool
    method: str | None
    files: int
    resident_fraction_after: float | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a record holds them."""
        return asdict(self)


NOT_REQUESTED = CacheClear(
    done=False, method=None, files=0, resident_fraction_after=None, reason="not asked for"
)


def clear_cached(paths: Iterable[Path]) -> CacheClear:
    """Drop files, and all files below folders, from the page cache of this computer.

    Nothing is changed on disk and nothing raises: a cache that could not be cleared is a fact.

    Args:
        paths: files and folders; a file that comes twice counts once.
    """
    files = _files(paths)
    if not files:
        return CacheClear(False, None, 0, None, "no file was named that is there")
    if not hasattr(os, "posix_fadvise"):
        reason = "this system has no posix_fadvise"
        return CacheClear(False, None, len(files), None, reason)
    try:
        resident, pages = _cleared(files)
    except (OSError, AttributeError) as error:  # AttributeError: a C library without mincore
        return CacheClear(False, METHOD, len(files), None, _cause(error))
    fraction = resident / pages if pages else 0.0
    if fraction <= LARGEST_RESIDENT_FRACTION:
        return CacheClear(True, METHOD, len(files), fraction, None)
    return CacheClear(False, METHOD, len(files), fraction, _why_resident(files, resident, pages))


def resident_pages(path: Path) -> tuple[int, int]:
    """Return how many pages of a file are in memory, and how many it has.

    Linux reports every page as resident to whoever neither owns the file nor may write it.

    Raises:
        OSError: it cannot be opened, mapped or asked about.
    """
    with path.open("rb") as stream:
        return _resident(stream.fileno())


def _files(paths: Iterable[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found.update((one.resolve(), None) for one in inside if one.is_file())
    return list(found)


def _cleared(files: Sequence[Path]) -> tuple[int, int]:
    """Drop every file; return pages that stayed in memory and pages in all."""
    resident, pages = 0, 0
    for path in files:
        with path.open("rb") as stream:
            left, whole = _drop_and_look(stream.fileno())
        resident, pages = resident + left, pages + whole
    return resident, pages


def _drop_and_look(number: int) -> tuple[int, int]:
    """Drop a file until nothing of it is left, or the tries are used up."""
    found = (0, 0)
    for _ in range(MOST_TRIES):
        _drop(number)
        found = _resident(number)
        if found[0] == 0:
            break
    return found


def _drop(number: int) -> None:
    """Write what is dirty, since dirty pages are kept, and give the advice."""
    with contextlib.suppress(OSError):  # a file system that may only be read has nothing dirty
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
    """Return the resident pages of a part of a file, which begins at a whole page."""
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
    """Return the C library; Python's own mmap does not tell the address that mincore asks for."""
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
    said = error.strerror if isinstance(error, OSError) else None
    return f"the system refused: {said or error}"


def _why_resident(files: Sequence[Path], resident: int, pages: int) -> str:
    """Return the likeliest cause, which is all the system lets one see."""
    if not all(_is_ours(path) for path in files):
        return (
            "residency cannot be seen: the system tells it only to the owner of a file and to "
            "whoever may write it"
        )
    return (
        f"{resident} of {pages} pages stayed in memory: files are mapped or being read by another "
        "process, or lie on a file system that is itself in memory"
    )


def _is_ours(path: Path) -> bool:
    return path.stat().st_uid == os.geteuid() or os.access(path, os.W_OK)
