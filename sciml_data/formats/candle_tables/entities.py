"""Cell lines and drugs of the feature tables: their order, ids, canonical names and features.

A row of responses points into these lists, so they follow from the id columns alone. A drug is in
the list if it has descriptors and both fingerprints. Its compound is named by the PubChem CID that
`drug_info` gives for its id. NSC ids have none there. If the text of all descriptors is that of a
compound with a CID, the drug is that compound; otherwise it is the first NSC id with that text. So
one compound under an NSC and a CTRP id has one name, and isomers that no descriptor tells apart
share one, too: for a split without leaks, too few names are on the safe side.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.candle_tables.text_tables import MISSING, RowIndex, read_header, row_index
from sciml_data.formats.drug_response import Entities, Features
from sciml_data.formats.interface import Native

CID = "PubChem.CID."  # how the descriptor tables write a CID
ROWS_AT_ONCE = 256  # 5 MB of text at 5,270 columns


@dataclass(frozen=True)
class Drug:
    """A drug: ids, names, and the tables and rows of its features.

    Attributes:
        id: source-qualified.
        canonical: name of the compound.
        cid: PubChem's number, "" if unknown.
        name: as in `drug_info`, "" if the table has none.
        descriptors: path of the table of descriptors, and the row in it.
        fingerprints: paths and rows of the fingerprints.
    """

    id: str
    canonical: str
    cid: str
    name: str
    descriptors: tuple[str, int]
    fingerprints: tuple[tuple[str, int], ...]

    @property
    def nsc(self) -> str:
        """Return the NSC number, "" if the id has none."""
        return self.id.removeprefix("NSC.") if self.id.startswith("NSC.") else ""


def cell_ids(native: Native) -> tuple[str, ...]:
    """Return the cell lines that have an expression row."""
    return row_index(native.root / native.block["tables"]["expression"]).ids


def canonical_cell(cell_id: str) -> str:
    """Return one name of a cell line: no source, no culture collection, letters and digits only.

    `CCLE.22RV1` and `gCSI.22Rv1` get one name; so do `NCI60.MDA-MB-231/ATCC` and `CCLE.MDAMB231`.
    Two lines with names that differ only in their signs (TT and T.T) get one name, too, which is
    the safe side for a split without leaks.
    """
    name = cell_id.partition(".")[2] or cell_id
    name = re.sub(r"\(.*?\)|/ATCC$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Z0-9]", "", name.upper()) or cell_id


def list_drugs(native: Native) -> list[Drug]:
    """Return the drugs that have all features, in the order of the tables of descriptors."""
    tables = native.block["tables"]
    drug_info = _drug_info(native)
    ids_of: dict[str, list[str]] = {}
    for drug, (cid, _) in drug_info.items():
        ids_of.setdefault(cid, []).append(drug)
    drugs: list[Drug] = []
    known: set[str] = set()
    names: dict[bytes, str] = {}
    for path, prints in zip(tables["descriptors"], tables["fingerprints"], strict=True):
        described = row_index(native.root / path)
        printed = {print_path: row_index(native.root / print_path).by_id for print_path in prints}
        for row, key in enumerate(described.ids):
            if not all(key in rows for rows in printed.values()):
                continue
            where = tuple((print_path, rows[key]) for print_path, rows in printed.items())
            for drug in ids_of.get(key, []) if key.startswith(CID) else [key]:
                if drug in known:
                    continue
                known.add(drug)
                cid, name = drug_info.get(drug, ("", ""))
                number = cid.removeprefix(CID)
                canonical = _compound(drug, number, described.digests[row], names)
                drugs.append(Drug(drug, canonical, number, name, (path, row), where))
    return drugs


def count_without_fingerprints(native: Native) -> int:
    """Return the number of rows of descriptors without a row in a table of fingerprints."""
    tables = native.block["tables"]
    count = 0
    for path, prints in zip(tables["descriptors"], tables["fingerprints"], strict=True):
        known = [row_index(native.root / print_path).by_id for print_path in prints]
        ids = row_index(native.root / path).ids
        count += sum(not all(key in rows for rows in known) for key in ids)
    return count


def cell_names(native: Native) -> dict[str, str]:
    """Return the ids of cell lines by their names in the table of pairs."""
    table = row_index(native.root / native.block["tables"]["cell_names"])
    read_header(table.path, ("NCI60.ID",))
    column = table.names.index("NCI60.ID")
    rows = table.lines(range(len(table.ids)))
    return {row[0]: row[column + 1] for row in _fields(rows) if len(row) > column + 1}


def read_cells(native: Native) -> tuple[Entities, list[Problem]]:
    """Return the table of cell lines with expression, and its malformed rows."""
    table = row_index(native.root / native.block["tables"]["expression"])
    values, problems = _numbers(table, range(len(table.ids)))
    canonical = tuple(canonical_cell(name) for name in table.ids)
    return Entities(
        table.ids, canonical, features=Features(values, table.names, table.path.name)
    ), problems


def read_drugs(native: Native, drugs: Sequence[Drug]) -> tuple[Entities, list[Problem]]:
    """Return the table of some drugs with their features, and its malformed rows."""
    tables = native.block["tables"]
    names = row_index(native.root / tables["descriptors"][0]).names
    values, problems = _gathered(native, [drug.descriptors for drug in drugs])
    bits = []
    for number in range(len(tables["fingerprints"][0])):
        part, more = _gathered(native, [drug.fingerprints[number] for drug in drugs])
        problems += more
        bits.append(part)
    together = np.concatenate(bits, axis=1)
    if count := int((~np.isin(together, (0, 1))).sum()):
        problems.append(Problem("bits", "fingerprints", f"{count} are neither 0 nor 1: taken as 0"))
    texts = {
        "pubchem_cid": [drug.cid for drug in drugs],
        "nsc": [drug.nsc for drug in drugs],
        "drug_name": [drug.name for drug in drugs],
    }
    ids, canonical = tuple(drug.id for drug in drugs), tuple(drug.canonical for drug in drugs)
    features = Features(values, names, tables["descriptors"][0])
    return Entities(ids, canonical, texts, features, together == 1), problems


def require_same_columns(native: Native) -> None:
    """Raise NativeFormatError unless the tables of one kind have the same columns."""
    tables = native.block["tables"]
    problems = []
    for paths in (tables["descriptors"], *zip(*tables["fingerprints"], strict=True)):
        first, *others = [row_index(native.root / path) for path in paths]
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


def _compound(drug: str, cid: str, digest: bytes, names: dict[bytes, str]) -> str:
    if cid:
        name = f"CID:{cid}"
        names.setdefault(digest, name)
        return name
    return names.setdefault(digest, drug) if digest else drug


def _drug_info(native: Native) -> Mapping[str, tuple[str, str]]:
    """Return the CID, as the tables write it, and the name of each id of `drug_info`."""
    table = row_index(native.root / native.block["tables"]["drug_info"])
    read_header(table.path, ("PUBCHEM",))
    columns = {name: number for number, name in enumerate(table.names, start=1)}
    info = {}
    for fields in _fields(table.lines(range(len(table.ids)))):
        row = [*fields, *[""] * len(table.names)]
        cid = re.sub(r"\.0$", "", row[columns["PUBCHEM"]])
        name = row[columns["NAME"]] if "NAME" in columns else ""
        if cid not in MISSING:
            info[row[0]] = (CID + cid.removeprefix(CID), name)
    return info


def _fields(lines: Iterable[bytes]) -> Iterator[list[str]]:
    for line in lines:
        yield line.decode(errors="replace").split("\t")


def _numbers(table: RowIndex, rows: Sequence[int]) -> tuple[NDArray[np.float32], list[Problem]]:
    """Return (row, column) float32 numbers, NaN where missing or malformed, and malformed rows."""
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
                values[number], wrong = _numbers_of_line(line, width)
                problems += [Problem("malformed", place, wrong)] if wrong else []
    return values, problems


def _width(table: RowIndex) -> int:
    """Return the number of columns behind the id: by the header, or the first row if it has more.

    The header of a table of fingerprints has no names.
    """
    if not table.ids:
        return len(table.names)
    return max(len(table.names), table.lines([0])[0].count(b"\t"))


def _gathered(
    native: Native, places: Sequence[tuple[str, int]]
) -> tuple[NDArray[np.float32], list[Problem]]:
    """Return rows of several tables, given by path and row, in the given order."""
    problems: list[Problem] = []
    by_path: dict[str, NDArray[np.float32]] = {}
    for path in dict.fromkeys(path for path, _ in places):
        rows = [row for table, row in places if table == path]
        by_path[path], more = _numbers(row_index(native.root / path), rows)
        problems += more
    if len(by_path) == 1:
        return next(iter(by_path.values())), problems
    values = np.empty((len(places), next(iter(by_path.values())).shape[1]), np.float32)
    for path, part in by_path.items():
        values[[number for number, (table, _) in enumerate(places) if table == path]] = part
    return values, problems


def _parsed(lines: list[bytes], width: int) -> NDArray[Any]:
    """Return the numbers of lines.

    Raises:
        ValueError: a line has another number of fields, or a field that is not a number.
    """
    if any(line.count(b"\t") != width - 1 for line in lines):
        raise ValueError("another number of fields than expected")
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


def _numbers_of_line(line: bytes, width: int) -> tuple[NDArray[np.float32], str]:
    """Return the numbers of one line, and what is wrong with it or an empty string."""
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
        return values, f"{len(wrong)} fields are not numbers, taken as missing: {wrong[0][:40]!r}"
    return values, ""
