"""Read fixed-width text into columns of numbers, without a Python loop over lines.

In such a catalogue every line has the same length, and every field its columns. Lines of the
expected length become a matrix of characters, and each field is computed for all of them at once.
The few other lines go through a regular expression, one by one. A line that matches neither is
reported with its number.
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
MAX_NUMBER = 10**15  # of a field: no real one has as many digits, and int64 holds it
ROWS_AT_ONCE = 4096  # of 81 bytes: a transposed block stays in the second-level cache
NEWLINE, HASH, SPACE, MINUS, DOT, ZERO, RETURN = b"\n# -.0\r"
Characters = NDArray[np.uint8]
Fields = dict[str, NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class NumberField:
    """A right-aligned decimal number in columns start..stop, with `places` decimal places.

    `before` has the characters that may precede the digits: blanks, a sign, both, or neither.
    """

    start: int
    stop: int
    places: int = 0
    before: str = " -"


@dataclass(frozen=True)
class WordField:
    """A word of one or two letters in columns start..stop, one of `known` (word -> flag)."""

    start: int
    stop: int
    known: Mapping[str, int]


@dataclass(frozen=True)
class LineFormat:
    """The columns of a line's fields, and the same line as a regular expression.

    Attributes:
        width: characters in a line.
        marks: by column, the character that has to be there.
        fields: the fields by name. Numbers are read as integers, in units of the last place.
        pattern: named groups for the same fields, for lines that are not `width` wide.
    """

    width: int
    marks: Mapping[int, str]
    fields: Mapping[str, NumberField | WordField]
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Lines:
    """The lines of a text: start and length of each in bytes; line n has index n - 1."""

    text: Characters
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def string(self, index: int) -> str:
        """Return one line; bytes that are not ASCII become replacement characters."""
        start = int(self.starts[index])
        line = self.text[start : start + int(self.lengths[index])].tobytes()
        return line.decode("ascii", errors="replace")


def split_lines(data: bytes) -> Lines:
    """Return the lines of a text, with or without a final line feed."""
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
    """Return the indices of the lines that are neither empty nor comments."""
    filled = np.flatnonzero(lines.lengths > 0)
    return np.asarray(filled[lines.text[lines.starts[filled]] != HASH])


def decode(
    lines: Lines, rows: NDArray[np.intp], line_format: LineFormat
) -> tuple[Fields, list[int]]:
    """Return the fields of the given lines, and the lines that do not follow the format.

    Returns:
        The fields of the good lines, in the order of the text: int64, numbers in units of their
        last place, words as flags, and `line`, the index of the line. Then the indices of the other
        lines.
    """
    regular = rows[lines.lengths[rows] == line_format.width]
    fields, good = _decode_matrix(_matrix(lines, regular, line_format.width), line_format)
    fields["line"] = regular
    fields = {name: column[good] for name, column in fields.items()}
    rest = np.setdiff1d(rows, regular[good], assume_unique=True)
    if not len(rest):
        return fields, []
    others, bad = _decode_singly(lines, rest, line_format)
    merged = {name: np.concatenate([column, others[name]]) for name, column in fields.items()}
    order = np.argsort(merged["line"], kind="stable")
    return {name: column[order] for name, column in merged.items()}, bad


def _matrix(lines: Lines, rows: NDArray[np.intp], width: int) -> Characters:
    """Return the characters of lines: (width, row) uint8."""
    starts = lines.starts[rows]
    # Each run of neighbouring lines is one view of the text, without a copy per line. The last
    # line may have no line feed.
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


def _decode_matrix(
    characters: Characters, line_format: LineFormat
) -> tuple[Fields, NDArray[np.bool_]]:
    good = np.ones(characters.shape[1], np.bool_)
    for column, mark in line_format.marks.items():
        good &= characters[column] == ord(mark)
    fields: Fields = {}
    for name, field in line_format.fields.items():
        if isinstance(field, WordField):
            fields[name] = _flags(characters, field)
            good &= fields[name] >= 0
        else:
            fields[name] = _scaled(characters, field, good)
    return fields, good


def _flags(characters: Characters, field: WordField) -> NDArray[np.int8]:
    """Return the flag of each word, -1 for an unknown word."""
    packed = np.zeros(characters.shape[1], np.uint32)
    for column in range(field.start, field.stop):
        packed = packed * 256 + characters[column]
    width = field.stop - field.start
    table = np.full(256**width, -1, np.int8)
    for word, flag in field.known.items():
        if len(word) <= width:
            table[int.from_bytes(word.ljust(width).encode())] = flag
    return table[packed]


def _scaled(
    characters: Characters, field: NumberField, good: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return the number in units of its last place; `good` becomes False for other text."""
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
            # Blanks and signs may only precede the digits: the next column must be a digit, too.
            good &= known & (is_blank | (characters[column + 1] - np.uint8(ZERO) < 10))
            digit = np.where(is_digit, digit, 0)
        value = value * 10 + digit
    return value if negative is None else np.where(negative, -value, value)


def _decode_singly(
    lines: Lines, rows: NDArray[np.intp], line_format: LineFormat
) -> tuple[Fields, list[int]]:
    """Return the fields of lines of unusual width, read with the regular expression."""
    columns: dict[str, list[int]] = {name: [] for name in [*line_format.fields, "line"]}
    bad = []
    for row in rows.tolist():
        match = line_format.pattern.fullmatch(lines.string(row).rstrip())
        values = match and _fields_of(match, line_format)
        if not values:
            bad.append(row)
            continue
        for name, value in {**values, "line": row}.items():
            columns[name].append(value)
    return {name: np.array(column, np.int64) for name, column in columns.items()}, bad


def _fields_of(match: re.Match[str], line_format: LineFormat) -> dict[str, int] | None:
    values = {}
    for name, field in line_format.fields.items():
        text = match[name]
        if isinstance(field, WordField):
            if text not in field.known:
                return None
            values[name] = field.known[text]
        else:
            number = float(text) * 10**field.places
            if abs(number) > MAX_NUMBER:
                return None
            values[name] = round(number)
    return values
