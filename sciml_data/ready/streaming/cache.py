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

    def expect(self, digest: str) -> bool:
        """Return whether the cache seems to have a chunk; the disk begins to read it.

        Args:
            digest: sha256 in hexadecimal digits.
        """
        try:
            file = os.open(self._path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)
        return True

    def read_into(self, digest: str, buffer: memoryview) -> bool:
        """Fill a buffer with a chunk; return whether the cache has it with the right bytes.

        Args:
            digest: sha256 in hexadecimal digits.
            buffer: of the size of the chunk.
        """
        path = self._path(digest)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # missing, or removed by another process at this moment
            return False
        try:
            count = os.preadv(file, [buffer], 0)
            state = os.fstat(file)
        except OSError:  # of a failing disk
            count, state = -1, os.stat_result([0] * 10)
        finally:
            os.close(file)
        if (
            not count == len(buffer) == state.st_size
            or hashlib.sha256(buffer).hexdigest() != digest
        ):
            with contextlib.suppress(OSError):  # another process did the same
                os.unlink(path)  # noqa: PTH108 (a path is a text here: five times as fast)
            return False
        if abs(time.time() - state.st_mtime) > USE_S:
            with contextlib.suppress(OSError):
                os.utime(path)
        return True

    def write(self, digest: str, content: bytes | memoryview) -> None:
        """Store a chunk; if the disk has no room it is not stored, which the log says once.

        Args:
            digest: sha256 of the content.
            content: of the chunk.
        """
        path = self._path(digest)
        # In the folder of the chunk: threads that create files in one folder wait for each other.
        temporary = path.removesuffix(digest) + UNFINISHED.format(unique=uuid.uuid4().hex)
        try:
            file = self._reserve(temporary, len(content))
            try:
                _write(file, content)
                os.rename(temporary, path)  # noqa: PTH104 (a path is a text here)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)  # noqa: PTH108
                raise
            finally:
                os.close(file)
        except FileNotFoundError:  # another process removed it to make room
            return
        except OSError as error:
            if not full_disk(error):
                raise self._unusable(error) from error
            self._report_full(error)

    def _path(self, digest: str) -> str:
        return f"{self.folder}/{digest[:PREFIX_LETTERS]}/{digest}"

    def _reserve(self, temporary: str, size: int) -> int:
        """Open an empty file of a size, count it, and remove chunks if it would not fit."""
        with self._counter() as counter:
            used = _number(counter)
            if used is None:  # somebody removed the counter
                used = sum(file_size for _, file_size, _ in _files(self.folder))
            if used + size > self.max_bytes:
                used = self._remove(int(self.max_bytes * KEPT_SHARE) - size)
            os.pwrite(counter, b"%-20d" % (used + size), 0)
            try:
                return _new_file(temporary, size)
            except FileNotFoundError:
                Path(temporary).parent.mkdir(exist_ok=True)
                return _new_file(temporary, size)

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


def _new_file(path: str, size: int) -> int:
    """Return the descriptor of a new file that has a size from the start."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.ftruncate(file, size)
    except OSError:
        os.close(file)
        raise
    return file


def _write(file: int, content: bytes | memoryview) -> None:
    """Write all of a content; a call may write a part."""
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


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
