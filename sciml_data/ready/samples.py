"""Number the samples of all ready files, and read their arrays in any order.

Opening reads names, labels and shapes only. The arrays, up to hundreds of GB, stay on disk until a
batch needs them. A sample is a chunk of each array, so it is read without its neighbours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, ConversionError, Problem
from sciml_data.formats import open_hdf5
from sciml_data.progress import counted
from sciml_data.ready.folder import shards_of_split
from sciml_data.ready.own_rows import EVERYTHING, read_own, reading
from sciml_data.ready.sample_places import SamplePlaces, find_places

if TYPE_CHECKING:
    import pandas as pd

    from sciml_data.registry.stages import Converted

NAMES = ["native_file", "native_sample"]  # columns that name a sample, if its file has them
# Attributes of dimensions: references into the open file, which another process cannot use.
REFERENCES = {"DIMENSION_LIST", "REFERENCE_LIST"}
SAMPLES_PER_READ = 32  # 100 MB at 3 x 512 x 512

Numbers: TypeAlias = npt.NDArray[np.intp]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Arrays: TypeAlias = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class SampleIndex:
    """All samples of a converted dataset, in the order of folders and files.

    Attributes:
        dataset: id of the dataset.
        paths: ready files that have samples.
        table: a row for each sample: `folder` (split of the dataset), `file` (index of the path),
            `row` (index in the file), `name` (unique), and the columns that were asked for as text,
            int64 or float64, "" or NaN where the file lacks the column.
        shapes: shape of a sample of each array that all files have.
        attributes: of the first file and its arrays.
    """

    dataset: str
    paths: tuple[Path, ...]
    table: pd.DataFrame
    shapes: Mapping[str, tuple[int, ...]]
    attributes: Mapping[str, Any]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.table)

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        """Return a column of the table (sample,)."""
        return self._columns[column]

    def is_known(self, column: str) -> bool:
        """Return whether every sample has a text in a column."""
        return bool((self.table[column] != "").all())

    @cached_property
    def _columns(self) -> Mapping[str, npt.NDArray[Any]]:
        # Once: pandas copies a column of text each time that it becomes an array.
        return {str(name): values.to_numpy() for name, values in self.table.items()}

    def read(self, array: str, numbers: Sequence[int] | Numbers) -> Floats:
        """Return samples of an array in the given order: (sample, ...) float32.

        Raises:
            ConversionError: a file is missing, truncated or damaged.
        """
        chosen = np.asarray(numbers, np.intp)
        values = np.empty((len(chosen), *self.shapes[array]), np.float32)
        files, rows = self["file"][chosen], self["row"][chosen]
        try:
            groups = [
                (self._places_in(file, array), np.flatnonzero(files == file))
                for file in np.unique(files).tolist()
            ]
            for places, items in groups:  # the disk begins with all of them
                places.expect(rows[items])
            for places, items in groups:
                if not places.read(rows[items], values, items):
                    _read_by_hdf5(places.path, array, rows[items], values, into=items)
        except ConversionError as error:
            raise damaged(self.dataset, error.problems) from error
        return values

    def _places_in(self, file: int, array: str) -> SamplePlaces:
        """Return where the samples of an array are in a file, which is looked up once."""
        known = self._known_places.get((file, array))
        if known is None or not known.is_current:
            known = find_places(self.paths[file], array, np.float32)
            self._known_places[file, array] = known
        return known

    @cached_property
    def _known_places(self) -> dict[tuple[int, str], SamplePlaces]:
        return {}

    def blocks(self, array: str, numbers: Numbers) -> Iterator[tuple[Numbers, Floats]]:
        """Yield (indices into `numbers`, samples) for a few samples at a time, file by file."""
        order = np.lexsort((self["row"][numbers], self["file"][numbers]))
        for start in range(0, len(order), SAMPLES_PER_READ):
            places = order[start : start + SAMPLES_PER_READ]
            yield places, self.read(array, numbers[places])


def _read_by_hdf5(path: Path, array: str, rows: Numbers, values: Floats, *, into: Numbers) -> None:
    """Fill items of an array with samples of a file, which may be compressed."""
    with open_hdf5(path, error=ConversionError, is_verified=True) as opened:
        for row, item in zip(rows.tolist(), into.tolist(), strict=True):
            opened[array].read_direct(values, row, item)


class SampleCache:
    """Prepared samples in memory, up to a budget; other samples are prepared again each time.

    Nothing is evicted. An epoch needs every sample once, each time in a new order. A cache that
    evicts the least recently used sample would evict most samples just before they are needed.
    """

    def __init__(self, prepare: Callable[[Numbers], Arrays], *, budget_bytes: float) -> None:
        """Start empty.

        Args:
            prepare: from sample numbers to arrays, each (sample, ...).
            budget_bytes: largest size of the cache.
        """
        self._prepare, self._free_bytes = prepare, budget_bytes
        self._cached: dict[int, Arrays] = {}
        self._lock = threading.Lock()  # of the budget: several threads read batches ahead

    def __len__(self) -> int:
        """Return the number of cached samples."""
        return len(self._cached)

    def take(self, numbers: Sequence[int] | Numbers) -> Arrays:
        """Return the prepared arrays (sample, ...) of samples, in the given order.

        Samples of other processes are not prepared; see `ready/own_rows.py`.
        """
        chosen = np.asarray(numbers, np.intp)
        return read_own(len(chosen), lambda own: self._take(chosen[own].tolist()))

    def _take(self, wanted: Sequence[int]) -> Arrays:
        missing = [number for number in dict.fromkeys(wanted) if number not in self._cached]
        fresh: dict[int, Arrays] = {}
        if missing:
            with reading(EVERYTHING):
                arrays = self._prepare(np.array(missing, np.intp))
            fresh = dict(zip(missing, zip(*arrays, strict=True), strict=True))
            self._add(fresh)
        samples = [self._cached.get(number) or fresh[number] for number in wanted]
        return tuple(np.stack(values) for values in zip(*samples, strict=True))

    def _add(self, samples: Mapping[int, Arrays]) -> None:
        for number, arrays in samples.items():
            size = sum(values.nbytes for values in arrays)
            with self._lock:
                if size <= self._free_bytes and number not in self._cached:
                    self._free_bytes -= size
                    # Copies, because a view would keep the whole batch in memory.
                    self._cached[number] = tuple(values.copy() for values in arrays)


def index_samples(
    converted: Converted,
    arrays: Sequence[str],
    columns: Mapping[str, Any],
    *,
    optional: Sequence[str] = (),
    same: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> SampleIndex:
    """Return the samples of all ready files.

    Args:
        converted: dataset.
        arrays: names of arrays (sample, ...), with equal shapes in all files.
        columns: name of a variable with a value for each sample, or one for the file -> its value
            in files that lack the variable; None if every file has it.
        optional: names of further arrays, which files may lack.
        same: attributes that all files have, with equal values.
        ranges: lowest and highest valid value of columns.

    Raises:
        CallError: there is no sample.
        ConversionError: files cannot be read, differ from the first, or have values that are not
            valid; all of them are listed.
    """
    import pandas as pd

    dataset, heads, problems = converted.descriptor.dataset, list[_Head](), list[Problem]()
    required = {*arrays, *(name for name, absent in columns.items() if absent is None)}
    for folder, names in shards_of_split(converted).items():
        for path in (converted.root / name for name in sorted(names)):
            try:
                head = _read_head(path, required, [*arrays, *optional], columns)
            except ConversionError as error:
                problems += error.problems
            else:
                head.table.insert(0, "folder", folder)
                heads += [head] if len(head.table) else []
    for head in heads:
        problems += [*_differences(heads[0], head, same), *_outside(head, ranges or {})]
    if problems:
        raise damaged(dataset, problems)
    if not heads:
        raise CallError(f"{dataset} has no ready samples", hint=f"sciml-data convert {dataset}")
    common = set.intersection(*(set(head.shapes) for head in heads))
    tables = [head.table.assign(file=file) for file, head in enumerate(heads)]
    table = pd.concat(tables, ignore_index=True)
    paths = tuple(head.path for head in heads)
    return SampleIndex(
        dataset,
        paths,
        table.assign(name=_names(table, paths)),
        {name: heads[0].shapes[name] for name in (*arrays, *optional) if name in common},
        heads[0].attributes,
    )


def damaged(dataset: str, problems: Sequence[Problem]) -> ConversionError:
    """Return the error for ready files that are damaged or differ."""
    return ConversionError(
        f"{counted(len(problems), 'problem')} in the ready files of {dataset}",
        problems=list(problems),
        untouched="nothing was changed",
        hint=f"convert the dataset again: sciml-data convert {dataset} --again",
    )


class _Head(NamedTuple):
    """Content of a ready file without its arrays; see `SampleIndex`."""

    path: Path
    table: pd.DataFrame
    shapes: dict[str, tuple[int, ...]]
    attributes: dict[str, Any]


def _read_head(
    path: Path, required: set[str], arrays: Sequence[str], columns: Mapping[str, Any]
) -> _Head:
    import pandas as pd

    with open_hdf5(path, error=ConversionError, is_verified=True) as opened:
        if missing := required - {*opened}:
            raise LookupError(f"there is no variable {' and '.join(sorted(missing))}")
        stored = {name: opened[name] for name in arrays if name in opened}
        table = pd.DataFrame({"row": np.arange(len(stored[arrays[0]]))})
        for name, absent in columns.items():
            values = _plain_values(opened[name][()]) if name in opened else absent
            table[name] = np.broadcast_to(values, (len(table),))
        owners = [opened, *stored.values()]
        attributes = {
            key: _plain(value)
            for owner in owners
            for key, value in owner.attrs.items()
            if key not in REFERENCES
        }
        shapes = {name: array.shape[1:] for name, array in stored.items()}
        return _Head(path, table, shapes, attributes)


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _plain_values(stored: Any) -> npt.NDArray[Any]:
    """Return int64, float64, or text from bytes, from letters along an axis, or from objects."""
    values = np.asarray(stored)
    if values.dtype == "S1" and values.ndim == 2:
        values = np.ascontiguousarray(values).view(f"S{values.shape[1]}")
    if values.dtype.kind in "SUO":
        return np.array([str(_plain(value)) for value in values.ravel().tolist()], np.str_)
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _names(table: pd.DataFrame, paths: Sequence[Path]) -> Any:
    """Return native file and sample if they are known of all samples, else file and row."""
    if all(name in table and (table[name] != "").all() for name in NAMES):
        return table[NAMES[0]] + ":" + table[NAMES[1]]
    return table["file"].map(lambda file: paths[file].stem) + ":" + table["row"].astype(str)


def _differences(first: _Head, head: _Head, same: Sequence[str]) -> Iterator[Problem]:
    """Yield how a file differs from the first in shapes and attributes."""
    pairs: list[tuple[str, Any, Any]] = [
        (name, shape, head.shapes.get(name, shape)) for name, shape in first.shapes.items()
    ]
    pairs += [(name, first.attributes.get(name), head.attributes.get(name)) for name in same]
    for name, expected, actual in pairs:
        if expected != actual or actual is None:
            message = f"{expected} expected as in {first.path.name}, {actual} found"
            yield Problem(name, head.path.name, message)


def _outside(head: _Head, ranges: Mapping[str, tuple[float, float]]) -> Iterator[Problem]:
    """Yield the columns of a file that have a value outside of its range."""
    for name, (low, high) in ranges.items():
        values = head.table[name]
        wrong = values[(values < low) | (values > high)]
        if len(wrong):
            yield Problem(name, head.path.name, f"{wrong.iloc[0]} is not from {low} to {high}")
