"""Scores have a row for each metric: a number, or the reason why there is no number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.scoring.scores import Score, metric_rows, score_parts, target_rows
from sciml_data.bench.task.task import load_task
from tests.support.toy import RUNNER as TOY


def tiny_predictions() -> Predictions:
    return Predictions(np.zeros(2), np.ones(2), {"row": np.arange(2)})


class Scored:
    """A problem that scores with what the test says."""

    def __init__(self, scores: dict[str, float] | Exception) -> None:
        self.scores = scores

    def score(self, _: Predictions) -> dict[str, float]:
        if isinstance(self.scores, Exception):
            raise self.scores
        return self.scores


def test_a_score_that_cannot_be_is_null_with_a_reason() -> None:
    task = load_task(TOY)
    scored: Any = Scored({"rmse.a": math.nan, "rmse.b": -1.0, "explained": 0.5})

    scores = score_parts(scored, task, {"test": tiny_predictions()})["test"]
    rows = metric_rows(task, {"test": scores}, {})

    assert [row["score"] for row in rows] == [None, None, 0.5]
    assert [row["status"] for row in rows] == ["failed", "failed", "computed"]
    assert "nan" in str(rows[0]["reason"])
    assert "outside" in str(rows[1]["reason"])


def test_a_metric_that_fails_leaves_a_row_for_each_metric() -> None:
    task = load_task(TOY)
    scored: Any = Scored(ZeroDivisionError("no spread"))

    scores = score_parts(scored, task, {"test": tiny_predictions()})["test"]

    assert {"rmse": Score(None, "no spread"), "explained": Score(None, "no spread")} == scores


def test_a_target_says_which_baselines_meet_it() -> None:
    task = load_task(TOY)
    model, mean = {"explained": Score(0.9)}, {"explained": Score(-0.1)}
    rows = metric_rows(task, {"test": model}, {"mean": {"test": mean}})

    (target,) = target_rows(task, "thirds", rows)

    assert tuple(target[key] for key in ("score", "is_reached", "reached_by_baselines")) == (
        0.9,
        True,
        ["mean"],
    )
