"""The transfer to Japan appends Japan to California, and fits nothing to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import quake_transfer

from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import Split, load_split
from tests.support.quake_catalogue import quake_catalogue

pytest.importorskip("sklearn")

PERIODS = {
    "train": ["1963-01-01", "1998-01-01"],
    "validation": ["1998-01-01", "2005-01-01"],
    "test": ["2005-01-01", "2016-11-07"],
}


def transfer_to(seed: int) -> tuple[Any, Any]:
    """Return the problem of the other region, and that of the transfer to it."""
    runner, task = quake_transfer.RUNNER, quake_transfer.TASK
    settings = resolve_settings(task, ["features=own"], model=task.default_model, split="temporal")
    members = {name: {"period": period} for name, period in PERIODS.items()}
    away = runner.prepare(quake_catalogue(seed), Split("away", "", None, members, ""), settings)
    split = load_split(quake_transfer.FOLDER, "temporal")
    return away, quake_transfer.Transfer(quake_catalogue(5), away, split, settings)


@pytest.fixture(scope="module")
def problems() -> tuple[Any, Any]:
    return transfer_to(6)


def test_both_problems_score_the_same_targets(problems: tuple[Any, Any]) -> None:
    away, transfer = problems

    targets = away.scored_targets("test").to_numpy()

    assert np.isfinite(targets).any()
    np.testing.assert_array_equal(targets, transfer.scored_targets("japan").to_numpy())
    persistence = transfer.predictions_of("japan", transfer.forecasts["persistence"])
    own = away.baselines()["persistence"]["test"]
    known = np.isfinite(targets)
    np.testing.assert_array_equal(persistence.predicted[known], own.predicted[known])


def test_nothing_is_fitted_to_the_other_region(problems: tuple[Any, Any]) -> None:
    _, first = problems
    _, second = transfer_to(7)
    home = slice(0, first.joint - 104)  # later windows reach over the joint, and are in no part

    np.testing.assert_array_equal(first.scale.centre, second.scale.centre)
    np.testing.assert_array_equal(first.features[:, home], second.features[:, home])
    np.testing.assert_array_equal(first.base[:, home], second.base[:, home])
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(
            first.scored_targets(part).to_numpy(), second.scored_targets(part).to_numpy()
        )


def test_the_climatology_of_the_other_region_is_the_mean_of_california(
    problems: tuple[Any, Any],
) -> None:
    _, transfer = problems
    climatology = transfer.predictions_of("japan", transfer.forecasts["climatology"]).predicted

    assert np.ptp(climatology, axis=(0, 1)).max() == 0


def test_the_epoch_is_chosen_by_metrics_of_the_task(problems: tuple[Any, Any]) -> None:
    _, transfer = problems
    persistence = transfer.predictions_of("validation", transfer.forecasts["persistence"])

    assert "nnse_averaged.mean" in transfer.score(persistence)
