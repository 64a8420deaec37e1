"""A budget ends training at a step, keeps the best weights, and says what the whole would take."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.training import budget, loop
from sciml_data.bench.training.budget import budget_block, read_duration
from sciml_data.bench.training.checkpoint import load_state
from sciml_data.bench.training.loop import Training, train
from sciml_data.bench.training.schedule import Progress
from sciml_data.bench.training.tensorflow_backend import make_strategy
from sciml_data.errors import CallError
from tests.support.toy import toy_problem

STEPS = 7  # of an epoch: 203 rows in batches of 32
AT_ONCE = 1e-6


def training(settings: Any, **changed: Any) -> Training:
    return Training(settings=settings, seed=1, strategy=make_strategy("default", {}), **changed)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each look at the clock of a budget take a second."""
    ticks = itertools.count()
    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10min", 600), ("2h", 7200), ("1.5 h", 5400)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "0s", "-5min", "1d", "ten min", "inf h", "9" * 400 + "s"]
)
def test_other_texts_are_not_durations(text: str) -> None:
    with pytest.raises(CallError, match="duration"):
        read_duration(text)


def test_training_stops_at_the_end_of_the_first_step_after_its_time(tmp_path: Path) -> None:
    problem, settings = toy_problem()

    progress = train(problem, training(settings, folder=tmp_path, budget_s=AT_ONCE)).progress

    (row,) = progress.curve
    assert (row["steps"], row["samples"], row["is_partial"]) == (1, 32, True)
    assert (progress.best_epoch, row["validation_loss"] is not None) == (1, True)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.usefixtures("ticking")
def test_a_run_that_stopped_is_continued_as_if_it_had_not(tmp_path: Path) -> None:
    problem, settings = toy_problem("noisy", schedule="cosine", epochs=3)
    kept = training(settings, folder=tmp_path, budget_s=STEPS + 5)

    stopped = train(problem, kept).progress
    state = load_state(tmp_path, "")
    continued = train(problem, training(settings, folder=tmp_path))
    whole = train(problem, training(settings))

    assert [row["is_partial"] for row in stopped.curve] == [False, True]
    assert stopped.curve[0]["steps"] == STEPS > stopped.curve[1]["steps"]
    assert state is not None
    assert state.progress["epochs"] == continued.resumed_epochs == 1
    assert [row["train_loss"] for row in continued.progress.curve] == [
        row["train_loss"] for row in whole.progress.curve
    ]
    assert all(
        np.array_equal(one.numpy(), other.numpy())
        for one, other in zip(continued.model.weights, whole.model.weights, strict=True)
    )


@pytest.mark.usefixtures("ticking")
def test_the_time_of_earlier_processes_counts(tmp_path: Path) -> None:
    problem, settings = toy_problem(epochs=3)
    train(problem, training({**settings, "epochs": 1}, folder=tmp_path))

    again = train(problem, training(settings, folder=tmp_path, budget_s=AT_ONCE))

    assert (again.progress.epochs, again.resumed_epochs) == (1, 1)


@pytest.mark.usefixtures("ticking")
def test_a_run_that_stops_between_two_epochs_has_reached_its_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock of the limit is beyond the budget, the sum of the curve is not."""
    tenths = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(tenths) / 10))
    problem, settings = toy_problem(epochs=3)

    progress = train(problem, training(settings, budget_s=STEPS + 1.5)).progress

    assert [row["is_partial"] for row in progress.curve] == [False]
    assert sum(row["train_s"] + row["evaluation_s"] for row in progress.curve) < STEPS + 1.5
    block = budget_block(STEPS + 1.5, progress, settings, 203, has_ended=True)
    assert (block["is_reached"], block["epochs"], block["planned_epochs"]) == (True, 1, 3)


def test_a_budget_that_suffices_changes_nothing() -> None:
    problem, settings = toy_problem("noisy", epochs=2)

    free = train(problem, training(settings)).progress
    within = train(problem, training(settings, budget_s=3600.0)).progress

    assert [row["train_loss"] for row in free.curve] == [row["train_loss"] for row in within.curve]
    block = budget_block(3600.0, within, settings, 203, has_ended=True)
    assert not block["is_reached"]
    assert block["steps"] == block["planned_steps"] == 2 * STEPS


def row(number: int, *, steps: int, seconds: float, first_s: float, **changed: Any) -> Any:
    return {
        "epoch": number, "steps": steps, "train_s": seconds, "first_step_s": first_s,
        "samples": steps * 10, "evaluation_s": 2.0, "is_partial": False,
        "is_first_of_process": number == 1, **changed,
    }  # fmt: skip


def progress_of(*rows: Any) -> Progress:
    return Progress(epochs=len(rows), best_epoch=1, curve=rows)


def test_the_whole_time_is_extrapolated_without_compilation() -> None:
    curve = progress_of(
        row(1, steps=101, seconds=30.0, first_s=20.0),
        row(2, steps=101, seconds=10.1, first_s=0.1),
        row(3, steps=51, seconds=5.1, first_s=0.1, is_partial=True),
    )

    block = budget_block(50.0, curve, {"epochs": 10, "patience": 0}, 1010)

    assert (block["is_reached"], block["epochs"], block["planned_epochs"]) == (True, 2, 10)
    assert (block["steps"], block["planned_steps"]) == (253, 1010)
    # 0.1 s a step and 2 s a validation, after 19.9 s of compilation
    assert block["whole_training_seconds"] == pytest.approx(19.9 + 101.0 + 20.0)


def test_without_a_whole_epoch_its_steps_are_estimated_from_the_samples() -> None:
    curve = progress_of(row(1, steps=5, seconds=24.0, first_s=20.0, is_partial=True))

    block = budget_block(20.0, curve, {"epochs": 2, "patience": 0}, 1005)

    assert (block["epochs"], block["steps"], block["planned_steps"]) == (0, 5, 2 * 101)
    assert block["whole_training_seconds"] == pytest.approx(19.0 + 2 * (101 + 2.0))


def test_before_the_first_epoch_nothing_is_known() -> None:
    block = budget_block(20.0, Progress(), {"epochs": 2, "patience": 0}, 1005)

    assert (block["is_reached"], block["steps"], block["whole_training_seconds"]) == (
        False, None, None
    )  # fmt: skip


def test_a_single_step_does_not_tell_what_the_whole_would_take() -> None:
    curve = progress_of(row(1, steps=1, seconds=24.0, first_s=24.0, is_partial=True))

    block = budget_block(20.0, curve, {"epochs": 2, "patience": 0}, 1005)

    assert (block["steps"], block["planned_steps"]) == (1, 2 * 101)
    assert block["whole_training_seconds"] is None
