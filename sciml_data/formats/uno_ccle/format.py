"""Responses of the Cancer Cell Line Encyclopedia (CCLE): areas under curves, and curves.

Native files, each named by the block `native` of the descriptor:

    response            (cell, drug, AUC), tab-separated, ids of the IGTD examples
    expression_images   a text image of 50 x 50 for each cell: one minus its scaled expression
    expression_table    some of the genes with their names, for some of the cells
    descriptor_images   a text image of 50 x 50 for each drug
    curves              dose response curves of the CCLE, a row for each (cell, drug)
    smiles              the compounds of the curves

Ready files: `auc.nc` of the first four, and `dose.nc` of the points of the curves, joined to the
same expression, with features of the drugs from their SMILES. Malformed rows are left out, counted
and named; with `strict` they stop the conversion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import (
    Counts,
    Entities,
    Rows,
    cells_dataset,
    drugs_dataset,
    form_shards,
    join,
    merged,
    molecular_features,
    read_rows,
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
from sciml_data.formats.uno_ccle.curves import Points, growth, read_points
from sciml_data.formats.uno_ccle.images import (
    ccle_names,
    cell_texts,
    descriptors,
    drug_texts,
    expression,
    image_ids,
    short_name,
)
from sciml_data.progress import counted
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

FORMS: Mapping[str, tuple[str, ...]] = {
    "auc": ("response", "expression_images", "expression_table", "descriptor_images", "curves"),
    "dose": ("curves", "expression_images", "expression_table", "smiles"),
}
RESPONSE_HEADER = ("CCL", "Drug", "AUC")
SMILES_HEADER = ("", "smiles")


@dataclass(frozen=True)
class Options:
    """Options of the conversion of the CCLE files."""

    forms: str = option(
        "all", "ready files to make; auc alone needs no RDKit", choices=("all", "auc", "dose")
    )
    growth: str = option(
        "rescaled",
        "meaning of growth 0: half of the control's signal, as in Uno's table (rescaled), or no "
        "cell alive",
        choices=("rescaled", "viability"),
    )
    strict: bool = option(False, "malformed rows stop the conversion; else they are left out")


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of the forms whose native files are all here.

    Raises:
        CallError: an option is unknown or has a wrong value, or RDKit is not installed.
        NativeFormatError: files of every form are missing.
    """
    chosen = parse_options(Options, options)
    made = form_shards(native, FORMS, chosen.forms)
    if any(shard.split == "dose" for shard in made):
        require_rdkit()
    return made


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one form, `auc` or `dose`, with attributes and encoding.

    Raises:
        CallError: RDKit is not installed.
        NativeFormatError: a file is damaged; with `strict`, rows are malformed or lack features.
    """
    make = {"auc": _auc, "dose": _dose}[shard.split]
    return make(native, parse_options(Options, options), shard)


def _auc(native: Native, options: Options, shard: Shard) -> xr.Dataset:
    """Return the AUC of (cell, drug), with ids as published and canonical names of the curves."""
    problems: list[Problem] = []
    rows = read_areas(native, problems)
    points = read_points(native.root / native.block["curves"], [])
    cells = _cells(native, points, prefix="")
    ids = image_ids(native, "descriptor_images")
    drugs = Entities(
        ids=ids,
        canonical=tuple(_drug(native, name)["canonical"] for name in ids),
        texts=drug_texts(native.block["drugs"], ids),
        features=descriptors(native, ids),
    )
    joined, counts = join(rows, cells, drugs)
    incomplete = [*_unknown(counts), *_missing(drugs)]
    _stop_if_strict([*problems, *incomplete], options, shard)
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    return _with_notices(whole, problems, incomplete, counts.empty_sources())


def _dose(native: Native, options: Options, shard: Shard) -> xr.Dataset:
    """Return the points of the curves; those of cells without an image are counted and left out."""
    problems: list[Problem] = []
    points = read_points(native.root / native.block["curves"], problems)
    cells = _cells(native, points, prefix="CCLE.")
    drugs, software, unreadable = _compounds(native, points, problems)
    source = np.full(len(points.dose), native.block["source"], dtype=object)
    rows = Rows(
        cell=np.array([f"CCLE.{short_name(name)}" for name in points.cell], dtype=object),
        drug1=np.array([f"CCLE.{name}" for name in points.compound], dtype=object),
        source=source,
        study=source,
        measured={"dose1": points.dose, "growth": growth(points.activity, options.growth)},
    )
    joined, counts = join(rows, cells, drugs)
    known_without = {
        f"CCLE.{short_name(name)}" for name in native.block["cells_without_expression"]
    }
    incomplete = [*unreadable, *_unknown(counts, besides=known_without), *_missing(drugs)]
    _stop_if_strict([*problems, *incomplete], options, shard)
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    whole.attrs |= {"curves": points.curves, "drug_features": software}
    zero = "all" if options.growth != "rescaled" else "half the signal of the control, -1: all"
    whole["growth"].attrs["comment"] = f"1: as untreated, 0: {zero} cells killed"
    left_out = f"{counts.total('cell')} points are of cells without expression and are left out"
    more = [left_out] if counts.total("cell") else []
    return _with_notices(whole, problems, incomplete, [*more, *counts.empty_sources()])


def read_areas(native: Native, problems: list[Problem]) -> Rows:
    """Return the published areas, with ids of IGTD; malformed rows are added to the problems.

    Raises:
        NativeFormatError: the file has another header, or no usable row.
    """
    path = native.root / native.block["response"]
    values: dict[tuple[str, str], float] = {}
    for place, row in read_rows(path, RESPONSE_HEADER, "\t", problems):
        key = (row["CCL"], row["Drug"])
        value = _number(row["AUC"])
        if not 0 <= value <= 1:
            message = f"an AUC from 0 to 1 expected, {row['AUC']!r} found"
            problems.append(Problem("malformed", place, message))
        elif key in values:
            problems.append(Problem("malformed", place, f"{' and '.join(key)} come again"))
        else:
            values[key] = value
    if not values:
        raise NativeFormatError(
            f"{path.name} has no response", problems=problems, untouched="nothing was converted"
        )
    source = np.full(len(values), native.block["source"], dtype=object)
    return Rows(
        cell=np.array([cell for cell, _ in values], dtype=object),
        drug1=np.array([drug for _, drug in values], dtype=object),
        source=source,
        study=source,
        measured={"auc": np.array(list(values.values()))},
    )


def _number(text: str) -> float:
    """Return a text as a number, NaN if it is not a number."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _cells(native: Native, points: Points, *, prefix: str) -> Entities:
    """Return the cells with images; ids are IGTD's, or a prefix and the short CCLE names."""
    ids = image_ids(native, "expression_images")
    without, place = native.block["cells_without_expression"], native.block["curves"]
    full = ccle_names(ids, points.primary_names, without, place=place)
    ordered = tuple(full[name] for name in ids)
    return Entities(
        ids=tuple(f"{prefix}{short_name(name)}" for name in ordered) if prefix else ids,
        canonical=ordered,
        texts=cell_texts(ids, ordered, points.primary_names),
        features=expression(native, ids),
    )


def _compounds(
    native: Native, points: Points, problems: list[Problem]
) -> tuple[Entities, str, list[Problem]]:
    """Return the compounds with a readable SMILES, the software used, and the others."""
    path = native.root / native.block["smiles"]
    smiles = {row[""]: row["smiles"] for _, row in read_rows(path, SMILES_HEADER, ",", problems)}
    smiles |= native.block.get("smiles_corrected", {})
    ids = {drug["compound"]: name for name, drug in native.block["drugs"].items()}
    known = {
        name: smiles[name] for name in sorted(points.targets) if name in smiles and name in ids
    }
    made = molecular_features(known)
    unreadable = [
        Problem("smiles", f"{path.name}: {name}", f"is not a molecule: {known[name]!r}")
        for name in made.unreadable
    ]
    igtd = [ids[name] for name in made.ids]
    texts = drug_texts(native.block["drugs"], igtd)
    texts |= {
        "smiles": tuple(known[name] for name in made.ids),
        "target": tuple(points.targets[name] for name in made.ids),
    }
    drugs = Entities(
        ids=tuple(f"CCLE.{name}" for name in made.ids),
        canonical=tuple(_drug(native, name)["canonical"] for name in igtd),
        texts=texts,
        features=made.descriptors,
        bits=made.bits,
    )
    return drugs, made.software, unreadable


def _drug(native: Native, name: str) -> dict[str, str]:
    """Return the entry of the descriptor for a drug, by its IGTD id."""
    known: dict[str, dict[str, str]] = native.block["drugs"]
    if name not in known:
        raise NativeFormatError(
            "a drug with an image is not in the descriptor",
            problems=[Problem("unknown", name, f"is not among the {len(known)} in native.drugs")],
            untouched="nothing was converted",
        )
    return known[name]


def _unknown(counts: Counts, besides: Iterable[str] = ()) -> list[Problem]:
    """Return a problem for each id of the rows that is in no table and not in `besides`."""
    return [
        Problem("unknown", name, f"{kind} without features: its rows are left out")
        for kind, ids in counts.unknown.items()
        for name in ids
        if name not in set(besides)
    ]


def _missing(drugs: Entities) -> list[Problem]:
    """Return a problem for each drug without some descriptors; these are NaN in the ready file."""
    if drugs.features is None:
        return []
    is_missing = np.isnan(drugs.features.values)
    return [
        Problem("missing", drugs.ids[row], f"{is_missing[row].sum()} descriptors are not a number")
        for row in np.flatnonzero(is_missing.any(axis=1))
    ]


def _stop_if_strict(problems: Sequence[Problem], options: Options, shard: Shard) -> None:
    stop_if_strict(
        problems,
        strict=options.strict,
        wrong="malformed, missing or unknown: "
        + counted(len(problems), "row or feature", "rows or features"),
        untouched=f"{shard.name} was not made",
    )


def _with_notices(
    dataset: xr.Dataset,
    malformed: Sequence[Problem],
    incomplete: Sequence[Problem],
    more: Sequence[str] = (),
) -> xr.Dataset:
    """Add attributes on malformed rows and on entities without features, and lines to log."""
    dataset.attrs |= malformed_rows(malformed)
    lines = [
        *notice(malformed, "rows are malformed and left out"),
        *notice(incomplete, "lack features"),
        *more,
    ]
    add_notices(dataset, lines)
    return dataset
