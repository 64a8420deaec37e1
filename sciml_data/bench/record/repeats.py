"""Which runs are repeats of one thing, so that their scores may be put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sciml_data.bench.record.record import canonical
from sciml_data.errors import CallError, Problem

Record = Mapping[str, Any]
SUCCESS = "success"
SHORT = 8  # characters of a run id that are shown
SHORT_DIGEST = 19  # `sha256:` and twelve digits

# What repeats share; only the seed and what follows from it may differ.
SHARED: Mapping[str, Callable[[Record], object]] = {
    "benchmark": lambda record: record["benchmark"]["name"],
    "variant": lambda record: record["benchmark"].get("variant"),
    "dataset": lambda record: f"{record['dataset']['id']} {record['dataset']['version']}",
    "synthetic": lambda record: record["synthetic"],
    "data": lambda record: record["dataset"]["manifest_digest"],
    "split": lambda record: record["split"]["members_digest"],
    "model": lambda record: record["model"]["name"],
    "settings": lambda record: dict(record["settings"]),
    "metrics": lambda record: record["metric_definitions"],
    "code": lambda record: record["code"]["runner_digest"],
}


def identity(record: Record) -> str:
    """Return a text that is the same for all repeats of one thing."""
    return canonical({name: value(record) for name, value in SHARED.items()})


def check_repeats(records: Sequence[Record]) -> None:
    """Refuse to put runs together that are not repeats of one thing.

    Raises:
        CallError: data, split, model, benchmark, settings, metrics or the benchmark's code differ,
            a seed comes twice, or a run is no success; every difference is listed.
    """
    first = records[0]
    problems = [
        Problem(name, str(record["run_id"])[:SHORT], _differs(name, value(first), value(record)))
        for record in records[1:]
        for name, value in SHARED.items()
        if value(record) != value(first)
    ]
    problems += [
        Problem(
            "status", str(record["run_id"])[:SHORT], f"is {record['status']}: {record['reason']}"
        )
        for record in records
        if record["status"] != SUCCESS
    ]
    seeds = [record["seeds"]["seed"] for record in records]
    problems += [
        Problem("seed", str(seed), "comes more than once")
        for seed in sorted(set(seeds))
        if seeds.count(seed) > 1
    ]
    if problems:
        raise CallError(
            "these runs are not repeats of one thing",
            problems=problems,
            untouched="nothing was computed",
            hint="show them one by one, or choose runs that differ only in their seed",
        )


def _differs(name: str, first: object, other: object) -> str:
    if isinstance(first, dict) and isinstance(other, dict):
        changed = [f"{key}={value}" for key, value in other.items() if first.get(key) != value]
        return f"{', '.join(changed) or 'fewer settings'} differ from the first run's"
    if name == "metrics":
        return "other definitions than in the first run"
    return f"{_short(first)} in the first run, {_short(other)} here"


def _short(value: object) -> str:
    text = str(value)
    return text[:SHORT_DIGEST] if text.startswith("sha256:") else text
