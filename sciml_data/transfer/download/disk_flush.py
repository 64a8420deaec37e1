"""Bring files to the disk with the calls of Linux that Python does not have: syncfs and others.

Where such a call is missing or not reliable, the functions say so, and the caller uses fsync.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

# File systems on which syncfs waits for the disk and reports errors: ext2 to ext4, XFS, btrfs.
LOCAL_KINDS = {0xEF53, 0x58465342, 0x9123683E}  # linux/magic.h
SYNCFS_REPORTS = (5, 8)  # since this version of Linux, syncfs reports failed writes
SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h


class DiskFlush:
    """Brings complete files to the disk: many small ones together, where that is reliable.

    A single `syncfs` of the whole file system replaces an fsync for each file. It is used where
    three things hold: the file system is local, since others may flush it to a server without
    waiting; the kernel reports failed writes to the caller (Linux 5.8, man 2 syncfs); and no write
    has failed. After a failure every file is flushed by itself, so that the error names its file.
    """

    def __init__(self, folder: Path) -> None:
        """Take a folder on the file system; it need not exist yet."""
        self._folder = folder
        self._descriptor: int | None = None
        self._has_failed = False  # or cannot be used here

    def together(self) -> bool:
        """Return whether everything that was written before is on the disk now."""
        if self._descriptor is None and not self._has_failed:
            self._open()
        if self._has_failed or self._descriptor is None:
            return False
        self._has_failed = _libc().syncfs(self._descriptor) != 0
        return not self._has_failed

    def close(self) -> None:
        """Close the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._has_failed = not _reports_errors() or _kind_of(self._descriptor) not in LOCAL_KINDS


@cache
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _reports_errors() -> bool:
    """Return whether syncfs exists and reports failed writes."""
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (
        sys.platform == "linux"
        and numbers is not None
        and (int(numbers[1]), int(numbers[2])) >= SYNCFS_REPORTS
        and hasattr(_libc(), "syncfs")
    )


def _kind_of(descriptor: int) -> int:
    """Return the magic number of a file system (man 2 fstatfs), or 0 if it is unknown."""
    import ctypes

    state = (ctypes.c_long * 32)()  # struct statfs has 120 bytes; its first field is the kind
    return 0 if _libc().fstatfs(descriptor, state) else int(state[0])


def start_writing(path: Path) -> bool:
    """Let the kernel begin to write a file to the disk; return whether it can.

    Nothing is durable when this returns. The fsync at the end has less to wait for.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    begin = getattr(_libc(), "sync_file_range", None)  # not in every C library
    if begin is None:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        whole = (ctypes.c_int64(0), ctypes.c_int64(0))  # 0 bytes: up to the end
        return bool(begin(descriptor, *whole, SYNC_FILE_RANGE_WRITE) == 0)
    finally:
        os.close(descriptor)
