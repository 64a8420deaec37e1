"""The training loop learns, keeps the best weights, stops, and goes on where it was cut off."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.training.loop import Trained, Training, train
from sciml_data.bench.training.schedule import Progress
from sciml_data.bench.training.tensorflow_backend import make_strategy
from sciml_data.errors import CallError, RecordError
from tests.support.toy import toy_problem


class StoppedError(Exception):
    pass


def training(settings: Mapping[str, Any], **changed: Any) -> Training:
    return Training(
        **{"settings": settings, "seed": 1, "strategy": make_strategy("default", {}), **changed}
    )


def weights(trained: Trained) -> list[np.ndarray[Any, Any]]:
    return [variable.numpy() for variable in trained.model.weights]


def losses(trained: Trained) -> list[tuple[float, float]]:
    return [(row["train_loss"], row["validation_loss"]) for row in trained.progress.curve]


def stop_after(epochs: int) -> Any:
    def on_epoch(progress: Progress) -> None:
        if progress.epochs == epochs:
            raise StoppedError

    return on_epoch


def test_the_loss_falls_and_every_sample_is_used() -> None:
    problem, settings = toy_problem()

    curve = train(problem, training(settings)).progress.curve

    assert [row["epoch"] for row in curve] == [1, 2, 3, 4]
    assert [row["samples"] for row in curve] == [203] * 4
    assert curve[-1]["train_loss"] < curve[0]["train_loss"] / 2
    assert curve[-1]["validation_loss"] < curve[0]["validation_loss"] / 2


def test_the_loss_of_an_epoch_is_the_weighted_mean_over_all_samples() -> None:
    problem, settings = toy_problem(learning_rate=1e-12, epochs=1)

    trained = train(problem, training(settings))

    error = problem.targets["train"] - np.asarray(trained.model(problem.inputs["train"]))
    weight = np.where(np.arange(203) % 2, 0.5, 1.0)
    expected = np.average(np.mean(error**2, axis=1), weights=weight)
    assert expected == pytest.approx(trained.progress.curve[0]["train_loss"], rel=1e-5)


@pytest.fixture(scope="module")
def whole() -> Trained:
    """Return an uninterrupted run with dropout and a schedule."""
    problem, settings = toy_problem("noisy", schedule="cosine", epochs=3)
    return train(problem, training(settings))


def test_a_run_that_was_cut_off_ends_as_an_uninterrupted_one(
    whole: Trained, tmp_path: Path
) -> None:
    problem, settings = toy_problem("noisy", schedule="cosine", epochs=3)
    kept = training(settings, folder=tmp_path)

    with pytest.raises(StoppedError):
        train(problem, kept, on_epoch=stop_after(1))
    resumed = train(problem, kept)
    again = train(problem, kept)

    assert (resumed.resumed_epochs, again.resumed_epochs) == (1, 3)
    assert losses(resumed) == losses(whole)
    assert again.progress == resumed.progress
    for one in (resumed, again):
        assert all(map(np.array_equal, weights(one), weights(whole)))


def test_another_seed_gives_other_weights(whole: Trained) -> None:
    problem, settings = toy_problem("noisy", schedule="cosine", epochs=1)

    other = train(problem, training(settings, seed=2))

    assert losses(other)[0] != losses(whole)[0]


def test_the_best_weights_are_kept_and_patience_ends_the_run() -> None:
    problem, settings = toy_problem(epochs=9, patience=2, monitor="rmse.a")
    worse_after_two = _WithScores(problem, iter([3.0, 1.0, 2.0, 2.0]))

    trained = train(worse_after_two, training(settings))
    two_epochs = train(problem, training({**settings, "epochs": 2, "monitor": "loss"}))

    assert (trained.progress.epochs, trained.progress.best_epoch) == (4, 2)
    assert all(map(np.array_equal, weights(trained), weights(two_epochs)))


def test_a_metric_where_more_is_better_can_be_monitored() -> None:
    problem, settings = toy_problem(epochs=2, monitor="explained")

    trained = train(problem, training(settings, lower_is_better=False))

    assert trained.progress.best_epoch == 2
    assert trained.progress.curve[1]["monitored"] > trained.progress.curve[0]["monitored"]


def test_an_unknown_monitored_metric_is_refused() -> None:
    problem, settings = toy_problem(monitor="rmse.c", epochs=1)

    with pytest.raises(CallError, match=r"rmse\.c"):
        train(problem, training(settings))


def test_a_split_without_validation_keeps_the_last_weights() -> None:
    problem, settings = toy_problem(split="halves", epochs=2)

    trained = train(problem, training(settings))

    assert trained.progress.best_epoch == 2
    assert [row["validation_loss"] for row in trained.progress.curve] == [None, None]


def test_a_run_that_diverges_says_so() -> None:
    problem, settings = toy_problem(epochs=2)
    broken = dataclasses.replace(
        problem, targets={**problem.targets, "train": problem.targets["train"] * np.nan}
    )

    with pytest.raises(RecordError, match="diverged"):
        train(broken, training(settings))


@pytest.mark.slow
def test_bfloat16_and_xla_train_as_well() -> None:
    problem, settings = toy_problem(epochs=3)

    plain = train(problem, training(settings)).progress.curve[-1]["train_loss"]
    short = train(problem, training({**settings, "precision": "mixed_bfloat16"}))
    compiled = train(problem, training({**settings, "xla": True}))

    assert plain == pytest.approx(short.progress.curve[-1]["train_loss"], rel=0.1)
    assert plain == pytest.approx(compiled.progress.curve[-1]["train_loss"], rel=1e-3)


class _WithScores:
    """A problem whose validation score is what the test says, epoch by epoch."""

    def __init__(self, problem: Any, values: Any) -> None:
        self._problem = problem
        self._values = values

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        return {**self._problem.score(predictions), "rmse.a": next(self._values)}
