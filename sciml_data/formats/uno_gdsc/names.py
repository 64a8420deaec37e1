"""Which CCLE line a GDSC line is, and which compound a GDSC drug is.

Cell lines are joined by name: letters and digits in capitals, as `NCI-H1650` and `NCIH1650_LUNG`
have them, against the CCLE's annotation and the names in its curves. The descriptor
(`native.ccle_names`) has those with another name there, or with a name that two CCLE lines share.
Drugs have names and PubChem CIDs in the lists kept with DeepCDR; the descriptor (`native.drugs`)
names those that the lists lack. SMILES are found by CID, or else by name in the list kept with
PanThera.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import (
    Entities,
    Features,
    molecular_features,
    read_drug_list,
    read_rows,
)
from sciml_data.formats.inflated import DAMAGED, open_text
from sciml_data.formats.interface import Native
from sciml_data.formats.uno_ccle import ccle_names, expression, image_ids, short_name

LINES_HEADER = ("SAMPLE_NAME", "COSMIC_ID")  # the first columns; later names are shifted
TISSUE = 7  # its column among the fields of a line, 0 the first
DRUGS_HEADER = (
    "drug_id",
    "Name",
    "Synonyms",
    "Targets",
    "Target pathway",
    "PubCHEM",
    "Sample Size",
    "Count",
)
ANNOTATION_HEADER = ("CCLE_ID", "depMapID", "Name")  # its first columns
CURVES_HEADER = ("CCLE Cell Line Name", "Primary Cell Line Name")
NOT_KNOWN = {"", "none", "several", "NA"}  # instead of a PubChem CID
IC50_COLUMN = re.compile(r"Drug_(\d+)_IC50")


@dataclass(frozen=True)
class Line:
    """A cell line of GDSC.

    Attributes:
        name: in GDSC.
        tissue: in GDSC, "" where not known.
        ccle_name: full name in the CCLE, "" for a line that is not there.
        depmap_id: id in DepMap, "" where not known.
    """

    name: str
    tissue: str
    ccle_name: str
    depmap_id: str


def read_lines(native: Native, more: Mapping[int, str], problems: list[Problem]) -> dict[int, Line]:
    """Return the cell lines by COSMIC's number.

    Args:
        native: the files.
        more: names of lines by number that the list may lack.
        problems: malformed rows are added.
    """
    names, tissues = dict(more), {}
    _, rows = _table(native.root / native.block["lines"], LINES_HEADER)
    for place, row in rows:
        if len(row) <= TISSUE or not row[1].isdecimal():
            problems.append(Problem("malformed", place, "a name, a number and a tissue expected"))
            continue
        names.setdefault(int(row[1]), row[0])
        tissues[int(row[1])] = row[TISSUE]
    depmap, spellings = _ccle_spellings(native)
    corrected: Mapping[str, str] = native.block["ccle_names"]
    found = {}
    for number, name in names.items():
        candidates = spellings.get(letters(name), set())
        of_ccle = corrected.get(name, min(candidates) if len(candidates) == 1 else "")
        found[number] = Line(name, tissues.get(number, ""), of_ccle, depmap.get(of_ccle, ""))
    return found


def letters(name: str) -> str:
    """Return the letters and digits of a name in capitals; spellings differ in other signs."""
    return "".join(letter for letter in name.upper() if letter.isalnum())


def _ccle_spellings(native: Native) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Return DepMap ids by full CCLE name, and full names by each spelling in letters."""
    depmap: dict[str, str] = {}
    spellings: dict[str, set[str]] = {}
    _, rows = _table(native.root / native.block["annotation"], ANNOTATION_HEADER, "\t")
    for _, (full, depmap[full], usual, *_) in rows:
        for name in (short_name(full), usual):
            spellings.setdefault(letters(name), set()).add(full)
    for full, usual in curve_names(native).items():
        for name in (short_name(full), usual):
            spellings.setdefault(letters(name), {full})
    spellings.pop("", None)
    return depmap, spellings


def curve_names(native: Native) -> dict[str, str]:
    """Return the usual names of the cell lines in the CCLE's curves by full name."""
    _, rows = _table(native.root / native.block["curves"], CURVES_HEADER)
    return {full.strip(): usual for _, (full, usual, *_) in rows}


def cell_table(
    native: Native, lines: Mapping[int, Line], used: Iterable[int], *, only_with_expression: bool
) -> Entities:
    """Return the cell lines with the expression of their CCLE lines, NaN for lines without one.

    Args:
        native: the files.
        lines: all lines by COSMIC's number.
        used: numbers of the lines to keep, in any order.
        only_with_expression: leave the others out.
    """
    values, genes, row_of = _expression(native)
    kept = [
        number
        for number in sorted(used)
        if number in lines and (not only_with_expression or lines[number].ccle_name in row_of)
    ]
    rows = [row_of.get(lines[number].ccle_name, -1) for number in kept]
    padded = np.vstack([values, np.full((1, values.shape[1]), np.nan, np.float32)])
    return Entities(
        ids=tuple(f"GDSC.{number}" for number in kept),
        canonical=tuple(lines[number].ccle_name or f"COSMIC:{number}" for number in kept),
        texts={
            "cell_name": tuple(lines[number].name for number in kept),
            "cosmic_id": tuple(str(number) for number in kept),
            "depmap_id": tuple(lines[number].depmap_id for number in kept),
            "tissue": tuple(lines[number].tissue for number in kept),
        },
        features=Features(padded[rows], genes, native.block["expression_images"]),
    )


def _expression(native: Native) -> tuple[NDArray[np.float32], tuple[str, ...], dict[str, int]]:
    """Return the CCLE's expression (line, gene), the genes, and the row of each full CCLE name."""
    ids = image_ids(native, "expression_images")
    without, place = native.block["cells_without_expression"], native.block["curves"]
    full = ccle_names(ids, curve_names(native), without, place=place)
    features = expression(native, ids)
    return features.values, features.names, {full[name]: row for row, name in enumerate(ids)}


# --- drugs ---------------------------------------------------------------------------------------


def drug_table(
    native: Native, used: Iterable[int], problems: list[Problem], *, only_with_smiles: bool
) -> tuple[Entities, str]:
    """Return drugs with features of their molecules, and the software that computed these.

    Descriptors of a drug without a readable SMILES are NaN, and its bits are 0.

    Args:
        native: the files.
        used: GDSC's numbers of the drugs to keep, in any order.
        problems: malformed rows, and drugs without a readable SMILES, are added.
        only_with_smiles: leave drugs without a readable SMILES out.
    """
    names, cids = _drug_names(native, problems)
    listed = read_drug_list(native.root / native.block["drug_list"], problems)
    by_cid = _smiles_by_cid(native.root / native.block["smiles"])
    canonical: Mapping[str, str] = native.block["canonical"]
    numbers, known = sorted(used), {}
    for number in numbers:
        of_list = listed.get(names.get(number, "").lower(), ("", ""))
        cids.setdefault(number, of_list[0])
        known[str(number)] = by_cid.get(cids[number], "") or of_list[1]
    made = molecular_features({number: text for number, text in known.items() if text})
    row_of = {number: row for row, number in enumerate(made.ids)}
    problems += [
        Problem("smiles", f"GDSC.{number}", f"{names.get(number, '?')} has no readable SMILES")
        for number in numbers
        if str(number) not in row_of
    ]
    kept = [n for n in numbers if not only_with_smiles or str(n) in row_of]
    rows = [row_of.get(str(number), -1) for number in kept]
    values, bits = made.descriptors.values, made.bits
    drugs = Entities(
        ids=tuple(f"GDSC.{number}" for number in kept),
        canonical=tuple(
            canonical.get(cids[number], f"CID:{cids[number]}" if cids[number] else f"GDSC:{number}")
            for number in kept
        ),
        texts={
            "compound": tuple(names.get(number, "") for number in kept),
            "pubchem_cid": tuple(cids[number] for number in kept),
            "smiles": tuple(known[str(number)] for number in kept),
        },
        features=Features(
            np.vstack([values, np.full((1, values.shape[1]), np.nan, np.float32)])[rows],
            made.descriptors.names,
            native.block["smiles"],
        ),
        bits=np.vstack([bits, np.zeros((1, bits.shape[1]), np.bool_)])[rows],
    )
    return drugs, made.software


def _drug_names(native: Native, problems: list[Problem]) -> tuple[dict[int, str], dict[int, str]]:
    """Return names and PubChem CIDs of drugs by GDSC's numbers."""
    names, cids = {}, {}
    for place, row in read_rows(native.root / native.block["drugs"], DRUGS_HEADER, ",", problems):
        if not row["drug_id"].isdecimal():
            problems.append(Problem("malformed", place, "a drug without a number"))
            continue
        names[int(row["drug_id"])] = row["Name"]
        if row["PubCHEM"].strip() not in NOT_KNOWN:
            cids[int(row["drug_id"])] = row["PubCHEM"].strip()
    names |= {int(number): name for number, name in native.block["drug_names"].items()}
    return names, cids


def _smiles_by_cid(path: Path) -> dict[str, str]:
    lines = (text.partition("\t") for text in _text(path).splitlines())
    return {cid: smiles.strip() for cid, _, smiles in lines}


# --- IC50 ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Concentrations:
    """Half-maximal inhibitory concentrations: arrays of one length (pair,).

    Attributes:
        cosmic_id: int64.
        drug_id: int64.
        ln_ic50: float64, natural logarithm of umol/L.
        lines: number of rows of the table.
        drugs: number of drugs of the table.
    """

    cosmic_id: NDArray[np.int64]
    drug_id: NDArray[np.int64]
    ln_ic50: NDArray[np.float64]
    lines: int
    drugs: int


def read_concentrations(path: Path, problems: list[Problem]) -> Concentrations:
    """Return the values of a table with a row for each cell line and a column for each drug.

    Raises:
        NativeFormatError: the file is damaged, or has another header.
    """
    header, rows = _table(path, ("COSMIC_ID",))
    columns = [IC50_COLUMN.fullmatch(name) for name in header[1:]]
    drugs = [int(column[1]) for column in columns if column]
    if len(drugs) < len(columns):
        raise _damaged(path, "a column is not named Drug_<number>_IC50")
    pairs: list[tuple[int, int, float]] = []
    lines = 0
    for place, row in rows:
        try:
            cosmic, values = int(row[0]), [float(text or "nan") for text in row[1:]]
        except ValueError as error:
            problems.append(Problem("malformed", place, str(error)))
            continue
        lines += 1
        known = zip(drugs, values, strict=True)
        pairs += [(cosmic, drug, value) for drug, value in known if not math.isnan(value)]
    if not pairs:
        raise _damaged(path, "there is no value")
    cosmic_id, drug_id, ln_ic50 = map(np.array, zip(*pairs, strict=True))
    return Concentrations(cosmic_id, drug_id, ln_ic50, lines, len(drugs))


# --- tables of text ------------------------------------------------------------------------------


def _table(
    path: Path, first_columns: Sequence[str], delimiter: str = ","
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the header of a table, and place ("file:line") and fields of each row.

    Raises:
        NativeFormatError: the file is damaged, has another header, or a row has another number of
            fields.
    """
    reader = csv.reader(_text(path).splitlines(keepends=True), delimiter=delimiter)
    try:
        header = next(reader, [])
        rows = [(f"{path.name}:{reader.line_num}", row) for row in reader if row]
    except csv.Error as error:
        raise _damaged(path, f"line {reader.line_num} is not CSV: {error}") from error
    if header[: len(first_columns)] != list(first_columns):
        raise _damaged(path, f"first columns {list(first_columns)} expected, {header[:5]} found")
    for place, row in rows:
        if len(row) != len(header):
            raise _damaged(path, f"{place}: {len(header)} fields expected, {len(row)} found")
    return header, rows


def _text(path: Path) -> str:
    """Return the text of a file, which may be compressed by gzip."""
    try:
        with open_text(path, "utf-8", "gz" if path.suffix == ".gz" else None) as file:
            return file.read()
    except DAMAGED as error:
        raise _damaged(path, f"{type(error).__name__} {error}") from error


def _damaged(path: Path, wrong: str) -> NativeFormatError:
    return NativeFormatError(
        f"{path.name} cannot be read",
        problems=[Problem("damaged", path.name, wrong)],
        untouched="nothing was converted",
        hint="`sciml-data verify` compares the file with the published one",
    )
