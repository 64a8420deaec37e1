"""Scores have a row for each metric: a number, or the reason why there is no number."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.scoring.scores import (
    ROUNDING,
    Score,
    metric_definition,
    metric_rows,
    score_parts,
    target_rows,
)
from sciml_data.bench.task.task import Target, load_task
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


def test_each_part_is_scored_by_its_own_predictions() -> None:
    given: list[Predictions] = []

    class Noting:
        def score(self, predictions: Predictions) -> dict[str, float]:
            given.append(predictions)
            return {"explained": 0.5}

    parts = {"train": tiny_predictions(), "test": tiny_predictions()}
    problem: Any = Noting()

    score_parts(problem, load_task(TOY), parts)

    assert [id(one) for one in given] == [id(one) for one in parts.values()]


def test_rows_have_all_parts_and_metrics_with_the_scores_of_each_baseline() -> None:
    model = {
        "train": {"explained": Score(0.9)},
        "test": {"rmse.a": Score(0.25), "explained": Score(0.8)},
    }
    baselines = {"mean": {"test": {"explained": Score(-0.1), "rmse.b": Score(2.0)}}, "none": {}}

    rows = metric_rows(load_task(TOY), model, baselines)

    computed = {"status": "computed", "reason": None}
    nothing = {"mean": None, "none": None}
    assert rows[:3] == [
        {"metric_id": "explained", "variant": None, "part": "train", "score": 0.9, **computed,
         "baselines": nothing},
        {"metric_id": "rmse", "variant": "a", "part": "test", "score": 0.25, **computed,
         "baselines": nothing},
        {"metric_id": "explained", "variant": None, "part": "test", "score": 0.8, **computed,
         "baselines": {"mean": -0.1, "none": None}},
    ]  # fmt: skip
    (last,) = rows[3:]
    assert (last["metric_id"], last["variant"], last["score"]) == ("rmse", "b", None)
    assert (last["status"], last["baselines"]) == ("failed", {"mean": 2.0, "none": None})
    assert last["reason"]


def test_targets_of_other_splits_are_left_out_and_a_missing_score_is_not_judged() -> None:
    task = replace(
        load_task(TOY),
        targets=(
            Target("explained", "test", 0.5, "elsewhere", split="another"),
            Target("rmse.a", "test", 0.3, "a paper", comparison="<="),
            Target("rmse.b", "fresh", 0.3, "a paper", split="thirds"),
        ),
    )
    model = {"rmse.a": Score(0.25)}
    baselines: dict[str, Any] = {"mean": {"test": {"rmse.a": Score(0.4)}}, "none": {"test": {}}}

    rows = target_rows(task, "thirds", metric_rows(task, {"test": model}, baselines))

    assert rows == [
        {"metric": "rmse.a", "part": "test", "value": 0.3, "comparison": "<=", "source": "a paper",
         "score": 0.25, "is_reached": True, "reached_by_baselines": []},
        {"metric": "rmse.b", "part": "fresh", "value": 0.3, "comparison": ">=",
         "source": "a paper", "score": None, "is_reached": None, "reached_by_baselines": []},
    ]  # fmt: skip


def test_a_definition_has_what_a_record_says_of_a_metric() -> None:
    metric = load_task(TOY).metric("explained")

    assert metric_definition(metric) == {
        "metric_id": metric.id,
        "metric_name": metric.name,
        "metric_version": metric.version,
        "metric_unit": metric.unit,
        "lower_is_better": metric.lower_is_better,
        "min_score": metric.minimum,
        "max_score": metric.maximum,
        "formula": metric.formula,
    }


def test_bounds_allow_for_rounding_and_for_nothing_more() -> None:
    task = load_task(TOY)
    high = task.metric("explained").maximum
    assert high is not None

    def score_of(value: float) -> Score:
        problem: Any = Scored({"explained": value})
        return score_parts(problem, task, {"test": tiny_predictions()})["test"]["explained"]

    assert score_of(high + ROUNDING / 2).value is not None
    assert score_of(high + 3 * ROUNDING).value is None


def test_a_score_at_its_lower_bound_counts_and_bounds_may_be_open() -> None:
    task = load_task(TOY)
    task = replace(task, metric_tables=({"id": "rmse", "min": 0.0}, task.metric_tables[1]))

    def score_of(value: float) -> Score:
        problem: Any = Scored({"rmse.a": value})
        return score_parts(problem, task, {"test": tiny_predictions()})["test"]["rmse.a"]

    assert score_of(0.0).value == 0.0
    assert score_of(-ROUNDING / 2).value == -ROUNDING / 2
    assert score_of(-3 * ROUNDING).value is None
    assert score_of(1e300).value == 1e300
