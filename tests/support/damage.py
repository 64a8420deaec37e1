"""Damage to files: the same size and another content, a part of the content, another kind of file.

Each kind is a function that takes the path of an existing file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def flip(path: Path, offset: int | None = None) -> None:
    """Invert a byte; without an offset, the byte in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if offset is None else offset] ^= 0xFF
    path.write_bytes(content)


def flip_unnoticed(path: Path) -> None:
    """Invert a byte and keep size, mtime and inode, as a failing disk does."""
    state = path.stat()
    flip(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def truncate(path: Path) -> None:
    """Keep the first 5,000 bytes, or half of a smaller file."""
    os.truncate(path, min(5000, path.stat().st_size // 2))


def empty(path: Path) -> None:
    """Remove the content."""
    os.truncate(path, 0)


def lengthen(path: Path) -> None:
    """Append a byte."""
    with path.open("ab") as stream:
        stream.write(b"\0")


def become_link(path: Path) -> None:
    """Put a symbolic link to the same content in place of the file."""
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "flip": flip,
    "truncate": truncate,
    "empty": empty,
    "lengthen": lengthen,
    "remove": Path.unlink,
    "link": become_link,
}
