"""What the runs of a result set show: score, interval, and a comparison with another predictor.

Seeds share the test part, so more seeds do not make an interval narrower. For the headline metric,
records have replicates: interval and difference are those of the mean over the seeds, as `show`
prints them. For any other metric they are those of the run with the median score, and "better" or
"worse" is said only if the interval of every run says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.uncertainty import compare_pooled, find_row, pool
from sciml_data.bench.scoring.intervals import NO_DIFFERENCE
from sciml_data.bench.scoring.metrics import MISSING
from sciml_data.errors import CallError, nearest
from sciml_data.progress import counted
from sciml_data.results.board.summary import MetricSummary
from sciml_data.results.pages.stored import ResultSet

NO_INTERVAL = "no interval"


@dataclass(frozen=True)
class Evidence:
    """The score of a model on a part, beside another predictor.

    Attributes:
        metric: median and spread over the runs.
        interval: ends of the 95 % interval of the score; None if records have none.
        other: name and median score of the best baseline, or of the model that was named; None if
            there is none.
        difference: score less the other's, and the ends of its 95 % interval; None if records have
            none.
        verdict: how the model compares with the other.
    """

    metric: MetricSummary
    interval: tuple[float, float] | None
    other: tuple[str, float] | None
    difference: tuple[float, float, float] | None
    verdict: str


def find_evidence(
    stored: ResultSet,
    part: str,
    key: str,
    *,
    baselines: Sequence[str] | None = None,
    against: ResultSet | None = None,
) -> Evidence:
    """Return what a result set shows of a metric.

    Args:
        stored: the runs.
        part: of the split.
        key: of the metric, such as `nnse_averaged.w26`.
        baselines: names to compare with; None for all.
        against: runs of another model to compare with, instead of the best baseline.

    Raises:
        CallError: a result set has no such part or metric.
    """
    metric = _metric(stored, part, key)
    if against is None:
        other = _best_baseline(metric, baselines)
        theirs = pool(stored.records, part, key, other[0]) if other else None
    else:
        median = _metric(against, part, key).spread.median
        other = None if median is None else (against.summary.first["model"]["name"], median)
        theirs = pool(against.records, part, key)
    ours = pool(stored.records, part, key)
    rows = [find_row(record, part, key) for record in stored.records]
    middle = _median_row(rows, metric)
    ends = middle.get("interval")
    interval = ours.interval if ours else (ends["lower"], ends["upper"]) if ends else None
    if paired := compare_pooled(ours, theirs):
        of_means = (paired.difference, paired.lower, paired.upper)
        return Evidence(metric, interval, other, of_means, paired.verdict)
    name = other[0] if other and against is None else ""
    block = middle.get("comparisons", {}).get(name)
    difference = (block["difference"], block["lower"], block["upper"]) if block else None
    verdicts = [row.get("comparisons", {}).get(name, {}).get("verdict") for row in rows]
    return Evidence(metric, interval, other, difference, _verdict(metric, other, verdicts))


def _metric(stored: ResultSet, part: str, key: str) -> MetricSummary:
    metric = stored.metrics.get((part, key))
    if metric is None:
        known = (f"{other} {name}" for other, name in stored.metrics)
        raise CallError(f"{stored.name} has no {part} {key}{nearest(f'{part} {key}', known)}")
    return metric


def _verdict(
    metric: MetricSummary, other: tuple[str, float] | None, verdicts: Sequence[str | None]
) -> str:
    if other is None or metric.spread.median is None:
        return MISSING
    if all(verdicts):
        words = {str(verdict) for verdict in verdicts}
        return words.pop() if len(words) == 1 else NO_DIFFERENCE
    values = [value for value in metric.spread.values if value is not None]
    sign = -1 if metric.lower_is_better else 1
    leads = [sign * (value - other[1]) for value in values]
    signs = [(lead > 0) - (lead < 0) for lead in leads]
    seeds = counted(len(values), "seed")
    if len(set(signs)) == 1:
        every = "" if len(values) == 1 else "all "
        word = {1: "ahead", 0: "equal", -1: "behind"}[signs[0]]
        return f"{word} with {every}{seeds}, {NO_INTERVAL}"
    return f"ahead with {signs.count(1)} of {seeds}, {NO_INTERVAL}"


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


def _median_row(rows: Sequence[Mapping[str, Any]], metric: MetricSummary) -> Mapping[str, Any]:
    """Return the row of the run with the median score; of two in the middle, the first."""
    median = metric.spread.median
    known = [row for row in rows if row["score"] is not None]
    if median is None or not known:
        return {}
    return min(known, key=lambda row: abs(row["score"] - median))
