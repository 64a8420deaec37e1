"""Tables in Parquet files: names and types are in the files, and pyarrow reads them.

The block `native` of the descriptor says which columns are converted. All files have them.

    columns       variable -> name of the column
    timezone      of times without a zone, UTC without it; all times become UTC
    left_native   glob -> what these files are: they are not converted

Rows are read in batches, and a file with more rows than `rows_per_shard` makes several ready files.
Columns of lists, maps and structures are not read. pyarrow comes with the extra `formats`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sciml_data.errors import CallError, Problem
from sciml_data.formats.columns import (
    Columns,
    RowOptions,
    data_files,
    label_problems,
    not_sound,
    part_of,
    row_shards,
)
from sciml_data.formats.interface import Native, Shard, max_content_bytes
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

BATCH_ROWS = 65_536
# Types of Arrow -> of pandas, which hold whole numbers and truth values with missing ones.
NULLABLE = {f"{sign}int{bits}": f"{'U' * len(sign)}Int{bits}" for sign in ("", "u")
            for bits in (8, 16, 32, 64)} | {"bool": "boolean"}  # fmt: skip
# What pyarrow raises of damage: its own errors are of these classes, too.
DAMAGED = (OSError, ValueError, NotImplementedError, LookupError, TypeError, MemoryError)


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files; the heads of the files are read for that.

    Raises:
        CallError: an option is unknown or has a wrong value, or pyarrow is not installed.
        NativeFormatError: a file cannot be read, lacks a column, or is in no split.
    """
    chosen = parse_options(RowOptions, options)
    require_pyarrow()
    counts = {}
    for path in data_files(native):
        with open_table(native, path) as file:
            counts[path] = file.metadata.num_rows
    return row_shards(native, counts, chosen.rows)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the rows of one ready file, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has each value that the declared type cannot hold.
    """
    chosen = parse_options(RowOptions, options)
    (path,) = shard.inputs
    start = part_of(shard) * chosen.rows
    columns = Columns(path, native.variables, native.block["columns"])
    with open_table(native, path) as file:
        for first, batch in _batches(file, [*columns.labels.values()], start, start + chosen.rows):
            numbers = range(first + 1, first + 1 + batch.num_rows)  # rows are counted from 1
            for name, label in columns.labels.items():
                values = _values(batch.column(label), native.block.get("timezone", "UTC"))
                columns.add(name, values, numbers)
    return columns.dataset(chosen, start, (native.root / path).stat().st_size)


@contextmanager
def open_table(native: Native, path: str) -> Iterator[Any]:
    """Open a file as `pyarrow.parquet.ParquetFile`, with all columns of the declared types.

    Raises:
        NativeFormatError: it is damaged, declares far more than it can hold, or lacks a column.
    """
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(native.root / path) as file:
            problems = [*_column_problems(native, path, file), *_size_problems(native, path, file)]
            if problems:
                raise not_sound(path, problems)
            yield file
    except DAMAGED as error:
        problem = Problem("unreadable", path, f"cannot be read as Parquet: {error}")
        raise not_sound(path, [problem]) from error


def require_pyarrow() -> None:
    """Raise an error if pyarrow is not installed.

    Raises:
        CallError: the hint names the extra to install.
    """
    try:
        import pyarrow  # noqa: F401, ICN001 (only whether it is there)
    except ImportError as error:
        raise CallError(
            "the package pyarrow, which reads Parquet files, is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[formats]'",
        ) from error


def _column_problems(native: Native, path: str, file: Any) -> Iterator[Problem]:
    """Yield the columns that are missing, or that the declared types cannot hold."""
    schema = file.schema_arrow
    columns = native.block["columns"]
    yield from label_problems(path, schema.names, [*columns.values()])
    for name, label in columns.items():
        if schema.names.count(label) == 1:
            kind, declared = schema.field(label).type, native.variables[name]["dtype"]
            if declared not in declared_types(kind):
                message = f"{declared} is declared, {kind} is in the file"
                yield Problem("type", f"{path}: column {label}", message)


def declared_types(kind: Any) -> tuple[str, ...]:
    """Return the types that a variable of an Arrow type may have, the usual one first."""
    from pyarrow import types

    floats = ("float64", "float32")
    whole = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", *floats)
    if types.is_dictionary(kind):
        return declared_types(kind.value_type)
    if types.is_floating(kind) or types.is_decimal(kind):
        usual = "float32" if kind.bit_width <= np.dtype("float32").itemsize * 8 else "float64"
        return (usual, *floats)
    if types.is_integer(kind):
        return (str(kind), *whole)
    if types.is_boolean(kind):
        return ("bool", "float32")
    if types.is_timestamp(kind) or types.is_date(kind):
        return ("datetime64[ns]",)
    return ("S",) if types.is_string(kind) or types.is_large_string(kind) else ()


def _size_problems(native: Native, path: str, file: Any) -> Iterator[Problem]:
    """Yield a problem if a file declares far more rows than it can hold."""
    size_bytes = (native.root / path).stat().st_size
    dtypes = (native.variables[name]["dtype"] for name in native.block["columns"])
    row_bytes = sum(1 if dtype == "S" else np.dtype(dtype).itemsize for dtype in dtypes)
    groups = range(file.metadata.num_row_groups)
    declared = max(
        file.metadata.num_rows * row_bytes,
        sum(file.metadata.row_group(number).total_byte_size for number in groups),
    )
    if declared > max_content_bytes(size_bytes):
        message = f"has {file.metadata.num_rows:,} rows of {declared:,} bytes by its head"
        yield Problem("size", path, f"{message}, and {size_bytes:,} bytes")


def _batches(file: Any, labels: list[str], start: int, stop: int) -> Iterator[tuple[int, Any]]:
    """Yield parts of rows `start` to `stop`, each with the number of its first row, from 0."""
    first = 0
    for group in range(file.metadata.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        if first < stop and end > start:
            at = first
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=labels):
                low, high = max(start, at), min(stop, at + batch.num_rows)
                if low < high:
                    yield low, batch.slice(low - at, high - low)
                at += batch.num_rows
        first = end


def _values(column: Any, timezone: str) -> pd.Series:
    """Return a column with pandas' nullable types, and times in UTC without a zone."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_date(column.type):  # a day is the same in each zone
        column, timezone = column.cast(pa.timestamp("ms")), "UTC"
    if not pa.types.is_timestamp(column.type):
        name = NULLABLE.get(str(column.type))
        kinds = {column.type: pd.api.types.pandas_dtype(name)} if name else {}
        series: pd.Series = column.to_pandas(types_mapper=kinds.get)
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        return series.astype(object) if is_text else series
    times: pd.Series = column.to_pandas()
    if times.dt.tz is None:
        times = times.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    return pd.Series(times.dt.tz_convert("UTC").dt.tz_localize(None))
