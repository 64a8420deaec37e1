"""A subset of NCI-ALMANAC: one drug or two at a dose, with expression of the NCI-60 cell lines.

Native files, each named by the block `native` of the descriptor:

    responses    an R file with a LongTable, the S4 class of CoreGx: treatments, samples, assays
    expression   an R file with a matrix of probes, their genes, and the cell lines
    smiles       NSC number and SMILES
    drug_list    names, PubChem CIDs and SMILES of many drugs
    genes        in the registry: symbols of the genes to keep

Ready file: `dose.nc`. The package rdata parses R files, and RDKit computes features of molecules;
both come with the extra `uno`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import (
    Entities,
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    molecular_features,
    read_rows,
    require_rdkit,
    responses_dataset,
)
from sciml_data.formats.interface import Native, Shard, missing_files, raise_if_any
from sciml_data.formats.reporting import add_notices, malformed_rows, notice, stop_if_strict
from sciml_data.formats.uno_almanac.r_files import read_cells, read_measurements, require_rdata
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

PARTS = ("responses", "expression", "smiles", "drug_list")
SMILES_HEADER = ("", "NSC", "smilesString")
LIST_HEADER = ("drugName", "cIds", "drugNameOfficial", "molecularWeight", "smilesString")
LIST_ENCODING = "latin-1"
STITCH = "CIDs"  # what STITCH writes before a PubChem CID
NO_SMILES = "#N/A"  # in the list of drugs


@dataclass(frozen=True)
class Options:
    """Options of the conversion of NCI-ALMANAC."""

    genes: str = option(
        "uno", "genes of Uno's list that were measured, or all that were", choices=("uno", "all")
    )
    strict: bool = option(
        False, "malformed, missing or unknown entries stop the conversion; else they are named"
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the one ready file.

    Raises:
        CallError: an option is unknown or has a wrong value, or rdata or RDKit is not installed.
        NativeFormatError: a native file is missing.
    """
    parse_options(Options, options)
    paths = tuple(sorted(native.block[part] for part in PARTS))
    raise_if_any(missing_files(native, paths), native)
    require_rdata()
    require_rdkit()
    return (Shard("dose.nc", "dose", paths),)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return every measurement whose cell and drugs have features, with the tables of both.

    Raises:
        CallError: rdata or RDKit is not installed.
        NativeFormatError: a file is damaged; with `strict`, rows are malformed or lack features.
    """
    chosen = parse_options(Options, options)
    malformed: list[Problem] = []
    without_features: list[Problem] = []
    numbers = {name: drug["nsc"] for name, drug in native.block["drugs"].items()}
    rows = read_measurements(native.root / native.block["responses"], numbers, malformed)
    genes = _genes(native) if chosen.genes == "uno" else None
    cells = read_cells(
        native.root / native.block["expression"], genes, {str(cell) for cell in rows.cell}
    )
    used = {*rows.drug1, *(rows.drug2 if rows.drug2 is not None else ())}
    drugs, software = _read_drugs(native, used, without_features)
    joined, counts = join(rows, cells, drugs)
    without_features += [
        Problem("unknown", name, f"{kind} without features: its rows are left out")
        for kind, ids in counts.unknown.items()
        for name in ids
    ]
    problems = [*malformed, *without_features]
    stop_if_strict(
        problems,
        strict=chosen.strict,
        wrong=f"{len(problems)} rows or features are malformed, missing or unknown",
        untouched=f"{shard.name} was not made",
    )
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    pairs = 0 if rows.drug2 is None else sum(bool(name) for name in rows.drug2)
    whole.attrs |= {"rows_of_pairs_read": pairs, "drug_features": software}
    whole.attrs |= malformed_rows(malformed)
    lines = [
        *notice(malformed, "rows are malformed and left out"),
        *notice(without_features, "lack features"),
        *counts.empty_sources(),
    ]
    add_notices(whole, lines)
    return whole


def _genes(native: Native) -> list[str]:
    """Return the symbols of the registry's list of genes."""
    path = native.folder / native.block["genes"]
    header, *symbols = path.read_text(encoding="utf-8").split() or [""]
    if header != "symbol" or not symbols:
        raise NativeFormatError(
            f"{path.name} is not a list of genes",
            problems=[
                Problem(
                    "malformed", path.name, "a first line `symbol`, then one gene per line expected"
                )
            ],
            untouched="nothing was converted",
        )
    return symbols


def _read_drugs(
    native: Native, used: Collection[str], problems: list[Problem]
) -> tuple[Entities, str]:
    """Return the drugs in use that have features, and the software that computed these.

    A drug without a readable SMILES has no features and is not in the table; its rows are left out.

    Args:
        native: the files; `native.drugs` of the block has number and name of each drug.
        used: ids of drugs in the rows.
        problems: malformed rows, and drugs without a readable SMILES, are added.
    """
    numbered = _smiles_by_nsc(native.root / native.block["smiles"], problems)
    listed = _cid_and_smiles_by_name(native.root / native.block["drug_list"], problems)
    known: dict[str, str] = {}
    names, cids = {}, {}
    for name, drug in native.block["drugs"].items():
        nsc = drug["nsc"]
        if f"NSC.{nsc}" not in used:
            continue
        cid, smiles = listed.get(drug["name"].lower(), ("", ""))
        smiles = numbered.get(nsc, smiles)
        names[nsc], cids[nsc] = name, cid
        if smiles:
            known[nsc] = smiles
        else:
            problems.append(Problem("smiles", f"NSC.{nsc}", f"{name} has no SMILES"))
    made = molecular_features(known)
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


def _smiles_by_nsc(path: Path, problems: list[Problem]) -> dict[str, str]:
    """Return SMILES by NSC number; the first one of a number counts."""
    smiles: dict[str, str] = {}
    for place, row in read_rows(path, SMILES_HEADER, ",", problems):
        if row["NSC"] in smiles and smiles[row["NSC"]] != row["smilesString"]:
            message = f"NSC {row['NSC']} comes again with another SMILES"
            problems.append(Problem("malformed", place, message))
        smiles.setdefault(row["NSC"], row["smilesString"])
    return smiles


def _cid_and_smiles_by_name(path: Path, problems: list[Problem]) -> dict[str, tuple[str, str]]:
    """Return CID and SMILES by name in small letters, "" where the list has none."""
    listed: dict[str, tuple[str, str]] = {}
    for _, row in read_rows(path, LIST_HEADER, ",", problems, encoding=LIST_ENCODING):
        cid = row["cIds"].removeprefix(STITCH).lstrip("0")
        smiles = "" if row["smilesString"] == NO_SMILES else row["smilesString"]
        listed.setdefault(row["drugName"].lower(), (cid if cid.isdecimal() else "", smiles))
    return listed
