"""Whole lines of a part of a text table, and which of them are not as the header says.

A line belongs to the part that its first byte lies in, so that any part of a table can be read by
itself and every line is read once. Fields are counted for a block of lines at a time; line by line
is looked only where something is wrong, or quoted. A quoted field may not go over two lines.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem, nearest

BLOCK_BYTES = 8 * 2**20
MISSING = frozenset({"na", "-", "", "NA", "NaN", "nan"})  # the first three as the reference has it


@dataclass(frozen=True)
class Header:
    """What the first line of a table says.

    Attributes:
        names: of the columns.
        separator: tab or comma.
        end: offset of the first row.
    """

    names: tuple[str, ...]
    separator: str
    end: int


@dataclass(frozen=True)
class Malformed:
    """A row that cannot be used: line number, from 1, and why."""

    line: int
    why: str


def read_header(path: Path, wanted: Collection[str]) -> Header:
    """Return the header of a table.

    Raises:
        NativeFormatError: columns that are wanted are not there.
    """
    with path.open("rb") as file:
        line = file.readline()
    text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    separator = "\t" if "\t" in text else ","
    names = next(csv.reader([text], delimiter=separator), [])
    problems = [
        Problem("missing", f"{path.name}:1", f"there is no column {name}{nearest(name, names)}")
        for name in wanted
        if name not in names
    ]
    if problems:
        raise NativeFormatError(
            f"{path.name} lacks {len(problems)} of {len(wanted)} columns",
            problems=problems,
            untouched="nothing was converted from it",
        )
    return Header(tuple(names), separator, len(line))


def line_blocks(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Yield the lines whose first byte lies in [start, stop), some at a time."""
    with path.open("rb") as file:
        if start:
            file.seek(start - 1)
            start += len(file.readline()) - 1  # what belongs to the part before
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
    """Return how many lines begin before the line that holds, or follows, an offset."""
    count, before = 0, b"\n"
    with path.open("rb") as file:
        while offset > 0 and (block := file.read(min(BLOCK_BYTES, offset))):
            count += block.count(b"\n")
            before = block
            offset -= len(block)
    return count + (not before.endswith(b"\n"))


def well_formed(
    block: bytes, header: Header, numbers: Collection[str], *, look: bool = False
) -> tuple[bytes, list[int], list[Malformed]]:
    """Return the usable lines of a block, their places in it from 0, and what is wrong with others.

    Args:
        block: whole lines.
        header: of the table.
        numbers: columns that hold a number or a missing code.
        look: at each field of `numbers`; else only at the number of fields.
    """
    if not look and b'"' not in block:
        counts = _fields(block, header.separator)
        if (counts == len(header.names)).all():
            return block, list(range(len(counts))), []
    good, places, bad = [], [], []
    for place, line in enumerate(block.removesuffix(b"\n").split(b"\n")):
        why = _wrong(line.rstrip(b"\r"), header, numbers)
        if why:
            bad.append(Malformed(place, why))
        else:
            good.append(line)
            places.append(place)
    return b"".join(line + b"\n" for line in good), places, bad


def _fields(block: bytes, separator: str) -> NDArray[np.intp]:
    """Return the number of fields of each line of a block."""
    letters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(letters))
    places = np.searchsorted(np.flatnonzero(letters == ord(separator)), ends)
    return np.diff(places, prepend=0) + 1


def _wrong(line: bytes, header: Header, numbers: Collection[str]) -> str:
    """Return why a line cannot be used, or an empty string."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "it is no UTF-8"
    fields = text.split(header.separator)
    if header.separator == ",":
        fields = next(csv.reader([text]), [])
    if len(fields) != len(header.names):
        return f"{len(header.names)} fields expected, {len(fields)} found"
    for name, field in zip(header.names, fields, strict=True):
        if name in numbers and not _is_number(field):
            return f"{name} is {field[:40]!r}, which is no number"
    return ""


def _is_number(field: str) -> bool:
    if field in MISSING:
        return True
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field
