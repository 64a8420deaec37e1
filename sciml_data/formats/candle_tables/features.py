"""Features of cell lines and drugs: numbers of wide tables, some rows at a time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.candle_tables.entities import Drug, canonical_cell
from sciml_data.formats.candle_tables.keyed import Keyed, read_keyed
from sciml_data.formats.candle_tables.lines import MISSING
from sciml_data.formats.drug_response import Entities, Features
from sciml_data.formats.interface import Native

ROWS_AT_ONCE = 256  # 5 MB of text at 5,270 columns
DRUGS_EACH = 4096  # in a ready file: 86 MB of descriptors


def read_cells(native: Native) -> tuple[Entities, list[Problem]]:
    """Return the table of cell lines, and what is wrong with rows of it."""
    table = read_keyed(native.root / native.block["tables"]["expression"])
    values, problems = numbers(table, range(len(table.ids)))
    canonical = tuple(canonical_cell(one) for one in table.ids)
    return Entities(table.ids, canonical, features=Features(values, table.names)), problems


def read_drugs(native: Native, drugs: Sequence[Drug]) -> tuple[Entities, list[Problem]]:
    """Return the table of some drugs, and what is wrong with rows of it."""
    tables = native.block["tables"]
    names = read_keyed(native.root / tables["descriptors"][0]).names
    values, problems = _gathered(native, [one.descriptors for one in drugs])
    bits = []
    for number in range(len(tables["fingerprints"][0])):
        read, more = _gathered(native, [one.fingerprints[number] for one in drugs])
        problems += more
        bits.append(read)
    together = np.concatenate(bits, axis=1)
    if count := int((~np.isin(together, (0, 1))).sum()):
        problems.append(Problem("bits", "fingerprints", f"{count} are neither 0 nor 1: taken as 0"))
    texts = {
        "pubchem_cid": [one.cid for one in drugs],
        "nsc": [one.nsc for one in drugs],
        "drug_name": [one.name for one in drugs],
    }
    ids, canonical = tuple(d.id for d in drugs), tuple(d.canonical for d in drugs)
    return Entities(ids, canonical, texts, Features(values, names), together == 1), problems


def require_same_columns(native: Native) -> None:
    """Raise NativeFormatError unless the tables of one kind have the same columns."""
    tables = native.block["tables"]
    problems = []
    for paths in (tables["descriptors"], *zip(*tables["fingerprints"], strict=True)):
        first, *others = [read_keyed(native.root / path) for path in paths]
        for other in others:
            widths = (_width(first), _width(other))
            if widths[0] != widths[1]:
                message = f"{widths[1]} columns, {first.path.name} has {widths[0]}"
                problems.append(Problem("columns", other.path.name, message))
            elif paths is tables["descriptors"] and first.names != other.names:
                message = f"its columns are not those of {first.path.name}"
                problems.append(Problem("columns", other.path.name, message))
    if problems:
        raise NativeFormatError(
            "feature tables do not fit together",
            problems=problems,
            untouched="nothing was converted",
        )


def numbers(table: Keyed, rows: Sequence[int]) -> tuple[NDArray[np.float32], list[Problem]]:
    """Return the numbers of rows of a table, NaN where missing or malformed, and what was so."""
    width = _width(table)
    values = np.empty((len(rows), width), np.float32)
    problems: list[Problem] = []
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[first : first + ROWS_AT_ONCE]
        lines = [line.partition(b"\t")[2] for line in table.lines(part)]
        try:
            values[first : first + len(part)] = _parsed(lines, width)
        except ValueError:
            for number, (row, line) in enumerate(zip(part, lines, strict=True), start=first):
                place = f"{table.path.name}:{table.line_numbers[row]}"
                values[number], why = _one(line, width)
                problems += [Problem("malformed", place, why)] if why else []
    return values, problems


def _width(table: Keyed) -> int:
    """Return how many numbers a row has: by the header, or by the first row where that says less.

    The header of a table of fingerprints is a line to be skipped.
    """
    if not table.ids:
        return len(table.names)
    return max(len(table.names), table.lines([0])[0].count(b"\t"))


def _gathered(
    native: Native, places: Sequence[tuple[str, int]]
) -> tuple[NDArray[np.float32], list[Problem]]:
    """Return rows of several tables in the order asked for."""
    problems: list[Problem] = []
    found: dict[str, NDArray[np.float32]] = {}
    for path in dict.fromkeys(path for path, _ in places):
        rows = [row for one, row in places if one == path]
        found[path], more = numbers(read_keyed(native.root / path), rows)
        problems += more
    if len(found) == 1:
        return next(iter(found.values())), problems
    values = np.empty((len(places), next(iter(found.values())).shape[1]), np.float32)
    for path, part in found.items():
        values[[number for number, (one, _) in enumerate(places) if one == path]] = part
    return values, problems


def _parsed(lines: list[bytes], width: int) -> NDArray[Any]:
    """Return the numbers of lines.

    Raises:
        ValueError: a line has another number of fields, or one that is no number.
    """
    if any(line.count(b"\t") != width - 1 for line in lines):
        raise ValueError("not as many fields as expected")
    frame = pd.read_csv(
        io.BytesIO(b"\n".join(lines) + b"\n"),
        sep="\t",
        header=None,
        dtype=np.float32,
        na_values=sorted(MISSING),
        keep_default_na=False,
        skip_blank_lines=False,
    )
    return frame.to_numpy()


def _one(line: bytes, width: int) -> tuple[NDArray[np.float32], str]:
    """Return the numbers of one line and why some are not there, or an empty string."""
    values = np.full(width, np.nan, np.float32)
    fields = line.decode(errors="replace").split("\t")
    if len(fields) != width:
        return values, f"{width} numbers expected, {len(fields)} found: all are taken as missing"
    wrong = []
    for place, text in enumerate(fields):
        try:
            values[place] = np.nan if text in MISSING else float(text)
        except ValueError:
            wrong.append(text)
    if wrong:
        return values, f"{len(wrong)} fields are no numbers, taken as missing: {wrong[0][:40]!r}"
    return values, ""
