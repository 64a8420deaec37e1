"""Synthetic sample of CANDLE's tables: native layout, Uno's true widths, any number of rows.

Cell lines and compounds come from `hill.GrowthCurves`. Sources share them under their own ids, as
the real sources do: `CCLE.22RV1` and `gCSI.22RV1`, `CTRP.302` and `NSC.757440`. SCL and SCLC have
rows but no expression. Rows are written in blocks, so a table of 1.46 GB takes no more memory than
a small one.

Settings in `block["sample"]`: rows (single drugs), pairs (rows of ALMANAC), cells, drugs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.hill import (
    MEASUREMENT_NOISE,
    GrowthCurves,
    descriptors,
    fingerprints,
    make_growth_curves,
    trait_features,
)

DEFAULTS: Mapping[str, int] = {"rows": 20_000, "pairs": 4_000, "cells": 40, "drugs": 60}
GENES, DESCRIPTORS = 942, 5_270  # columns of Uno's tables (research/uno.md 1.1)
BITS = 1_024  # of each of the two fingerprints
ROWS_AT_ONCE = 200_000
MISSING_SHARE = 0.002  # of growth values, which have one of the three codes instead
INVALID_SHARE = 0.02  # of ALMANAC's rows
MISSING_CODES = (b"na", b"-", b"")
MAX_GROWTH = 40_000  # hundredths of a percent of growth that can be written
ALMANAC_DRUGS = 104  # as in the real table
ALMANAC_DOSES = np.array([4.0, 5.0, 6.0, 7.0, 8.0])
CID, NSC = 1_000, 700_000  # first made-up numbers
SCREENERS = {"1A": 0.06, "FF": 0.56, "FG": 0.38}  # shares of the real table


@dataclass(frozen=True)
class Source:
    """One source of single-drug rows.

    Attributes:
        name: prefix of its ids.
        share: share of all rows, as in the real table.
        lines: share of the cell lines that it tested.
        compounds: share of the compounds that it tested.
        doses: -log10(mol/L), lowest and highest, and the number of doses.
        has_expression: its cell lines are in the expression table.
    """

    name: str
    share: float
    lines: float
    compounds: float
    doses: tuple[float, float, int]
    has_expression: bool = True


SOURCES = (
    Source("CCLE", 0.01, 0.8, 0.2, (5.097, 8.602, 8)),
    Source("CTRP", 0.22, 0.9, 0.6, (4.2, 8.7, 16)),
    Source("GDSC", 0.07, 0.9, 0.5, (4.5, 8.5, 9)),
    Source("NCI60", 0.665, 0.5, 1.0, (4.0, 8.0, 5)),
    Source("SCL", 0.012, 0.3, 0.6, (4.9, 8.9, 9), has_expression=False),
    Source("SCLC", 0.015, 0.3, 0.6, (4.9, 8.9, 9), has_expression=False),
    Source("gCSI", 0.008, 0.6, 0.2, (5.0, 9.0, 9)),
)


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write every table that `block["tables"]` names."""
    chosen = {**DEFAULTS} | {key: int(n) for key, n in block.get("sample", {}).items()}
    tables = block["tables"]
    curves = make_growth_curves(np.random.default_rng([seed, 0]), chosen["cells"], chosen["drugs"])
    root.mkdir(parents=True, exist_ok=True)
    _write_expression(root / tables["expression"], curves, np.random.default_rng([seed, 1]))
    _write_drugs(root, tables, curves, np.random.default_rng([seed, 2]))
    _write_cell_names(root / tables["cell_names"], curves)
    _write_single(root / tables["single"], curves, chosen["rows"], seed)
    _write_paired(root / tables["paired"], curves, chosen["pairs"], seed)


def cells_of(source: Source, curves: GrowthCurves) -> list[tuple[int, str]]:
    """Return the index and the id of each cell line of a source."""
    count = max(1, round(source.lines * len(curves.names)))
    names = curves.names[:count]
    if source.name == "CCLE":
        names = tuple(name.replace("-", "").upper() for name in names)
    return [(number, f"{source.name}.{name}") for number, name in enumerate(names)]


def drugs_of(source: Source, curves: GrowthCurves) -> list[tuple[int, str]]:
    """Return the index and the id of each compound of a source; NCI's ids are NSC numbers."""
    compounds = len(curves.compounds)
    count = max(1, round(source.compounds * compounds))
    if source.name in {"NCI60", "SCL", "SCLC"}:
        return [(number, f"NSC.{NSC + number}") for number in range(count)]
    return [(number, f"{source.name}.{number + 1}") for number in range(count)]


def _write_expression(path: Path, curves: GrowthCurves, random: np.random.Generator) -> None:
    values = trait_features(random, curves.lines, GENES)
    with path.open("wb") as file:
        file.write(_row("Sample", (f"GENE{n + 1:04d}" for n in range(GENES))))
        for source in SOURCES:
            shift = 0.15 * random.standard_normal(GENES)
            for number, name in cells_of(source, curves) if source.has_expression else []:
                file.write(_row(name, map("%.4f".__mod__, (values[number] + shift).tolist())))


def _write_drugs(
    root: Path, tables: Mapping[str, Any], curves: GrowthCurves, random: np.random.Generator
) -> None:
    """Write drug_info, descriptors and fingerprints: once by CID and once by NSC number."""
    names = [_write_drug_info(root / tables["drug_info"], curves)]
    names.append([f"NSC.{NSC + number}" for number in range(len(curves.compounds))])
    values = descriptors(random, curves, DESCRIPTORS)
    header = [f"DESC{number + 1:04d}" for number in range(DESCRIPTORS)]
    for path, keys in zip(tables["descriptors"], names, strict=True):
        with (root / path).open("wb") as file:
            file.write(_row("NAME", header))
            for key, row in zip(keys, values, strict=False):
                texts = map("%.5g".__mod__, row.tolist())
                file.write(_row(key, ("na" if text == "nan" else text for text in texts)))
    prints = [fingerprints(random, curves, BITS) for _ in range(2)]
    for paths, keys in zip(tables["fingerprints"], names, strict=True):
        for path, table in zip(paths, prints, strict=True):
            with (root / path).open("wb") as file:
                file.write(f"fingerprints of {BITS} bits\n".encode())
                for key, row in zip(keys, table.astype(int), strict=False):
                    file.write(_row(key, map(str, row.tolist())))


def _write_drug_info(path: Path, curves: GrowthCurves) -> list[str]:
    """Write the table from ids to compounds; return the names of the compounds with a CID."""
    screens = [source for source in SOURCES if source.name not in {"NCI60", "SCL", "SCLC"}]
    with path.open("wb") as file:
        file.write(_row("ID", ["PUBCHEM", "NAME", "CLEAN_NAME"]))
        for source in screens:
            for number, name in drugs_of(source, curves):
                title = f"compound {number}"
                file.write(_row(name, [str(CID + number), title, title.replace(" ", "")]))
    known = max(len(drugs_of(source, curves)) for source in screens)
    return [f"PubChem.CID.{CID + number}" for number in range(known)]


def _write_cell_names(path: Path, curves: GrowthCurves) -> None:
    with path.open("wb") as file:
        file.write(_row("CELLNAME", ["Name", "NCI60.ID"]))
        for number, name in cells_of(_source("NCI60"), curves):
            file.write(_row(_combo_name(curves, number), [curves.names[number], name]))


def _combo_name(curves: GrowthCurves, number: int) -> str:
    return f"{curves.names[number]}/ATCC" if number % 7 == 3 else curves.names[number]


def _write_single(path: Path, curves: GrowthCurves, rows: int, seed: int) -> None:
    """Write the single-drug table, source after source, a block of rows at a time."""
    columns = "SOURCE\tDRUG_ID\tCELLNAME\tCONCUNIT\tLOG_CONCENTRATION\tEXPID\tGROWTH\n"
    shares = np.cumsum([0, *(source.share for source in SOURCES)])
    ends = np.round(shares / shares[-1] * rows).astype(int)
    with path.open("wb") as file:
        file.write(columns.encode())
        for place, source in enumerate(SOURCES):
            write = _single_block(source, curves, seed)
            for first, count in _blocks(int(ends[place + 1] - ends[place])):
                file.write(write(first, count))


def _single_block(source: Source, curves: GrowthCurves, seed: int) -> Callable[[int, int], bytes]:
    """Return a function (first row, number of rows) -> text of these rows of a source.

    Rows are ordered by pair, dose, replicate. Each block has its own random numbers, so its text
    does not depend on the other blocks.
    """
    cells, drugs = cells_of(source, curves), drugs_of(source, curves)
    doses = np.linspace(*source.doses).round(3)
    place = SOURCES.index(source)
    pairs = np.random.default_rng([seed, 3, place]).permutation(len(cells) * len(drugs))
    heads = np.array(
        [f"{source.name}\t{drug}\t{cell}\tM\t".encode() for _, drug in drugs for _, cell in cells]
    )
    dose_texts = np.array([f"{-dose:g}\t".encode() for dose in doses])
    studies = np.array([f"{source.name}.E{number:03d}\t".encode() for number in range(100)])
    line, compound = np.array([n for n, _ in cells]), np.array([n for n, _ in drugs])

    def block(first: int, count: int) -> bytes:
        random = np.random.default_rng([seed, 4, place, first])
        row = np.arange(first, first + count)
        pair, dose = pairs[row // len(doses) % len(pairs)], row % len(doses)
        lines, compounds = line[pair % len(cells)], compound[pair // len(cells)]
        values = curves.growth(lines, compounds, doses[dose])
        values += MEASUREMENT_NOISE * random.standard_normal(count)
        study = row // (len(doses) * len(pairs)) + compounds
        percent = _percent(values, random, b"\n")
        return _text([heads[pair], dose_texts[dose], studies[study % 100], percent])

    return block


def _write_paired(path: Path, curves: GrowthCurves, rows: int, seed: int) -> None:
    """Write ALMANAC's table; a third of the rows has only one drug."""
    columns = "CELLNAME,NSC1,CONC1,NSC2,CONC2,PERCENTGROWTH,VALID,SCREENER,STUDY"
    with path.open("wb") as file:
        file.write(columns.encode() + b"\n")
        for first, count in _blocks(rows):
            file.write(_paired_block(curves, count, np.random.default_rng([seed, 5, first])))


def _paired_block(curves: GrowthCurves, count: int, random: np.random.Generator) -> bytes:
    """Return the text of `count` rows with random drugs, doses, sites and studies."""
    cells = cells_of(_source("NCI60"), curves)
    compounds = min(len(curves.compounds), ALMANAC_DRUGS)
    cell = random.integers(len(cells), size=count)
    drug = random.integers(compounds, size=count)
    other = (drug + random.integers(1, max(2, compounds), size=count)) % compounds
    dose = random.integers(len(ALMANAC_DOSES), size=(2, count))
    is_single = random.random(count) < 1 / 3
    alone = curves.growth(cell, drug, ALMANAC_DOSES[dose[0]])
    second = curves.growth(cell, other, ALMANAC_DOSES[dose[1]])
    both = curves.paired_growth(alone, second, np.stack([drug, other], 1))
    values = np.where(is_single, alone, both) + MEASUREMENT_NOISE * random.standard_normal(count)
    nsc = np.array([b"%d," % (NSC + number) for number in range(compounds)])
    molar = np.array([f"{10.0**-dose:g},".encode() for dose in ALMANAC_DOSES])
    names = np.array([f"{_combo_name(curves, number)},".encode() for number, _ in cells])
    screeners = np.array([f"{name},".encode() for name in SCREENERS])
    studies = np.array([f"{2008 + n}-01-AA\n".encode() for n in range(10)])
    return _text(
        [
            names[cell],
            nsc[drug],
            molar[dose[0]],
            np.where(is_single, b",", nsc[other]),
            np.where(is_single, b",", molar[dose[1]]),
            _percent(values, random, b","),
            np.where(random.random(count) < INVALID_SHARE, b"N,", b"Y,"),
            screeners[random.choice(len(screeners), size=count, p=list(SCREENERS.values()))],
            studies[drug % 10],
        ]
    )


def _percent(
    values: NDArray[np.float64], random: np.random.Generator, end: bytes
) -> NDArray[np.bytes_]:
    """Return growth in percent as text; a few values are a code for missing.

    All possible texts are made once and looked up, which is faster than formatting each number.
    """
    numbers = np.clip(np.round(values * 1e4), -MAX_GROWTH, MAX_GROWTH).astype(int) + MAX_GROWTH
    text: NDArray[np.bytes_] = _percent_texts(end)[numbers]
    where = np.flatnonzero(random.random(len(values)) < MISSING_SHARE)
    codes = np.array([code + end for code in MISSING_CODES])
    text[where] = codes[random.integers(len(codes), size=len(where))]
    return text


@cache
def _percent_texts(end: bytes) -> NDArray[np.bytes_]:
    return np.array([f"{n / 100:.2f}".encode() + end for n in range(-MAX_GROWTH, MAX_GROWTH + 1)])


def _text(columns: Sequence[NDArray[np.bytes_]]) -> bytes:
    """Join columns of text row by row.

    NumPy pads fixed-width text with zero bytes. A structured array puts the columns side by side,
    and removing the zero bytes leaves the text, without a loop over rows.
    """
    together = np.empty(
        len(columns[0]), [(f"f{n}", column.dtype) for n, column in enumerate(columns)]
    )
    for number, column in enumerate(columns):
        together[f"f{number}"] = column
    return together.tobytes().translate(None, b"\0")


def _row(first: str, others: Iterable[str]) -> bytes:
    return ("\t".join([first, *others]) + "\n").encode()


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    for first in range(0, rows, ROWS_AT_ONCE):
        yield first, min(ROWS_AT_ONCE, rows - first)


def _source(name: str) -> Source:
    return next(source for source in SOURCES if source.name == name)
