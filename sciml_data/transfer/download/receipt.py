"""What was hashed and found right, so that it is not read again while it is unchanged.

One line of JSON for each finding, appended; the last one of a path counts. A line that a kill tore
is none, and costs the hashing of one file.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from typing import Any

from sciml_data.home import DatasetFolder, write_atomically

SAVED_EVERY = 200  # findings; after a kill at most so many are hashed again, none is fetched again
MOST_STALE_LINES = 2  # for each path, before the receipt is written anew


class StatCache:
    """Size, mtime, inode and hash of files below `native/`; safe to use from several threads."""

    def __init__(self, folder: DatasetFolder) -> None:
        """Read the receipt of a dataset's folder; one that cannot be read is as good as none."""
        self._folder = folder
        self._lock = threading.Lock()
        self._rows: dict[str, list[Any]] = {}
        self._unsaved: list[str] = []
        self._lines = 0
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in folder.stat_cache.read_text(encoding="utf-8").splitlines():
                self._lines += 1
                with contextlib.suppress(ValueError, TypeError):
                    path, *row = json.loads(line)
                    self._rows[path] = row

    def stands(self, path: str, expected: str, state: os.stat_result) -> bool:
        """Return whether a file in this state was once found to have the expected hash."""
        return self._rows.get(path) == _row(state, expected)

    def found(self, path: str, state: os.stat_result) -> str | None:
        """Return the hash that a file in this state was once found to have, or None."""
        row = self._rows.get(path)
        return row[-1] if row and row == _row(state, row[-1]) else None

    def add(self, path: str, found: str) -> None:
        """Note that the file at a path was found to have this hash."""
        row = _row((self._folder.native / path).lstat(), found)
        with self._lock:
            self._rows[path] = row
            self._unsaved.append(json.dumps([path, *row]))
            if len(self._unsaved) >= SAVED_EVERY:
                self._write()

    def save(self) -> None:
        """Write what was added; a home that may only be read keeps none, and is hashed again."""
        with self._lock, contextlib.suppress(PermissionError):
            if self._unsaved:
                self._write()

    def _write(self) -> None:
        lines, self._unsaved = self._unsaved, []
        self._lines += len(lines)
        if self._lines > MOST_STALE_LINES * len(self._rows) + SAVED_EVERY:
            rows = (json.dumps([path, *row]) for path, row in self._rows.items())
            write_atomically(self._folder.stat_cache, "\n".join([*rows, ""]))
            self._lines = len(self._rows)
            return
        append(self._folder.stat_cache, "\n".join(["", *lines, ""]))


def append(path: os.PathLike[str], text: str) -> None:
    """Add text to a file in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _row(state: os.stat_result, found: str) -> list[Any]:
    kind = "file" if stat.S_ISREG(state.st_mode) else "other"
    return [kind, state.st_size, state.st_mtime_ns, state.st_ino, found]
