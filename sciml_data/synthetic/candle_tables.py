"""Synthetic tables in the native layout, at Uno's true widths, of any number of rows.

Cell lines and compounds are those of `hill.py`. Sources share them under ids of their own, as the
real ones do: `CCLE.22RV1` and `gCSI.22RV1`, `CTRP.302` and `NSC.757440`. SCL and SCLC have rows,
but no expression. Rows are written in blocks: the table of 1.46 GB takes no more memory than a
small one.

block["sample"] may say: rows (single drugs), pairs (rows of ALMANAC), cells, drugs.
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
    MEASURING,
    World,
    bits,
    described,
    growth,
    make_world,
    paired_growth,
    seen,
)

DEFAULTS: Mapping[str, int] = {"rows": 20_000, "pairs": 4_000, "cells": 40, "drugs": 60}
GENES, DESCRIPTORS, BITS = 942, 5_270, 1_024  # research/uno.md 1.1: Uno's own; bits of each of two
ROWS_AT_ONCE = 200_000
MISSING_SHARE = 0.002  # of growth: one of the three codes
NOT_VALID_SHARE = 0.02  # of ALMANAC's rows
MISSING_CODES = (b"na", b"-", b"")
LARGEST = 40_000  # hundredths of a percent of growth: what can be written
ALMANAC_DRUGS = 104  # as many as the real table has
ALMANAC_DOSES = np.array([4.0, 5.0, 6.0, 7.0, 8.0])
CID, NSC = 1_000, 700_000  # where made-up numbers begin
SCREENERS = {"1A": 0.06, "FF": 0.56, "FG": 0.38}  # shares of the real table


@dataclass(frozen=True)
class Source:
    """One source of single-drug rows.

    Attributes:
        name: as ids begin.
        share: of all rows, as in the real table.
        lines: share of the cell lines it has.
        compounds: share of the compounds it has.
        doses: -log10(mol/L), lowest and highest, and how many.
        has_expression: whether its cell lines are in the expression table.
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
    world = make_world(np.random.default_rng([seed, 0]), chosen["cells"], chosen["drugs"])
    root.mkdir(parents=True, exist_ok=True)
    _write_expression(root / tables["expression"], world, np.random.default_rng([seed, 1]))
    _write_drugs(root, tables, world, np.random.default_rng([seed, 2]))
    _write_cell_names(root / tables["cell_names"], world)
    _write_single(root / tables["single"], world, chosen["rows"], seed)
    _write_paired(root / tables["paired"], world, chosen["pairs"], seed)


def cells_of(source: Source, world: World) -> list[tuple[int, str]]:
    """Return the cell lines of a source: number and id."""
    count = max(1, round(source.lines * len(world.names)))
    names = world.names[:count]
    if source.name == "CCLE":
        names = tuple(name.replace("-", "").upper() for name in names)
    return [(number, f"{source.name}.{name}") for number, name in enumerate(names)]


def drugs_of(source: Source, world: World) -> list[tuple[int, str]]:
    """Return the drugs of a source: number of the compound, and id; NCI's are NSC numbers."""
    compounds = len(world.compound)
    count = max(1, round(source.compounds * compounds))
    if source.name in {"NCI60", "SCL", "SCLC"}:
        return [(number, f"NSC.{NSC + number}") for number in range(count)]
    return [(number, f"{source.name}.{number + 1}") for number in range(count)]


def _write_expression(path: Path, world: World, random: np.random.Generator) -> None:
    values = seen(random, world.line, GENES)
    with path.open("wb") as file:
        file.write(_row("Sample", (f"GENE{n + 1:04d}" for n in range(GENES))))
        for source in SOURCES:
            shift = 0.15 * random.standard_normal(GENES)
            for number, name in cells_of(source, world) if source.has_expression else []:
                file.write(_row(name, map("%.4f".__mod__, (values[number] + shift).tolist())))


def _write_drugs(
    root: Path, tables: Mapping[str, Any], world: World, random: np.random.Generator
) -> None:
    """Write drug_info, descriptors and fingerprints: by CID, and again by NSC number."""
    names = [_write_drug_info(root / tables["drug_info"], world)]
    names.append([f"NSC.{NSC + number}" for number in range(len(world.compound))])
    values = described(random, world, DESCRIPTORS)
    header = [f"DESC{number + 1:04d}" for number in range(DESCRIPTORS)]
    for path, keys in zip(tables["descriptors"], names, strict=True):
        with (root / path).open("wb") as file:
            file.write(_row("NAME", header))
            for key, row in zip(keys, values, strict=False):
                texts = map("%.5g".__mod__, row.tolist())
                file.write(_row(key, ("na" if text == "nan" else text for text in texts)))
    prints = [bits(random, world, BITS) for _ in range(2)]
    for paths, keys in zip(tables["fingerprints"], names, strict=True):
        for path, table in zip(paths, prints, strict=True):
            with (root / path).open("wb") as file:
                file.write(f"fingerprints of {BITS} bits\n".encode())
                for key, row in zip(keys, table.astype(int), strict=False):
                    file.write(_row(key, map(str, row.tolist())))


def _write_drug_info(path: Path, world: World) -> list[str]:
    """Write which id is which compound; return how the tables name those with a CID."""
    screens = [one for one in SOURCES if one.name not in {"NCI60", "SCL", "SCLC"}]
    with path.open("wb") as file:
        file.write(_row("ID", ["PUBCHEM", "NAME", "CLEAN_NAME"]))
        for source in screens:
            for number, name in drugs_of(source, world):
                title = f"compound {number}"
                file.write(_row(name, [str(CID + number), title, title.replace(" ", "")]))
    known = max(len(drugs_of(source, world)) for source in screens)
    return [f"PubChem.CID.{CID + number}" for number in range(known)]


def _write_cell_names(path: Path, world: World) -> None:
    with path.open("wb") as file:
        file.write(_row("CELLNAME", ["Name", "NCI60.ID"]))
        for number, name in cells_of(_source("NCI60"), world):
            file.write(_row(_combo_name(world, number), [world.names[number], name]))


def _combo_name(world: World, number: int) -> str:
    return f"{world.names[number]}/ATCC" if number % 7 == 3 else world.names[number]


def _write_single(path: Path, world: World, rows: int, seed: int) -> None:
    """Write the single-drug table, source after source, a block of rows at a time."""
    columns = "SOURCE\tDRUG_ID\tCELLNAME\tCONCUNIT\tLOG_CONCENTRATION\tEXPID\tGROWTH\n"
    shares = np.cumsum([0, *(source.share for source in SOURCES)])
    ends = np.round(shares / shares[-1] * rows).astype(int)
    with path.open("wb") as file:
        file.write(columns.encode())
        for place, source in enumerate(SOURCES):
            write = _single_block(source, world, seed)
            for first, count in _blocks(int(ends[place + 1] - ends[place])):
                file.write(write(first, count))


def _single_block(source: Source, world: World, seed: int) -> Callable[[int, int], bytes]:
    """Return what makes the text of some rows of a source, in the order pair, dose, replicate."""
    cells, drugs = cells_of(source, world), drugs_of(source, world)
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
        values = growth(world, lines, compounds, doses[dose])
        values += MEASURING * random.standard_normal(count)
        study = row // (len(doses) * len(pairs)) + compounds
        percent = _percent(values, random, b"\n")
        return _text([heads[pair], dose_texts[dose], studies[study % 100], percent])

    return block


def _write_paired(path: Path, world: World, rows: int, seed: int) -> None:
    """Write ALMANAC's table: a third of the rows has one drug only."""
    columns = "CELLNAME,NSC1,CONC1,NSC2,CONC2,PERCENTGROWTH,VALID,SCREENER,STUDY"
    with path.open("wb") as file:
        file.write(columns.encode() + b"\n")
        for first, count in _blocks(rows):
            file.write(_paired_block(world, count, np.random.default_rng([seed, 5, first])))


def _paired_block(world: World, count: int, random: np.random.Generator) -> bytes:
    """Return the text of some rows: drugs, doses, site and study by chance."""
    cells = cells_of(_source("NCI60"), world)
    compounds = min(len(world.compound), ALMANAC_DRUGS)
    cell = random.integers(len(cells), size=count)
    one = random.integers(compounds, size=count)
    other = (one + random.integers(1, max(2, compounds), size=count)) % compounds
    dose = random.integers(len(ALMANAC_DOSES), size=(2, count))
    is_single = random.random(count) < 1 / 3
    alone = growth(world, cell, one, ALMANAC_DOSES[dose[0]])
    second = growth(world, cell, other, ALMANAC_DOSES[dose[1]])
    both = paired_growth(world, alone, second, np.stack([one, other], 1))
    values = np.where(is_single, alone, both) + MEASURING * random.standard_normal(count)
    nsc = np.array([b"%d," % (NSC + number) for number in range(compounds)])
    molar = np.array([f"{10.0**-dose:g},".encode() for dose in ALMANAC_DOSES])
    names = np.array([f"{_combo_name(world, number)},".encode() for number, _ in cells])
    screeners = np.array([f"{name},".encode() for name in SCREENERS])
    studies = np.array([f"{2008 + n}-01-AA\n".encode() for n in range(10)])
    return _text(
        [
            names[cell],
            nsc[one],
            molar[dose[0]],
            np.where(is_single, b",", nsc[other]),
            np.where(is_single, b",", molar[dose[1]]),
            _percent(values, random, b","),
            np.where(random.random(count) < NOT_VALID_SHARE, b"N,", b"Y,"),
            screeners[random.choice(len(screeners), size=count, p=list(SCREENERS.values()))],
            studies[one % 10],
        ]
    )


def _percent(
    values: NDArray[np.float64], random: np.random.Generator, end: bytes
) -> NDArray[np.bytes_]:
    """Return growth in percent as text, a few of them a missing code."""
    numbers = np.clip(np.round(values * 1e4), -LARGEST, LARGEST).astype(int) + LARGEST
    text: NDArray[np.bytes_] = _percent_texts(end)[numbers]
    where = np.flatnonzero(random.random(len(values)) < MISSING_SHARE)
    codes = np.array([code + end for code in MISSING_CODES])
    text[where] = codes[random.integers(len(codes), size=len(where))]
    return text


@cache
def _percent_texts(end: bytes) -> NDArray[np.bytes_]:
    return np.array([f"{one / 100:.2f}".encode() + end for one in range(-LARGEST, LARGEST + 1)])


def _text(columns: Sequence[NDArray[np.bytes_]]) -> bytes:
    """Return rows of text: columns of fixed width side by side, less the zeros that fill them."""
    together = np.empty(len(columns[0]), [(f"f{n}", one.dtype) for n, one in enumerate(columns)])
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
