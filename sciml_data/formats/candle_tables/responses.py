"""Rows of a part of a response table, by id: single drugs (TSV) and ALMANAC's pairs (CSV).

Dose is -log10(mol/L). Growth is 1 untreated, 0 stasis, -1 all cells killed. The table of single
drugs has LOG_CONCENTRATION and percent, that of pairs mol/L and percent.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError
from sciml_data.formats.candle_tables.text_tables import (
    MISSING,
    Header,
    Malformed,
    line_blocks,
    lines_before,
    read_header,
    well_formed,
)
from sciml_data.formats.drug_response import Rows

MOLAR = "M"  # CONCUNIT of a concentration in mol/L


@dataclass(frozen=True)
class Part:
    """Rows of a part of a table.

    Attributes:
        rows: by id.
        malformed: rows that cannot be used.
        not_valid: number of rows that upstream marks as not valid; they do not count as read.
        other_units: number of rows by each unit of concentration other than mol/L.
    """

    rows: Rows
    malformed: tuple[Malformed, ...]
    not_valid: int = 0
    other_units: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TableKind:
    """A kind of response table: its columns of text and of numbers, and how they become rows."""

    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    rows_of: Callable[[pd.DataFrame, Mapping[str, str]], dict[str, NDArray[Any]]]


def read_part(
    path: Path,
    kind: TableKind,
    byte_range: tuple[int, int],
    *,
    sources: Collection[str],
    cell_names: Mapping[str, str],
) -> Part:
    """Return the rows whose first byte is in a part of a table.

    Args:
        path: of the table.
        kind: SINGLE or PAIRED.
        byte_range: offsets of the first byte of the part and of the byte behind its last one.
        sources: all possible sources; a row of another source is malformed.
        cell_names: id of a cell line by its name in the table of pairs.

    Raises:
        NativeFormatError: columns of the table are missing, or it cannot be read at all.
    """
    header = read_header(path, (*kind.texts, *kind.numbers))
    start = max(byte_range[0], header.end)
    columns: list[dict[str, NDArray[Any]]] = []
    malformed: list[Malformed] = []
    not_valid, units, line = 0, Counter[str](), 1
    for block in line_blocks(path, start, byte_range[1]):
        frame, bad = _frame(path, block, header, kind)
        if "VALID" in frame:
            is_valid = (frame["VALID"] == "Y").to_numpy()
            not_valid += int((~is_valid).sum())
            frame = frame[is_valid]
        if "CONCUNIT" in frame:
            units.update(
                {str(unit): int(n) for unit, n in frame["CONCUNIT"].value_counts().items()}
            )
        made = kind.rows_of(frame, cell_names)
        is_known = pd.Series(made["source"]).isin(sources).to_numpy()
        bad += [
            Malformed(int(position), f"source {name!r} is not among the {len(sources)} known")
            for position, name in zip(
                frame.index[~is_known], made["source"][~is_known], strict=True
            )
        ]
        columns.append({name: values[is_known] for name, values in made.items()})
        malformed += [Malformed(row.line + line, row.wrong) for row in sorted(bad, key=_by_line)]
        line += block.count(b"\n")
    if malformed:
        before = lines_before(path, start)
        malformed = [Malformed(row.line + before, row.wrong) for row in malformed]
    other = {unit: count for unit, count in sorted(units.items()) if count and unit != MOLAR}
    return Part(_together(columns, kind), tuple(malformed), not_valid, other)


def _by_line(row: Malformed) -> int:
    return row.line


def _frame(
    path: Path, block: bytes, header: Header, kind: TableKind
) -> tuple[pd.DataFrame, list[Malformed]]:
    """Return the usable rows of a block, indexed by position in it, and the malformed rows."""
    good, positions, bad = well_formed(block, header, kind.numbers)
    try:
        frame = _parsed(good, header, kind)
    except (ValueError, UnicodeDecodeError):  # a ParserError is a ValueError
        good, positions, bad = well_formed(block, header, kind.numbers, check_numbers=True)
        try:
            frame = _parsed(good, header, kind)
        except ValueError as error:
            raise NativeFormatError(f"{path.name} cannot be read: {error}") from error
    if len(frame) != len(positions):
        raise NativeFormatError(
            f"{path.name} cannot be read: {len(positions)} rows expected, {len(frame)} found",
            untouched="nothing of it was converted",
        )
    frame.index = pd.Index(positions)
    return frame, bad


def _parsed(block: bytes, header: Header, kind: TableKind) -> pd.DataFrame:
    types: dict[str, Any] = dict.fromkeys(kind.texts, "category")
    types |= dict.fromkeys(kind.numbers, np.float64)
    if not block:
        return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in types.items()})
    return pd.read_csv(
        io.BytesIO(block),
        sep=header.separator,
        header=None,
        names=list(header.names),
        usecols=[*kind.texts, *kind.numbers],
        dtype=types,
        na_values={name: sorted(MISSING) for name in kind.numbers},
        keep_default_na=False,
        skip_blank_lines=False,
        quoting=csv.QUOTE_NONE if header.separator == "\t" else csv.QUOTE_MINIMAL,
    )


def _single(frame: pd.DataFrame, _: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    count = len(frame)
    return {
        "source": _objects(frame["SOURCE"]),
        "cell": _objects(frame["CELLNAME"]),
        "drug1": _objects(frame["DRUG_ID"]),
        "drug2": np.full(count, "", object),
        "dose1": -frame["LOG_CONCENTRATION"].to_numpy(np.float32),
        "dose2": np.full(count, np.nan, np.float32),
        "growth": (frame["GROWTH"] / 100).to_numpy(np.float32),
    }


def _paired(frame: pd.DataFrame, cell_names: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    drug2 = _nsc(frame["NSC2"])
    dose2 = _dose(frame["CONC2"])
    return {
        "source": _objects(frame["SCREENER"], lambda screener: f"ALMANAC.{screener}"),
        "cell": _objects(frame["CELLNAME"], lambda name: cell_names.get(name, name)),
        "drug1": _nsc(frame["NSC1"]),
        "drug2": drug2,
        "dose1": _dose(frame["CONC1"]),
        "dose2": np.where(drug2 == "", np.float32(np.nan), dose2),
        "growth": (frame["PERCENTGROWTH"] / 100).to_numpy(np.float32),
    }


SINGLE = TableKind(
    ("SOURCE", "DRUG_ID", "CELLNAME", "CONCUNIT"), ("LOG_CONCENTRATION", "GROWTH"), _single
)
PAIRED = TableKind(
    ("CELLNAME", "VALID", "SCREENER"),
    ("NSC1", "CONC1", "NSC2", "CONC2", "PERCENTGROWTH"),
    _paired,
)


def _objects(column: pd.Series[Any], name: Callable[[str], str] = str) -> NDArray[np.object_]:
    """Return the text of a categorical column; `name` is called once per category."""
    names = np.array([*(name(str(text)) for text in column.cat.categories), ""], object)
    return names[column.cat.codes.to_numpy()]


def _nsc(column: pd.Series[Any]) -> NDArray[np.object_]:
    """Return `NSC.<number>`, "" for a missing number."""
    codes, numbers = pd.factorize(column.to_numpy())
    return np.array([*(f"NSC.{number:.0f}" for number in numbers), ""], object)[codes]


def _dose(concentration: pd.Series[Any]) -> NDArray[np.float32]:
    """Return -log10 of mol/L; NaN if the concentration is not above zero."""
    values = concentration.to_numpy(np.float64)
    return -np.log10(np.where(values > 0, values, np.nan)).astype(np.float32)


def _together(parts: list[dict[str, NDArray[Any]]], kind: TableKind) -> Rows:
    """Return the rows of all blocks as one table, which may be empty."""
    parts = parts or [kind.rows_of(_parsed(b"", Header((), "\t", 0), kind), {})]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    source = columns.pop("source")
    values = {name: columns.pop(name) for name in ("dose1", "dose2", "growth")}
    return Rows(source=source, study=_studies(source), measured=values, **columns)


def study_of(source: str) -> str:
    """Return the screening programme of a source: all of ALMANAC's sites are one."""
    return source.partition(".")[0]


def _studies(source: NDArray[Any]) -> NDArray[np.object_]:
    codes, known = pd.factorize(source)
    return np.array([*(study_of(str(name)) for name in known), ""], object)[codes]
