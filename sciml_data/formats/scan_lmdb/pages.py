"""Hold the head of an LMDB file against the file's length, before anything maps it into memory.

LMDB maps its file and follows page numbers without looking at the file's length: a file that was
cut would end the process that reads it. Its two meta pages say how many pages are used. The layout
is that of LMDB's data format 1 (LMDB 0.9, `mdb.c`: MDB_page, MDB_meta), on a 64-bit little-endian
computer, as Summit and every other likely one is:

    page header  16 bytes: number, unused, flags, bounds
    MDB_meta     magic u32, format u32, address u64, map size u64, two MDB_db of 48 bytes (the first
                 begins with the page size, u32; the second is the table of keys), last page u64,
                 transaction u64
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC, FORMAT = 0xBEEFC0DE, 1
META = struct.Struct("<16x II QQ I44x I2xHQQQQQ QQ")  # the page header, then MDB_meta
PAGE_SIZES = frozenset(2**power for power in range(8, 17))  # LMDB writes 512 bytes to 64 KiB
NODE_BYTES = 8  # the least that a key takes in a page


@dataclass(frozen=True)
class Meta:
    """What a meta page says that concerns the length of the file."""

    page_bytes: int
    entries: int
    last_page: int
    transaction: int

    @property
    def used_bytes(self) -> int:
        """Return where the last page in use ends."""
        return (self.last_page + 1) * self.page_bytes


def head_problem(path: Path) -> tuple[str, str] | None:
    """Return the kind and a sentence of what is wrong with an LMDB file's head, None for nothing.

    A file may be longer than what is in use: LMDB lengthens it to its map size when it is written
    through the map.

    Args:
        path: of the data file.
    """
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            first = _meta(file.read(META.size))
            if not isinstance(first, Meta):
                return "unreadable", first
            file.seek(first.page_bytes)
            second = _meta(file.read(META.size))
    except OSError as error:
        return "unreadable", f"cannot be read: {error.strerror}"
    if not isinstance(second, Meta):
        return "unreadable", f"{second} (in its second meta page)"
    newest = max(first, second, key=lambda meta: meta.transaction)
    if newest.used_bytes > size_bytes:
        return "truncated", (
            f"{newest.used_bytes} bytes are in use by its head, the file has {size_bytes}"
        )
    if newest.entries * NODE_BYTES > newest.used_bytes:
        return "unreadable", f"{newest.entries} keys do not fit into {newest.used_bytes} bytes"
    return None


def _meta(data: bytes) -> Meta | str:
    """Return a meta page, or why it is none."""
    if len(data) < META.size:
        return "is too short for an LMDB database"
    magic, form, _, _, page_bytes, _, _, _, _, _, entries, _, last, transaction = META.unpack(data)
    if magic != MAGIC:
        return "is no LMDB database"
    if form != FORMAT:
        return f"is an LMDB database of format {form}, and {FORMAT} is known"
    if page_bytes not in PAGE_SIZES:
        return f"is a damaged LMDB database: pages of {page_bytes} bytes"
    return Meta(page_bytes, entries, last, transaction)
