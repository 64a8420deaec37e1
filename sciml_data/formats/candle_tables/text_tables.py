"""Read large text tables by parts: lines of a range of bytes, and an index of rows by id.

A line belongs to the part that its first byte is in. So any part of a table can be read by itself,
and every line is read once. Fields are counted for a block of lines at a time; single lines are
checked only if something is wrong or quoted. A quoted field must not contain a line end.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem, nearest

BLOCK_BYTES = 8 * 2**20
READ_BYTES = 2**20
TAB = b"\t"
MISSING = frozenset({"na", "-", "", "NA", "NaN", "nan"})  # codes; the reference has the first three


@dataclass(frozen=True)
class Header:
    """The first line of a table.

    Attributes:
        names: of the columns.
        separator: tab or comma.
        end: offset of the first row in bytes.
    """

    names: tuple[str, ...]
    separator: str
    end: int


@dataclass(frozen=True)
class Malformed:
    """A row that cannot be used: its line number, from 1, and what is wrong with it."""

    line: int
    wrong: str


def read_header(path: Path, wanted: Collection[str]) -> Header:
    """Return the header of a table.

    Raises:
        NativeFormatError: wanted columns are missing.
    """
    with path.open("rb") as file:
        line = file.readline()
    text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    separator = "\t" if "\t" in text else ","
    try:
        names = next(csv.reader([text], delimiter=separator), [])
    except csv.Error:  # a carriage return in the middle, a field that never ends
        names = text.split(separator)
    problems = [
        Problem("missing", f"{path.name}:1", f"there is no column {name}{nearest(name, names)}")
        for name in wanted
        if name not in names
    ]
    if problems:
        raise NativeFormatError(
            f"{path.name} has not all columns: {len(problems)} of {len(wanted)} are missing",
            problems=problems,
            untouched="nothing of it was converted",
        )
    return Header(tuple(names), separator, len(line))


def line_blocks(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Yield the lines whose first byte is in [start, stop), in blocks of about 8 MiB."""
    with path.open("rb") as file:
        if start:
            file.seek(start - 1)
            start += len(file.readline()) - 1  # the rest of a line that belongs to the part before
        file.seek(start)
        while start < stop:
            block = file.read(min(BLOCK_BYTES, stop - start))
            if not block.endswith(b"\n"):
                block += file.readline()
            if not block:
                return
            start += len(block)
            yield block


def lines_before(path: Path, offset: int) -> int:
    """Return the number of lines before the line that contains an offset, or follows it."""
    count, before = 0, b"\n"
    with path.open("rb") as file:
        while offset > 0 and (block := file.read(min(BLOCK_BYTES, offset))):
            count += block.count(b"\n")
            before = block
            offset -= len(block)
    return count + (not before.endswith(b"\n"))


def well_formed(
    block: bytes, header: Header, numbers: Collection[str], *, check_numbers: bool = False
) -> tuple[bytes, list[int], list[Malformed]]:
    """Return the usable lines of a block, their positions in it from 0, and the malformed lines.

    Args:
        block: whole lines.
        header: of the table.
        numbers: columns with a number or a missing code.
        check_numbers: whether to check each field of `numbers`, which is slow; otherwise only the
            number of fields is checked.
    """
    # A carriage return that ends no line is a line end for pandas.
    is_plain = b'"' not in block and block.count(b"\r") == block.count(b"\r\n")
    if not check_numbers and is_plain:
        counts = _fields(block, header.separator)
        if (counts == len(header.names)).all():
            return block, list(range(len(counts))), []
    good, positions, bad = [], [], []
    for position, line in enumerate(block.removesuffix(b"\n").split(b"\n")):
        wrong = _what_is_wrong(line.removesuffix(b"\r"), header, numbers)
        if wrong:
            bad.append(Malformed(position, wrong))
        else:
            good.append(line)
            positions.append(position)
    return b"".join(line + b"\n" for line in good), positions, bad


def _fields(block: bytes, separator: str) -> NDArray[np.intp]:
    """Return the number of fields of each line of a block."""
    letters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(letters))
    counts = np.searchsorted(np.flatnonzero(letters == ord(separator)), ends)
    return np.diff(counts, prepend=0) + 1


def _what_is_wrong(line: bytes, header: Header, numbers: Collection[str]) -> str:
    """Return what is wrong with a line, or an empty string."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8"
    if "\r" in text:
        return "it has a carriage return"
    fields = text.split(header.separator)
    if header.separator == ",":
        try:
            fields = next(csv.reader([text]), [])
        except csv.Error as error:  # a carriage return in the middle, a field that never ends
            return f"it is not a line of CSV: {error}"
    if len(fields) != len(header.names):
        return f"{len(header.names)} fields expected, {len(fields)} found"
    for name, field in zip(header.names, fields, strict=True):
        if name in numbers and not _is_number(field):
            return f"{name} is {field[:40]!r}, which is not a number"
    return ""


def _is_number(field: str) -> bool:
    if field in MISSING:
        return True
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


@dataclass(frozen=True)
class RowIndex:
    """Index of a tab-separated table: a header line, then rows that begin with an id.

    The values of a wide table (971 MB of descriptors) are read only for the rows in use.

    Attributes:
        path: of the table.
        names: of the columns behind the id, from the header.
        ids: of the rows; the first row of an id counts.
        starts: offset of each row in bytes.
        sizes: length of each row in bytes.
        line_numbers: of each row, from 1.
        digests: of the text behind each id; empty if all its fields are missing codes.
        repeated: ids that occur again.
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
        """Return the text of rows, without line ends."""
        lines = []
        with self.path.open("rb") as file:
            for row in rows:
                file.seek(self.starts[row])
                lines.append(file.read(self.sizes[row]).rstrip(b"\r\n"))
        return lines


def row_index(path: Path) -> RowIndex:
    """Return the index of a table; a process reads each table once for all its ready files."""
    state = path.stat()
    return _read_index(path, state.st_size, state.st_mtime_ns)


# Size and time are part of the cache's key, so that a changed file is read again.
@lru_cache(maxsize=16)
def _read_index(path: Path, size_bytes: int, modified_ns: int) -> RowIndex:  # noqa: ARG001
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
    places = list(rows.values())
    return RowIndex(
        path,
        names=tuple(header.decode(errors="replace").rstrip("\r\n").split("\t")[1:]),
        ids=tuple(name.decode(errors="replace") for name in rows),
        starts=tuple(row[0] for row in places),
        sizes=tuple(row[1] for row in places),
        line_numbers=tuple(row[2] for row in places),
        digests=tuple(row[3] for row in places),
        repeated=tuple(repeated),
    )


def _digest(text: bytes) -> bytes:
    if not any(field.decode(errors="replace") not in MISSING for field in set(text.split(TAB))):
        return b""
    return hashlib.blake2b(text, digest_size=16).digest()
