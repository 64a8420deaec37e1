"""What the runs of a result set show: a median score, its interval, and the best baseline.

A comparison with a baseline says "better" or "worse" only if the paired interval of every run says
so. Seeds share the test part, so more seeds do not make its interval narrower: the interval that is
printed is that of the run with the median score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.report import MISSING
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.errors import CallError, nearest
from sciml_data.results.board.summary import MetricSummary
from sciml_data.results.pages.stored import ResultSet

NO_DIFFERENCE = "no difference shown"
NO_INTERVAL = "no interval"


@dataclass(frozen=True)
class Evidence:
    """The score of a model on a part, beside the best baseline.

    Attributes:
        metric: median and spread over the runs.
        interval: ends of the 95 % interval of the score; None if records have none.
        best: name and score of the best baseline; None if no baseline has a score.
        difference: score less that of the best baseline, and the ends of its 95 % interval; None
            if records have none.
        verdict: how the model compares with the best baseline.
    """

    metric: MetricSummary
    interval: tuple[float, float] | None
    best: tuple[str, float] | None
    difference: tuple[float, float, float] | None
    verdict: str


def find_evidence(
    stored: ResultSet, part: str, key: str, baselines: Sequence[str] | None = None
) -> Evidence:
    """Return what a result set shows of a metric.

    Args:
        stored: the runs.
        part: of the split.
        key: of the metric, such as `nnse_averaged.w26`.
        baselines: names to compare with; None for all.

    Raises:
        CallError: the result set has no such part or metric.
    """
    metric = stored.metrics.get((part, key))
    if metric is None:
        known = (f"{other} {name}" for other, name in stored.metrics)
        raise CallError(f"{stored.name} has no {part} {key}{nearest(f'{part} {key}', known)}")
    rows = [_row(record, part, key) for record in stored.records]
    best, middle = _best_baseline(metric, baselines), _median_row(rows, metric)
    interval, difference = middle.get("interval"), None
    of_best = [row.get("comparisons", {}).get(best[0]) if best else None for row in rows]
    if best and (paired := middle.get("comparisons", {}).get(best[0])):
        difference = (paired["difference"], paired["lower"], paired["upper"])
    return Evidence(
        metric,
        (interval["lower"], interval["upper"]) if interval else None,
        best,
        difference,
        _verdict(metric, best, of_best),
    )


def _verdict(
    metric: MetricSummary,
    best: tuple[str, float] | None,
    comparisons: Sequence[Mapping[str, Any] | None],
) -> str:
    if best is None or metric.spread.median is None:
        return MISSING
    if all(comparisons):
        words = {str(comparison["verdict"]) for comparison in comparisons if comparison}
        return words.pop() if len(words) == 1 else NO_DIFFERENCE
    values = [value for value in metric.spread.values if value is not None]
    sign = -1 if metric.lower_is_better else 1
    ahead = sum(sign * (value - best[1]) > 0 for value in values)
    seeds = "1 seed" if len(values) == 1 else f"{len(values)} seeds"
    if ahead in {0, len(values)}:
        every = "" if len(values) == 1 else "all "
        return f"{'ahead' if ahead else 'behind'} with {every}{seeds}, {NO_INTERVAL}"
    return f"ahead with {ahead} of {seeds}, {NO_INTERVAL}"


def _best_baseline(metric: MetricSummary, names: Sequence[str] | None) -> tuple[str, float] | None:
    known = {
        name: score
        for name, score in metric.baselines.items()
        if score is not None and (names is None or name in names)
    }
    if not known:
        return None
    name = (min if metric.lower_is_better else max)(known, key=lambda name: (known[name], name))
    return name, known[name]


def _row(record: Mapping[str, Any], part: str, key: str) -> Mapping[str, Any]:
    for row in record["metrics"]:
        if row["part"] == part and row_key(row) == key:
            return dict(row)
    return {"score": None}


def _median_row(rows: Sequence[Mapping[str, Any]], metric: MetricSummary) -> Mapping[str, Any]:
    """Return the row of the run with the median score; of two in the middle, the first."""
    median = metric.spread.median
    known = [row for row in rows if row["score"] is not None]
    if median is None or not known:
        return {}
    return min(known, key=lambda row: abs(row["score"] - median))
