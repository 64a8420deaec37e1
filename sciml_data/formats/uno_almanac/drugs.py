"""The drugs: number, CID, SMILES, and what RDKit makes of it.

A drug without a SMILES that can be read has no features: it is not in the table, and its rows are
left out, counted and named.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sciml_data.errors import Problem
from sciml_data.formats.drug_response import Entities
from sciml_data.formats.drug_response.delimited import read_rows
from sciml_data.formats.drug_response.molecules import molecules
from sciml_data.formats.interface import Native

SMILES_HEADER = ("", "NSC", "smilesString")
LIST_HEADER = ("drugName", "cIds", "drugNameOfficial", "molecularWeight", "smilesString")
LIST_ENCODING = "latin-1"
STITCH = "CIDs"  # what STITCH writes before a PubChem CID
NOTHING = "#N/A"  # of the list, where it has no SMILES


def read_drugs(
    native: Native, used: Collection[str], problems: list[Problem]
) -> tuple[Entities, str]:
    """Return the drugs in use that have features, and what made these.

    Args:
        native: the files; `native.drugs` of the block has number and name of each drug.
        used: ids of drugs in the rows.
        problems: malformed rows, and drugs without a SMILES that is a molecule, are added.

    Raises:
        CallError: RDKit is not installed.
    """
    numbered = _numbered(native.root / native.block["smiles"], problems)
    listed = _listed(native.root / native.block["drug_list"], problems)
    known: dict[str, str] = {}
    names, cids = {}, {}
    for name, one in native.block["drugs"].items():
        if f"NSC.{one['nsc']}" not in used:
            continue
        cid, smiles = listed.get(one["name"].lower(), ("", ""))
        smiles = numbered.get(one["nsc"], smiles)
        names[one["nsc"]], cids[one["nsc"]] = name, cid
        if smiles:
            known[one["nsc"]] = smiles
        else:
            problems.append(Problem("smiles", f"NSC.{one['nsc']}", f"{name} has no SMILES"))
    made = molecules(known)
    problems += [
        Problem("smiles", f"NSC.{number}", f"{known[number]!r} is no molecule")
        for number in made.unreadable
    ]
    ids = tuple(f"NSC.{number}" for number in made.ids)
    entities = Entities(
        ids=ids,
        canonical=tuple(
            f"CID:{cids[number]}" if cids[number] else name
            for number, name in zip(made.ids, ids, strict=True)
        ),
        texts={
            "nsc": made.ids,
            "drug_name": tuple(names[number] for number in made.ids),
            "pubchem_cid": tuple(cids[number] for number in made.ids),
            "smiles": tuple(known[number] for number in made.ids),
        },
        features=made.descriptors,
        bits=made.bits,
    )
    return entities, made.software


def _numbered(path: Path, problems: list[Problem]) -> dict[str, str]:
    """Return SMILES by NSC number; of a number that comes again the first counts."""
    found: dict[str, str] = {}
    for place, row in read_rows(path, SMILES_HEADER, ",", problems):
        if row["NSC"] in found and found[row["NSC"]] != row["smilesString"]:
            message = f"NSC {row['NSC']} comes again with another SMILES"
            problems.append(Problem("malformed", place, message))
        found.setdefault(row["NSC"], row["smilesString"])
    return found


def _listed(path: Path, problems: list[Problem]) -> dict[str, tuple[str, str]]:
    """Return CID and SMILES by name in small letters, "" where the list has none."""
    found: dict[str, tuple[str, str]] = {}
    for _, row in read_rows(path, LIST_HEADER, ",", problems, encoding=LIST_ENCODING):
        cid = row["cIds"].removeprefix(STITCH).lstrip("0")
        smiles = "" if row["smilesString"] == NOTHING else row["smilesString"]
        found.setdefault(row["drugName"].lower(), (cid if cid.isdecimal() else "", smiles))
    return found
