"""Progress of long transfers: the two callback types, a byte counter, and sizes for people."""

from __future__ import annotations

import threading
from collections.abc import Callable

# Gets one line of text, without a line break, for the user to read.
Log = Callable[[str], None]
# Gets (bytes done, total bytes). Several threads call it, but never two at once.
Progress = Callable[[int, int], None]


class Meter:
    """Counts the bytes of one run and reports them to a progress callback."""

    def __init__(self, total_bytes: int, progress: Progress | None) -> None:
        """Start at zero of `total_bytes`; without a callback, nothing is counted."""
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._progress = progress
        # Held during the callback as well: progress bars are not thread-safe, and the counts
        # must reach them in order.
        self._lock = threading.Lock()

    def advance(self, size_bytes: int) -> None:
        """Add bytes; a negative number takes them back when a file has to start again."""
        if self._progress is None or size_bytes == 0:
            return
        with self._lock:
            self._done_bytes += size_bytes
            self._progress(self._done_bytes, self._total_bytes)


def format_bytes(size_bytes: int) -> str:
    """Return a size as people read it, in powers of 1000: `17 bytes`, `86.3 MB`, `4.9 TB`."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
