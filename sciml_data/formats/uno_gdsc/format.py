"""Genomics of Drug Sensitivity in Cancer (GDSC): raw plates and IC50, joined to the CCLE.

Native files, each named by the block `native` of the descriptor:

    plates                an R file with a data frame of wells
    ic50                  a table of IC50: a row for each cell line, a column for each drug
    lines                 names and tissues of cell lines by COSMIC's number
    annotation            the CCLE's names of cell lines, with DepMap ids
    drugs, smiles         names and PubChem CIDs of drugs; SMILES by CID
    drug_list             names, CIDs and SMILES of many other drugs
    curves, response, expression_images, expression_table, ccle_smiles
                          files of the CCLE, as in `uno_ccle`

Ready files:

    dose.nc           mean viability of each drug at each dose on each plate, as growth
    auc.nc            area under the curve fitted to the points of each cell line and drug
    ic50.nc           all published IC50, of all cell lines and drugs
    cross-study.nc    areas of the CCLE and of GDSC, of the cell lines that both studies have

The first two and the last have the cell lines that the CCLE has expression of, and the drugs with a
SMILES. Rows of others are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.drug_response import (
    Counts,
    Entities,
    Features,
    Rows,
    cells_dataset,
    drugs_dataset,
    form_shards,
    join,
    merged,
    molecular_features,
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
    notice,
    stop_if_strict,
)
from sciml_data.formats.uno_ccle import SMILES_HEADER, ccle_names, image_ids, read_areas
from sciml_data.formats.uno_gdsc.names import (
    Line,
    cell_table,
    curve_names,
    drug_table,
    read_concentrations,
    read_lines,
)
from sciml_data.formats.uno_gdsc.plates import fit_pairs, read_points
from sciml_data.progress import counted
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

CELLS = ("lines", "annotation", "curves", "expression_images", "expression_table")
DRUGS = ("drugs", "smiles", "drug_list")
FORMS: Mapping[str, tuple[str, ...]] = {
    "auc": ("plates", *CELLS, *DRUGS),
    "dose": ("plates", *CELLS, *DRUGS),
    "ic50": ("ic50", *CELLS, *DRUGS),
    "cross-study": ("plates", "response", "ccle_smiles", *CELLS, *DRUGS),
}
SOURCE, CCLE, RELEASE = "GDSC", "CCLE", "v17"
SLOPES: Mapping[str, tuple[float, float]] = {"rescaled": (2.0, -1.0), "viability": (1.0, 0.0)}


@dataclass(frozen=True)
class Options:
    """Options of the conversion of the GDSC files."""

    forms: str = option("all", "ready files to make", choices=("all", *FORMS))
    growth: str = option(
        "rescaled",
        "meaning of growth 0: half of the control's signal, as in Uno's table (rescaled), or no "
        "cell alive",
        choices=tuple(SLOPES),
    )
    trim: bool = option(
        False, "cut the viability of each well to 0...1, as gdscIC50 does before it fits a curve"
    )
    strict: bool = option(
        False, "malformed, missing or unknown entries stop the conversion; else they are named"
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of the forms whose native files are all here.

    Raises:
        CallError: an option is unknown or has a wrong value, or rdata or RDKit is not installed.
        NativeFormatError: files of every form are missing.
    """
    chosen = parse_options(Options, options)
    made = form_shards(native, FORMS, chosen.forms)
    require_rdkit()
    if any("plates" in FORMS[shard.split] for shard in made):
        require_rdata()
    return made


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one form, with attributes and encoding.

    Raises:
        CallError: rdata or RDKit is not installed.
        NativeFormatError: a file is damaged; with `strict`, entries are malformed or unknown.
    """
    make = {"auc": _auc, "dose": _dose, "ic50": _ic50, "cross-study": _cross_study}[shard.split]
    return make(native, parse_options(Options, options), shard)


def _dose(native: Native, options: Options, shard: Shard) -> xr.Dataset:
    malformed: list[Problem] = []
    points = read_points(native.root / native.block["plates"], malformed, trim=options.trim)
    factor, shift = SLOPES[options.growth]
    growth = factor * points.viability + shift
    measured = {"dose1": points.dose, "growth": growth, "barcode": points.barcode}
    rows = _rows(points.cosmic_id, points.drug_id, measured, points.project)
    lines = read_lines(native, points.names, malformed)
    whole, counts, incomplete = _joined(native, rows, lines)
    zero = "all" if options.growth != "rescaled" else "half the signal of the control, -1: all"
    whole["growth"].attrs["comment"] = f"1: as untreated, 0: {zero} cells killed"
    whole.attrs |= points.counts
    return _finished(whole, counts, [malformed, incomplete], options, shard)


def _auc(native: Native, options: Options, shard: Shard) -> xr.Dataset:
    malformed: list[Problem] = []
    points = read_points(native.root / native.block["plates"], malformed, trim=options.trim)
    fitted = fit_pairs(points)
    curves = fitted.curves
    measured = {name: getattr(curves, name) for name in ("auc", "einf", "ec50", "hill_slope")}
    rows = _rows(fitted.cosmic_id, fitted.drug_id, measured, SOURCE)
    lines = read_lines(native, points.names, malformed)
    whole, counts, incomplete = _joined(native, rows, lines)
    whole.attrs |= points.counts
    return _finished(whole, counts, [malformed, incomplete], options, shard)


def _ic50(native: Native, options: Options, shard: Shard) -> xr.Dataset:
    malformed: list[Problem] = []
    table = read_concentrations(native.root / native.block["ic50"], malformed)
    lines = read_lines(native, {}, malformed)
    rows = _rows(table.cosmic_id, table.drug_id, {"ln_ic50": table.ln_ic50}, RELEASE)
    whole, counts, incomplete = _joined(native, rows, lines, all_entities=True)
    whole.attrs |= {"lines_read": table.lines, "drugs_read": table.drugs}
    return _finished(whole, counts, [malformed, incomplete], options, shard)


def _joined(
    native: Native, rows: Rows, lines: Mapping[int, Line], *, all_entities: bool = False
) -> tuple[xr.Dataset, Counts, list[Problem]]:
    """Return rows of GDSC with their tables, counts of rows, and drugs without features.

    Args:
        native: the files.
        rows: with ids of GDSC.
        lines: cell lines by COSMIC's number.
        all_entities: keep cell lines without expression and drugs without SMILES, too.
    """
    incomplete: list[Problem] = []
    cells = cell_table(native, lines, _numbers(rows.cell), only_with_expression=not all_entities)
    drugs, software = drug_table(
        native, _numbers(rows.drug1), incomplete, only_with_smiles=not all_entities
    )
    joined, counts = join(rows, cells, drugs)
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    whole.attrs["drug_features"] = software
    return whole, counts, incomplete


def _finished(
    whole: xr.Dataset,
    counts: Counts,
    problems: Sequence[Sequence[Problem]],
    options: Options,
    shard: Shard,
) -> xr.Dataset:
    """Return the dataset with attributes and lines to log on what was left out.

    Args:
        whole: the dataset.
        counts: of its rows.
        problems: malformed entries; drugs without features.
        options: of the conversion.
        shard: the ready file.
    """
    malformed, incomplete = problems
    found = [*malformed, *incomplete]
    stop_if_strict(
        found,
        strict=options.strict,
        wrong="malformed, missing or unknown: "
        + counted(len(found), "row or feature", "rows or features"),
        untouched=f"{shard.name} was not made",
    )
    whole.attrs |= malformed_rows(malformed)
    lines = len(counts.unknown.get("cell", ()))
    left_out = f"{counts.total('cell')} rows are of {lines} cell lines outside of the table"
    add_notices(
        whole,
        [
            *notice(malformed, "entries are malformed and left out"),
            *notice(incomplete, "lack features"),
            *([f"{left_out} and are left out"] if lines else []),
            *counts.empty_sources(),
        ],
    )
    return whole


def _rows(
    cosmic_id: NDArray[np.int64],
    drug_id: NDArray[np.int64],
    measured: Mapping[str, NDArray[Any]],
    study: str | NDArray[np.object_],
) -> Rows:
    return Rows(
        cell=_ids(cosmic_id),
        drug1=_ids(drug_id),
        source=np.full(len(cosmic_id), SOURCE, dtype=object),
        study=np.full(len(cosmic_id), study, dtype=object),
        measured=measured,
    )


def _ids(numbers: NDArray[np.int64]) -> NDArray[np.object_]:
    names, codes = np.unique(numbers, return_inverse=True)
    return np.array([f"{SOURCE}.{number}" for number in names], dtype=object)[codes]


def _numbers(ids: Iterable[str]) -> list[int]:
    return [int(name.partition(".")[2]) for name in set(ids)]


# --- two studies ---------------------------------------------------------------------------------


def _cross_study(native: Native, options: Options, shard: Shard) -> xr.Dataset:
    """Return areas of both studies, of the cell lines with expression that both have.

    Cell lines have their full CCLE name as id, so both studies point to the same line. Drugs have
    an id for each study, and the same canonical name for the same compound.
    """
    malformed: list[Problem] = []
    incomplete: list[Problem] = []
    points = read_points(native.root / native.block["plates"], malformed, trim=options.trim)
    fitted = fit_pairs(points)
    gdsc = _rows(fitted.cosmic_id, fitted.drug_id, {"auc": fitted.curves.auc}, SOURCE)
    lines = read_lines(native, points.names, malformed)
    cells = cell_table(native, lines, _numbers(gdsc.cell), only_with_expression=True)
    of_gdsc, software = drug_table(native, _numbers(gdsc.drug1), incomplete, only_with_smiles=True)
    full_names = dict(zip(cells.ids, cells.canonical, strict=True))
    gdsc = replace(gdsc, cell=np.array([full_names.get(c, c) for c in gdsc.cell], dtype=object))
    ccle = _ccle_areas(native, malformed)
    cells = _of_both(cells, set(gdsc.cell) & set(ccle.cell))
    drugs = _together(_ccle_drugs(native, set(ccle.drug1), malformed, incomplete), of_gdsc)
    joined, counts = join(_appended(ccle, gdsc), cells, drugs)
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    whole.attrs |= {"drug_features": software, **points.counts}
    return _finished(whole, counts, [malformed, incomplete], options, shard)


def _ccle_areas(native: Native, problems: list[Problem]) -> Rows:
    """Return the published areas of the CCLE, with full names of lines and names of compounds."""
    rows = read_areas(native, problems)
    ids = image_ids(native, "expression_images")
    without, place = native.block["cells_without_expression"], native.block["curves"]
    full = ccle_names(ids, curve_names(native), without, place=place)
    compounds = {name: drug["compound"] for name, drug in native.block["ccle_drugs"].items()}
    source = np.full(len(rows.cell), CCLE, dtype=object)
    return replace(
        rows,
        cell=np.array([full.get(name, name) for name in rows.cell], dtype=object),
        drug1=np.array([f"{CCLE}.{compounds.get(n, n)}" for n in rows.drug1], dtype=object),
        source=source,
        study=source,
    )


def _ccle_drugs(
    native: Native, used: set[str], malformed: list[Problem], incomplete: list[Problem]
) -> Entities:
    """Return the compounds of the CCLE with a readable SMILES."""
    path = native.root / native.block["ccle_smiles"]
    smiles = {row[""]: row["smiles"] for _, row in read_rows(path, SMILES_HEADER, ",", malformed)}
    smiles |= native.block["smiles_corrected"]
    named = {drug["compound"]: drug["canonical"] for drug in native.block["ccle_drugs"].values()}
    known = {n: smiles[n] for n in sorted(named) if n in smiles and f"{CCLE}.{n}" in used}
    made = molecular_features(known)
    incomplete += [
        Problem("smiles", name, "has no readable SMILES")
        for name in sorted(used - {f"{CCLE}.{name}" for name in made.ids})
    ]
    canonical = tuple(named[name] for name in made.ids)
    return Entities(
        ids=tuple(f"{CCLE}.{name}" for name in made.ids),
        canonical=canonical,
        texts={
            "compound": made.ids,
            "pubchem_cid": tuple(
                name.removeprefix("CID:") if name.startswith("CID:") else "" for name in canonical
            ),
            "smiles": tuple(known[name] for name in made.ids),
        },
        features=made.descriptors,
        bits=made.bits,
    )


def _of_both(cells: Entities, names: set[str]) -> Entities:
    """Return the cell lines with these canonical names, which become their ids."""
    rows = [row for row, name in enumerate(cells.canonical) if name in names]
    chosen = tuple(cells.canonical[row] for row in rows)
    features = cells.features
    return Entities(
        ids=chosen,
        canonical=chosen,
        texts={name: tuple(texts[row] for row in rows) for name, texts in cells.texts.items()},
        features=replace(features, values=features.values[rows]) if features else None,
    )


def _together(first: Entities, second: Entities) -> Entities:
    """Return the drugs of two tables with the same columns as one table."""
    values = [table.features.values for table in (first, second) if table.features]
    bits = [table.bits for table in (first, second) if table.bits is not None]
    names = first.features.names if first.features else ()
    return Entities(
        ids=(*first.ids, *second.ids),
        canonical=(*first.canonical, *second.canonical),
        texts={name: (*first.texts[name], *second.texts[name]) for name in first.texts},
        features=Features(np.concatenate(values), names),
        bits=np.concatenate(bits),
    )


def _appended(first: Rows, second: Rows) -> Rows:
    """Return the rows of the first, then those of the second."""
    columns = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("cell", "drug1", "source", "study")
    }
    measured = {
        name: np.concatenate([first.measured[name], second.measured[name]])
        for name in first.measured
    }
    return Rows(**columns, measured=measured)
