"""CANDLE-UNO joined upstream: a pandas HDFStore with the features of every row beside it.

The file repeats the expression of a cell line and the descriptors of a drug in each row. These are
found again here: one row of features for each id, and responses as indices, in one ready file. Each
step holds a block of rows and the tables in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.candle_joined.hdf_store import Table, open_table
from sciml_data.formats.candle_tables import canonical_cell
from sciml_data.formats.drug_response import (
    Entities,
    Features,
    Rows,
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    responses_dataset,
)
from sciml_data.formats.hdf5_files import open_hdf5
from sciml_data.formats.interface import (
    Native,
    Shard,
    add_notices,
    missing_files,
    named,
    notice,
    raise_if_any,
    stop_if_strict,
)
from sciml_data.progress import counted
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

SPLIT = "auc"
ROWS_AT_ONCE = 1024  # 22 MB of descriptors
PARTS = ("train", "validation", "test")  # as `published_part` counts them
SCALED = "scaled upstream over all rows, the test part's too"


@dataclass(frozen=True)
class Options:
    """Options of the conversion of the joined file."""

    strict: bool = option(
        False, "a row with other features than its ids had before stops the conversion"
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the one ready file.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: the native file is missing.
    """
    parse_options(Options, options)
    path = native.block["file"]
    raise_if_any(missing_files(native, [path]), native)
    return (Shard("responses.nc", SPLIT, (path,)),)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return responses, cell lines and drugs as one dataset.

    The first row of an id counts; responses that come with other features are left out and named.

    Raises:
        CallError: the file is compressed in a way that needs a plug-in which is not installed.
        NativeFormatError: the file is not laid out as pandas does; or, with `strict`, rows
            contradict their ids.
    """
    chosen = parse_options(Options, options)
    dataset, problems = _ready_dataset(native)
    stop_if_strict(
        problems,
        strict=chosen.strict,
        wrong=f"other features than their ids had before: {counted(len(problems), 'response')}",
        untouched=f"{shard.name} was not made",
    )
    return dataset


@dataclass
class FeatureTable:
    """One row of features for each id, found again in rows that repeat them.

    Attributes:
        width: number of columns.
        numbers: row number of each id, in the order of first appearance.
        values: (id, column) float32, with spare rows behind the last id.
    """

    width: int
    numbers: dict[bytes, int] = field(default_factory=dict)
    values: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def add(self, ids: NDArray[np.bytes_], rows: NDArray[np.float32]) -> NDArray[np.intp]:
        """Add rows; return for each the number of columns that differ from the first of its id.

        Args:
            ids: (row) bytes.
            rows: (row, column) float32.
        """
        codes, known = pd.factorize(ids)
        first = np.full(len(known), len(ids))
        np.minimum.at(first, codes, np.arange(len(ids)))
        places = np.empty(len(known), np.intp)
        for code, name in enumerate(known):
            if name not in self.numbers:
                self._store(len(self.numbers), rows[first[code]])
                self.numbers[name] = len(self.numbers)
            places[code] = self.numbers[name]
        before = self.values[places[codes]]
        differs = (before.view(np.uint32) != rows.view(np.uint32)).any(axis=1)
        counts = np.zeros(len(ids), np.intp)
        # Only rows with other bits are compared by value, where -0 is 0 and NaN is NaN.
        old, new = before[differs], rows[differs]
        is_same = (old == new) | (np.isnan(old) & np.isnan(new))
        counts[differs] = (~is_same).sum(axis=1)
        return counts

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids in the order of first appearance."""
        return tuple(name.decode() for name in self.numbers)

    @property
    def features(self) -> NDArray[np.float32]:
        """Return the features: (id, column) float32."""
        return self.values[: len(self.numbers)]

    def _store(self, place: int, row: NDArray[np.float32]) -> None:
        if place >= len(self.values):
            grown = np.empty((max(64, 2 * place), self.width), np.float32)
            grown[:place] = self.values[:place].reshape(place, self.width)
            self.values = grown
        self.values[place] = row


def canonical_by_features(table: FeatureTable) -> tuple[str, ...]:
    """Return one name for all ids with equal features: the first of these ids by alphabet.

    A drug under two ids has equal descriptors. So have isomers that no descriptor tells apart, and
    drugs without any. For a split without leaks, too few names are on the safe side.
    """
    digests = [
        hashlib.blake2b((row + np.float32(0)).tobytes(), digest_size=16).digest()
        for row in table.features
    ]
    names: dict[bytes, str] = {}
    for name, digest in sorted(zip(table.ids, digests, strict=True)):
        names.setdefault(digest, name)
    return tuple(names[digest] for digest in digests)


@dataclass
class _Content:
    """What was read of the file so far; `place` is its native path."""

    place: str
    cells: FeatureTable
    drugs: FeatureTable
    genes: tuple[str, ...]
    descriptors: tuple[str, ...]
    columns: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _ready_dataset(native: Native) -> tuple[xr.Dataset, list[Problem]]:
    """Return the ready dataset, and a problem for each response that contradicts its ids.

    Raises:
        NativeFormatError: tables are missing, or differ in length.
    """
    place = native.block["file"]
    with open_hdf5(native.root / place, place) as file:
        parts = _parts(file, native.block["parts"])
        first = next(iter(parts.values()))
        content = _Content(
            place,
            FeatureTable(len(first[0].columns)),
            FeatureTable(len(first[1].columns)),
            tuple(name.removeprefix("GE_") for name, _, _ in first[0].columns),
            tuple(name for name, _, _ in first[1].columns),
        )
        for part, tables in parts.items():
            _read_part(content, part, tables)
        absent = [part for part in PARTS if part not in parts]
        return _dataset(content, absent), content.problems


def _parts(file: h5py.File, suffixes: Mapping[str, str]) -> dict[str, tuple[Table, ...]]:
    """Return the tables of each published part: expression, descriptors, responses."""
    parts: dict[str, tuple[Table, ...]] = {}
    problems: list[Problem] = []
    for part in PARTS:
        keys = [key.format(suffixes[part]) for key in ("x_{}_0", "x_{}_1", "y_{}")]
        tables = {key: open_table(file, key) for key in keys}
        existing = tuple(table for table in tables.values() if table is not None)
        if len(existing) == len(keys):
            parts[part] = existing
            problems += _table_problems(part, existing)
        elif existing:
            missing = [key for key, table in tables.items() if table is None]
            problems += [Problem("missing", key, "is not in the file") for key in missing]
    for number in (0, 1):
        if len({len(tables[number].columns) for tables in parts.values()}) > 1:
            message = "the parts differ in their number of columns"
            problems.append(Problem("columns", f"x_*_{number}", message))
    if not parts and not problems:
        problems.append(Problem("missing", "x_train_0", "the file has none of the parts"))
    if problems:
        raise NativeFormatError(
            f"{file.filename.rpartition('/')[2]} is not the expected joined file",
            problems=problems,
            untouched="nothing was converted",
        )
    return parts


def _table_problems(part: str, tables: tuple[Table, ...]) -> list[Problem]:
    """Return what is wrong with the tables of a part: their lengths, columns of the responses."""
    problems = []
    if len({len(table) for table in tables}) > 1:
        lengths = ", ".join(f"{table.key} {len(table)}" for table in tables)
        problems.append(Problem("length", part, f"tables differ in their rows: {lengths}"))
    names = [name for name, _, _ in tables[2].columns]
    problems += [
        Problem("missing", tables[2].key, f"has no column {name}, only {', '.join(names)}")
        for name in ("AUC", "Sample", "Drug1")
        if name not in names
    ]
    return problems


def _read_part(content: _Content, part: str, tables: tuple[Table, ...]) -> None:
    expression, descriptors, responses = tables
    first = 0
    for lines, xs, ys in _together(expression, descriptors, responses):
        cell, drug = (responses.column(ys, name) for name in ("Sample", "Drug1"))
        differing = {
            "Sample": (cell, content.cells.add(cell, expression.numbers(lines))),
            "Drug1": (drug, content.drugs.add(drug, descriptors.numbers(xs))),
        }
        keep = np.ones(len(ys), np.bool_)
        for kind, (ids, counts) in differing.items():
            for row in np.flatnonzero(counts):
                message = f"{kind} {ids[row].decode()} had other features before: {counts[row]}"
                place = f"{responses.key}:{first + row}"
                content.problems.append(Problem("contradicts", place, f"{message} columns differ"))
            keep &= counts == 0
        auc = responses.column(ys, "AUC").astype(np.float32)
        number = np.full(len(ys), PARTS.index(part), np.uint8)
        columns = {"cell": cell, "drug": drug, "auc": auc, "published_part": number}
        content.columns.append({name: values[keep] for name, values in columns.items()})
        first += len(ys)


def _together(*tables: Table) -> Iterator[tuple[NDArray[Any], ...]]:
    return zip(*(table.blocks(ROWS_AT_ONCE) for table in tables), strict=True)


def _dataset(content: _Content, absent: list[str]) -> xr.Dataset:
    columns = {
        name: np.concatenate([part[name] for part in content.columns])
        for name in content.columns[0]
    }
    cell, drug = (np.char.decode(columns[name]).astype(object) for name in ("cell", "drug"))
    source = np.array([name.partition(".")[0] for name in cell], object)
    values = {"auc": columns["auc"], "published_part": columns["published_part"]}
    names = content.cells.ids
    cells = Entities(
        names,
        tuple(canonical_cell(name) for name in names),
        features=Features(content.cells.features, content.genes, content.place),
    )
    drugs = Entities(
        content.drugs.ids,
        canonical_by_features(content.drugs),
        features=Features(content.drugs.features, content.descriptors, content.place),
    )
    joined, counts = join(Rows(cell, drug, source, source, values), cells, drugs)
    dataset = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    dataset["expression"].attrs["long_name"] = f"gene expression of the cell line, {SCALED}"
    dataset["descriptors"].attrs["long_name"] = f"Dragon7 descriptors of the drug, {SCALED}"
    dataset.attrs["rows_contradicting"] = len(content.problems)
    if content.problems:
        dataset.attrs["contradictions"] = named(content.problems)
    missing_parts = [f"the file has no part {part}" for part in absent]
    contradicting = notice(content.problems, "responses contradict their ids and are left out")
    add_notices(dataset, [*missing_parts, *contradicting])
    return dataset
