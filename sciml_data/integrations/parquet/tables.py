"""Variables of a ready dataset as Arrow tables: each first dimension is a table with its rows.

An array in a row, such as an image, is a nested list of fixed sizes: polars reads an array with
this shape, DuckDB a list, and Hugging Face `datasets` a `List` with its lengths. Text is UTF-8.
Times have no time zone and mean UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xarray as xr

from sciml_data.registry.descriptor import Variable

GROUP_BYTES = 32 * 1024**2  # of a row group: what is in memory, a few times over
KINDS = "biufSUOM"  # of NumPy types that have a column type


@dataclass(frozen=True)
class Table:
    """The variables of a dataset that share their first dimension.

    Attributes:
        name: the dimension.
        columns: variables by name, each (row, ...).
        declared: what the descriptor says of variables, by name.
    """

    name: str
    columns: Mapping[str, xr.DataArray]
    declared: Mapping[str, Variable]

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values())))

    @property
    def row_bytes(self) -> int:
        """Return the bytes of a row in memory; a text counts with its longest length."""
        return sum(
            column.dtype.itemsize * prod(column.shape[1:]) for column in self.columns.values()
        )

    def schema(self, about: Mapping[str, Any]) -> pa.Schema:
        """Return the types of the columns, with descriptions and units as their metadata.

        Args:
            about: facts about the dataset, for the metadata of the schema.
        """
        fields = [
            pa.field(name, _type(column), metadata=self._metadata(name))
            for name, column in self.columns.items()
        ]
        return pa.schema(fields, metadata={"sciml_data": json.dumps(about, sort_keys=True)})

    def batches(self, schema: pa.Schema, start: int, stop: int) -> Iterator[pa.Table]:
        """Yield the rows from `start` to `stop` in groups that fit into memory."""
        step = max(1, GROUP_BYTES // max(1, self.row_bytes))
        for first in range(start, stop, step):
            rows = slice(first, min(first + step, stop))
            arrays = [
                _array(column[rows].compute(scheduler="synchronous").values, schema.field(name))
                for name, column in self.columns.items()
            ]
            yield pa.table(arrays, schema=schema)

    def _metadata(self, name: str) -> dict[str, str]:
        variable = self.declared.get(name)
        if variable is None:
            return {}
        values = {
            "description": variable.long_name,
            "units": variable.units,
            "standard_name": variable.standard_name,
            "missing": variable.missing,
            "dims": " ".join(variable.dims),
        }
        return {key: value for key, value in values.items() if value}


def tables_of(dataset: xr.Dataset, declared: Mapping[str, Variable]) -> dict[str, Table]:
    """Return the tables of a dataset by name, the table of the first variable first.

    Variables without a dimension, tables without rows, and arrays without values are left out.

    Args:
        dataset: an opened split.
        declared: variables of the descriptor.
    """
    columns: dict[str, dict[str, xr.DataArray]] = {}
    for name in [*dataset.data_vars, *dataset.coords]:
        values = dataset[name].reset_coords(drop=True)
        if values.ndim and values.size and values.dtype.kind in KINDS:
            columns.setdefault(str(values.dims[0]), {})[str(name)] = values
    return {name: Table(name, of_table, declared) for name, of_table in columns.items()}


def _type(values: xr.DataArray) -> pa.DataType:
    """Return the column type of a variable."""
    kind = values.dtype.kind
    if kind in "SUO":
        column: pa.DataType = pa.string()
    elif kind == "M":
        column = pa.timestamp("ns")
    else:
        column = pa.from_numpy_dtype(values.dtype.newbyteorder("="))
    for length in reversed(values.shape[1:]):
        column = pa.list_(column, length)
    return column


def _array(values: npt.NDArray[Any], field: pa.Field) -> pa.Array:
    """Return values (row, ...) as a column."""
    kind, shape = field.type, values.shape
    while pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    flat = np.ascontiguousarray(values).reshape(-1)
    if pa.types.is_string(kind):
        column = pa.array([_text(value) for value in flat.tolist()], kind)
    else:
        column = pa.array(flat.astype(flat.dtype.newbyteorder("="), copy=False), kind)
    for length in reversed(shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, length)
    return column


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
