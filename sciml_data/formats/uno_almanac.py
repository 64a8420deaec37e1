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

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import (
    Entities,
    Features,
    Rows,
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    molecular_features,
    name_r_damage,
    r_attributes,
    r_column,
    r_data_error,
    r_frame,
    r_list,
    read_drug_list,
    read_r_objects,
    read_rows,
    require_rdata,
    require_rdkit,
    responses_dataset,
)
from sciml_data.formats.interface import (
    Native,
    Shard,
    add_notices,
    malformed_rows,
    missing_files,
    notice,
    raise_if_any,
    stop_if_strict,
)
from sciml_data.progress import counted
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

PARTS = ("responses", "expression", "smiles", "drug_list")
SMILES_HEADER = ("", "NSC", "smilesString")

TREATMENTS = ("rowKey", "treatment1id", "treatment2id", "CONC1", "CONC2", "NSC2")
SAMPLES = ("colKey", "CELLNAME")
SENSITIVITY = (".sensitivity", "PERCENTGROWTH")
METADATA = (".assay_metadata", "STUDY", "SCREENER")
INDEX = ("rowKey", "colKey", ".sensitivity", ".assay_metadata")


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
    path = native.root / native.block["responses"]
    with name_r_damage(path):
        rows = read_measurements(path, numbers, malformed)
    genes = _genes(native) if chosen.genes == "uno" else None
    path = native.root / native.block["expression"]
    with name_r_damage(path):
        cells = read_cells(path, genes, {str(cell) for cell in rows.cell})
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
        wrong="malformed, missing or unknown: "
        + counted(len(problems), "row or feature", "rows or features"),
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
    listed = read_drug_list(native.root / native.block["drug_list"], problems)
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
        Problem("smiles", f"NSC.{number}", f"{known[number]!r} is not a molecule")
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


# --- the R files ---------------------------------------------------------------------------------


def read_measurements(path: Path, drugs: Mapping[str, str], problems: list[Problem]) -> Rows:
    """Return all measurements of a CoreGx LongTable (TreatmentResponseExperiment), by id.

        rowData    treatments: names of one drug or two, CONC1 and CONC2 in mol/L, NSC2, key rowKey
        colData    samples: CELLNAME as in NCI-60, key colKey
        assays     sensitivity (PERCENTGROWTH), assay_metadata (STUDY, SCREENER), with own keys
        .intern    assayIndex: treatment, sample and rows of the assays that belong together

    `growth` is PERCENTGROWTH / 100: 1 untreated, 0 stasis, -1 all cells killed. A dose is
    -log10(mol/L), and NaN if the concentration is not above 0.

    Args:
        path: the R file.
        drugs: NSC number by the drug's name in the file.
        problems: measurements with a key that does not exist are added.

    Raises:
        NativeFormatError: the file is damaged, lacks a table, or has other NSC numbers.
    """
    treatments, samples, assays, index = _frames(path)
    positions = {
        "rowKey": _positions(index["rowKey"], treatments["rowKey"]),
        "colKey": _positions(index["colKey"], samples["colKey"]),
        ".sensitivity": _positions(index[".sensitivity"], assays[".sensitivity"]),
        ".assay_metadata": _positions(index[".assay_metadata"], assays[".assay_metadata"]),
    }
    is_complete = np.all([position >= 0 for position in positions.values()], axis=0)
    for row in np.flatnonzero(~is_complete).tolist():
        lost = ", ".join(key for key, position in positions.items() if position[row] < 0)
        place = f"{path.name}: measurement {row + 1}"
        problems.append(Problem("malformed", place, f"leads to no {lost}"))
    treatment, sample, sensitivity, metadata = (positions[key][is_complete] for key in INDEX)
    if not len(treatment):
        raise r_data_error(path, "empty", path.name, "there is no measurement")
    drug2 = _second_ids(path, treatments, drugs)[treatment]
    screeners = assays["SCREENER"][metadata]
    return Rows(
        cell=np.array([f"NCI60.{name}" for name in samples["CELLNAME"][sample]], dtype=object),
        drug1=_ids(treatments["treatment1id"], drugs)[treatment],
        drug2=drug2,
        source=np.array([f"ALMANAC.{name}" for name in screeners], dtype=object),
        study=assays["STUDY"][metadata],
        measured={
            "dose1": _dose(treatments["CONC1"])[treatment],
            "dose2": _dose(treatments["CONC2"])[treatment],
            "growth": assays["PERCENTGROWTH"][sensitivity] / 100,
        },
    )


def read_cells(path: Path, genes: Sequence[str] | None, used: Iterable[str]) -> Entities:
    """Return the NCI-60 cell lines with their expression: log2 of GCRMA intensity (HG-U133A).

    59 lines by 22,283 probes. The id of a line is the one in the rows with the same letters and
    digits (LE:K_562 and NCI60.K-562). For a line without rows it is its name, with `-` for `_`.

    Args:
        path: the R file.
        genes: symbols to keep, in their order; None keeps all, sorted. Of Uno's list, 915 of 942
            genes have a probe with the symbols of the file.
        used: ids of cells in the rows.

    Raises:
        NativeFormatError: the file is damaged, or one of its tables is missing.
    """
    objects = read_r_objects(path)
    lines = r_frame(
        path, objects.get("cellLineInfo"), dict.fromkeys(("Name", "Tissue"), "cellLineInfo")
    )
    symbols = r_frame(path, objects.get("geneInfo"), {"Symbol": "geneInfo"})["Symbol"]
    probes = _matrix(path, objects.get("gene"))
    if probes.shape != (len(lines["Name"]), len(symbols)):
        wrong = f"{len(lines['Name'])} x {len(symbols)} expected, {probes.shape} found"
        raise r_data_error(path, "shape", f"{path.name}: gene", wrong)
    if not np.isfinite(probes).all():
        count = int((~np.isfinite(probes)).sum())
        wrong = f"{count} values are not-a-number"
        raise r_data_error(path, "missing", f"{path.name}: gene", wrong)
    known = {_letters(name.partition(".")[2]): name for name in sorted(used)}
    names = [str(name).partition(":")[2] for name in lines["Name"]]
    canonical = tuple(_letters(name) for name in names)
    return Entities(
        ids=tuple(
            known.get(key, f"NCI60.{name.replace('_', '-')}")
            for key, name in zip(canonical, names, strict=True)
        ),
        canonical=canonical,
        texts={"tissue": tuple(str(tissue) for tissue in lines["Tissue"])},
        features=replace(mean_of_probes(probes, symbols, genes), source=path.name),
    )


def mean_of_probes(
    probes: NDArray[np.float64], symbols: NDArray[Any], genes: Sequence[str] | None
) -> Features:
    """Return (cell, gene) means of (cell, probe) over the probes of each symbol.

    Args:
        probes: (cell, probe) float64.
        symbols: (probe) text, None for a probe without a gene.
        genes: those to keep if they have a probe; None keeps all.
    """
    measured = sorted({symbol for symbol in symbols if symbol})
    chosen = measured if genes is None else [gene for gene in genes if gene in set(measured)]
    number = {gene: column for column, gene in enumerate(chosen)}
    columns = np.array([number.get(symbol, len(chosen)) for symbol in symbols], dtype=np.int64)
    sums = np.array([np.bincount(columns, row, minlength=len(chosen) + 1) for row in probes])
    counts = np.bincount(columns, minlength=len(chosen) + 1)
    means = sums[:, : len(chosen)] / counts[: len(chosen)]
    return Features(means.astype(np.float32), tuple(f"GE_{gene}" for gene in chosen))


def _frames(path: Path) -> tuple[dict[str, NDArray[Any]], ...]:
    """Return treatments, samples, assays and the index between them."""
    objects = read_r_objects(path)
    slots = r_attributes(next(iter(objects.values()))) if objects else {}
    assays = r_list(slots["assays"]) if "assays" in slots else {}
    intern = r_list(slots[".intern"]) if ".intern" in slots else {}

    def columns(of: Any, names: tuple[str, ...], place: str) -> dict[str, NDArray[Any]]:
        return r_frame(path, of, dict.fromkeys(names, place))

    return (
        columns(slots.get("rowData"), TREATMENTS, "rowData"),
        columns(slots.get("colData"), SAMPLES, "colData"),
        columns(assays.get("sensitivity"), SENSITIVITY, "assays$sensitivity")
        | columns(assays.get("assay_metadata"), METADATA, "assays$assay_metadata"),
        columns(intern.get("assayIndex"), INDEX, ".intern$assayIndex"),
    )


def _positions(wanted: NDArray[Any], keys: NDArray[Any]) -> NDArray[np.intp]:
    """Return the position of each wanted key, -1 for a key that does not exist."""
    return np.asarray(pd.Index(keys).get_indexer(pd.Index(wanted)), dtype=np.intp)


def _ids(names: NDArray[Any], drugs: Mapping[str, str]) -> NDArray[np.object_]:
    """Return the id of each name, "" for no drug; a name without a known number stays."""
    ids = [f"NSC.{drugs[name]}" if name in drugs else name or "" for name in names]
    return np.array(ids, dtype=object)


def _second_ids(
    path: Path, treatments: Mapping[str, NDArray[Any]], drugs: Mapping[str, str]
) -> NDArray[np.object_]:
    """Return the id of each treatment's second drug, compared with the number in the file."""
    ids = _ids(treatments["treatment2id"], drugs)
    for name, number in zip(treatments["treatment2id"], treatments["NSC2"], strict=True):
        if name in drugs and np.isfinite(number) and str(int(number)) != drugs[name]:
            wrong = f"{name} is NSC {int(number)} here and NSC {drugs[name]} in native.drugs"
            raise r_data_error(path, "number", f"{path.name}: rowData$NSC2", wrong)
    return ids


def _dose(concentration: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -log10 of mol/L, NaN if the concentration is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(concentration > 0, -np.log10(concentration), np.nan)


def _matrix(path: Path, of: Any) -> NDArray[np.float64]:
    if of is None or "dim" not in r_attributes(of):
        raise r_data_error(path, "missing", f"{path.name}: gene", "there is no matrix")
    shape = r_column(r_attributes(of)["dim"])
    return np.asarray(of.value, dtype=np.float64).reshape(tuple(shape), order="F")


def _letters(name: str) -> str:
    """Return the letters and digits of a name in capitals; spellings differ in other signs."""
    return "".join(letter for letter in name.upper() if letter.isalnum())
