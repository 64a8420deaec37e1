"""Lazy values of ready files: the same as those of xarray, and never those of a changed file."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import VerificationError
from sciml_data.ready.lazy_values import ReadyEngine
from sciml_data.ready.shards import write_netcdf
from tests.support.damage import DAMAGE

FILE = "values.nc"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with chunked, contiguous, packed, textual and scalar variables."""
    random = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            "chunked": (("row", "column"), random.normal(size=(400, 300))),
            "contiguous": ("row", np.arange(400)),
            "packed": ("row", np.where(np.arange(400) % 7, np.arange(400) / 4, np.nan)),
            "text": ("row", np.array([f"name {n}".encode() for n in range(400)])),
            "words": ("column", np.array([f"ü{n}" for n in range(300)], object)),
            "scalar": ((), 3.5),
            "when": ("row", np.datetime64("2020-01-01", "ns") + np.arange(400)),
        },
        coords={"column": np.arange(300)},
        attrs={"title": "values"},
    )
    dataset["chunked"].encoding = {"chunksizes": (100, 100)}
    dataset["packed"].encoding = {"dtype": "int16", "scale_factor": 0.25, "_FillValue": -1}
    write_netcdf(dataset, tmp_path / FILE)
    return tmp_path / FILE


@pytest.mark.parametrize("chunks", [None, {}])
def test_values_and_encodings_are_those_of_xarray(path: Path, chunks: dict[str, int]) -> None:
    expected = xr.open_dataset(path, engine="h5netcdf", chunks=chunks)
    with xr.open_dataset(path, engine=ReadyEngine, chunks=chunks) as dataset:
        assert list(dataset.variables) == list(expected.variables)
        for name in dataset.variables:
            assert str(dataset[name].encoding) == str(expected[name].encoding)  # NaN
            assert dataset[name].dtype == expected[name].dtype
            assert dataset[name].chunks == expected[name].chunks
        xr.testing.assert_identical(dataset.load(), expected.load())


@pytest.mark.parametrize("chunks", [None, {}])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["chunked", "contiguous", "packed", "text"])
def test_a_file_that_was_changed_after_it_was_opened_is_named(
    path: Path, chunks: dict[str, int], damage: Callable[[Path], None], name: str
) -> None:
    with xr.open_dataset(path, engine=ReadyEngine, chunks=chunks) as dataset:
        damage(path)

        with pytest.raises(VerificationError) as error:
            dataset[name].load()

    assert [problem.place for problem in error.value.problems] == [FILE]
    assert str(path) in error.value.message


def test_other_parts_are_named_too_after_a_first_part_was_read(path: Path) -> None:
    with xr.open_dataset(path, engine=ReadyEngine, chunks={}) as dataset:
        dataset["chunked"][:100].load()
        DAMAGE["flip"](path)

        with pytest.raises(VerificationError):
            dataset["chunked"][100:200].load()


def test_a_file_is_read_in_another_process_as_here(path: Path) -> None:
    """Dask sends the arrays to its workers with pickle."""
    with xr.open_dataset(path, engine=ReadyEngine, chunks={}) as dataset:
        sent = pickle.dumps(dataset["chunked"])
        expected = dataset["chunked"].values

    assert np.array_equal(pickle.loads(sent).values, expected)  # noqa: S301 - made here
    DAMAGE["flip"](path)
    with pytest.raises(VerificationError):
        pickle.loads(sent).load()  # noqa: S301 - made here


def test_a_wrong_index_stays_an_error_of_the_caller(path: Path) -> None:
    with xr.open_dataset(path, engine=ReadyEngine) as dataset, pytest.raises(IndexError):
        dataset["chunked"][1000].load()


def test_a_file_that_is_no_netcdf_is_closed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nonsense")

    with pytest.raises(OSError, match="signature"):
        xr.open_dataset(tmp_path / FILE, engine=ReadyEngine)
