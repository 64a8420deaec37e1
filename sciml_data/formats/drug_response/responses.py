"""Join responses, given by ids, to the tables of cells and drugs, and count the rows that are lost.

A format makes `Rows` by id and `Entities` of each kind; `join` returns the rows by index.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem

if TYPE_CHECKING:
    import xarray as xr

NO_DRUG = 65535  # index of a second drug that a row does not have
MAX_ENTITIES = 65535  # of a kind: an index has 16 bits, and its last value is NO_DRUG
MAX_SOURCES = 256  # their index has 8 bits
MAY_BE_MISSING = ("dose2",)
REASONS = ("cell", "drug1", "drug2", "value")  # for a lost row; the first one counts


@dataclass(frozen=True)
class Features:
    """Features of entities: `values` (entity, name) float32, NaN where missing, and `names`."""

    values: NDArray[np.float32]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Entities:
    """Cell lines or drugs with known features, to which rows may point.

    Attributes:
        ids: source-qualified, as in the rows; each once.
        canonical: one name for a cell line or a compound under all its ids.
        texts: further columns of text by the name of the variable, "" where unknown.
        features: expression of cells, descriptors of drugs.
        bits: (entity, bit) bool, fingerprints of drugs.
    """

    ids: tuple[str, ...]
    canonical: tuple[str, ...]
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    features: Features | None = None
    bits: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Rows:
    """Responses by id, as read: arrays of one length.

    Attributes:
        cell: id of the cell line.
        drug1: id of the drug.
        source: id of the source.
        study: id of the study.
        values: "auc" (and "published_part"), or "dose1", "growth" (and "dose2"); see `tables.py`.
        drug2: id of the second drug, "" or None in rows without one; None if no row has one.
    """

    cell: NDArray[Any]
    drug1: NDArray[Any]
    source: NDArray[Any]
    study: NDArray[Any]
    values: Mapping[str, NDArray[Any]]
    drug2: NDArray[Any] | None = None


@dataclass(frozen=True)
class Counts:
    """The number of rows of each source that were read and kept, and why others were not.

    `unknown` has the ids of each "cell" or "drug" that is not in its table, sorted.
    """

    by_source: Mapping[str, Mapping[str, int]]
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def total(self, kind: str) -> int:
        """Return the sum over sources of "read", "kept" or one of `REASONS`."""
        return sum(counts.get(kind, 0) for counts in self.by_source.values())

    def empty_sources(self) -> list[str]:
        """Return a line for each source whose rows are all lost."""
        return [
            f"source {name} is empty after the join: none of {counts['read']} rows ("
            + ", ".join(f"{reason} {counts[reason]}" for reason in REASONS if reason in counts)
            + ")"
            for name, counts in self.by_source.items()
            if counts["read"] and not counts["kept"]
        ]

    def attributes(self) -> dict[str, Any]:
        """Return the counts as attributes of a dataset; reasons and sources as JSON."""
        reasons = {reason: self.total(reason) for reason in REASONS if self.total(reason)}
        return {
            "rows_read": self.total("read"),
            "rows_kept": self.total("kept"),
            "rows_dropped": sum(reasons.values()),
            "rows_dropped_reasons": json.dumps(reasons),
            "rows_by_source": json.dumps(self.by_source),
        }


@dataclass(frozen=True)
class Joined:
    """Kept rows by index: `columns` as in the ready file, and the lists that indices point into."""

    columns: Mapping[str, NDArray[Any]]
    sources: tuple[str, ...]
    studies: tuple[str, ...]


def join(
    rows: Rows,
    cells: Entities,
    drugs: Entities,
    *,
    sources: Sequence[str] | None = None,
    studies: Sequence[str] | None = None,
) -> tuple[Joined, Counts]:
    """Return the rows whose entities are all in the tables, and counts of the other rows.

    Rows with a dose always get `drug2_index` and `dose2`: `NO_DRUG` and NaN for a single drug.

    Args:
        rows: in any order, which stays.
        cells: table that has `cell`.
        drugs: table that has `drug1` and `drug2`.
        sources: all possible sources, if rows come in many parts; None takes those of the rows.
        studies: the same for studies.

    Raises:
        NativeFormatError: a source or study is not among the given ones, a table has an id twice,
            or a table has more entities than an index can hold.
    """
    _require_indexable(cells.ids, "cell")
    _require_indexable(drugs.ids, "drug")
    columns: dict[str, NDArray[Any]] = {
        "cell_index": _positions(rows.cell, cells.ids),
        "drug1_index": _positions(rows.drug1, drugs.ids),
    }
    if "dose1" in rows.values:
        columns |= _second_drug(rows, drugs)
    for name, values in rows.values.items():
        columns[name] = np.asarray(values)
    is_lost = {
        name: columns[f"{name}_index"] < 0
        for name in REASONS
        if f"{name}_index" in columns
    } | {"value": _lacks_value(columns)}  # fmt: skip
    source_ids, columns["source_index"] = _indexed(rows.source, sources, "source")
    study_ids, columns["study_index"] = _indexed(rows.study, studies, "study")
    keep, by_source = _counted(is_lost, columns["source_index"], source_ids)
    counts = Counts(by_source, _unknown(rows, columns))
    kept = {name: values[keep] for name, values in columns.items()}
    return Joined(kept, source_ids, study_ids), counts


def swapped(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with first and second drug, and their doses, exchanged in every pair.

    Both orders are the same measurement. Rows of one drug stay as they are.

    Args:
        dataset: ready dataset with doses.
    """
    is_pair = dataset["drug2_index"] != NO_DRUG
    exchanged = {}
    for name1, name2 in (("drug1_index", "drug2_index"), ("dose1", "dose2")):
        first, second = dataset[name1], dataset[name2]
        exchanged[name1] = first.where(~is_pair, second).astype(first.dtype)
        exchanged[name2] = second.where(~is_pair, first).astype(second.dtype)
    return dataset.assign(exchanged)


def _require_indexable(ids: Sequence[str], kind: str, limit: int = MAX_ENTITIES) -> None:
    problems = []
    if len(ids) > limit:
        problems.append(Problem("count", kind, f"{len(ids)} of them, an index holds {limit}"))
    twice = sorted(name for name, count in Counter(ids).items() if count > 1)
    problems += [
        Problem("twice", kind, f"{name!r} is in the table more than once") for name in twice
    ]
    if problems:
        raise NativeFormatError(
            f"the table of each {kind} cannot be indexed",
            problems=problems,
            untouched="nothing was converted",
        )


def _positions(column: NDArray[Any], ids: Sequence[str]) -> NDArray[np.int32]:
    """Return the position in `ids` of each value of a column; -1 for a value that is not there."""
    import pandas as pd

    codes, known = pd.factorize(np.asarray(column, dtype=object))
    places = pd.Index(list(ids), dtype=object).get_indexer(pd.Index(known, dtype=object))
    return np.append(places, -1)[codes].astype(np.int32)


def _second_drug(rows: Rows, drugs: Entities) -> dict[str, NDArray[Any]]:
    """Return index and dose of the second drug: `NO_DRUG` and NaN in rows without one."""
    import pandas as pd

    if rows.drug2 is None:
        count = len(rows.cell)
        return {"drug2_index": np.full(count, NO_DRUG), "dose2": np.full(count, np.nan)}
    ids = np.asarray(rows.drug2, dtype=object)
    has_none = np.asarray(pd.isna(ids) | (ids == ""), dtype=np.bool_)
    return {"drug2_index": np.where(has_none, NO_DRUG, _positions(ids, drugs.ids))}


def _lacks_value(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return the rows with a number that is not finite; a second dose needs its drug."""
    lacks = np.zeros(len(columns["cell_index"]), np.bool_)
    for name, values in columns.items():
        if values.dtype.kind != "f":
            continue
        not_finite = ~np.isfinite(values)
        if name in MAY_BE_MISSING:
            not_finite &= columns["drug2_index"] != NO_DRUG
        lacks |= not_finite
    return lacks


def _indexed(
    column: NDArray[Any], known: Sequence[str] | None, kind: str
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the ids of a column and the position of each value among them."""
    names = tuple(known) if known is not None else tuple(sorted({str(name) for name in column}))
    _require_indexable(names, kind, MAX_SOURCES if kind == "source" else MAX_ENTITIES)
    places = _positions(column, names)
    if (places < 0).any():
        first = int(np.flatnonzero(places < 0)[0])
        raise NativeFormatError(
            f"a {kind} is not among the {len(names)} expected ones",
            problems=[Problem("unknown", f"row {first}", f"{kind} {column[first]!r}")],
            untouched="nothing was converted",
        )
    return names, places


def _counted(
    is_lost: Mapping[str, NDArray[np.bool_]], source: NDArray[np.int32], ids: Sequence[str]
) -> tuple[NDArray[np.bool_], dict[str, dict[str, int]]]:
    """Return which rows are kept, and for each source the numbers kept and lost by reason."""
    keep = np.ones(len(source), np.bool_)
    by_source: dict[str, dict[str, int]] = {name: {} for name in ids}

    def count(kind: str, which: NDArray[np.bool_]) -> None:
        for name, number in zip(ids, np.bincount(source[which], minlength=len(ids)), strict=True):
            if number or kind in {"read", "kept"}:
                by_source[name][kind] = int(number)

    count("read", keep)
    for reason in REASONS:
        if reason in is_lost:
            lost = is_lost[reason] & keep
            count(reason, lost)
            keep &= ~lost
    count("kept", keep)
    return keep, by_source


def _unknown(rows: Rows, columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, ...]]:
    """Return the ids that are not in the tables, by kind of table."""
    unknown: dict[str, set[str]] = {"cell": set(), "drug": set()}
    for name in ("cell", "drug1", "drug2"):
        ids = getattr(rows, name)
        if ids is not None:
            lost = np.asarray(ids, dtype=object)[columns[f"{name}_index"] < 0]
            unknown[name.rstrip("12")] |= {str(entity) for entity in lost}
    return {kind: tuple(sorted(ids)) for kind, ids in unknown.items() if ids}
