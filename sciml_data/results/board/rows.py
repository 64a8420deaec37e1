"""Records -> the rows of a board, ranked where rows are comparable and nowhere else.

Repeats of one thing are one row. A run of a seed that ran before is left out, whatever its score:
the first counts, so running again until luck comes changes nothing. Synthetic rows have no rank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sciml_data.bench.record.record import SHORT, SUCCESS, identity
from sciml_data.errors import CallError, Problem
from sciml_data.results.board.measured import SEVERAL_MACHINES
from sciml_data.results.board.repeats import MISSED
from sciml_data.results.board.row import (
    MEASURED,
    PUBLISHED,
    BaselineOf,
    CostsOf,
    DataOf,
    MadeBy,
    MetricOf,
    Row,
    ScoreOf,
    TargetOf,
)
from sciml_data.results.board.spread import Spread
from sciml_data.results.board.summary import MetricSummary, Summary, aggregate
from sciml_data.results.board.targets import TargetSummary

Record = Mapping[str, Any]
Key = tuple[str, str]  # metric key and part


def board_rows(
    records: Iterable[Record],
    published: Iterable[Row] = (),
    *,
    submitters: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return the rows of a board, in order.

    A group of repeats has a row for the metric that ranks its benchmark, and one for each metric
    that a target or a published figure is about.

    Args:
        records: sound ones; those that are no success have no row, and are remarked on beside the
            repeats that are.
        published: figures of others (`board.published.published_rows`); they are not ranked.
        submitters: run id -> organisation; runs of two organisations are never put together.

    Raises:
        CallError: a run comes twice.
    """
    found, others = list(records), list(published)
    _check_once(found)
    names = submitters or {}
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in sorted(found, key=lambda one: (one["timing"]["start_time"], one["run_id"])):
        groups[identity(record), names.get(record["run_id"], "")].append(record)
    rows = [
        row
        for (_, submitter), group in groups.items()
        for row in _group_rows(group, submitter or None, others)
    ]
    return sorted([*_ranked(rows), *others], key=lambda row: row.order)


def _check_once(records: Sequence[Record]) -> None:
    ids = [record["run_id"] for record in records]
    problems = [
        Problem("run", one[:SHORT], "comes more than once")
        for one in dict.fromkeys(ids)
        if ids.count(one) > 1
    ]
    if problems:
        raise CallError(
            "a run stands on a board once",
            problems=problems,
            untouched="nothing was written",
            hint="name each run, or each folder with runs, once",
        )


def _group_rows(
    group: Sequence[Record], submitter: str | None, published: Sequence[Row]
) -> list[Row]:
    """Return the rows of one group of repeats, which is in order of time."""
    seen: dict[int, Record] = {}
    for record in group:
        if record["status"] == SUCCESS:
            seen.setdefault(record["seeds"]["seed"], record)
    if not seen:
        return []
    successes = sum(record["status"] == SUCCESS for record in group)
    failures = sum(record["status"] in MISSED for record in group)
    remarks = [
        _count(successes - len(seen), "later runs of a seed that ran before, left out"),
        _count(failures, "runs that failed or were aborted, not counted"),
    ]
    summary = aggregate(list(seen.values()))
    if len({run.commit for run in summary.runs}) > 1:
        remarks.append("the runs are of several commits")
    if not summary.is_one_machine:
        remarks.append(SEVERAL_MACHINES)
    return [
        _row(summary, key, submitter, tuple(filter(None, remarks)))
        for key in _shown(summary, published)
    ]


def _count(number: int, words: str) -> str:
    return f"{words}: {number}" if number else ""


def _shown(summary: Summary, published: Sequence[Row]) -> list[Key]:
    """Return the metrics that a group has rows for, the one that ranks first."""
    benchmark = summary.first["benchmark"]
    asked = [(target.metric, target.part) for target in summary.targets]
    here = (benchmark["name"], benchmark.get("variant"), summary.first["split"]["name"])
    asked += [
        (row.metric.key or "", row.data.part or "")
        for row in published
        if not summary.first["synthetic"]  # a sample has nothing to be read beside
        and (row.benchmark, row.variant, row.data.split) == here
    ]
    known = {(one.metric, one.part) for one in summary.metrics}
    return [key for key in dict.fromkeys([summary.headline, *asked]) if key in known]


def _row(summary: Summary, key: Key, submitter: str | None, remarks: tuple[str, ...]) -> Row:
    benchmark = summary.first["benchmark"]
    metric = next(one for one in summary.metrics if (one.metric, one.part) == key)
    return Row(
        kind=MEASURED,
        benchmark=benchmark["name"],
        variant=benchmark.get("variant"),
        data=_data(summary.first, metric.part),
        metric=MetricOf(
            key=metric.metric,
            name=metric.name,
            version=metric.version,
            unit=metric.unit,
            lower_is_better=metric.lower_is_better,
            is_headline=key == summary.headline,
        ),
        score=_score(metric.spread),
        targets=tuple(_target(one) for one in summary.targets if (one.metric, one.part) == key),
        baseline=_best_baseline(metric),
        costs=CostsOf(
            time_to_train_s=summary.time_to_train.median,
            time_remark=summary.time_to_train.reason,
            train_samples_per_s=summary.throughput.median,
            speed_remark=summary.throughput.reason,
            energy=summary.energy,
        ),
        made_by=_made_by(summary, submitter),
        state=summary.state,
        remarks=remarks,
    )


def _data(first: Record, part: str) -> DataOf:
    data, split = first["dataset"], first["split"]
    return DataOf(
        dataset=data["id"],
        version=data["version"],
        manifest_digest=data["manifest_digest"],
        is_synthetic=first["synthetic"],
        split=split["name"],
        members_digest=split["members_digest"],
        is_headline=split["is_headline"],
        part=part,
    )


def _score(found: Spread) -> ScoreOf:
    return ScoreOf(
        runs=found.runs,
        misses=found.misses,
        best_of=1 if found.runs == 1 else None,
        median=found.median,
        olympic_mean=found.olympic_mean,
        std=found.std,
        minimum=found.minimum,
        maximum=found.maximum,
    )


def _target(target: TargetSummary) -> TargetOf:
    return TargetOf(
        value=target.value,
        comparison=target.comparison,
        source=target.source,
        reached=target.reached,
        missed=target.missed,
        seconds=target.median_s,
        reached_by_baselines=target.reached_by_baselines,
    )


def _best_baseline(metric: MetricSummary) -> BaselineOf | None:
    sign = 1 if metric.lower_is_better else -1
    known = [(score, name) for name, score in metric.baselines.items() if score is not None]
    if not known:
        return None
    score, name = min(known, key=lambda pair: (sign * pair[0], pair[1]))
    median = metric.spread.median
    return BaselineOf(name, score, None if median is None else sign * median < sign * score)


def _made_by(summary: Summary, submitter: str | None) -> MadeBy:
    first = summary.first
    versions = {(run.commit, run.is_dirty) for run in summary.runs}
    commit, is_dirty = versions.pop() if len(versions) == 1 else (None, None)
    hardware = first["hardware"]
    devices = (hardware["host_processor_model_name"], hardware["accelerator_model_name"])
    return MadeBy(
        model=first["model"]["name"],
        parameters=first["model"]["parameters"],
        system=(", ".join(filter(None, devices)) or None) if summary.is_one_machine else None,
        commit=commit,
        is_dirty=is_dirty,
        submitter=submitter,
        seeds=tuple(run.seed for run in summary.runs),
        run_ids=tuple(run.run_id for run in summary.runs),
    )


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with ranks: by median, among comparable ones, never a synthetic one."""
    groups: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for row in rows:
        if (value := _rankable(row)) is not None:
            groups[row.comparable].append(value)
    done = []
    for row in rows:
        value, beside = _rankable(row), groups[row.comparable]
        if value is None:
            done.append(row)
        else:
            better = sum(other < value for other in beside)
            done.append(replace(row, rank=better + 1, ranked=len(beside)))
    return done


def _rankable(row: Row) -> float | None:
    """Return a value of which the least ranks first; None where the row is not ranked."""
    if row.kind == PUBLISHED or row.data.is_synthetic or row.score is None:
        return None
    if row.score.median is None:
        return None
    return row.score.median if row.metric.lower_is_better else -row.score.median
