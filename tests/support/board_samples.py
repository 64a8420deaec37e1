"""Records of runs that never took place, for what is made of many records."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Sequence
from typing import Any

from sciml_data.bench.record.record import record_digest
from tests.bench.record.test_record import sample_record

REACHED_AT = 0.3
TARGET = {
    "metric": "rmse.a",
    "part": "test",
    "value": REACHED_AT,
    "comparison": "<=",
    "source": "made up",
}


def a_run(seed: int, score: float | None, *, seconds: Any = 10.0, **changed: Any) -> Any:
    """Return the record of one seed: its score of `rmse.a`, and a target of 0.3 for it.

    `changed` are dotted places of the record with what stands there instead.
    """
    record = copy.deepcopy(sample_record())
    record["seeds"]["seed"] = seed
    record["run_id"] = str(uuid.UUID(int=seed + 1))
    record["timing"]["time_to_train_s"] = seconds
    record["timing"]["start_time"] = f"2026-08-07T12:00:{seed:02d}.000Z"
    row = record["metrics"][0]
    row["score"], row["status"] = score, "failed" if score is None else "computed"
    record["metrics"] = [row]
    record["targets"] = [
        {
            **TARGET,
            "score": score,
            "is_reached": None if score is None else score <= REACHED_AT,
            "reached_by_baselines": ["mean"],
        }
    ]
    for place, value in changed.items():
        put(record, place, value)
    record["record_digest"] = record_digest(record)
    return record


def put(record: Any, place: str, value: Any) -> None:
    """Write a value to a dotted place of a record."""
    *parents, last = place.split(".")
    for name in parents:
        record = record[int(name)] if isinstance(record, list) else record[name]
    record[int(last) if isinstance(record, list) else last] = value


def repeats(scores: Sequence[float | None], **changed: Any) -> list[Any]:
    """Return one run for each score, seeds from 0."""
    return [a_run(seed, score, **changed) for seed, score in enumerate(scores)]
