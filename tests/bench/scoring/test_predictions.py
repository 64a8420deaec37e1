"""Predictions are stored beside the observations, and their axes have names."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from sciml_data.bench.scoring.predictions import (
    DEFLATE_LEVEL,
    Predictions,
    load_predictions,
    save_predictions,
)
from sciml_data.errors import RecordError


def tiny_predictions() -> Predictions:
    return Predictions(np.zeros(2), np.ones(2), {"row": np.arange(2)})


def test_predictions_are_read_as_they_were_stored(tmp_path: Path) -> None:
    observed = np.array([[1.0, np.nan], [3.0, 4.0]], "float32")
    axes = {
        "time": np.array(["2020-01-01", "2020-01-15"], "datetime64[ns]"),
        "window": np.array(["w1", "w2"], dtype=object),
    }
    stored = {"test": Predictions(observed, observed + 1, axes), "fresh": tiny_predictions()}

    save_predictions(tmp_path / "a.nc", stored, synthetic=True)
    found = load_predictions(tmp_path / "a.nc")

    assert list(found) == ["test", "fresh"]
    np.testing.assert_array_equal(observed, found["test"].observed)
    np.testing.assert_array_equal(observed + 1, found["test"].predicted)
    assert np.dtype("float32") == found["test"].predicted.dtype
    for name, values in axes.items():
        assert values.tolist() == found["test"].coords[name].tolist()


def test_predictions_are_compressed_and_marked_as_synthetic_or_not(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on the way" / "a.nc"

    save_predictions(path, {"test": tiny_predictions()}, synthetic=False)
    with h5py.File(path) as file:
        packing = [
            (file[name].compression, file[name].compression_opts, file[name].shuffle)
            for name in ("test/observed", "test/predicted")
        ]
        assert file.attrs["synthetic"] == 0
    save_predictions(path, {"fresh": tiny_predictions()}, synthetic=True)

    assert packing == [("gzip", DEFLATE_LEVEL, True)] * 2
    with h5py.File(path) as file:
        assert file.attrs["synthetic"] == 1
        assert set(file) == {"fresh"}


def test_predictions_do_not_need_netcdf4(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netcdf4 = pytest.importorskip("netCDF4")

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("netCDF4 opened a file")

    monkeypatch.setattr(netcdf4, "Dataset", refuse)
    save_predictions(tmp_path / "a.nc", {"test": tiny_predictions()}, synthetic=True)

    assert list(load_predictions(tmp_path / "a.nc")) == ["test"]


def test_predictions_that_were_never_stored_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"missing\.nc"):
        load_predictions(tmp_path / "missing.nc")


def test_what_a_library_says_of_damage_is_one_line_of_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class DamageError(Exception):
        def __str__(self) -> str:
            return "first line\nsecond line\nthird line"

    def fail(_: Path) -> None:
        raise DamageError

    save_predictions(tmp_path / "a.nc", {"test": tiny_predictions()}, synthetic=True)
    monkeypatch.setattr("sciml_data.bench.scoring.predictions._load", fail)

    with pytest.raises(RecordError) as error:
        load_predictions(tmp_path / "a.nc")

    assert "DamageError first line" in error.value.message
    assert "second" not in error.value.message


def test_predictions_whose_axes_are_not_named_are_refused() -> None:
    with pytest.raises(RecordError, match="do not fit"):
        Predictions(np.zeros((2, 3)), np.zeros((2, 3)), {"row": np.arange(2)})


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(RecordError, match="shape"):
        Predictions(np.zeros(2), np.zeros(3), {"row": np.arange(2)})
