"""A model with fit and predict gets rows of the training part, and predicts in the loss's form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr

from sciml_data.bench.interface import Array, Benchmark, ModelSpec
from sciml_data.bench.task.split import Split
from sciml_data.bench.training.adapted import OwnTraining
from sciml_data.bench.training.fit_predict import FitPredict, check_rows
from sciml_data.bench.training.own_model import read_own_model
from sciml_data.errors import CallError

SETTINGS = {"batch_size": 4, "memory_mib": 1, "deterministic": False, "model": "own-x"}


class Points(Benchmark):
    """Twenty points with two inputs, of which one is an image; every fifth has weight 0."""

    classes = 0

    def open(self, data: Any) -> None:
        self.values = np.arange(20, dtype=np.float32)
        del data

    def keys(self) -> pd.DataFrame:
        return pd.DataFrame({"row": np.arange(20)})

    def divide_samples(self, split: Split) -> None:
        del split
        self.division = SimpleNamespace(  # type: ignore[assignment] # the parts are enough
            parts={"train": np.arange(12), "validation": np.arange(12, 20)}
        )

    def build(self) -> Any:
        raise NotImplementedError

    def targets(self, numbers: Any) -> xr.DataArray:
        return xr.DataArray(self.values[numbers], [("row", numbers)])

    def batch(self, numbers: Any, rng: Any) -> Any:
        assert rng is None
        values = self.values[numbers]
        inputs = {"b": np.tile(values[:, None, None], (1, 2, 3)), "a": values[:, None]}
        targets = values.astype(int) % self.classes if self.classes else 2 * values[:, None]
        return inputs, targets, (numbers % 5 > 0).astype(np.float32)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> Any:
        raise NotImplementedError

    def specification(self) -> ModelSpec:
        inputs = {"a": Array((1,)), "b": Array((2, 3))}
        return ModelSpec(inputs, Array((self.classes or 1,)), has_classes=bool(self.classes))


class Classes(Points):
    classes = 3


class Recorder:
    """A model that records what it gets."""

    def __init__(self, answer: Any, **more: Any) -> None:
        self.answer = answer
        vars(self).update(more)

    def fit(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def predict(self, x: Any) -> Any:
        return self.answer(x)


def training(problem: type[Points], model: Any, **changed: Any) -> OwnTraining:
    def make(spec: Any, settings: Mapping[str, Any]) -> Any:
        del spec, settings
        return model

    settings = {**SETTINGS, **changed}
    return OwnTraining(read_own_model(make), problem(None, no_split(), settings), settings)


def no_split() -> Split:
    return Split("all", "none", None, {}, "")


def fitted(problem: type[Points], model: Any) -> FitPredict:
    return FitPredict(training(problem, model), seed=0)


def outputs(model: FitPredict, numbers: list[int]) -> npt.NDArray[Any]:
    problem = model.training.problem
    return np.asarray(problem.outputs(model, np.array(numbers)))


def test_inputs_are_joined_in_the_order_of_the_specification() -> None:
    model = Recorder(lambda x: x[:, 0] * 2)

    values = outputs(fitted(Points, model), [13, 14])

    assert model.x.dtype == np.float32
    assert model.x.tolist() == [[v] * 7 for v in range(12) if v % 5]
    assert model.y.tolist() == [2 * v for v in range(12) if v % 5]
    assert values.tolist() == [[26], [28]]


def test_a_classifier_gives_the_logarithms_of_its_probabilities() -> None:
    model = Recorder(
        None,
        classes_=np.array([0, 2]),
        predict_proba=lambda x: np.tile([0.25, 0.75], (len(x), 1)),
    )

    values = outputs(fitted(Classes, model), [13])

    assert model.y.tolist() == [v % 3 for v in range(12) if v % 5]
    np.testing.assert_allclose(np.exp(values), [[0.25, 0, 0.75]], atol=1e-6)


def test_predicted_classes_are_logits_too() -> None:
    values = outputs(fitted(Classes, Recorder(lambda x: np.full(len(x), 2))), [13])

    assert values.argmax(axis=1).tolist() == [2]
    raw = outputs(fitted(Classes, Recorder(lambda x: np.ones((len(x), 3)))), [13])
    assert raw.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    "answer",
    [lambda x: x, lambda x: np.full(len(x), np.nan), lambda x: x[:-1, 0], lambda _x: 1 / 0],
    ids=["shape", "nan", "rows", "raises"],
)
def test_a_wrong_prediction_is_a_sentence(answer: Any) -> None:
    with pytest.raises(CallError, match=Path(__file__).name):
        outputs(fitted(Points, Recorder(answer)), [13, 14])


def test_a_fit_that_fails_names_its_line() -> None:
    with pytest.raises(CallError, match=rf"{Path(__file__).name}, line \d+: fit failed: ZeroDiv"):
        fitted(Points, SimpleNamespace(fit=lambda _x, _y: 1 / 0, predict=str))


def test_rows_that_do_not_fit_into_memory_are_counted_before() -> None:
    with pytest.raises(CallError, match="12 rows of 7 features") as caught:
        check_rows(training(Points, None, memory_mib=0), replicas=1)

    assert "--set memory_mib=1" in caught.value.hint


def test_samples_without_rows_and_several_devices_are_refused() -> None:
    class Pieces(Points):
        batch = Benchmark.batch
        batches = Points.keys  # type: ignore[assignment] # only its presence matters

    class Images(Points):
        def specification(self) -> ModelSpec:
            return ModelSpec({"a": Array((None, 1))}, Array((1,)))

    for problem, replicas in ((Pieces, 1), (Images, 1), (Points, 2)):
        with pytest.raises(CallError, match="cannot be trained"):
            check_rows(training(problem, None), replicas)
