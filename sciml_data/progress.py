"""Counting bytes for whoever draws a bar."""

from __future__ import annotations

import threading
from collections.abc import Callable

Log = Callable[[str], None]  # is told a sentence
Progress = Callable[[int, int], None]  # bytes done, bytes to do; called by several threads in turn


class Meter:
    """The bytes of one run; may go back where a file has to start again."""

    def __init__(self, total_bytes: int, progress: Progress | None) -> None:
        """Take the bytes to do, and whom to tell."""
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._progress = progress
        self._lock = threading.Lock()

    def moved(self, size_bytes: int) -> None:
        """Add bytes that arrived, or take some away."""
        if self._progress is None or size_bytes == 0:
            return
        with self._lock:
            self._done_bytes += size_bytes
            self._progress(self._done_bytes, self._total_bytes)


def in_words(size_bytes: int) -> str:
    """Return a size as people read it: `17 bytes`, `86.3 MB`, `4.9 TB` (powers of 1000)."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
