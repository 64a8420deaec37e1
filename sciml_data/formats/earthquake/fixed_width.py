"""Fixed-width text to columns of numbers, without a Python loop over lines.

Catalogues of this kind are tables of characters: every line has the same length and every field its
place. Lines of the expected length are turned into a matrix of characters and each field is
computed for all of them at once; the few others go through a regular expression, one by one.
Whatever fits neither is reported with its line number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS_RETURNED = re.compile(rb"### Number of rows returned: *(\d+)")
ROWS_AT_ONCE = 4096  # of 81 bytes: what is turned over stays in the second-level cache
NEWLINE, HASH, SPACE, MINUS, DOT, ZERO, RETURN = b"\n# -.0\r"
Characters = NDArray[np.uint8]
Fields = dict[str, NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class Decimal:
    """A right-aligned decimal number in columns start..stop with so many decimal places.

    `before` has the characters that may stand before the digits: blanks, a sign, both, none.
    """

    start: int
    stop: int
    places: int = 0
    before: str = " -"


@dataclass(frozen=True)
class Word:
    """A word of one or two letters in columns start..stop, one of `known` (word -> flag)."""

    start: int
    stop: int
    known: Mapping[str, int]


@dataclass(frozen=True)
class Layout:
    """Where the fields of a line are, and the same said as a regular expression.

    Attributes:
        width: characters in a line.
        marks: characters which must stand at given columns.
        fields: the fields by name. Decimals are read as integers, in units of the last place.
        pattern: named groups for the same fields, for lines which are not `width` wide.
    """

    width: int
    marks: Mapping[int, str]
    fields: Mapping[str, Decimal | Word]
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Lines:
    """The lines of a text: where each starts and how long it is; line n has index n - 1."""

    text: Characters
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def string(self, index: int) -> str:
        """Return one line; bytes which are not ASCII become replacement marks."""
        start = int(self.starts[index])
        line = self.text[start : start + int(self.lengths[index])].tobytes()
        return line.decode("ascii", errors="replace")


def split_lines(data: bytes) -> Lines:
    """Return where the lines of a text are, with or without a last line feed."""
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == NEWLINE)
    if len(data) and (not len(ends) or ends[-1] != len(data) - 1):
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts
    filled = lengths > 0
    lengths[filled] -= text[ends[filled] - 1] == RETURN
    return Lines(text, starts, lengths)


def data_lines(lines: Lines) -> NDArray[np.intp]:
    """Return the indices of the lines which are neither empty nor comments."""
    filled = np.flatnonzero(lines.lengths > 0)
    return np.asarray(filled[lines.text[lines.starts[filled]] != HASH])


def decode(lines: Lines, rows: NDArray[np.intp], layout: Layout) -> tuple[Fields, list[int]]:
    """Return the fields of the given lines, and the lines which do not follow the layout.

    Returns:
        The fields of the good lines, in the order of the text: int64, decimals in units of their
        last place, words as flags, and `line`, the index of the line. Then the indices of the rest.
    """
    regular = rows[lines.lengths[rows] == layout.width]
    fields, good = _decode_matrix(_matrix(lines, regular, layout.width), layout)
    fields["line"] = regular
    fields = {name: column[good] for name, column in fields.items()}
    rest = np.setdiff1d(rows, regular[good], assume_unique=True)
    if not len(rest):
        return fields, []
    others, bad = _decode_singly(lines, rest, layout)
    merged = {name: np.concatenate([column, others[name]]) for name, column in fields.items()}
    order = np.argsort(merged["line"], kind="stable")
    return {name: column[order] for name, column in merged.items()}, bad


def _matrix(lines: Lines, rows: NDArray[np.intp], width: int) -> Characters:
    """Return (width, row) uint8: neighbouring lines are cut out of the text as one piece."""
    starts = lines.starts[rows]
    # a view of the text for each run of neighbours; an end mark after the last line is not needed
    breaks = np.flatnonzero(np.diff(starts) != width + 1) + 1
    characters = np.empty((width, len(rows)), np.uint8)
    edges = [0, *breaks.tolist(), len(rows)]
    for first, last in pairwise(edges if len(rows) else ()):
        run = np.lib.stride_tricks.as_strided(
            lines.text[int(starts[first]) :], (last - first, width), (width + 1, 1), writeable=False
        )
        for row in range(0, last - first, ROWS_AT_ONCE):
            block = run[row : row + ROWS_AT_ONCE]
            characters[:, first + row : first + row + len(block)] = block.T
    return characters


def _decode_matrix(characters: Characters, layout: Layout) -> tuple[Fields, NDArray[np.bool_]]:
    good = np.ones(characters.shape[1], np.bool_)
    for column, mark in layout.marks.items():
        good &= characters[column] == ord(mark)
    fields: Fields = {}
    for name, field in layout.fields.items():
        if isinstance(field, Word):
            fields[name] = _flags(characters, field)
            good &= fields[name] >= 0
        else:
            fields[name] = _scaled(characters, field, good)
    return fields, good


def _flags(characters: Characters, field: Word) -> NDArray[np.int8]:
    """Return the flag of each word, -1 where it is not known."""
    packed = np.zeros(characters.shape[1], np.uint32)
    for column in range(field.start, field.stop):
        packed = packed * 256 + characters[column]
    width = field.stop - field.start
    table = np.full(256**width, -1, np.int8)
    for word, flag in field.known.items():
        if len(word) <= width:
            table[int.from_bytes(word.ljust(width).encode())] = flag
    return table[packed]


def _scaled(characters: Characters, field: Decimal, good: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the number in units of its last place; lines where it is none leave `good`."""
    columns = list(range(field.start, field.stop))
    if field.places:
        point = field.stop - field.places - 1
        good &= characters[point] == DOT
        columns.remove(point)
    first_sure = field.stop - field.places - (2 if field.places else 1)
    value = np.zeros(characters.shape[1], np.int32)
    negative = None
    for column in columns:
        digit = characters[column] - np.uint8(ZERO)
        is_digit = digit < 10
        if column >= first_sure or not field.before:
            good &= is_digit
        else:
            is_blank = characters[column] == SPACE
            known = is_digit | is_blank
            if "-" in field.before:
                is_minus = characters[column] == MINUS
                known |= is_minus
                negative = is_minus if negative is None else negative | is_minus
            # once a number has begun there is no gap in it
            good &= known & (is_blank | (characters[column + 1] - np.uint8(ZERO) < 10))
            digit = np.where(is_digit, digit, 0)
        value = value * 10 + digit
    return value if negative is None else np.where(negative, -value, value)


def _decode_singly(
    lines: Lines, rows: NDArray[np.intp], layout: Layout
) -> tuple[Fields, list[int]]:
    """Return the fields of lines of unusual width, read with the layout's expression."""
    columns: dict[str, list[int]] = {name: [] for name in [*layout.fields, "line"]}
    bad = []
    for row in rows.tolist():
        match = layout.pattern.fullmatch(lines.string(row).rstrip())
        found = match and _fields_of(match, layout)
        if not found:
            bad.append(row)
            continue
        for name, value in {**found, "line": row}.items():
            columns[name].append(value)
    return {name: np.array(column, np.int64) for name, column in columns.items()}, bad


def _fields_of(match: re.Match[str], layout: Layout) -> dict[str, int] | None:
    found = {}
    for name, field in layout.fields.items():
        text = match[name]
        if isinstance(field, Word):
            if text not in field.known:
                return None
            found[name] = field.known[text]
        else:
            found[name] = round(float(text) * 10**field.places)
    return found
