"""A published target over N runs: how many reached it, and in what time.

The time is a run's time to train, from its start to its scores: no run of ours stops at a target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.record import SUCCESS
from sciml_data.results.board.measured import SEVERAL_MACHINES, is_one_machine, time_of
from sciml_data.results.board.spread import spread

Record = Mapping[str, Any]
SAME = ("metric", "part", "value", "comparison", "source")
UNMEASURED = "a run that reached it has no time to train"


@dataclass(frozen=True)
class TargetSummary:
    """One published target over all runs.

    `seconds` has each run's time to train, None where it missed the target (then it counts as
    endless) or its time was not measured (then there is no median, and `reason` says so).
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


def target_summaries(records: Sequence[Record], targets: Sequence[Any]) -> list[TargetSummary]:
    """Return each target over all records; one that is no success missed them all."""
    return [_summary(records, target) for target in targets]


def _summary(records: Sequence[Record], target: Mapping[str, Any]) -> TargetSummary:
    found = [_of(record, target) for record in records]
    is_met = [bool(one.get("is_reached")) for one in found]
    seconds = tuple(
        time_of(record) if met else None for record, met in zip(records, is_met, strict=True)
    )
    reason = _reason(records, seconds, is_met)
    times = spread(seconds, lower_is_better=True)
    return TargetSummary(
        **{key: target[key] for key in SAME},
        reached=sum(is_met),
        missed=len(is_met) - sum(is_met),
        seconds=seconds,
        median_s=None if reason else times.median,
        olympic_mean_s=None if reason else times.olympic_mean,
        reason=reason,
        reached_by_baselines=tuple(
            dict.fromkeys(name for one in found for name in one.get("reached_by_baselines", []))
        ),
    )


def _of(record: Record, target: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a run's own row of a target; empty where the run is no success."""
    rows = record["targets"] if record["status"] == SUCCESS else []
    return next((row for row in rows if all(row[key] == target[key] for key in SAME)), {})


def _reason(
    records: Sequence[Record], seconds: Sequence[float | None], is_met: Sequence[bool]
) -> str | None:
    if any(met and took is None for met, took in zip(is_met, seconds, strict=True)):
        return UNMEASURED
    return None if is_one_machine(records) else SEVERAL_MACHINES
