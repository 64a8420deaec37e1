"""The joined file as responses, cell lines and drugs; memory is that of a block and the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.candle_joined.recover import Found, same_features
from sciml_data.formats.candle_joined.store import Table, open_table
from sciml_data.formats.candle_tables.entities import canonical_cell
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
from sciml_data.formats.interface import Native
from sciml_data.formats.reporting import NOTICES

if TYPE_CHECKING:
    import xarray as xr

ROWS_AT_ONCE = 1024  # 22 MB of descriptors
MOST_NAMED = 1000  # contradictions in the attributes
MOST_TOLD = 5
PARTS = ("train", "validation", "test")  # as `published_part` counts them
SCALED = "scaled upstream over all rows, the test part's too"


@dataclass
class _Read:
    """What was read so far."""

    cells: Found
    drugs: Found
    genes: tuple[str, ...]
    names: tuple[str, ...]
    columns: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def ready_dataset(native: Native) -> tuple[xr.Dataset, list[Problem]]:
    """Return the ready dataset, and each response whose features contradict its ids.

    Raises:
        NativeFormatError: tables lack, or differ in length.
    """
    path = native.root / native.block["file"]
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        problem = Problem("unreadable", path.name, f"cannot be opened as HDF5: {error}")
        raise NativeFormatError("the file cannot be read", problems=[problem]) from error
    with file:
        parts = _parts(file, native.block["parts"])
        first = next(iter(parts.values()))
        read = _Read(
            Found(len(first[0].columns)),
            Found(len(first[1].columns)),
            tuple(name.removeprefix("GE_") for name, _, _ in first[0].columns),
            tuple(name for name, _, _ in first[1].columns),
        )
        for part, tables in parts.items():
            _read_part(read, part, tables)
    absent = [part for part in PARTS if part not in parts]
    return _dataset(read, absent), read.problems


def _parts(file: h5py.File, suffixes: Mapping[str, str]) -> dict[str, tuple[Table, ...]]:
    """Return the tables of each published part: expression, descriptors, responses."""
    found: dict[str, tuple[Table, ...]] = {}
    problems: list[Problem] = []
    for part in PARTS:
        keys = [key.format(suffixes[part]) for key in ("x_{}_0", "x_{}_1", "y_{}")]
        tables = {key: open_table(file, key) for key in keys}
        there = tuple(table for table in tables.values() if table is not None)
        if len(there) == len(keys):
            found[part] = there
            problems += _table_problems(part, there)
        elif there:
            lacking = [key for key, table in tables.items() if table is None]
            problems += [Problem("missing", key, "is not in the file") for key in lacking]
    for number in (0, 1):
        if len({len(tables[number].columns) for tables in found.values()}) > 1:
            message = "the parts differ in their number of columns"
            problems.append(Problem("columns", f"x_*_{number}", message))
    if not found and not problems:
        problems.append(Problem("missing", "x_train_0", "the file has none of the parts"))
    if problems:
        raise NativeFormatError(
            f"{file.filename.rpartition('/')[2]} is not the joined file that is expected",
            problems=problems,
            untouched="nothing was converted",
        )
    return found


def _table_problems(part: str, tables: tuple[Table, ...]) -> list[Problem]:
    """Return what is wrong with the tables of a part: lengths, and columns of the responses."""
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


def _read_part(read: _Read, part: str, tables: tuple[Table, ...]) -> None:
    expression, descriptors, responses = tables
    first = 0
    for lines, xs, ys in _together(expression, descriptors, responses):
        cell, drug = (responses.column(ys, name) for name in ("Sample", "Drug1"))
        differing = {
            "Sample": (cell, read.cells.add(cell, expression.numbers(lines))),
            "Drug1": (drug, read.drugs.add(drug, descriptors.numbers(xs))),
        }
        keep = np.ones(len(ys), np.bool_)
        for kind, (ids, counts) in differing.items():
            for row in np.flatnonzero(counts):
                message = f"{kind} {ids[row].decode()} had other features before: {counts[row]}"
                place = f"{responses.key}:{first + row}"
                read.problems.append(Problem("contradicts", place, f"{message} columns differ"))
            keep &= counts == 0
        auc = responses.column(ys, "AUC").astype(np.float32)
        number = np.full(len(ys), PARTS.index(part), np.uint8)
        columns = {"cell": cell, "drug": drug, "auc": auc, "published_part": number}
        read.columns.append({name: values[keep] for name, values in columns.items()})
        first += len(ys)


def _together(*tables: Table) -> Iterator[tuple[NDArray[Any], ...]]:
    return zip(*(table.blocks(ROWS_AT_ONCE) for table in tables), strict=True)


def _dataset(read: _Read, absent: list[str]) -> xr.Dataset:
    columns = {
        name: np.concatenate([part[name] for part in read.columns]) for name in read.columns[0]
    }
    cell, drug = (np.char.decode(columns[name]).astype(object) for name in ("cell", "drug"))
    source = np.array([name.partition(".")[0] for name in cell], object)
    values = {"auc": columns["auc"], "published_part": columns["published_part"]}
    names = read.cells.ids
    cells = Entities(
        names,
        tuple(canonical_cell(one) for one in names),
        features=Features(read.cells.features, read.genes),
    )
    drugs = Entities(
        read.drugs.ids,
        same_features(read.drugs),
        features=Features(read.drugs.features, read.names),
    )
    joined, counts = join(Rows(cell, drug, source, source, values), cells, drugs)
    dataset = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))
    dataset["expression"].attrs["long_name"] = f"gene expression of the cell line, {SCALED}"
    dataset["descriptors"].attrs["long_name"] = f"Dragon7 descriptors of the drug, {SCALED}"
    dataset.attrs["rows_contradicting"] = len(read.problems)
    notices = [f"the file has no part {part}" for part in absent]
    if read.problems:
        told = [f"{one.place}: {one.message}" for one in read.problems[:MOST_NAMED]]
        dataset.attrs["contradictions"] = "\n".join(told)
        more = len(read.problems) - MOST_TOLD
        notices.append(
            f"{len(read.problems)} responses contradict their ids and are left out: "
            + "; ".join(told[:MOST_TOLD])
            + (f"; and {more} more" if more > 0 else "")
        )
    if notices:
        dataset.attrs[NOTICES] = "\n".join(notices)
    return dataset
