"""Remove files from the operating system's page cache, so that the next read comes from disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def drop_from_page_cache(paths: Iterable[Path]) -> None:
    """Ask the kernel to forget the cached pages of some files.

    The kernel keeps pages that are not written to disk yet, hence the `fsync` first.
    """
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
