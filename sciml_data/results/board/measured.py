"""Speed, time and energy over runs: only what was measured, and only on machines of one kind."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
# Where these differ, seconds and joules are not of one thing.
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
class Measured:
    """A quantity of each run, None where it was not measured, and the median of what was.

    `reason` says why there is no median, or that it leaves runs out; None where neither is so.
    """

    values: tuple[float | None, ...]
    median: float | None
    reason: str | None


@dataclass(frozen=True)
class Energy:
    """Median energy of a run in joules and how it was measured; `reason` where it was not."""

    is_measured: bool
    method: str | None
    cpu_j: float | None
    gpu_j: float | None
    reason: str | None


def time_of(record: Record) -> float | None:
    """Return the seconds from start to scores, staging among them; None where not measured."""
    seconds: float | None = record["timing"].get("time_to_train_s")
    return seconds


def speed_of(record: Record) -> float | None:
    """Return the samples a second of steady training; None where not measured."""
    speed: float | None = record["throughput"]["train_samples_per_s"]
    return speed


def measured(records: Sequence[Record], read: Callable[[Record], float | None]) -> Measured:
    """Return a quantity over runs of one kind of machine."""
    values = tuple(read(record) for record in records)
    known = [value for value in values if value is not None]
    if not known:
        return Measured(values, None, NOT_RECORDED)
    if not is_one_machine(records):
        return Measured(values, None, SEVERAL_MACHINES)
    partly = f"of {len(known)} of {len(values)} runs" if len(known) < len(values) else None
    return Measured(values, statistics.median(known), partly)


def energy_of(records: Sequence[Record]) -> Energy:
    """Return the energy of a run, where every run measured it in the same way."""
    blocks = [
        record.get("energy") or {"measured": False, "reason": NO_ENERGY} for record in records
    ]
    lacking = [block for block in blocks if not block["measured"]]
    if lacking:
        share = f" ({len(lacking)} of {len(blocks)} runs)" if len(lacking) < len(blocks) else ""
        return Energy(
            is_measured=False,
            method=None,
            cpu_j=None,
            gpu_j=None,
            reason=f"{lacking[0]['reason']}{share}",
        )
    methods = sorted({str(block["method"]) for block in blocks})
    if len(methods) > 1 or not is_one_machine(records):
        reason = f"measured in several ways: {', '.join(methods)}"
        reason = reason if len(methods) > 1 else SEVERAL_MACHINES
        return Energy(is_measured=False, method=None, cpu_j=None, gpu_j=None, reason=reason)
    return Energy(
        is_measured=True,
        method=methods[0],
        cpu_j=_median([block["cpu_energy_j"] for block in blocks]),
        gpu_j=_median([block["gpu_energy_j"] for block in blocks]),
        reason=None,
    )


def is_one_machine(records: Sequence[Record]) -> bool:
    """Return whether all runs were on the same kind of machine, spread in the same way."""
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


def _median(values: Sequence[float | None]) -> float | None:
    """Return the median where every run has a value."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None
