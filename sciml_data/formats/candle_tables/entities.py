"""Cell lines and drugs of the feature tables: their order, their ids, one name for each.

A row of responses points into these lists, so they follow from the id columns alone. A drug is in
the list where it has descriptors and both fingerprints. Its compound is named by the PubChem CID
that `drug_info` gives its id. NSC ids have none there: where the text of all descriptors is that
of a compound with a CID, it is that compound; else it is the first NSC id with that text. So one
compound under an NSC and a CTRP id has one name, and isomers that no descriptor tells apart share
one too: for a split without leaks, too few names are safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sciml_data.formats.candle_tables.keyed import Keyed, read_keyed
from sciml_data.formats.candle_tables.lines import MISSING, read_header
from sciml_data.formats.interface import Native

CID = "PubChem.CID."  # how the descriptor tables write a CID


@dataclass(frozen=True)
class Drug:
    """One drug: ids, names, and in which table at which row its features lie.

    Attributes:
        id: source-qualified.
        canonical: name of the compound.
        cid: PubChem's number, "" where it is not known.
        name: as `drug_info` has it, "" where it does not.
        descriptors: number of the table of descriptors, and the row in it.
        fingerprints: tables and rows of the fingerprints.
    """

    id: str
    canonical: str
    cid: str
    name: str
    descriptors: tuple[str, int]
    fingerprints: tuple[tuple[str, int], ...]

    @property
    def nsc(self) -> str:
        """Return the NSC number, "" where the id has none."""
        return self.id.removeprefix("NSC.") if self.id.startswith("NSC.") else ""


def cell_ids(native: Native) -> tuple[str, ...]:
    """Return the cell lines that have an expression row."""
    return read_keyed(native.root / native.block["tables"]["expression"]).ids


def canonical_cell(cell_id: str) -> str:
    """Return one name of a cell line: no source, no culture collection, letters and digits only.

    `CCLE.22RV1` and `gCSI.22Rv1` are one, `NCI60.MDA-MB-231/ATCC` and `CCLE.MDAMB231` too. Two
    lines whose names differ in their signs only (TT and T.T) become one: for a split without
    leaks that is the safe side.
    """
    name = cell_id.partition(".")[2] or cell_id
    name = re.sub(r"\(.*?\)|/ATCC$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Z0-9]", "", name.upper()) or cell_id


def drugs(native: Native) -> list[Drug]:
    """Return the drugs that have all features, in the order of the tables of descriptors."""
    tables = native.block["tables"]
    info = _drug_info(native)
    ids_of: dict[str, list[str]] = {}
    for drug, (cid, _) in info.items():
        ids_of.setdefault(cid, []).append(drug)
    found: list[Drug] = []
    seen: set[str] = set()
    names: dict[bytes, str] = {}
    for path, prints in zip(tables["descriptors"], tables["fingerprints"], strict=True):
        described = read_keyed(native.root / path)
        printed = {one: read_keyed(native.root / one).by_id for one in prints}
        for row, key in enumerate(described.ids):
            if not all(key in rows for rows in printed.values()):
                continue
            where = tuple((one, rows[key]) for one, rows in printed.items())
            for drug in ids_of.get(key, []) if key.startswith(CID) else [key]:
                if drug in seen:
                    continue
                seen.add(drug)
                cid, name = info.get(drug, ("", ""))
                number = cid.removeprefix(CID)
                canonical = _compound(drug, number, described.digests[row], names)
                found.append(Drug(drug, canonical, number, name, (path, row), where))
    return found


def without_all_features(native: Native) -> int:
    """Return how many rows of descriptors have no row in a table of fingerprints."""
    tables = native.block["tables"]
    count = 0
    for path, prints in zip(tables["descriptors"], tables["fingerprints"], strict=True):
        known = [read_keyed(native.root / one).by_id for one in prints]
        ids = read_keyed(native.root / path).ids
        count += sum(not all(key in rows for rows in known) for key in ids)
    return count


def cell_names(native: Native) -> dict[str, str]:
    """Return the ids of cell lines by their names in the paired table."""
    table = read_keyed(native.root / native.block["tables"]["cell_names"])
    read_header(table.path, ("NCI60.ID",))
    column = table.names.index("NCI60.ID")
    rows = table.lines(range(len(table.ids)))
    return {row[0]: row[column + 1] for row in _fields(rows) if len(row) > column + 1}


def _compound(drug: str, cid: str, digest: bytes, names: dict[bytes, str]) -> str:
    if cid:
        name = f"CID:{cid}"
        names.setdefault(digest, name)
        return name
    return names.setdefault(digest, drug) if digest else drug


def _drug_info(native: Native) -> Mapping[str, tuple[str, str]]:
    """Return CID, as the tables write it, and name of each id of `drug_info`."""
    table: Keyed = read_keyed(native.root / native.block["tables"]["drug_info"])
    read_header(table.path, ("PUBCHEM",))
    places = {name: place + 1 for place, name in enumerate(table.names)}
    found = {}
    for fields in _fields(table.lines(range(len(table.ids)))):
        row = [*fields, *[""] * len(table.names)]
        cid = re.sub(r"\.0$", "", row[places["PUBCHEM"]])
        name = row[places["NAME"]] if "NAME" in places else ""
        if cid not in MISSING:
            found[row[0]] = (CID + cid.removeprefix(CID), name)
    return found


def _fields(lines: Iterable[bytes]) -> Iterator[list[str]]:
    for line in lines:
        yield line.decode(errors="replace").split("\t")
