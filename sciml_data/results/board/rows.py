"""The rows of a board, made from records and ranked.

`row.py` has the fields of a row. Repeats of a run (other seeds, all else equal) become one row. If
a seed was run more than once, only its first run counts, so that running again until the score is
good has no effect.

Rows are ranked among rows that share benchmark, data, split, part and metric. Synthetic rows and
published figures have no rank.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from string import ascii_lowercase
from typing import Any

from sciml_data.bench.record.record import (
    SHORT_ID,
    SUCCESS,
    budget_remark,
    identity,
    is_external,
    own_model_remark,
)
from sciml_data.errors import CallError, Problem
from sciml_data.registry.layout import version_key
from sciml_data.results.board.row import (
    MEASURED,
    PUBLISHED,
    Provenance,
    Row,
    RowBaseline,
    RowCosts,
    RowMetric,
    RowScore,
    RowTarget,
    ScoredData,
)
from sciml_data.results.board.summary import (
    MISSED,
    SEVERAL_MACHINES,
    MetricSummary,
    Spread,
    Summary,
    TargetSummary,
    aggregate,
)

QUOTE = '"'  # of a text in JSON
EXTERNAL_REMARK = "external predictions: another program trained and predicted"

Record = Mapping[str, Any]
MetricPart = tuple[str, str]  # metric key, part of the split


def board_rows(
    records: Iterable[Record],
    published: Iterable[Row] = (),
    *,
    submitters: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return the rows of a board in their order.

    A group of repeats has one row for the metric that ranks its benchmark, and one for each
    metric that has a target or a published figure.

    Args:
        records: valid records (`load_record`), in any order. A run that is not a success has no
            row; a remark beside the successful repeats mentions it.
        published: figures of others (`published_rows`).
        submitters: run id -> organisation. Runs of two organisations are never combined.

    Raises:
        CallError: a run occurs twice.
    """
    runs, figures = list(records), list(published)
    _check_unique(runs)
    organisations = submitters or {}
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in sorted(runs, key=lambda run: (run["timing"]["start_time"], run["run_id"])):
        groups[identity(record), organisations.get(record["run_id"], "")].append(record)
    rows = [
        row
        for (_, submitter), group in groups.items()
        for row in _group_rows(group, submitter or None, figures)
    ]
    ranked = _with_ranks(_with_marks(rows))
    if any("resampling" in record for record in runs):
        ranked = _with_intervals(ranked, {record["run_id"]: record for record in runs})
    return sorted([*ranked, *figures], key=_sort_key)


def _check_unique(records: Sequence[Record]) -> None:
    ids = [record["run_id"] for record in records]
    problems = [
        Problem("run", run_id[:SHORT_ID], "occurs more than once")
        for run_id in dict.fromkeys(ids)
        if ids.count(run_id) > 1
    ]
    if problems:
        raise CallError(
            "a board shows each run once",
            problems=problems,
            untouched="nothing was written",
            hint="name each run, or each folder with runs, once",
        )


def _group_rows(
    group: Sequence[Record], submitter: str | None, published: Sequence[Row]
) -> list[Row]:
    """Return the rows of one group of repeats, which is sorted by start time."""
    first_runs: dict[int, Record] = {}  # seed -> its first successful run
    for record in group:
        if record["status"] == SUCCESS:
            first_runs.setdefault(record["seeds"]["seed"], record)
    if not first_runs:
        return []
    successes = sum(record["status"] == SUCCESS for record in group)
    failures = sum(record["status"] in MISSED for record in group)
    remarks = [
        EXTERNAL_REMARK if is_external(group[0]) else "",
        own_model_remark(group[0]),
        _budget_remark(list(first_runs.values())),
        _count(successes - len(first_runs), "later runs of a seed that ran before, left out"),
        _count(failures, "runs that failed or were aborted, not counted"),
    ]
    summary = aggregate(list(first_runs.values()))
    if len({run.commit for run in summary.runs}) > 1:
        remarks.append("the runs are of several commits")
    if not summary.is_one_machine:
        remarks.append(SEVERAL_MACHINES)
    return [
        _row(summary, metric, submitter, tuple(filter(None, remarks)))
        for metric in _metrics_shown(summary, published)
    ]


def _budget_remark(runs: Sequence[Record]) -> str:
    """Return how far the runs came that stopped at their budget: the first run speaks for all."""
    remark = budget_remark(runs[0])
    return f"{remark} (run {runs[0]['run_id'][:SHORT_ID]})" if remark and len(runs) > 1 else remark


def _count(number: int, words: str) -> str:
    return f"{words}: {number}" if number else ""


def _metrics_shown(summary: Summary, published: Sequence[Row]) -> list[MetricSummary]:
    """Return the metrics that a group has rows for, the headline metric first."""
    benchmark = summary.first["benchmark"]
    wanted: list[MetricPart] = [summary.headline]
    wanted += [(target.metric, target.part) for target in summary.targets]
    if not summary.first["synthetic"]:  # published figures are of real data only
        here = (benchmark["name"], benchmark.get("variant"), summary.first["split"]["name"])
        wanted += [
            (row.metric.key or "", row.data.part or "")
            for row in published
            if (row.benchmark, row.variant, row.data.split) == here
        ]
    metrics = {(metric.metric, metric.part): metric for metric in summary.metrics}
    return [metrics[key] for key in dict.fromkeys(wanted) if key in metrics]


def _row(
    summary: Summary, metric: MetricSummary, submitter: str | None, remarks: tuple[str, ...]
) -> Row:
    benchmark = summary.first["benchmark"]
    key = (metric.metric, metric.part)
    return Row(
        kind=MEASURED,
        benchmark=benchmark["name"],
        variant=benchmark.get("variant"),
        data=_data(summary.first, metric.part),
        metric=RowMetric(
            key=metric.metric,
            name=metric.name,
            version=metric.version,
            unit=metric.unit,
            lower_is_better=metric.lower_is_better,
            is_headline=key == summary.headline,
        ),
        score=_score(metric.spread),
        targets=tuple(
            _target(target) for target in summary.targets if (target.metric, target.part) == key
        ),
        baseline=_best_baseline(metric),
        costs=RowCosts(
            time_to_train_s=summary.time_to_train.median,
            time_remark=summary.time_to_train.reason,
            train_samples_per_s=summary.throughput.median,
            speed_remark=summary.throughput.reason,
            energy=summary.energy,
            other_load=summary.other_load,
        ),
        made_by=_provenance(summary, submitter),
        state=summary.state,
        remarks=remarks,
    )


def _data(first: Record, part: str) -> ScoredData:
    data, split = first["dataset"], first["split"]
    return ScoredData(
        dataset=data["id"],
        version=data["version"],
        manifest_digest=data["manifest_digest"],
        is_synthetic=first["synthetic"],
        split=split["name"],
        members_digest=split["members_digest"],
        is_headline=split["is_headline"],
        part=part,
    )


def _score(spread: Spread) -> RowScore:
    return RowScore(
        runs=spread.runs,
        misses=spread.misses,
        best_of=1 if spread.runs == 1 else None,
        median=spread.median,
        olympic_mean=spread.olympic_mean,
        std=spread.std,
        minimum=spread.minimum,
        maximum=spread.maximum,
    )


def _target(target: TargetSummary) -> RowTarget:
    return RowTarget(
        value=target.value,
        comparison=target.comparison,
        source=target.source,
        reached=target.reached,
        missed=target.missed,
        seconds=target.median_s,
        reached_by_baselines=target.reached_by_baselines,
    )


def _best_baseline(metric: MetricSummary) -> RowBaseline | None:
    sign = 1 if metric.lower_is_better else -1
    known = [(score, name) for name, score in metric.baselines.items() if score is not None]
    if not known:
        return None
    score, name = min(known, key=lambda pair: (sign * pair[0], pair[1]))
    median = metric.spread.median
    return RowBaseline(name, score, None if median is None else sign * median < sign * score)


def _provenance(summary: Summary, submitter: str | None) -> Provenance:
    first = summary.first
    versions = {(run.commit, run.is_dirty) for run in summary.runs}
    commit, is_dirty = versions.pop() if len(versions) == 1 else (None, None)
    hardware = first["hardware"]
    devices = (hardware["host_processor_model_name"], hardware["accelerator_model_name"])
    return Provenance(
        model=first["model"]["name"],
        parameters=first["model"]["parameters"],
        system=(", ".join(filter(None, devices)) or None) if summary.is_one_machine else None,
        commit=commit,
        is_dirty=is_dirty,
        submitter=submitter,
        registry=first["code"].get("registry"),
        settings=tuple(
            f"{name}={json.dumps(first['settings'][name]).strip(QUOTE)}"
            for name in first["settings_overridden"]
        ),
        runner_digest=first["code"]["runner_digest"],
        seeds=tuple(run.seed for run in summary.runs),
        run_ids=tuple(run.run_id for run in summary.runs),
    )


def comparable_key(row: Row) -> tuple[object, ...]:
    """Return the key that rows must share to be ranked together."""
    data, metric = row.data, row.metric
    return (
        *(row.benchmark, row.variant, data.dataset, data.version, data.manifest_digest),
        *(data.split, data.members_digest, data.part, metric.key, metric.version),
    )


def _sort_key(row: Row) -> tuple[object, ...]:
    """Return the sort key of a board; published rows keep the order of their file."""
    place = (row.benchmark, row.variant or "", row.kind == PUBLISHED)
    if row.kind == PUBLISHED:
        return place
    data, metric, last = row.data, row.metric, float("inf")
    return (
        *(*place, data.is_synthetic, data.dataset or "", version_key(data.version or "")),
        *(not data.is_headline, data.split or "", not metric.is_headline),
        *(_natural_key(metric.key or ""), data.part or "", data.members_digest or ""),
        *(data.manifest_digest or "", last if row.rank is None else row.rank),
        *(row.made_by.model, row.made_by.submitter or "", row.made_by.run_ids),
    )


def _natural_key(text: str) -> tuple[str | int, ...]:
    """Return a sort key that puts w2 before w13: letters and numbers alternate in it."""
    pieces = re.split(r"(\d+)", text)
    return tuple(int(piece) if piece.isdecimal() else piece for piece in pieces)


def _with_marks(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with a letter for each runner digest, where comparable rows have several."""
    digests: dict[tuple[object, ...], set[str | None]] = defaultdict(set)
    for row in rows:
        digests[comparable_key(row)].add(row.made_by.runner_digest)
    letters: dict[str, dict[str | None, str]] = defaultdict(dict)  # of each benchmark
    marked = []
    for row in rows:
        if len(digests[comparable_key(row)]) > 1:
            own = letters[row.benchmark]
            letter = own.setdefault(row.made_by.runner_digest, _letter(len(own)))
            marked.append(replace(row, made_by=replace(row.made_by, mark=letter)))
        else:
            marked.append(row)
    return marked


def _letter(number: int) -> str:
    before, last = divmod(number, len(ascii_lowercase))
    return (_letter(before - 1) if before else "") + ascii_lowercase[last]  # a, ..., z, aa, ab, ...


def _with_ranks(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with their ranks. Equal medians share a rank (1, 2, 2, 4)."""
    groups: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for row in rows:
        if (key := _rank_key(row)) is not None:
            groups[comparable_key(row)].append(key)
    ranked_rows = []
    for row in rows:
        own, group = _rank_key(row), groups[comparable_key(row)]
        if own is None:
            ranked_rows.append(row)
        else:
            better = sum(other < own for other in group)
            ranked_rows.append(replace(row, rank=better + 1, ranked=len(group)))
    return ranked_rows


def _with_intervals(rows: Sequence[Row], records: Mapping[str, Record]) -> list[Row]:
    """Return the rows with intervals, verdicts and ties, from the replicates in the records."""
    from sciml_data.bench.record.uncertainty import Pooled, compare_pooled, pool

    pooled: list[Pooled | None] = []
    completed = []
    for row in rows:
        of_row = [records[run_id] for run_id in row.made_by.run_ids]
        place = (str(row.data.part), str(row.metric.key))
        own = pool(of_row, *place)
        pooled.append(own)
        if own is None or row.score is None:
            completed.append(row)
            continue
        lower, upper = own.interval or (None, None)
        baseline = row.baseline
        if baseline is not None:
            outcome = compare_pooled(own, pool(of_row, *place, baseline.name))
            baseline = replace(baseline, verdict=outcome.verdict if outcome else None)
        score = replace(row.score, lower=lower, upper=upper)
        completed.append(replace(row, score=score, baseline=baseline))

    def is_tied(first: int, second: int) -> bool:
        from sciml_data.bench.scoring.intervals import NO_DIFFERENCE  # loads NumPy

        outcome = compare_pooled(pooled[first], pooled[second])
        return outcome is not None and outcome.verdict == NO_DIFFERENCE

    return _with_ties(completed, is_tied)


def _with_ties(rows: Sequence[Row], is_tied: Callable[[int, int], bool]) -> list[Row]:
    """Return the rows with ties: the best row of a tie is not shown to differ from its others."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.rank is not None:
            groups[comparable_key(row)].append(number)
    tied: dict[int, tuple[int, int]] = {}
    for group in groups.values():
        waiting = sorted(group, key=lambda number: rows[number].rank or 0)
        while waiting:
            first = waiting[0]
            together = [first, *itertools.takewhile(partial(is_tied, first), waiting[1:])]
            if len(together) > 1:
                ranks = (rows[first].rank or 0, rows[together[-1]].rank or 0)
                tied |= dict.fromkeys(together, ranks)
            waiting = waiting[len(together) :]
    return [replace(row, tied=tied.get(number)) for number, row in enumerate(rows)]


def _rank_key(row: Row) -> float | None:
    """Return the sort key of a rank, the lowest is the best; None if the row is not ranked."""
    if row.kind == PUBLISHED or row.data.is_synthetic or row.score is None:
        return None
    if row.score.median is None:
        return None
    return row.score.median if row.metric.lower_is_better else -row.score.median
