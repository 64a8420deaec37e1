"""Predictions are stored beside the observations, and their axes have names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
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


def test_predictions_whose_axes_are_not_named_are_refused() -> None:
    with pytest.raises(RecordError, match="do not fit"):
        Predictions(np.zeros((2, 3)), np.zeros((2, 3)), {"row": np.arange(2)})


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(RecordError, match="shape"):
        Predictions(np.zeros(2), np.zeros(3), {"row": np.arange(2)})
