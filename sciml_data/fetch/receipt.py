"""What was hashed and found right, so that it is not read again while it is unchanged."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading

from sciml_data.home import DatasetFolder, write_atomically

SAVED_EVERY = 200  # files; after a kill at most so many are hashed again, none is fetched again


class Receipt:
    """Size, mtime, inode and hash of files below `native/`; safe to use from several threads."""

    def __init__(self, folder: DatasetFolder) -> None:
        """Read the receipt of a dataset's folder; one that cannot be read is as good as none."""
        self._folder = folder
        self._lock = threading.Lock()
        self._unsaved = 0
        self._rows: dict[str, list[int | str]] = {}
        with contextlib.suppress(OSError, ValueError):
            rows = json.loads(folder.receipt.read_text(encoding="utf-8"))
            self._rows = rows if isinstance(rows, dict) else {}

    def stands(self, path: str, expected: str, state: os.stat_result) -> bool:
        """Return whether a file in this state was once found to have the expected hash."""
        return self._rows.get(path) == _row(state, expected)

    def add(self, path: str, found: str) -> None:
        """Note that the file at a path was found to have this hash."""
        state = (self._folder.native / path).lstat()
        with self._lock:
            self._rows[path] = _row(state, found)
            self._unsaved += 1
            if self._unsaved >= SAVED_EVERY:
                self._write()

    def save(self) -> None:
        """Write what was added; a home that may only be read keeps none, and is hashed again."""
        with self._lock, contextlib.suppress(PermissionError):
            if self._unsaved:
                self._write()

    def _write(self) -> None:
        write_atomically(self._folder.receipt, json.dumps(self._rows) + "\n")
        self._unsaved = 0


def _row(state: os.stat_result, found: str) -> list[int | str]:
    kind = "file" if stat.S_ISREG(state.st_mode) else "other"
    return [kind, state.st_size, state.st_mtime_ns, state.st_ino, found]
