"""The content of each kind of ready file, and what is to be said of how it was made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciml_data.errors import Problem
from sciml_data.formats.candle_tables import entities, features
from sciml_data.formats.candle_tables.keyed import read_keyed
from sciml_data.formats.candle_tables.rows import PAIRED, SINGLE, Part, read_part, study_of
from sciml_data.formats.drug_response import (
    Counts,
    Entities,
    cells_dataset,
    drugs_dataset,
    join,
    responses_dataset,
)
from sciml_data.formats.interface import Native
from sciml_data.formats.reporting import NOTICES

if TYPE_CHECKING:
    import xarray as xr

MOST_TOLD = 5  # malformed rows, or ids, in a notice
MOST_NAMED = 1000  # in the attributes of one ready file


def cells(native: Native) -> tuple[xr.Dataset, list[Problem]]:
    """Return the table of cell lines, and its malformed rows."""
    table, problems = features.read_cells(native)
    dataset = cells_dataset(table)
    dataset["expression"].attrs["long_name"] = "gene expression, scaled for each source upstream"
    path = native.block["tables"]["expression"]
    _tell(dataset, [*_malformed(problems), *_missing(table, "cell"), *_repeated(native, [path])])
    return dataset, problems


def drugs_part(native: Native, number: int) -> tuple[xr.Dataset, list[Problem]]:
    """Return so many drugs of the table, and its malformed rows."""
    first = number * features.DRUGS_EACH
    table, problems = features.read_drugs(
        native, entities.drugs(native)[first : first + features.DRUGS_EACH]
    )
    dataset = drugs_dataset(table)
    dataset.attrs["shard_dimension"] = "drug"
    notices = [*_malformed(problems), *_missing(table, "drug")]
    if number == 0:
        tables = native.block["tables"]
        prints = [path for pair in tables["fingerprints"] for path in pair]
        notices += _repeated(native, [*tables["descriptors"], *prints])
        if count := entities.without_all_features(native):
            notices.append(f"{count} drugs with descriptors have no fingerprints and are left out")
    _tell(dataset, notices)
    return dataset, problems


def responses(
    native: Native, kind: str, extent: tuple[int, int]
) -> tuple[xr.Dataset, list[Problem]]:
    """Return the responses of a part of a table, and its malformed rows.

    Args:
        native: the tables.
        kind: "single" or "paired".
        extent: offsets of the part's first byte and behind its last.
    """
    path = native.root / native.block["tables"][kind]
    part = read_part(
        path,
        PAIRED if kind == "paired" else SINGLE,
        extent,
        sources=native.block["sources"],
        cell_names=entities.cell_names(native) if kind == "paired" else {},
    )
    joined, counts = join(
        part.rows,
        Entities(entities.cell_ids(native), ()),
        Entities(tuple(drug.id for drug in entities.drugs(native)), ()),
        sources=native.block["sources"],
        studies=sorted({study_of(source) for source in native.block["sources"]}),
    )
    problems = [Problem("malformed", f"{path.name}:{one.line}", one.why) for one in part.malformed]
    dataset = responses_dataset(joined, counts)
    dataset.attrs |= {
        "rows_malformed": len(problems),
        "rows_not_valid": part.not_valid,
        "rows_other_units": json.dumps(dict(part.other_units)),
    }
    if problems:
        named = [f"{one.place}: {one.message}" for one in problems[:MOST_NAMED]]
        dataset.attrs["malformed_rows"] = "\n".join(named)
    notices = [*_malformed(problems), *counts.empty_sources(), *_unknown(counts), *_units(part)]
    _tell(dataset, notices)
    return dataset, problems


def _tell(dataset: xr.Dataset, lines: Iterable[str]) -> None:
    if text := "\n".join(lines):
        dataset.attrs[NOTICES] = text


def _malformed(problems: Sequence[Problem]) -> Iterable[str]:
    if problems:
        told = "; ".join(f"{one.place}: {one.message}" for one in problems[:MOST_TOLD])
        more = len(problems) - MOST_TOLD
        yield f"{len(problems)} malformed: {told}" + (f"; and {more} more" if more > 0 else "")


def _repeated(native: Native, paths: Sequence[str]) -> Iterable[str]:
    for path in paths:
        if names := read_keyed(native.root / path).repeated:
            yield f"{path}: {len(names)} ids come again, the first row counts: {names[0]}"


def _missing(table: Entities, kind: str) -> Iterable[str]:
    """Say how many features are missing, and of which entities all are."""
    if table.features is None:
        return
    lacks = np.isnan(table.features.values)
    if not lacks.any():
        return
    count = int(lacks.any(axis=1).sum())
    text = f"{int(lacks.sum())} features of {count} of {len(table.ids)} {kind}s are missing"
    if bare := [table.ids[row] for row in np.flatnonzero(lacks.all(axis=1))]:
        text += f", all of them in {_some(bare)}"
    yield f"{text}: they stay NaN"


def _unknown(counts: Counts) -> Iterable[str]:
    """Say which ids of this part of the table have no features."""
    for kind, ids in counts.unknown.items():
        yield f"{len(ids)} {kind}s have no features, their rows are left out: {_some(ids)}"


def _some(ids: Sequence[str]) -> str:
    more = len(ids) - MOST_TOLD
    return ", ".join(ids[:MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def _units(part: Part) -> Iterable[str]:
    if part.other_units:
        found = ", ".join(f"{unit!r} {count}" for unit, count in part.other_units.items())
        yield f"rows whose concentration is not in mol/L, kept as the reference keeps them: {found}"
