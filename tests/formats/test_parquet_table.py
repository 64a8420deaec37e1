"""Parquet files become what the descriptor says, or what differs is named."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr
from pyarrow import parquet

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, parquet_table
from sciml_data.formats.interface import FREE_BYTES
from tests.support.native_files import native_of, reopened
from tests.support.problems import kinds_and_places

NOON = datetime.datetime(2020, 7, 1, 12, tzinfo=datetime.UTC)
COLUMNS: Mapping[str, tuple[Any, str]] = {
    "whole": (pa.array([1, 2, 3], pa.int16()), "int64"),
    "missing": (pa.array([1, None, 3]), "float64"),
    "large": (pa.array([2**63, 1, 2], pa.uint64()), "uint64"),
    "real": (pa.array([1.5, None, 2.5], pa.float32()), "float32"),
    "decimal": (pa.array([1, 2, 3]).cast(pa.decimal128(20, 1)), "float64"),
    "truth": (pa.array([True, False, None]), "float32"),
    "text": (pa.array(["ä", None, "c"]), "S"),
    "words": (pa.array(["x", "y", "x"]).dictionary_encode(), "S"),
    "zoned": (pa.array([NOON] * 3, pa.timestamp("us", "UTC")), "datetime64[ns]"),
    "local": (
        pa.array([NOON.replace(tzinfo=None), None, None], pa.timestamp("ms")),
        "datetime64[ns]",
    ),
    "day": (pa.array([NOON.date()] * 3), "datetime64[ns]"),
}


def native(root: Path, columns: Mapping[str, tuple[Any, str]] = COLUMNS, **more: Any) -> Native:
    root.mkdir(exist_ok=True)
    table = pa.table({name: values for name, (values, _) in columns.items()})
    parquet.write_table(table, root / "a.parquet", row_group_size=2)
    return described(root, {name: dtype for name, (_, dtype) in columns.items()}, **more)


def described(root: Path, dtypes: Mapping[str, str], **more: Any) -> Native:
    variables = {
        name: {"dims": ["row"], "dtype": dtype, "long_name": name} for name, dtype in dtypes.items()
    }
    block = {"columns": {name: name for name in dtypes}, **more}
    return native_of(root, block=block, variables=variables)


def read(files: Native, **options: Any) -> xr.Dataset:
    shards = parquet_table.shards(files, options)
    return xr.concat([parquet_table.read(files, shard, options) for shard in shards], "row")


def problems(files: Native) -> list[tuple[str, str]]:
    with pytest.raises(NativeFormatError) as error:
        read(files)
    return kinds_and_places(error)


def test_every_type_becomes_the_declared_one(tmp_path: Path) -> None:
    files = native(tmp_path / "n", timezone="Europe/Berlin")

    dataset = reopened(read(files), tmp_path / "ready.nc")

    for name, (_, dtype) in COLUMNS.items():
        assert dataset[name].dtype.kind == np.dtype(dtype).kind, name
    assert dataset["large"].to_numpy()[0] == 2**63
    np.testing.assert_array_equal(dataset["missing"], [1, np.nan, 3])
    np.testing.assert_array_equal(dataset["truth"], [1, 0, np.nan])
    assert [text.decode() for text in dataset["text"].to_numpy()] == ["ä", "", "c"]
    hours = {name: str(dataset[name].to_numpy()[0])[:13] for name in ("zoned", "local", "day")}
    assert hours == {"zoned": "2020-07-01T12", "local": "2020-07-01T10", "day": "2020-07-01T00"}


@pytest.mark.parametrize(("rows", "count"), [(1, 3), (2, 2), (3, 1), (0, 1)])
def test_a_table_is_the_same_in_any_number_of_files(tmp_path: Path, rows: int, count: int) -> None:
    files = native(tmp_path)

    assert len(parquet_table.shards(files, {"rows_per_shard": rows})) == count
    xr.testing.assert_identical(read(files, rows_per_shard=rows), read(files))


@pytest.mark.parametrize(
    ("values", "dtype", "kind"),
    [
        (pa.array([1, 2]), "S", "type"),
        (pa.array(["a"]), "float64", "type"),
        (pa.array([[1.0], [2.0]]), "float64", "type"),
        (pa.array([b"a"]), "S", "type"),
        (pa.array([1, 300]), "int8", "values"),
        (pa.array([1, -1]), "uint8", "values"),
        (pa.array([1, None]), "int8", "missing"),
        (pa.array([2**53 + 1]), "float64", "values"),
        (pa.array([1e300]), "float32", "values"),
    ],
)
def test_what_a_declared_type_cannot_hold_is_named(
    tmp_path: Path, values: Any, dtype: str, kind: str
) -> None:
    files = native(tmp_path, {"x": (values, dtype)})

    ((found, place),) = problems(files)
    assert found == kind
    assert place.startswith("a.parquet: ")
    assert place.endswith("column x")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    native(tmp_path, {"x": (pa.array([1.0]), "float64")})

    assert problems(described(tmp_path, {"y": "float64"})) == [("missing", "a.parquet")]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"text"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)

    assert problems(described(tmp_path, {"x": "float64"})) == [("unreadable", "a.parquet")]


def test_a_file_that_declares_far_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    count = FREE_BYTES // 8 * 2
    values = pa.nulls(count, pa.float64())  # runs of one value take a few bytes
    files = native(tmp_path, {"x": (pa.array([1.0]), "float64")})
    parquet.write_table(pa.table({"x": values}), tmp_path / "a.parquet")

    assert problems(files) == [("size", "a.parquet")]


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = native(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(CallError, match="pyarrow") as error:
        parquet_table.shards(files, {})
    assert "sciml-data[formats]" in error.value.hint
