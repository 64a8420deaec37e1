"""Combine repeats of a run into one summary: scores, published targets, time, speed and energy.

No run is selected: median and olympic mean are over all runs. A run without a value (it failed,
its metric could not be computed, it did not reach the target) is a *miss* and counts as the worst.
MLPerf and AlgoPerf do the same; leaving such runs out would make an unsteady model look better
than a steady one. If the best run is shown, it is called the best of N, as the working group's
policy asks.

The sections of this module: the summary; spread of a metric; targets; time, speed and energy;
which runs may be combined.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.record import SHORT_ID, SUCCESS, check_repeats
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.errors import CallError, Problem

Record = Mapping[str, Any]
RANKING_PART = "test"  # of a split without it, the last part ranks: the one not trained on
# How far a score was checked, from the lowest state to the highest.
STATES = ("unchecked", "self_checked", "rescored", "reproduced")
MISSED = ("aborted", "failed")  # statuses of runs that may count as misses
PICKED_BY_SCORE = "chosen by its score on the part that is ranked: too good by chance"
MIN_RUNS_FOR_OLYMPIC = 3  # of two, nothing is left once the best and the worst are dropped
OLYMPIC = "mean without the best and the worst"
PLAIN = "mean of all: fewer than three runs"
INVALID = "none: more misses than the one that may be dropped"
TARGET_KEYS = ("metric", "part", "value", "comparison", "source")  # these identify a target
UNMEASURED = "a run that reached it has no time to train"
# Fields of `hardware`. If they differ, seconds and joules of two runs cannot be compared.
MACHINE = (
    "host_processor_model_name",
    "host_processor_available_cores",
    "accelerators_per_node",
    "accelerator_model_name",
    "intra_op_threads",
)
SEVERAL_MACHINES = "the runs were on machines of several kinds"
NOT_RECORDED = "not recorded"
NO_ENERGY = "the record says nothing of energy"


@dataclass(frozen=True)
class Spread:
    """The values of one quantity over several runs.

    Attributes:
        values: of each run; None is a miss.
        misses: number of misses.
        median: misses count as the worst; None if a miss is in the middle.
        olympic_mean: mean without the best and the worst; a miss is dropped before any value.
        olympic_method: how the olympic mean was computed, or why there is none.
        std: standard deviation (of a sample) of the known values.
        minimum, maximum: of the known values.
    """

    values: tuple[float | None, ...]
    misses: int
    median: float | None
    olympic_mean: float | None
    olympic_method: str
    std: float | None
    minimum: float | None
    maximum: float | None

    @property
    def runs(self) -> int:
        """Return the number of runs, misses included."""
        return len(self.values)


@dataclass(frozen=True)
class Quantity:
    """A measured quantity: its value in each run (None: not measured) and the median.

    `reason` says why there is no median, or that the median leaves runs out.
    """

    values: tuple[float | None, ...]
    median: float | None
    reason: str | None


@dataclass(frozen=True)
class Energy:
    """Median energy of a run in joules and how it was measured; `reason` if it was not."""

    is_measured: bool
    method: str | None
    cpu_j: float | None
    gpu_j: float | None
    reason: str | None


@dataclass(frozen=True)
class TargetSummary:
    """One published target over all runs.

    `seconds` has the time to train of each run: None if it missed the target (it then counts as
    endless) or if its time was not measured (then there is no median, and `reason` says so). No
    run stops when it reaches a target, so the time is always that of the whole run.
    """

    metric: str
    part: str
    value: float
    comparison: str
    source: str
    reached: int
    missed: int
    seconds: tuple[float | None, ...]
    median_s: float | None
    olympic_mean_s: float | None
    reason: str | None
    reached_by_baselines: tuple[str, ...]


@dataclass(frozen=True)
class SummaryRun:
    """A run that is part of a summary."""

    run_id: str
    record_digest: str
    seed: int
    status: str
    state: str
    commit: str | None
    is_dirty: bool | None


@dataclass(frozen=True)
class MetricSummary:
    """One metric of one part over all runs.

    `baselines` holds the median of each baseline over the runs. `best` is the score of the best
    run, if a best run was requested.
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
class BestRun:
    """The run with the best headline score, the best of `of` runs."""

    of: int
    run_id: str
    seed: int
    metric: str
    part: str
    remark: str | None


@dataclass(frozen=True)
class Summary:
    """Combined runs. `first` is a record that states everything the runs share.

    `other_load` is the median share of the computer's processor time that other programs used; None
    if no record has it.
    """

    first: Record
    runs: tuple[SummaryRun, ...]
    headline: tuple[str, str]
    metrics: tuple[MetricSummary, ...]
    targets: tuple[TargetSummary, ...]
    best: BestRun | None
    advised_runs: int | None
    is_one_machine: bool
    time_to_train: Quantity
    throughput: Quantity
    energy: Energy
    other_load: float | None = None

    @property
    def state(self) -> str:
        """Return the lowest state of the runs."""
        return min((run.state for run in self.runs), key=STATES.index)


def aggregate(
    records: Sequence[Record],
    *,
    count_failed: bool = False,
    best_of: bool = False,
    advised_runs: int | None = None,
) -> Summary:
    """Combine runs that differ only in their seed.

    Args:
        records: valid records (`load_record`), in any order.
        count_failed: accept failed and aborted runs; each is a miss.
        best_of: name the best run, too. A single run is always named the best of one.
        advised_runs: recommended number of runs for the benchmark. It is stored in the summary;
            fewer runs are not refused.

    Raises:
        CallError: the runs are not repeats of one run, or a run occurs twice; `.problems` lists
            every difference.
    """
    check_combinable(records, count_failed=count_failed)
    ordered = sorted(records, key=lambda record: (record["seeds"]["seed"], record["run_id"]))
    successes = [record for record in ordered if record["status"] == SUCCESS]
    first = successes[0]
    headline = headline_of(first)
    best = _best_run(successes, headline, len(ordered)) if best_of or len(ordered) == 1 else None
    return Summary(
        first=first,
        runs=tuple(_summary_run(record) for record in ordered),
        headline=headline,
        metrics=tuple(_metrics(ordered, successes, best)),
        targets=tuple(_target_summary(ordered, target) for target in first["targets"]),
        best=best,
        advised_runs=advised_runs,
        is_one_machine=is_one_machine(successes),
        time_to_train=_quantity(successes, _time_to_train),
        throughput=_quantity(successes, _train_speed),
        energy=_energy(successes),
        other_load=_other_load(successes),
    )


def headline_of(record: Record) -> tuple[str, str]:
    """Return the metric key and the part by which runs are ranked."""
    parts = list(dict.fromkeys(row["part"] for row in record["metrics"]))
    part = RANKING_PART if RANKING_PART in parts else parts[-1]
    keys = [row_key(row) for row in record["metrics"] if row["part"] == part]
    named = record["benchmark"]["headline_metric"]
    return (named if named in keys else keys[0]), part


def _summary_run(record: Record) -> SummaryRun:
    return SummaryRun(
        run_id=record["run_id"],
        record_digest=record["record_digest"],
        seed=record["seeds"]["seed"],
        status=record["status"],
        state=record["verification"]["state"],
        commit=record["code"]["commit"],
        is_dirty=record["code"]["is_dirty"],
    )


def _metrics(
    records: Sequence[Record], successes: Sequence[Record], best: BestRun | None
) -> list[MetricSummary]:
    keys = dict.fromkeys(
        (row_key(row), row["part"]) for record in successes for row in record["metrics"]
    )
    summaries = []
    for key, part in keys:
        definition = _definition(successes[0], key)
        rows = [_metric_row(record, key, part) for record in records]
        scores = {record["run_id"]: row["score"] for record, row in zip(records, rows, strict=True)}
        summaries.append(
            MetricSummary(
                metric=key,
                part=part,
                name=definition["metric_name"],
                unit=definition["metric_unit"],
                version=definition["metric_version"],
                lower_is_better=definition["lower_is_better"],
                spread=spread_of(
                    list(scores.values()), lower_is_better=definition["lower_is_better"]
                ),
                baselines=_baseline_medians(rows),
                best=scores[best.run_id] if best else None,
            )
        )
    return summaries


def _definition(record: Record, key: str) -> Mapping[str, Any]:
    """Return the definition of a metric; a key such as `rmse.a` belongs to metric `rmse`."""
    definitions = {block["metric_id"]: block for block in record["metric_definitions"]}
    definition: Mapping[str, Any] = definitions[key.partition(".")[0]]
    return definition


def _metric_row(record: Record, key: str, part: str) -> Mapping[str, Any]:
    """Return a run's row of one metric; an empty row for a run that has none or did not succeed."""
    if record["status"] == SUCCESS:
        for row in record["metrics"]:
            if (row_key(row), row["part"]) == (key, part):
                return dict(row)
    return {"score": None, "baselines": {}}


def _baseline_medians(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    names = dict.fromkeys(name for row in rows for name in row["baselines"])
    medians: dict[str, float | None] = {}
    for name in names:
        scores = [row["baselines"].get(name) for row in rows]
        known = [score for score in scores if score is not None]
        medians[name] = statistics.median(known) if known else None
    return medians


def _best_run(successes: Sequence[Record], headline: tuple[str, str], runs: int) -> BestRun | None:
    """Return the run with the best headline score; None if no run has one."""
    key, part = headline
    scores = [(_metric_row(record, key, part)["score"], record) for record in successes]
    scored = [(score, record) for score, record in scores if score is not None]
    if not scored:
        return None
    sign = 1 if _definition(successes[0], key)["lower_is_better"] else -1
    _, best = min(scored, key=lambda pair: sign * pair[0])
    return BestRun(
        of=runs,
        run_id=best["run_id"],
        seed=best["seeds"]["seed"],
        metric=key,
        part=part,
        remark=PICKED_BY_SCORE if runs > 1 else None,
    )


# Spread of a metric


def spread_of(values: Sequence[float | None], *, lower_is_better: bool) -> Spread:
    """Return the spread of values; None among them is a miss."""
    known = sorted(value for value in values if value is not None)
    if not lower_is_better:
        known.reverse()
    misses = len(values) - len(known)
    best_first: list[float | None] = [*known, *[None] * misses]
    olympic_mean, method = _olympic_mean(known, misses)
    return Spread(
        values=tuple(values),
        misses=misses,
        median=_median(best_first),
        olympic_mean=olympic_mean,
        olympic_method=method,
        std=statistics.stdev(known) if len(known) > 1 else None,
        minimum=min(known, default=None),
        maximum=max(known, default=None),
    )


def _median(best_first: Sequence[float | None]) -> float | None:
    """Return the median of sorted values; None if it depends on a miss."""
    if not best_first:
        return None
    middle = [best_first[(len(best_first) - 1) // 2], best_first[len(best_first) // 2]]
    known = [value for value in middle if value is not None]
    return statistics.mean(known) if len(known) == len(middle) else None


def _olympic_mean(known: Sequence[float], misses: int) -> tuple[float | None, str]:
    """Return the olympic mean of values, the best first, and how it was computed."""
    if len(known) + misses < MIN_RUNS_FOR_OLYMPIC:
        return (statistics.mean(known), PLAIN) if known and not misses else (None, INVALID)
    if misses > 1:
        return None, INVALID
    # The single miss is the worst run; otherwise the last value is.
    remaining = known[1:] if misses else known[1:-1]
    return statistics.mean(remaining), OLYMPIC


# Targets


def _target_summary(records: Sequence[Record], target: Mapping[str, Any]) -> TargetSummary:
    rows = [_target_row(record, target) for record in records]
    is_reached = [bool(row.get("is_reached")) for row in rows]
    seconds = tuple(
        _time_to_train(record) if reached else None
        for record, reached in zip(records, is_reached, strict=True)
    )
    reason = None if is_one_machine(records) else SEVERAL_MACHINES
    if any(reached and time is None for reached, time in zip(is_reached, seconds, strict=True)):
        reason = UNMEASURED
    times = spread_of(seconds, lower_is_better=True)
    return TargetSummary(
        **{key: target[key] for key in TARGET_KEYS},
        reached=sum(is_reached),
        missed=len(is_reached) - sum(is_reached),
        seconds=seconds,
        median_s=None if reason else times.median,
        olympic_mean_s=None if reason else times.olympic_mean,
        reason=reason,
        reached_by_baselines=tuple(
            dict.fromkeys(name for row in rows for name in row.get("reached_by_baselines", []))
        ),
    )


def _target_row(record: Record, target: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a run's own row of a target; empty if the run is not a success."""
    rows = record["targets"] if record["status"] == SUCCESS else []
    return next((row for row in rows if all(row[key] == target[key] for key in TARGET_KEYS)), {})


# Time, speed and energy


def is_one_machine(records: Sequence[Record]) -> bool:
    """Return whether all runs used the same kind of machine and the same distribution."""
    kinds = {
        (
            *(record["hardware"][name] for name in MACHINE),
            record["distribution"]["strategy"],
            record["distribution"]["replicas"],
            record["distribution"].get("backend", "tensorflow"),
        )
        for record in records
    }
    return len(kinds) == 1


def _time_to_train(record: Record) -> float | None:
    """Return the seconds from start to scores, staging included; None if not measured."""
    seconds: float | None = record["timing"].get("time_to_train_s")
    return seconds


def _train_speed(record: Record) -> float | None:
    """Return the samples per second of steady training; None if not measured."""
    speed: float | None = record["throughput"]["train_samples_per_s"]
    return speed


def _quantity(records: Sequence[Record], read: Callable[[Record], float | None]) -> Quantity:
    values = tuple(read(record) for record in records)
    known = [value for value in values if value is not None]
    if not known:
        return Quantity(values, None, NOT_RECORDED)
    if not is_one_machine(records):
        return Quantity(values, None, SEVERAL_MACHINES)
    partly = f"of {len(known)} of {len(values)} runs" if len(known) < len(values) else None
    return Quantity(values, statistics.median(known), partly)


def _energy(records: Sequence[Record]) -> Energy:
    """Return the median energy, if every run measured it by the same method."""
    blocks = [
        record.get("energy") or {"measured": False, "reason": NO_ENERGY} for record in records
    ]
    missing = [block for block in blocks if not block["measured"]]
    if missing:
        share = f" ({len(missing)} of {len(blocks)} runs)" if len(missing) < len(blocks) else ""
        return _no_energy(f"{missing[0]['reason']}{share}")
    methods = sorted({str(block["method"]) for block in blocks})
    if len(methods) > 1:
        return _no_energy(f"measured in several ways: {', '.join(methods)}")
    if not is_one_machine(records):
        return _no_energy(SEVERAL_MACHINES)
    return Energy(
        is_measured=True,
        method=methods[0],
        cpu_j=_median_of_all([block["cpu_energy_j"] for block in blocks]),
        gpu_j=_median_of_all([block["gpu_energy_j"] for block in blocks]),
        reason=None,
    )


def _other_load(records: Sequence[Record]) -> float | None:
    shares = [(record["monitor"] or {}).get("other_cpu_fraction") for record in records]
    known = [share for share in shares if share is not None]
    return statistics.median(known) if known else None


def _no_energy(reason: str) -> Energy:
    return Energy(is_measured=False, method=None, cpu_j=None, gpu_j=None, reason=reason)


def _median_of_all(values: Sequence[float | None]) -> float | None:
    """Return the median; None if any run has no value."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None


# Which runs may be combined


def check_combinable(records: Sequence[Record], *, count_failed: bool = False) -> None:
    """Refuse records that are not repeats of one run, or that contain a run twice.

    Args:
        records: one or more.
        count_failed: accept failed and aborted runs, which will count as misses.

    Raises:
        CallError: `.problems` lists every difference, each with its run.
    """
    if not records:
        raise CallError("no run was given", hint="name runs, as in `sciml-data show`")
    problems = [*_repeat_problems(records, count_failed=count_failed), *_duplicates(records)]
    if not any(record["status"] == SUCCESS for record in records):
        problems.append(Problem("status", "all runs", "no run is a success, so there is no score"))
    if problems:
        raise CallError(
            "these runs are not repeats of one run",
            problems=problems,
            untouched="nothing was computed",
            hint="give runs that differ only in their seed; --count-failed counts failed runs as "
            "misses",
        )


def _repeat_problems(records: Sequence[Record], *, count_failed: bool) -> Sequence[Problem]:
    """Return the differences that `check_repeats` finds.

    Failures that will count are passed to it as successes: all else about them must still agree.
    """
    candidates = [
        {**record, "status": SUCCESS} if count_failed and record["status"] in MISSED else record
        for record in records
    ]
    try:
        check_repeats(candidates)
    except CallError as error:
        return error.problems
    return ()


def _duplicates(records: Sequence[Record]) -> list[Problem]:
    """Return the runs that occur twice: by id, or by a loss curve that no other seed gives."""
    problems = []
    for number, record in enumerate(records):
        for other in records[:number]:
            place = record["run_id"][:SHORT_ID]
            if record["run_id"] == other["run_id"]:
                problems.append(Problem("run", place, "occurs more than once"))
            elif _losses(record) and _losses(record) == _losses(other):
                message = f"every loss of its curve is that of run {other['run_id'][:SHORT_ID]}"
                problems.append(Problem("run", place, f"{message}: it is the same run"))
    return problems


def _losses(record: Record) -> list[float]:
    return [row["train_loss"] for row in record["curve"]]
