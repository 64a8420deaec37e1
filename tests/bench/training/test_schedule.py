"""Learning rate, best epoch and early stopping follow from the curve alone."""

from __future__ import annotations

from typing import Any

import pytest

from sciml_data.bench.task.settings import LOOP_DEFAULTS
from sciml_data.bench.training.schedule import (
    Progress,
    advance,
    has_stopped_early,
    is_finished,
    learning_rate,
)


def settings(**changed: Any) -> dict[str, Any]:
    return {**LOOP_DEFAULTS, "epochs": 10, "learning_rate": 1.0, **changed}


def after(values: list[float | None], *, lower: bool = True, **changed: Any) -> Progress:
    progress = Progress()
    for value in values:
        row = {"monitored": value}
        progress = advance(progress, row, settings(**changed), lower_is_better=lower)
    return progress


def test_the_best_epoch_is_the_one_with_the_best_value() -> None:
    assert (after([3.0, 1.0, 2.0]).best_epoch, after([3.0, 1.0, 2.0]).best_value) == (2, 1.0)
    assert after([3.0, 1.0, 2.0], lower=False).best_epoch == 1


def test_without_validation_the_last_epoch_is_the_best() -> None:
    assert after([None, None, None]).best_epoch == 3


def test_a_gain_that_is_rounding_does_not_count() -> None:
    assert after([1.0, 1.0 - 1e-8]).best_epoch == 1


def test_patience_ends_a_run_and_none_never_does() -> None:
    values: list[float | None] = [2.0, 1.0, 3.0, 3.0]

    assert not is_finished(after(values), settings())
    assert not is_finished(after(values), settings(patience=3))
    assert has_stopped_early(after(values), settings(patience=2))


def test_cosine_falls_from_the_base_rate_to_almost_nothing() -> None:
    chosen = settings(schedule="cosine")
    rates = [learning_rate(chosen, Progress(epochs=epoch)) for epoch in range(10)]

    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert pytest.approx(rates[5]) == 0.5
    assert 0 < rates[-1] < 0.03


def test_warm_up_rises_to_the_base_rate() -> None:
    chosen = settings(warmup_epochs=3)
    rates = [learning_rate(chosen, Progress(epochs=epoch)) for epoch in range(5)]

    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_warm_up_may_fall_to_the_base_rate() -> None:
    """Uno's published run falls from 1e-3 to 1e-4 over five epochs."""
    chosen = settings(learning_rate=1e-4, warmup_epochs=5, warmup_rate=1e-3)
    rates = [learning_rate(chosen, Progress(epochs=epoch)) for epoch in range(7)]

    assert rates == pytest.approx([1e-3, 8.2e-4, 6.4e-4, 4.6e-4, 2.8e-4, 1e-4, 1e-4])


def test_a_plateau_does_not_reduce_the_rate_below_its_limit() -> None:
    chosen = settings(schedule="plateau", min_learning_rate=0.1)

    assert learning_rate(chosen, Progress(reductions=3)) == 0.125
    assert learning_rate(chosen, Progress(reductions=4)) == 0.1


def test_a_plateau_halves_the_rate_once_for_each_wait() -> None:
    chosen: dict[str, Any] = {"schedule": "plateau", "plateau_patience": 2}
    values: list[float | None] = [1.0, 2.0, 2.0, 2.0, 2.0]

    progress = after(values, **chosen)

    assert progress.reductions == 2
    assert learning_rate(settings(**chosen), progress) == 0.25


def test_progress_survives_json() -> None:
    progress = after([3.0, 1.0, 2.0])

    assert progress == Progress.from_json(progress.to_json())
