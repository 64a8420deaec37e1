"""Made-up records, for what is made of many records: summaries, boards, submissions."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sciml_data.bench.record.record import record_digest
from sciml_data.results.board import Row
from sciml_data.results.board.row import NOT_RESCORED, PUBLISHED, Publication
from tests.support.records import sample_record

REACHED_AT = 0.3
TARGET = {
    "metric": "rmse.a",
    "part": "test",
    "value": REACHED_AT,
    "comparison": "<=",
    "source": "made up",
}


def a_run(seed: int, score: float | None, *, seconds: Any = 10.0, **changed: Any) -> Any:
    """Return the record of one seed: one score, `rmse.a` of part test, and a target of 0.3 for it.

    `changed` are dotted places of the record and the values to put there.
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


def a_run_of_two_metrics(
    seed: int, *, rmse: float, explained: float, baselines: Mapping[str, float | None]
) -> Any:
    """Return the record of one seed with two metrics of opposite directions and no part test.

    The headline metric is `explained` (higher is better), which comes after `rmse`. On part train
    both scores are better by 0.05; on part validation they are as given. `baselines` are scores of
    `explained` on part validation.
    """
    record = a_run(seed, None)
    (definition,) = record["metric_definitions"]
    record["metric_definitions"] = [
        definition,
        {**definition, "metric_id": "explained", "lower_is_better": False},
    ]
    record["benchmark"]["headline_metric"] = "explained"
    record["targets"] = []
    row = {**record["metrics"][0], "variant": None, "status": "computed", "baselines": {}}
    record["metrics"] = [
        {**row, "metric_id": "rmse", "part": "train", "score": rmse - 0.05},
        {**row, "metric_id": "explained", "part": "train", "score": explained + 0.05},
        {**row, "metric_id": "rmse", "part": "validation", "score": rmse},
        {
            **row,
            "metric_id": "explained",
            "part": "validation",
            "score": explained,
            "baselines": dict(baselines),
        },
    ]
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


def of_model(name: str, scores: list[float | None], **changed: Any) -> list[Any]:
    """Return one run of a model for each score, with run ids that differ between models."""
    digits = f"{sum(map(ord, name)) + len(changed):04x}"
    return [
        {**record, "run_id": f"{digits}{record['run_id'][4:]}"}
        for record in repeats(scores, **{"model.name": name, **changed})
    ]


def a_published_row(row: Row, **changed: Any) -> Row:
    """Return a published figure about the metric of a row."""
    source = Publication("somebody, somewhere 2020", None, "0.001 at best", "other data than these")
    return replace(row, kind=PUBLISHED, state=NOT_RESCORED, published=source, **changed)
