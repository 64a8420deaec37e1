"""Scores of the model beside the scores of every baseline, for each part of the split.

A metric that could not be computed is null, with a reason. It is never left out, because a missing
row would look as if the metric were not part of the benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml_data.bench.scoring.intervals import (
    CONFIDENCE,
    METHOD,
    Replicates,
    compare,
    interval,
)
from sciml_data.bench.scoring.metrics import Metric, row_key
from sciml_data.bench.scoring.predictions import MODEL, Predictions
from sciml_data.errors import SciMLDataError

if TYPE_CHECKING:
    from sciml_data.bench.interface import Problem
    from sciml_data.bench.task.task import Task

# Tolerance at the declared bounds of a metric: rounding of float64 sums stays below it.
ROUNDING = 1e-9
NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class Score:
    """A number, or None with the reason why there is no number.

    `replicates` are scores without each unit of the part; None if they were not computed.
    """

    value: float | None
    reason: str | None = None
    replicates: Replicates | None = None


PartScores = Mapping[str, Mapping[str, Score]]  # part -> metric key -> score
DIGITS = 9  # of recorded replicates: they are differences of large sums, so more digits are noise


def score_parts(
    problem: Problem, task: Task, predictions: Mapping[str, Predictions], *, resampled: bool = False
) -> dict[str, dict[str, Score]]:
    """Return a predictor's scores for each part.

    Args:
        problem: computes the scores.
        task: defines the metrics.
        predictions: part -> predictions.
        resampled: whether to add replicates to the scores, except in the training part, where no
            unit is new to the model.

    Raises:
        CallError: the problem returns a score of a metric that the task does not define.
    """
    scores = {}
    for part, values in predictions.items():
        scores[part] = _score(problem, task, values)
        if resampled and part != problem.parts[0]:
            scores[part] = _with_replicates(problem, task, part, values, scores[part])
    return scores


def metric_rows(
    task: Task, model: PartScores, baselines: Mapping[str, PartScores]
) -> list[dict[str, Any]]:
    """Return a row for each part and metric key: the model's score and the baselines' scores.

    A row of scores with replicates has intervals and comparisons with the baselines, too. The
    replicates themselves are in the rows of the headline metric, to compare runs later.
    """
    headline = (task.headline_metric or "").partition(".")[0]
    rows = []
    for part, scores in model.items():
        keys = dict.fromkeys([*scores, *_baseline_keys(baselines, part)])
        for key in keys:
            own = scores.get(key, Score(None, NOT_COMPUTED))
            metric = task.metric(key)
            others = {name: parts.get(part, {}).get(key) for name, parts in baselines.items()}
            rows.append(
                {
                    "metric_id": metric.id,
                    "variant": key.partition(".")[2] or None,
                    "part": part,
                    "score": own.value,
                    "status": "failed" if own.value is None else "computed",
                    "reason": own.reason,
                    "baselines": {
                        name: None if score is None else score.value
                        for name, score in others.items()
                    },
                    **_uncertainty(own, others, metric, with_replicates=metric.id == headline),
                }
            )
    return rows


def sampling_block(scores: PartScores) -> dict[str, Any] | None:
    """Return how units were resampled, as a record has it; None if they were not."""
    parts = {}
    for part, of_keys in scores.items():
        found = [score.replicates.sampling for score in of_keys.values() if score.replicates]
        if found:
            parts[part] = {**vars(found[0])}
    return {"confidence_level": CONFIDENCE, "method": METHOD, "parts": parts} if parts else None


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


def _with_replicates(
    problem: Problem, task: Task, part: str, predictions: Predictions, scores: Mapping[str, Score]
) -> dict[str, Score]:
    """Return scores with replicates, if the benchmark can say what its units are."""
    resample = getattr(problem, "resample", None)
    if resample is None:
        return dict(scores)
    try:
        resampled = resample(part, predictions, task.headline_metric)
    except (SciMLDataError, ArithmeticError, ValueError, ImportError):
        # A metric that fails without some units, or a missing SciPy, must not take the scores of a
        # long run with it.
        return dict(scores)
    if resampled is None:
        return dict(scores)
    sampling, found = resampled
    none = Replicates.of([], sampling)
    return {key: replace(score, replicates=found.get(key, none)) for key, score in scores.items()}


def _uncertainty(
    own: Score, others: Mapping[str, Score | None], metric: Metric, *, with_replicates: bool
) -> dict[str, Any]:
    """Return the fields `interval`, `comparisons` and `replicates` of a row; none if unknown."""
    if own.replicates is None:
        return {}
    known = {name: score for name, score in others.items() if score and score.replicates}
    ends = None
    if own.value is not None:
        bounds = {"minimum": metric.minimum, "maximum": metric.maximum}
        ends = interval(own.value, own.replicates, **bounds)
    fields: dict[str, Any] = {
        "interval": None if ends is None else {"lower": ends[0], "upper": ends[1]},
        "comparisons": dict(_comparisons(own, known, metric)),
    }
    if with_replicates and ends is not None:
        fields["replicates"] = {
            "groups": list(own.replicates.groups),
            "t": own.replicates.t,
            "scores": {
                name: [float(f"{value:.{DIGITS}g}") for value in score.replicates.values.tolist()]
                for name, score in {MODEL: own, **known}.items()
                if score.replicates and np.isfinite(score.replicates.values).all()
            },
        }
    return fields


def _comparisons(
    own: Score, others: Mapping[str, Score], metric: Metric
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each baseline and how the model compares with it."""
    for name, other in others.items():
        if own.value is None or other.value is None or not own.replicates or not other.replicates:
            continue
        comparison = compare(
            own.value,
            own.replicates,
            other.value,
            other.replicates,
            lower_is_better=metric.lower_is_better,
        )
        if comparison is not None:
            yield name, vars(comparison)
