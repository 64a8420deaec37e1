"""Scores of the model beside the scores of every baseline, for each part of the split.

A metric that could not be computed is null, with a reason. It is never left out, because a missing
row would look as if the metric were not part of the benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciml_data.bench.scoring.metrics import Metric, row_key
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.errors import SciMLDataError

if TYPE_CHECKING:
    from sciml_data.bench.interface import Problem
    from sciml_data.bench.task.task import Task

# Tolerance at the declared bounds of a metric: rounding of float64 sums stays below it.
ROUNDING = 1e-9
NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class Score:
    """A number, or None with the reason why there is no number."""

    value: float | None
    reason: str | None = None


PartScores = Mapping[str, Mapping[str, Score]]  # part -> metric key -> score


def score_parts(
    problem: Problem, task: Task, predictions: Mapping[str, Predictions]
) -> dict[str, dict[str, Score]]:
    """Return a predictor's scores for each part.

    Args:
        problem: computes the scores.
        task: defines the metrics.
        predictions: part -> predictions.

    Raises:
        CallError: the problem returns a score of a metric that the task does not define.
    """
    return {part: _score(problem, task, values) for part, values in predictions.items()}


def metric_rows(
    task: Task, model: PartScores, baselines: Mapping[str, PartScores]
) -> list[dict[str, Any]]:
    """Return a row for each part and metric key: the model's score and the baselines' scores."""
    rows = []
    for part, scores in model.items():
        keys = dict.fromkeys([*scores, *_baseline_keys(baselines, part)])
        for key in keys:
            own = scores.get(key, Score(None, NOT_COMPUTED))
            metric = task.metric(key)
            rows.append(
                {
                    "metric_id": metric.id,
                    "variant": key.partition(".")[2] or None,
                    "part": part,
                    "score": own.value,
                    "status": "failed" if own.value is None else "computed",
                    "reason": own.reason,
                    "baselines": {
                        name: parts.get(part, {}).get(key, Score(None)).value
                        for name, parts in baselines.items()
                    },
                }
            )
    return rows


def target_rows(task: Task, split: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each target of a split: the score, and which predictors reach the target.

    Args:
        task: has the targets.
        split: name of the split; targets of other splits are left out.
        rows: of `metric_rows`.
    """
    row_of = {(row_key(row), row["part"]): row for row in rows}
    results = []
    for target in task.targets:
        if target.split not in {None, split}:
            continue
        row = row_of.get((target.metric, target.part), {"score": None, "baselines": {}})
        met = [
            name
            for name, score in row["baselines"].items()
            if score is not None and target.is_met(score)
        ]
        results.append(
            {
                "metric": target.metric,
                "part": target.part,
                "value": target.value,
                "comparison": target.comparison,
                "source": target.source,
                "score": row["score"],
                "is_reached": None if row["score"] is None else target.is_met(row["score"]),
                "reached_by_baselines": met,
            }
        )
    return results


def metric_definition(metric: Metric) -> dict[str, Any]:
    """Return a metric's definition as a record has it."""
    return {
        "metric_id": metric.id,
        "metric_name": metric.name,
        "metric_version": metric.version,
        "metric_unit": metric.unit,
        "lower_is_better": metric.lower_is_better,
        "min_score": metric.minimum,
        "max_score": metric.maximum,
        "formula": metric.formula,
    }


def _score(problem: Problem, task: Task, predictions: Predictions) -> dict[str, Score]:
    try:
        scores = problem.score(predictions)
    except (SciMLDataError, ArithmeticError, ValueError) as error:
        return {metric.id: Score(None, str(error)) for metric in task.metrics}
    return {key: _checked(float(value), task.metric(key)) for key, value in scores.items()}


def _checked(value: float, metric: Metric) -> Score:
    if not math.isfinite(value):
        return Score(None, f"the score is {value}")
    low = -math.inf if metric.minimum is None else metric.minimum
    high = math.inf if metric.maximum is None else metric.maximum
    if not low - ROUNDING <= value <= high + ROUNDING:
        return Score(None, f"the score {value} is outside of {low} to {high}")
    return Score(value)


def _baseline_keys(baselines: Mapping[str, PartScores], part: str) -> list[str]:
    return [key for parts in baselines.values() for key in parts.get(part, {})]
