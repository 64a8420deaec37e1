"""The ready form of drug responses: rows by index into tables of cells and drugs.

A format makes `Rows` by id and `Entities` of each kind. `join` returns the rows by index, and the
numbers of rows that are lost. `responses_dataset`, `cells_dataset` and `drugs_dataset` make
variables of them, with units, attributes and encoding.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem

NO_DRUG = 65535  # index of a second drug that a row does not have
MAX_ENTITIES = 65535  # of a kind: an index has 16 bits, and its last value is NO_DRUG
MAX_SOURCES = 256  # their index has 8 bits
MAY_BE_MISSING = ("dose2",)
REASONS = ("cell", "drug1", "drug2", "value")  # for a lost row; the first one counts

CONVENTIONS = "CF-1.11"
CHUNK_BYTES = 2**20
COMPRESSION_LEVEL = 4
# UDUNITS-2 for -log10 of a concentration in mol/L: 6 is 1 micromol/L, a larger number is weaker.
DOSE_UNITS = "-1 lg(re 1 mol L-1)"

# Type and attributes of what a row has beside its indices.
VALUES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "auc": (
        "f4",
        {
            "long_name": "area under the dose response curve over a fixed range of doses",
            "units": "1",
            "comment": "1: no effect, 0: all cells killed",
        },
    ),
    "dose1": ("f4", {"long_name": "dose of the first drug", "units": DOSE_UNITS}),
    "dose2": (
        "f4",
        {
            "long_name": "dose of the second drug",
            "units": DOSE_UNITS,
            "comment": "NaN: there is no second drug",
        },
    ),
    "growth": (
        "f4",
        {
            "long_name": "growth of the cells under treatment",
            "units": "1",
            "comment": "1: as untreated, -1: all cells killed; 0: stasis where the cells were "
            "counted at the start (NCI), else half of the control's signal",
        },
    ),
    "ln_ic50": (
        "f4",
        {
            "long_name": "natural logarithm of the half-maximal inhibitory concentration",
            "units": "ln(re 1e-6 mol L-1)",
        },
    ),
    "einf": ("f4", {"long_name": "viability at any strong dose by the fitted curve", "units": "1"}),
    "ec50": (
        "f4",
        {"long_name": "dose at half of the effect by the fitted curve", "units": DOSE_UNITS},
    ),
    "hill_slope": ("f4", {"long_name": "Hill slope of the fitted curve", "units": "1"}),
    "barcode": ("u4", {"long_name": "barcode of the plate"}),
    "published_part": (
        "u1",
        {
            "long_name": "part of the data that the row was published in",
            "flag_values": np.arange(3, dtype=np.uint8),
            "flag_meanings": "train validation test",
        },
    ),
}


@dataclass(frozen=True)
class Features:
    """Features of entities.

    Attributes:
        values: (entity, name) float32, NaN where missing.
        names: of the columns.
        source: native file that they come from, for messages.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...]
    source: str = ""


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
        measured: "auc" (and "published_part"), or "dose1", "growth" (and "dose2"); see `VALUES`.
        drug2: id of the second drug, "" or None in rows without one; None if no row has one.
    """

    cell: NDArray[Any]
    drug1: NDArray[Any]
    source: NDArray[Any]
    study: NDArray[Any]
    measured: Mapping[str, NDArray[Any]]
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
    if "dose1" in rows.measured:
        columns |= _second_drug(rows, drugs)
    for name, values in rows.measured.items():
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
    columns = {name: values[keep] for name, values in columns.items()}
    return Joined(columns, source_ids, study_ids), counts


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


def responses_dataset(joined: Joined, counts: Counts) -> xr.Dataset:
    """Return the rows as variables along `response`, and the lists that indices point into.

    `cell_index`, `drug1_index`, `drug2_index`, `study_index`: uint16; `source_index`: uint8. An
    index has no fill value, so that it stays an integer when the file is opened.
    """
    made: dict[str, xr.Variable] = {}
    for name, values in joined.columns.items():
        dtype, attributes = VALUES[name] if name in VALUES else _index(name, joined.sources)
        made[name] = xr.Variable(("response",), values.astype(dtype), dict(attributes))
    made["source_id"] = text("source", joined.sources, "source of the response")
    made["study_id"] = text("study", joined.studies, "study within the source")
    attributes = {"Conventions": CONVENTIONS, "shard_dimension": "response"}
    return _encoded(xr.Dataset(made, attrs=attributes | counts.attributes()))


def cells_dataset(cells: Entities) -> xr.Dataset:
    """Return the table of cell lines: `cell_id`, `cell_canonical`, texts, and `expression`."""
    made = _named(cells, "cell") | _matrix(cells, ("cell", "gene"), "expression")
    return _encoded(xr.Dataset(made, attrs={"Conventions": CONVENTIONS}))


def drugs_dataset(drugs: Entities) -> xr.Dataset:
    """Return the table of drugs: `drug_id`, `drug_canonical`, texts, descriptors, fingerprints."""
    made = _named(drugs, "drug") | _matrix(drugs, ("drug", "descriptor"), "descriptors")
    if drugs.bits is not None:
        attributes = {
            "long_name": "molecular fingerprint, eight bits a byte",
            "bits": drugs.bits.shape[1],
            "bit_order": "big",
            "comment": "numpy.unpackbits(values, axis=1, count=bits) gives the bits",
        }
        packed = np.packbits(drugs.bits, axis=1)
        made["fingerprints"] = xr.Variable(("drug", "byte"), packed, attributes)
    return _encoded(xr.Dataset(made, attrs={"Conventions": CONVENTIONS}))


def merged(*datasets: xr.Dataset) -> xr.Dataset:
    """Return datasets that share no variable as one; the first value of an attribute counts."""
    variables = {name: variable for part in datasets for name, variable in part.variables.items()}
    attributes = {key: value for part in reversed(datasets) for key, value in part.attrs.items()}
    attributes.pop("shard_dimension", None)  # a file with its tables is not one of several parts
    return _encoded(xr.Dataset(variables, attrs=attributes))


def text(dimension: str, values: Sequence[str], long_name: str) -> xr.Variable:
    """Return strings as bytes of one length."""
    encoded = np.array([value.encode() for value in values], "S")
    width = max(1, encoded.dtype.itemsize)
    return xr.Variable((dimension,), encoded.astype(f"S{width}"), {"long_name": long_name})


def text_of(array: xr.DataArray | xr.Variable) -> list[str]:
    """Return the strings of a variable of text, for example `text_of(dataset["cell_id"])`."""
    return [bytes(value).decode() for value in array.to_numpy()]


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
    codes, known = pd.factorize(np.asarray(column, dtype=object))
    places = pd.Index(list(ids), dtype=object).get_indexer(pd.Index(known, dtype=object))
    return np.append(places, -1)[codes].astype(np.int32)


def _second_drug(rows: Rows, drugs: Entities) -> dict[str, NDArray[Any]]:
    """Return index and dose of the second drug: `NO_DRUG` and NaN in rows without one."""
    if rows.drug2 is None:
        count = len(rows.cell)
        return {"drug2_index": np.full(count, NO_DRUG), "dose2": np.full(count, np.nan)}
    ids = np.asarray(rows.drug2, dtype=object)
    has_none = np.asarray(pd.isna(ids) | (ids == ""), dtype=np.bool_)
    return {"drug2_index": np.where(has_none, NO_DRUG, _positions(ids, drugs.ids))}


def _lacks_value(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return the rows with a number that is not finite; a second dose needs its drug."""
    is_lost = np.zeros(len(columns["cell_index"]), np.bool_)
    for name, values in columns.items():
        if values.dtype.kind != "f":
            continue
        not_finite = ~np.isfinite(values)
        if name in MAY_BE_MISSING:
            not_finite &= columns["drug2_index"] != NO_DRUG
        is_lost |= not_finite
    return is_lost


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


def _index(name: str, sources: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the type and attributes of an index."""
    kind = name.removesuffix("_index")
    attributes: dict[str, Any] = {"long_name": f"index of {kind} along {kind.rstrip('12')}"}
    if name == "drug2_index":
        attributes["no_drug"] = np.uint16(NO_DRUG)
    if name != "source_index":
        return "u2", attributes
    words = " ".join(re.sub(r"[^\w.+@-]", "_", source) for source in sources)
    values = np.arange(len(sources), dtype=np.uint8)
    return "u1", attributes | {"flag_values": values, "flag_meanings": words}


def _named(entities: Entities, kind: str) -> dict[str, xr.Variable]:
    meaning = f"one name of the {kind} under all its ids"
    columns = {
        f"{kind}_id": text(kind, entities.ids, f"{kind}, qualified by its source"),
        f"{kind}_canonical": text(kind, entities.canonical, meaning),
    }
    for name, values in entities.texts.items():
        columns[name] = text(kind, values, name.replace("_", " "))
    return columns


def _matrix(entities: Entities, dims: tuple[str, str], name: str) -> dict[str, xr.Variable]:
    """Return the features and their names; nothing without features."""
    if entities.features is None:
        return {}
    values: NDArray[np.float32] = np.asarray(entities.features.values, np.float32)
    _require_sound(entities.ids, entities.features, dims[0])
    is_missing = np.isnan(values)
    attributes = {
        "long_name": f"{name} of the {dims[0]}, as measured: neither filled nor scaled",
        "units": "1",
        "values_missing": int(is_missing.sum()),
        "missing_in": f"{is_missing.any(1).sum()} of {values.shape[0]} {dims[0]}s, "
        f"{is_missing.any(0).sum()} of {values.shape[1]} {dims[1]}s",
    }
    meaning = f"name of the {dims[1]}"
    return {
        name: xr.Variable(dims, values, attributes),
        dims[1]: text(dims[1], entities.features.names, meaning),
    }


def _require_sound(ids: Sequence[str], features: Features, kind: str) -> None:
    """Raise an error unless there is a name for each column, and no value is infinite."""
    values, names = np.asarray(features.values, np.float32), features.names
    prefix = f"{features.source}:" if features.source else ""
    problems = [
        Problem("infinite", f"{prefix}{ids[row]}", f"{names[column]} is {values[row, column]}")
        for row, column in (np.argwhere(np.isinf(values)) if len(names) == values.shape[1] else ())
    ]
    wrong = f"{len(problems)} features of each {kind} are infinite in 32 bits"
    if len(names) != values.shape[1]:
        wrong = f"features of each {kind} do not have a name each"
        message = f"{len(names)} names of columns, {values.shape[1]} columns"
        problems = [Problem("columns", features.source or kind, message)]
    if problems:
        raise NativeFormatError(wrong, problems=problems, untouched="nothing was converted")


def _encoded(dataset: xr.Dataset) -> xr.Dataset:
    """Set the encoding of each variable: compressed, in chunks of whole rows of about 1 MiB."""
    for variable in dataset.variables.values():
        encoding: dict[str, Any] = {"_FillValue": None}
        if variable.dtype.kind == "f":
            encoding["_FillValue"] = variable.dtype.type(np.nan)
        if variable.size:
            row_bytes = max(1, variable.nbytes // len(variable))
            together = min(len(variable), max(1, CHUNK_BYTES // row_bytes))
            letters = (variable.dtype.itemsize,) if variable.dtype.kind == "S" else ()
            encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
            encoding["chunksizes"] = (together, *variable.shape[1:], *letters)
        variable.encoding = encoding
    return dataset
