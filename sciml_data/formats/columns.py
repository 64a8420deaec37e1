"""Columns of a table as variables of a ready file: for every format that has rows.

A format reads a part of a table as `pandas.Series`, and `Columns` turns the parts into variables of
the declared types. A value that the declared type cannot hold, and a missing value where the type
has none, is a problem with its row and column. Nothing is rounded except a float to a shorter one.

    declared           of values                         a missing value is
    int8 ... uint64    whole numbers                     an error
    float32, float64   numbers, whole ones below 2^53    NaN
    bool               true, false                       an error
    datetime64[ns]     dates and times, in UTC           NaT
    S                  text, as UTF-8                    an empty text
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import (
    Native,
    Shard,
    max_content_bytes,
    no_split,
    raise_if_any,
    same_name_problems,
)
from sciml_data.registry.manifest import match_paths
from sciml_data.registry.native_blocks import FILE_VARIABLES
from sciml_data.registry.options import option

ROWS_PER_SHARD = 1_000_000  # made in a minute, and a few hundred megabytes in memory
CHUNK_BYTES = 2**20  # of a column in a ready file
COMPRESSION_LEVEL = 4
MAX_NAMED = 1000  # problems of a file; a person corrects the program that wrote it
LARGEST_EXACT = 2**53  # whole numbers below this one are exact in a float64
EPOCH = "1970-01-01"


@dataclass(frozen=True)
class RowOptions:
    """Options of the conversion of tables."""

    rows_per_shard: int = option(0, "rows in a ready file; 0 takes 1,000,000", minimum=0)
    compression: str = option(
        "gzip", "of the ready files; none reads faster", choices=("none", "gzip")
    )

    @property
    def rows(self) -> int:
        """Return the largest number of rows in a ready file."""
        return self.rows_per_shard or ROWS_PER_SHARD


def data_files(native: Native) -> tuple[str, ...]:
    """Return the native files that are converted: all but those of `left_native`."""
    left = set(match_paths(native.block.get("left_native", {}), native.paths))
    return tuple(path for path in native.paths if path not in left)


def row_shards(native: Native, counts: Mapping[str, int], rows: int) -> tuple[Shard, ...]:
    """Return the ready files of tables: each native file makes files of a number of rows.

    Args:
        native: files and splits.
        counts: number of rows of each native file.
        rows: number of rows in a ready file.

    Raises:
        NativeFormatError: a file is in no split, or two files of a split have the same name.
    """
    problems: list[Problem] = []
    made: list[Shard] = []
    firsts: list[Shard] = []
    for path, count in counts.items():
        split = native.split_of(path)
        if split is None:
            problems.append(no_split(native, path))
            continue
        folder = PurePosixPath(path).parent
        stem = PurePosixPath(path).name.split(".")[0]
        name = "-".join([split, *folder.parts, stem])
        parts = range(max(1, -(-count // rows)))
        made += [Shard(f"{name}-{number:05d}.nc", split, (path,)) for number in parts]
        firsts.append(made[-1])
    raise_if_any([*problems, *same_name_problems(firsts)], native)
    return tuple(made)


def part_of(shard: Shard) -> int:
    """Return the number of a ready file among those of its native file."""
    return int(shard.name.removesuffix(".nc").rsplit("-", 1)[1])


@dataclass
class Columns:
    """The columns of one ready file, which grow part by part.

    Attributes:
        path: of the native file, for messages.
        declared: `sciml.variables` of the descriptor, by name.
        labels: column of the native file, by the name of its variable.
        problems: every value that does not fit, up to 1,000 of them.
    """

    path: str
    declared: Mapping[str, Mapping[str, Any]]
    labels: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    _parts: dict[str, list[NDArray[Any]]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        values: pd.Series,
        numbers: Sequence[int],
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add a part of a column.

        Args:
            name: of the variable.
            values: the part; pandas' nullable types, text as `str`, times without a zone.
            numbers: of its rows, for messages.
            known: rows with a wrong value that has its problem already.
        """
        array, wrong, message = _converted(values, self.declared[name]["dtype"])
        if known is not None:
            wrong &= ~known
        for place in np.flatnonzero(wrong)[: max(0, MAX_NAMED - len(self.problems))]:
            kind = "missing" if bool(values.isna().iloc[place]) else "values"
            self.add_problem(kind, numbers[place], name, message)
        self._parts.setdefault(name, []).append(array)

    def add_problem(self, kind: str, row: int, name: str, message: str) -> None:
        """Add a problem of a value, by its row and variable."""
        place = f"{self.path}: row {row}, column {self.labels[name]}"
        self.problems.append(Problem(kind, place, message))

    def dataset(self, options: RowOptions, start: int, size_bytes: int) -> xr.Dataset:
        """Return the columns as a dataset with attributes and encoding.

        Args:
            options: of the conversion.
            start: number of the first row in the native file, from 0.
            size_bytes: of the native file: it limits the bytes of text, which is as wide in each
                row as in the longest.

        Raises:
            NativeFormatError: there are problems, or the text is too wide.
        """
        self._check_widths(max_content_bytes(size_bytes))
        if self.problems:
            raise not_sound(self.path, self.problems)
        (dim,) = {dim for name in self.labels for dim in self.declared[name]["dims"]}
        variables: dict[str, xr.Variable] = {}
        for name, parts in self._parts.items():
            values = np.concatenate(parts)
            attributes = attributes_of(self.declared[name])
            attributes["native_column"] = self.labels[name]
            variables[name] = xr.Variable((dim,), values, attributes, encoding_of(values, options))
        count = len(next(iter(variables.values())))
        coords = {
            name: xr.Variable(
                (dim,), values, attributes_of(self.declared[name]), encoding_of(values, options)
            )
            for name, values in self._origins(dim, start, count)
            if name in self.declared and name not in self.labels
        }
        attributes = {"Conventions": "CF-1.11", "shard_dimension": dim}
        return xr.Dataset(variables, coords, attributes)

    def _origins(self, dim: str, start: int, count: int) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield number and native file of each row; they are stored only if they are declared."""
        yield dim, np.arange(start, start + count, dtype=np.int64)
        for name in FILE_VARIABLES:
            yield name, np.full(count, self.path.encode("utf-8"))

    def _check_widths(self, allowed: int) -> None:
        for name, parts in self._parts.items():
            if self.declared[name]["dtype"] != "S":
                continue
            width = max(part.dtype.itemsize for part in parts)
            size = width * sum(len(part) for part in parts)
            if size > allowed:
                place = f"{self.path}: column {self.labels[name]}"
                message = f"a text of {width:,} bytes makes a column of {size:,} bytes"
                self.problems.append(Problem("size", place, message))


def attributes_of(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the CF attributes of a variable that the descriptor declares."""
    keys = ("long_name", "standard_name", "units")
    return {key: declared[key] for key in keys if declared.get(key) is not None}


def encoding_of(values: NDArray[Any], options: RowOptions) -> dict[str, Any]:
    """Return how a column is stored: chunks of a mebibyte, NaN or NaT for missing values."""
    encoding: dict[str, Any] = {"_FillValue": None}
    if values.dtype.kind == "f":
        encoding["_FillValue"] = values.dtype.type(np.nan) if np.isnan(values).any() else None
    elif values.dtype.kind == "M":
        # xarray stores NaT as the lowest integer, which needs its attribute.
        is_missing = bool(np.isnat(values).any())
        encoding |= {"units": f"nanoseconds since {EPOCH}", "calendar": "proleptic_gregorian"}
        encoding |= {
            "dtype": np.int64,
            "_FillValue": np.iinfo(np.int64).min if is_missing else None,
        }
    if len(values):
        letters = (values.dtype.itemsize,) if values.dtype.kind == "S" else ()
        rows = min(len(values), max(1, CHUNK_BYTES // values.dtype.itemsize))
        encoding["chunksizes"] = (rows, *letters)
        if options.compression == "gzip":
            encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return encoding


def not_sound(path: str, problems: Sequence[Problem]) -> NativeFormatError:
    """Return the error for a native file with wrong values."""
    return NativeFormatError(
        f"{path} is not as the descriptor declares it",
        problems=problems[:MAX_NAMED],
        untouched="nothing of it was converted",
        hint="correct the file as a new version, or what the descriptor says of it "
        "(docs/how-to/add-a-dataset.md)",
    )


def label_problems(path: str, found: Iterable[str], wanted: Sequence[str]) -> list[Problem]:
    """Return a problem for each column that is missing, or that a file has twice."""
    found = list(found)
    return [
        Problem("missing", path, f"there is no column {label!r}; it has {', '.join(found)}"[:500])
        for label in wanted
        if label not in found
    ] + [
        Problem("repeated", path, f"there are {found.count(label)} columns {label!r}")
        for label in wanted
        if found.count(label) > 1
    ]


def _converted(values: pd.Series, declared: str) -> tuple[NDArray[Any], NDArray[np.bool_], str]:
    """Return values in a declared type, where they do not fit, and why."""
    missing = values.isna().to_numpy(dtype=bool)
    if declared == "S":
        texts = [b"" if gone else _utf8(text) for text, gone in zip(values, missing, strict=True)]
        wrong = np.array([b"\0" in text for text in texts], dtype=bool)
        return np.array(texts, dtype=np.bytes_), wrong, "a text with a zero byte"
    if declared.startswith("datetime64"):
        return _times(values, missing)
    dtype = np.dtype(declared)
    if dtype.kind == "f":
        return _floats(values, dtype)
    # A missing value is an error, which is raised later: until then its number does not matter.
    numbers = values.to_numpy(dtype=object if _is_large(values) else None, na_value=0)
    with np.errstate(invalid="ignore", over="ignore"):
        if dtype.kind == "b":
            array = numbers == 1
            wrong = ~np.isin(numbers, (0, 1))
        else:
            limits = np.iinfo(dtype)
            outside = (numbers < limits.min) | (numbers > limits.max)
            array = np.where(outside, 0, numbers).astype(dtype)
            wrong = outside | (array != np.where(outside, 0, numbers))
    message = f"{declared} is declared, which cannot hold it"
    return array, np.asarray(wrong | missing, dtype=bool), message


def _is_large(values: pd.Series) -> bool:
    """Return whether a column has whole numbers of any size, as Python's own."""
    return values.dtype == object


def _floats(values: pd.Series, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_], str]:
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        array = numbers.astype(dtype)
    wrong = np.isfinite(numbers) & ~np.isfinite(array)
    if not pd.api.types.is_float_dtype(values.dtype):
        wrong |= np.abs(numbers) >= LARGEST_EXACT
    return array, wrong, f"{dtype} is declared, which cannot hold it"


def _times(
    values: pd.Series, missing: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.bool_], str]:
    """Return times as nanoseconds; a time before 1677 or after 2262 does not fit."""
    micro = values.to_numpy(dtype="datetime64[us]")
    low, high = (np.datetime64(limit, "us") for limit in ("1677-09-22", "2262-04-11"))
    wrong = ~missing & ((micro < low) | (micro > high))
    array = np.where(wrong, np.datetime64("NaT"), values.to_numpy("datetime64[us]"))
    fine = values.to_numpy() if not wrong.any() else array
    return fine.astype("datetime64[ns]"), wrong, "the years 1678 to 2261 can be held"


def _utf8(text: Any) -> bytes:
    return str(text).encode("utf-8", errors="replace")
