"""Where each row of a feature table lies, by the id it begins with: all that an index needs.

The values of a wide table (971 MB of descriptors) are read only for the rows that are asked for.
Looking through a table is done once in a process, for all files that are made there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from sciml_data.formats.candle_tables.lines import MISSING

READ_BYTES = 2**20
TAB = b"\t"


@dataclass(frozen=True)
class Keyed:
    """Rows of a tab-separated table whose first column is an id and whose first line is a header.

    Attributes:
        path: of the table.
        names: what the header calls the columns behind the id.
        ids: of the rows; where one comes twice the first row counts.
        starts: offset of each row.
        sizes: bytes of each row.
        line_numbers: of each row, from 1.
        digests: of the text behind the id; empty where nothing but missing codes is there.
        repeated: ids that came again.
    """

    path: Path
    names: tuple[str, ...]
    ids: tuple[str, ...]
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    line_numbers: tuple[int, ...]
    digests: tuple[bytes, ...]
    repeated: tuple[str, ...]

    @cached_property
    def by_id(self) -> dict[str, int]:
        """Return the number of each row by its id."""
        return {name: number for number, name in enumerate(self.ids)}

    def lines(self, rows: Iterable[int]) -> list[bytes]:
        """Return the text of rows."""
        found = []
        with self.path.open("rb") as file:
            for row in rows:
                file.seek(self.starts[row])
                found.append(file.read(self.sizes[row]).rstrip(b"\r\n"))
        return found


def read_keyed(path: Path) -> Keyed:
    """Return where the rows of a table lie."""
    state = path.stat()
    return _read(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: Path, size_bytes: int, modified_ns: int) -> Keyed:  # noqa: ARG001 (of the cache)
    rows: dict[bytes, tuple[int, int, int, bytes]] = {}
    repeated: list[str] = []
    with path.open("rb", buffering=READ_BYTES) as file:
        header = file.readline()
        start = len(header)
        for number, line in enumerate(file, start=2):
            name, _, rest = line.rstrip(b"\r\n").partition(TAB)
            if name in rows:
                repeated.append(name.decode(errors="replace"))
            elif name:
                rows[name] = (start, len(line), number, _digest(rest))
            start += len(line)
    found = list(rows.values())
    return Keyed(
        path,
        names=tuple(header.decode(errors="replace").rstrip("\r\n").split("\t")[1:]),
        ids=tuple(one.decode(errors="replace") for one in rows),
        starts=tuple(row[0] for row in found),
        sizes=tuple(row[1] for row in found),
        line_numbers=tuple(row[2] for row in found),
        digests=tuple(row[3] for row in found),
        repeated=tuple(repeated),
    )


def _digest(text: bytes) -> bytes:
    if not any(field.decode(errors="replace") not in MISSING for field in set(text.split(TAB))):
        return b""
    return hashlib.blake2b(text, digest_size=16).digest()
