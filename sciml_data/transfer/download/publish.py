"""Move whole files to their places, and make that last a power cut.

The bytes of a file are on the disk (fsync) before it is renamed into `native/`: whatever happens,
no half file lies there. That the rename itself is on the disk is made sure of once for many files,
before the receipt speaks of them: after a power cut the last ones may lie in `partial/` again,
whole, and are published from there without being fetched.

Threads of their own flush, so that no connection waits for the disk; files that are flushed at once
share the commits of the file system (64 files of 1 MB on ext4: 4 ms each one by one, 0.5 ms
together).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder, fsync_path, make_parents_inside
from sciml_data.transfer.download.receipt import SAVED_EVERY, StatCache

FLUSHERS = 4  # threads; more gain nothing on the disk that this was measured on
MOST_WAITING = 64  # files that may wait to be flushed; then the next is waited for

Failed = Callable[[str, Exception], None]  # is told path and error


class Publisher:
    """Publishes in the background; a context manager whose end publishes all that waits."""

    def __init__(self, folder: DatasetFolder, receipt: StatCache, failed: Failed) -> None:
        """Take the folder, the receipt to write, and who is told of a disk that refuses."""
        self._folder = folder
        self._receipt = receipt
        self._failed = failed
        self._pool = ThreadPoolExecutor(FLUSHERS, "flush")
        self._room = threading.Semaphore(MOST_WAITING)
        self._lock = threading.Lock()
        self._moved: list[tuple[str, str]] = []  # renamed, the rename perhaps not on the disk
        self.published: dict[str, str] = {}  # path -> hash, of this run

    def add(self, part: Path, path: str, found: str) -> None:
        """Publish a part that nobody writes to any more, soon.

        Args:
            part: where it lies.
            path: in the manifest.
            found: its hash.
        """
        self._room.acquire()
        self._pool.submit(self._publish, part, path, found)

    def start_flush(self, part: Path) -> None:
        """Let the disk have what was written so far of a large file, soon."""
        self._pool.submit(_flush_quietly, part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True)
        with self._lock:
            self._note()

    def _publish(self, part: Path, path: str, found: str) -> None:
        try:
            fsync_path(part, flags=os.O_NOFOLLOW)
            part.replace(make_parents_inside(self._folder.native, path))
            with self._lock:
                self._moved.append((path, found))
                if len(self._moved) >= SAVED_EVERY:
                    self._note()
        except (OSError, FetchError) as error:
            self._failed(path, error)
        finally:
            self._room.release()

    def _note(self) -> None:
        """Make renames last, then let the receipt speak of the files."""
        moved, self._moved = self._moved, []
        for folder in {(self._folder.native / path).parent for path, _ in moved}:
            fsync_path(folder, flags=os.O_NOFOLLOW)
        for path, found in moved:
            self._receipt.add(path, found)
            self.published[path] = found
        self._receipt.save()


def _flush_quietly(part: Path) -> None:
    with contextlib.suppress(OSError):  # the flush before the rename speaks of it
        fsync_path(part, flags=os.O_NOFOLLOW)
