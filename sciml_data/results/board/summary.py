"""N runs that are repeats of one thing -> one summary: scores, time to target, speed, energy.

Nothing is chosen: the median and the olympic mean are over all runs given. Where the best run is
shown, it is called the best of N, as the working group's policy asks; one run is the best of one.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.record import SUCCESS
from sciml_data.bench.scoring.scores import row_key
from sciml_data.results.board.measured import (
    Energy,
    Measured,
    energy_of,
    is_one_machine,
    measured,
    speed_of,
    time_of,
)
from sciml_data.results.board.repeats import check_summable
from sciml_data.results.board.spread import Spread, spread
from sciml_data.results.board.targets import TargetSummary, target_summaries

Record = Mapping[str, Any]
RANKING_PART = "test"  # ranks runs where a split has it; else the last part that was not trained on
# What was done to check a score, the least first.
STATES = ("unchecked", "self_checked", "rescored", "reproduced")
PICKED_BY_SCORE = "chosen by its score on the part that is ranked: too good by chance"


@dataclass(frozen=True)
class RunOf:
    """A run that was put together with others."""

    run_id: str
    record_digest: str
    seed: int
    status: str
    state: str
    commit: str | None
    is_dirty: bool | None


@dataclass(frozen=True)
class MetricSummary:
    """One metric of one part over all runs; `best` is the best run's score where it is asked for.

    `baselines` holds each baseline's median over the runs.
    """

    metric: str
    part: str
    name: str
    unit: str
    version: str
    lower_is_better: bool
    spread: Spread
    baselines: Mapping[str, float | None]
    best: float | None = None


@dataclass(frozen=True)
class Best:
    """The run with the best score, and of how many it is the best."""

    of: int
    run_id: str
    seed: int
    metric: str
    part: str
    remark: str | None


@dataclass(frozen=True)
class Summary:
    """Runs put together; `first` is the record that says what they all share."""

    first: Record
    runs: tuple[RunOf, ...]
    headline: tuple[str, str]
    metrics: tuple[MetricSummary, ...]
    targets: tuple[TargetSummary, ...]
    best: Best | None
    advised_runs: int | None
    is_one_machine: bool
    time_to_train: Measured
    throughput: Measured
    energy: Energy

    @property
    def state(self) -> str:
        """Return the state of the run that was checked least."""
        return min((run.state for run in self.runs), key=STATES.index)

    def metric(self, key: str, part: str) -> MetricSummary | None:
        """Return one metric of one part, if the runs have it."""
        found = (one for one in self.metrics if (one.metric, one.part) == (key, part))
        return next(found, None)


def aggregate(
    records: Sequence[Record],
    *,
    count_failed: bool = False,
    best_of: bool = False,
    advised_runs: int | None = None,
) -> Summary:
    """Put repeats of one thing together.

    Args:
        records: sound records (`bench.record.load_record`), in any order.
        count_failed: runs that failed or were aborted may be among them; each is a miss.
        best_of: name the best run too. A single run is always named the best of one.
        advised_runs: how many runs are advised for the benchmark; kept, and nothing is refused.

    Raises:
        CallError: they are not repeats of one thing, or a run comes twice; all of it is listed.
    """
    check_summable(records, count_failed=count_failed)
    ordered = sorted(records, key=lambda record: (record["seeds"]["seed"], record["run_id"]))
    done = [record for record in ordered if record["status"] == SUCCESS]
    headline = headline_of(done[0])
    best = _best(done, headline, len(ordered)) if best_of or len(ordered) == 1 else None
    return Summary(
        first=done[0],
        runs=tuple(_run(record) for record in ordered),
        headline=headline,
        metrics=tuple(_metrics(ordered, done, best)),
        targets=tuple(target_summaries(ordered, done[0]["targets"])),
        best=best,
        advised_runs=advised_runs,
        is_one_machine=is_one_machine(done),
        time_to_train=measured(done, time_of),
        throughput=measured(done, speed_of),
        energy=energy_of(done),
    )


def headline_of(record: Record) -> tuple[str, str]:
    """Return the metric key and the part that rank runs."""
    parts = list(dict.fromkeys(row["part"] for row in record["metrics"]))
    part = RANKING_PART if RANKING_PART in parts else parts[-1]
    keys = [row_key(row) for row in record["metrics"] if row["part"] == part]
    named = record["benchmark"]["headline_metric"]
    return (named if named in keys else keys[0]), part


def _run(record: Record) -> RunOf:
    return RunOf(
        run_id=record["run_id"],
        record_digest=record["record_digest"],
        seed=record["seeds"]["seed"],
        status=record["status"],
        state=record["verification"]["state"],
        commit=record["code"]["commit"],
        is_dirty=record["code"]["is_dirty"],
    )


def _metrics(
    records: Sequence[Record], done: Sequence[Record], best: Best | None
) -> list[MetricSummary]:
    definitions = {one["metric_id"]: one for one in done[0]["metric_definitions"]}
    keys = dict.fromkeys(
        (row_key(row), row["part"]) for record in done for row in record["metrics"]
    )
    summaries = []
    for key, part in keys:
        definition = definitions[key.partition(".")[0]]
        rows = [_row(record, key, part) for record in records]
        scores = {record["run_id"]: row["score"] for record, row in zip(records, rows, strict=True)}
        summaries.append(
            MetricSummary(
                metric=key,
                part=part,
                name=definition["metric_name"],
                unit=definition["metric_unit"],
                version=definition["metric_version"],
                lower_is_better=definition["lower_is_better"],
                spread=spread(list(scores.values()), lower_is_better=definition["lower_is_better"]),
                baselines=_baselines(rows),
                best=scores[best.run_id] if best else None,
            )
        )
    return summaries


def _row(record: Record, key: str, part: str) -> Mapping[str, Any]:
    """Return a run's row of one metric; of a run that has none, or is no success, a miss."""
    if record["status"] == SUCCESS:
        for row in record["metrics"]:
            if (row_key(row), row["part"]) == (key, part):
                return dict(row)
    return {"score": None, "baselines": {}}


def _baselines(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    names = dict.fromkeys(name for row in rows for name in row["baselines"])
    found = {}
    for name in names:
        known = [one for row in rows if (one := row["baselines"].get(name)) is not None]
        found[name] = statistics.median(known) if known else None
    return found


def _best(done: Sequence[Record], headline: tuple[str, str], runs: int) -> Best | None:
    """Return the run with the best headline score; None where no run has one."""
    key, part = headline
    scored = [(score, one) for one in done if (score := _row(one, key, part)["score"]) is not None]
    if not scored:
        return None
    definitions = {one["metric_id"]: one for one in done[0]["metric_definitions"]}
    sign = 1 if definitions[key.partition(".")[0]]["lower_is_better"] else -1
    _, found = min(scored, key=lambda pair: sign * pair[0])
    return Best(
        of=runs,
        run_id=found["run_id"],
        seed=found["seeds"]["seed"],
        metric=key,
        part=part,
        remark=PICKED_BY_SCORE if runs > 1 else None,
    )
