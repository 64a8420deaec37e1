"""A folder of chunks with a bound, which several processes may share.

A chunk is a file that is named by the sha256 of its bytes. It is written under another name and
renamed when it is complete. Its bytes are hashed each time it is read, so a file that a kill, a
full disk or a failing one has damaged is noticed, removed and fetched again. Nothing in the folder
has to be believed, and all of it may be removed at any time.

The bound holds at every moment and for all processes together. A process adds the size of a chunk
to a common counter before it writes the file; if the sum would be above the bound, it removes the
chunks that were not used for the longest time. The counter may be too high, after a kill for
example, and is never too low. It is set right whenever chunks are removed. So that this forgets no
chunk which another process is about to write, the unfinished file has its size from the start.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, NotWritableError, full_disk
from sciml_data.home import not_writable
from sciml_data.progress import Log, format_bytes

COUNTER_NAME = ".bytes"
UNFINISHED = ".{unique}.unfinished"
KEPT_SHARE = 0.9  # of the bound after a removal: the folder is listed for every tenth of it
# A chunk counts as used now if its last use is older than this. Each use would cost a write.
USE_S = 60.0
PREFIX_LETTERS = 2  # of a chunk's name, which name its folder: 256 folders


@dataclass
class ChunkCache:
    """Chunks in a folder, by their sha256; safe in several threads and processes.

    Attributes:
        folder: of the chunks; it is made.
        max_bytes: bound of all chunks together.
        log: gets a line when the disk is full.
    """

    folder: Path
    max_bytes: int
    log: Log = field(default=lambda _: None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the folder.

        Raises:
            NotWritableError: permission denied, or a read-only file system.
        """
        self._lock = threading.Lock()  # `flock` of NFS does not hold between threads
        self._process = os.getpid()
        self._is_full = False  # the disk, not the cache: told once
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._counter():
                pass
        except (PermissionError, NotADirectoryError) as error:
            raise self._unusable(error) from error
        except OSError as error:
            if not full_disk(error):
                raise self._unusable(error) from error

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"log": lambda _: None}
        self.__post_init__()

    def require_room_for(self, largest: int) -> None:
        """Raise CallError if a chunk does not fit into the cache.

        Args:
            largest: bytes of the largest chunk.
        """
        if largest > self.max_bytes:
            raise CallError(
                f"the cache of {format_bytes(self.max_bytes)} is too small: a chunk has "
                f"{format_bytes(largest)}",
                untouched="nothing was read",
                hint=f"--cache {-(-largest // 10**6) * 100}MB has room for a hundred such chunks",
            )

    def read(self, digest: str) -> bytes | None:
        """Return a chunk with the right bytes, None if the cache does not have it.

        Args:
            digest: sha256 in hexadecimal digits.
        """
        path = self._path(digest)
        try:
            with path.open("rb") as file:
                content = file.read()
                last_used = os.fstat(file.fileno()).st_mtime
        except OSError:  # missing, or removed by another process at this moment
            return None
        if hashlib.sha256(content).hexdigest() != digest:
            path.unlink(missing_ok=True)
            return None
        if abs(time.time() - last_used) > USE_S:
            with contextlib.suppress(OSError):
                os.utime(path)
        return content

    def write(self, digest: str, content: bytes) -> None:
        """Store a chunk; if the disk has no room it is not stored, which the log says once.

        Args:
            digest: sha256 of the content.
            content: of the chunk.
        """
        path = self._path(digest)
        temporary = self.folder / UNFINISHED.format(unique=uuid.uuid4().hex)
        try:
            path.parent.mkdir(exist_ok=True)
            try:
                self._reserve(temporary, len(content))
                with temporary.open("r+b") as file:
                    file.write(content)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except FileNotFoundError:  # another process removed it to make room
            return
        except OSError as error:
            if not full_disk(error):
                raise self._unusable(error) from error
            self._report_full(error)

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:PREFIX_LETTERS] / digest

    def _reserve(self, temporary: Path, size: int) -> None:
        """Make an empty file of a size, count it, and remove chunks if it would not fit."""
        with self._counter() as counter:
            used = _number(counter)
            if used is None:  # somebody removed the counter
                used = sum(file_size for _, file_size, _ in _files(self.folder))
            if used + size > self.max_bytes:
                used = self._remove(int(self.max_bytes * KEPT_SHARE) - size)
            os.pwrite(counter, b"%-20d" % (used + size), 0)
            with temporary.open("xb") as file:
                file.truncate(size)

    @contextlib.contextmanager
    def _counter(self) -> Iterator[int]:
        """Yield the open counter, which no other thread or process has meanwhile."""
        if self._process != os.getpid():  # at a fork another thread may have had the lock
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            counter = os.open(
                self.folder / COUNTER_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
            try:
                fcntl.flock(counter, fcntl.LOCK_EX)
                yield counter
            finally:
                # A process that was forked meanwhile has the file open, too, and so the lock.
                with contextlib.suppress(OSError):
                    fcntl.flock(counter, fcntl.LOCK_UN)
                os.close(counter)

    def _remove(self, most: int) -> int:
        """Remove the chunks that were used the longest ago, and return the bytes that are left.

        Unfinished files count, too: a process that was killed has left them, and nobody else would
        remove them. A living process whose file is removed does not store its chunk.

        Args:
            most: bytes that may be left.
        """
        files = sorted(_files(self.folder))
        left = sum(size for _, size, _ in files)
        for _, size, path in files:
            if left <= max(most, 0):
                break
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 (paths of a million files are texts here)
                left -= size
        return left

    def _report_full(self, error: OSError) -> None:
        if not self._is_full:
            self._is_full = True
            free = format_bytes(shutil.disk_usage(self.folder).free)
            self.log(
                f"{full_disk(error)}: {free} are free in {self.folder}. Chunks are read from the "
                "mirror and not kept; a smaller --cache, or another --home, keeps some"
            )

    def _unusable(self, error: OSError) -> NotWritableError:
        return not_writable("cache chunks", self.folder, error.strerror)


def _number(counter: int) -> int | None:
    """Return the number in the counter; None in a new one."""
    text = os.pread(counter, 20, 0).strip()
    return int(text) if text.isdigit() else None


def _files(folder: Path) -> Iterator[tuple[float, int, str]]:
    """Yield time of the last use, size and path of each file but the counter."""
    for place in [folder, *(entry for entry in folder.iterdir() if entry.is_dir())]:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name == COUNTER_NAME:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    if entry.is_file(follow_symlinks=False):
                        yield state.st_mtime, state.st_size, entry.path
