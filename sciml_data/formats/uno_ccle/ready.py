"""The two forms: `auc` and `dose`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.drug_response import (
    Counts,
    Entities,
    Rows,
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    responses_dataset,
)
from sciml_data.formats.drug_response.delimited import (
    malformed_attributes,
    read_rows,
    stop_if_strict,
    told,
)
from sciml_data.formats.drug_response.molecules import molecules
from sciml_data.formats.interface import Native
from sciml_data.formats.reporting import NOTICES
from sciml_data.formats.uno_ccle import images, names
from sciml_data.formats.uno_ccle.curves import Points, growth, read_points
from sciml_data.formats.uno_ccle.options import Options

if TYPE_CHECKING:
    import xarray as xr

RESPONSE_HEADER = ("CCL", "Drug", "AUC")
SMILES_HEADER = ("", "smiles")


def auc(native: Native, options: Options) -> xr.Dataset:
    """Return the AUC of (cell, drug): ids as published, canonical names as the curves have them.

    Raises:
        NativeFormatError: a file is damaged; with strict, a row is malformed or a drug unknown.
    """
    problems: list[Problem] = []
    rows = _auc_rows(native, problems)
    points = read_points(native.root / native.block["curves"], [])
    cells = _cells(native, points, prefix="")
    ids = images.image_ids(native, "descriptor_images")
    drugs = Entities(
        ids=ids,
        canonical=tuple(_drug(native, name)["canonical"] for name in ids),
        texts=names.drug_texts(native.block["drugs"], ids),
        features=images.descriptors(native, ids),
    )
    joined, counts = join(rows, cells, drugs)
    lacking = [*_unknown(counts), *_missing(drugs)]
    stop_if_strict([*problems, *lacking], strict=options.strict)
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    return _told(whole, problems, lacking, counts.empty_sources())


def dose(native: Native, options: Options) -> xr.Dataset:
    """Return the points of the curves; those of cells without an image are counted and left out.

    Raises:
        CallError: RDKit is not installed.
        NativeFormatError: a file is damaged; with strict, a row is malformed, or a drug has no
            readable SMILES.
    """
    problems: list[Problem] = []
    points = read_points(native.root / native.block["curves"], problems)
    cells = _cells(native, points, prefix="CCLE.")
    drugs, software, unreadable = _compounds(native, points, problems)
    source = np.full(len(points.dose), native.block["source"], dtype=object)
    rows = Rows(
        cell=np.array([f"CCLE.{names.short_name(name)}" for name in points.cell], dtype=object),
        drug1=np.array([f"CCLE.{name}" for name in points.compound], dtype=object),
        source=source,
        study=source,
        values={"dose1": points.dose, "growth": growth(points.activity, options.growth)},
    )
    joined, counts = join(rows, cells, drugs)
    lacking = [*unreadable, *_unknown(counts, besides=_without(native)), *_missing(drugs)]
    stop_if_strict([*problems, *lacking], strict=options.strict)
    whole = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    whole.attrs |= {"curves": points.curves, "drug_features": software}
    if options.growth != "rescaled":
        whole["growth"].attrs["comment"] = "1: as untreated, 0: all cells killed"
    left_out = f"{counts.total('cell')} points are of cells without expression and are left out"
    more = [left_out] if counts.total("cell") else []
    return _told(whole, problems, lacking, [*more, *counts.empty_sources()])


def _auc_rows(native: Native, problems: list[Problem]) -> Rows:
    path = native.root / native.block["response"]
    found: dict[tuple[str, str], float] = {}
    for place, row in read_rows(path, RESPONSE_HEADER, "\t", problems):
        key = (row["CCL"], row["Drug"])
        value = _number(row["AUC"])
        if not 0 <= value <= 1:
            message = f"an AUC from 0 to 1 expected, {row['AUC']!r} found"
            problems.append(Problem("malformed", place, message))
        elif key in found:
            problems.append(Problem("malformed", place, f"{' and '.join(key)} come again"))
        else:
            found[key] = value
    if not found:
        raise NativeFormatError(
            f"{path.name} has no response", problems=problems, untouched="nothing was converted"
        )
    source = np.full(len(found), native.block["source"], dtype=object)
    return Rows(
        cell=np.array([cell for cell, _ in found], dtype=object),
        drug1=np.array([drug for _, drug in found], dtype=object),
        source=source,
        study=source,
        values={"auc": np.array(list(found.values()))},
    )


def _number(text: str) -> float:
    """Return the number a text is, NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _cells(native: Native, points: Points, *, prefix: str) -> Entities:
    """Return the cells with images; ids are IGTD's, or with a prefix the short CCLE names."""
    ids = images.image_ids(native, "expression_images")
    full = names.ccle_names(ids, points.primary_names, native.block["cells_without_expression"])
    ordered = tuple(full[name] for name in ids)
    return Entities(
        ids=tuple(f"{prefix}{names.short_name(name)}" for name in ordered) if prefix else ids,
        canonical=ordered,
        texts=names.cell_texts(ids, ordered, points.primary_names),
        features=images.expression(native, ids),
    )


def _compounds(
    native: Native, points: Points, problems: list[Problem]
) -> tuple[Entities, str, list[Problem]]:
    """Return the compounds whose SMILES can be read, by what, and the others."""
    path = native.root / native.block["smiles"]
    smiles = {row[""]: row["smiles"] for _, row in read_rows(path, SMILES_HEADER, ",", problems)}
    smiles |= native.block.get("smiles_corrected", {})
    ids = {one["compound"]: name for name, one in native.block["drugs"].items()}
    known = {
        name: smiles[name] for name in sorted(points.targets) if name in smiles and name in ids
    }
    made = molecules(known)
    unreadable = [
        Problem("smiles", f"{path.name}: {name}", f"is no molecule: {known[name]!r}")
        for name in made.unreadable
    ]
    igtd = [ids[name] for name in made.ids]
    texts = names.drug_texts(native.block["drugs"], igtd)
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
    """Return what the descriptor says of a drug by its IGTD id."""
    known: dict[str, dict[str, str]] = native.block["drugs"]
    if name not in known:
        raise NativeFormatError(
            "a drug has an image and is not known",
            problems=[Problem("unknown", name, f"is none of the {len(known)} in native.drugs")],
            untouched="nothing was converted",
        )
    return known[name]


def _without(native: Native) -> set[str]:
    return {f"CCLE.{names.short_name(name)}" for name in native.block["cells_without_expression"]}


def _unknown(counts: Counts, besides: Iterable[str] = ()) -> list[Problem]:
    """Return the ids that rows have and tables have not, but for those that are known to lack."""
    return [
        Problem("unknown", name, f"{kind} without features: its rows are left out")
        for kind, ids in counts.unknown.items()
        for name in ids
        if name not in set(besides)
    ]


def _missing(drugs: Entities) -> list[Problem]:
    """Return the drugs that lack descriptors, which are missing in the ready file too."""
    if drugs.features is None:
        return []
    lacks = np.isnan(drugs.features.values)
    return [
        Problem("missing", drugs.ids[row], f"{lacks[row].sum()} descriptors are not a number")
        for row in np.flatnonzero(lacks.any(axis=1))
    ]


def _told(
    dataset: xr.Dataset,
    malformed: Sequence[Problem],
    lacking: Sequence[Problem],
    more: Sequence[str] = (),
) -> xr.Dataset:
    """Write into the attributes what was malformed or lacks."""
    dataset.attrs |= malformed_attributes(malformed)
    notices = [
        *told(malformed, "rows are malformed and left out"),
        *told(lacking, "lack features"),
        *more,
    ]
    if notices:
        dataset.attrs[NOTICES] = "\n".join(notices)
    return dataset
