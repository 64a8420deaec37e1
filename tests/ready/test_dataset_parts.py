"""A split in many files: those of one dimension in a row, tables beside them, counts summed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError
from sciml_data.ready.folder import write_manifest, write_record
from sciml_data.ready.open import combined_attributes, open_ready
from sciml_data.ready.shards import write_dataset
from sciml_data.registry.descriptor import Descriptor, Variable
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Converted
from sciml_data.testing.datasets import write_unpinned

FLOAT = Variable(("visit",), "float64", None, "what was seen")
DECLARED = {
    "seen": FLOAT,
    "place_index": Variable(("visit",), "int64", None, "where"),
    "height": replace(FLOAT, dims=("place",)),
    "name": Variable(("kind",), "S", None, "of a kind"),
}


def visits(seen: Sequence[float], **attributes: Any) -> xr.Dataset:
    variables = {
        "seen": ("visit", np.array(seen)),
        "place_index": ("visit", np.arange(len(seen))),
        "name": ("kind", np.array([b"one", b"two"])),
    }
    return xr.Dataset(variables, attrs={"shard_dimension": "visit", **attributes})


def places(height: Sequence[float]) -> xr.Dataset:
    return xr.Dataset({"height": ("place", list(height))}, attrs={"shard_dimension": "place"})


@pytest.fixture
def descriptor(tmp_path: Path) -> Descriptor:
    written = write_unpinned(tmp_path / "registry", mirrors=[{"": "https://one.example/"}])
    return replace(written, variables=DECLARED)


def ready(descriptor: Descriptor, root: Path, files: dict[str, xr.Dataset]) -> Converted:
    root.mkdir()
    for name, dataset in files.items():
        write_dataset(dataset, root / name)
    manifest = manifest_of(root)
    write_record(root, {"splits": {"all": list(files)}})
    write_manifest(root, manifest)
    return Converted(descriptor, root, manifest, "")


def test_files_of_two_dimensions_are_opened_as_one(descriptor: Descriptor, tmp_path: Path) -> None:
    files = {
        "places-0.nc": places([10.0]),
        "places-1.nc": places([20.0, 30.0]),
        "visits-0.nc": visits([1.0, 2.0], rows_read=3, native_files="a\nb", notices="x"),
        "visits-1.nc": visits([3.0], rows_read=1, native_files="b\nc"),
    }

    with open_ready(ready(descriptor, tmp_path / "ready", files)) as dataset:
        assert dataset["seen"].values.tolist() == [1.0, 2.0, 3.0]
        assert dataset["place_index"].values.tolist() == [0, 1, 0]
        assert dataset["height"].values.tolist() == [10.0, 20.0, 30.0]
        assert dataset["name"].values.tolist() == [b"one", b"two"]
        assert dataset.attrs["rows_read"] == 4
        assert dataset.attrs["native_files"] == "a\nb\nc"
        assert dataset.attrs["notices"] == "x"
        assert "shard_dimension" not in dataset.attrs


def test_a_table_that_is_one_file_stands_beside_the_rows(
    descriptor: Descriptor, tmp_path: Path
) -> None:
    table = places([10.0, 20.0])
    del table.attrs["shard_dimension"]
    files = {"places.nc": table, "visits-0.nc": visits([1.0]), "visits-1.nc": visits([])}

    with open_ready(ready(descriptor, tmp_path / "ready", files)) as dataset:
        assert dict(dataset.sizes) == {"place": 2, "visit": 1, "kind": 2}
        assert not dataset["seen"].variable._in_memory


def test_counts_in_json_are_summed_and_a_digest_that_differs_is_left_out() -> None:
    parts: list[dict[str, Any]] = [
        {
            "rows_by_source": json.dumps({"a": {"read": 2}}),
            "native_files_sha256": "1",
            "title": "t",
        },
        {"rows_by_source": json.dumps({"a": {"read": 3}, "b": {"kept": 1}})},
        {"native_files_sha256": "2", "title": "another", "rows_kept": np.int64(5)},
    ]

    together = combined_attributes(parts)

    assert json.loads(together["rows_by_source"]) == {"a": {"read": 5}, "b": {"kept": 1}}
    assert together["rows_kept"] == 5
    assert together["title"] == "t"
    assert "native_files_sha256" not in together


def test_without_dask_several_files_are_refused(
    descriptor: Descriptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"places.nc": places([1.0]), "visits.nc": visits([1.0])}
    converted = ready(descriptor, tmp_path / "ready", files)
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)

    with pytest.raises(CallError, match="needs dask"):
        open_ready(converted)
