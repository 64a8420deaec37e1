"""Made-up records of each benchmark, from its task, to write logs of."""

from __future__ import annotations

from typing import Any

from sciml_data.bench.monitoring.page_cache import NOT_REQUESTED
from sciml_data.bench.record.record import record_digest, schema_problems
from sciml_data.bench.scoring.metrics import Metric
from sciml_data.bench.scoring.scores import metric_definition, target_rows
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.registry.layout import find_registry
from sciml_data.results.mlperf_log import Submitter
from tests.support.records import HASH, sample_record

SUBMITTER = Submitter("Uni of Example", "node-a")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BEGAN_MS = 1_786_104_000_000
EPOCHS = 2
PARTS = {"train": 203, "validation": 65, "test": 62}


def record_of(benchmark: str, **changed: Any) -> dict[str, Any]:
    """Return a whole record of a run of a benchmark of the registry, on a sample."""
    task = choose_variant(load_task(find_registry().runner(benchmark)))
    settings = resolve_settings(task, model=task.default_model, split=task.headline_split)
    rows = [row(task, metric, part) for part in PARTS for metric in task.metrics]
    sample = sample_record()
    record = sample | {
        "synthetic": True,
        "benchmark": {
            "name": task.name,
            "variant": task.variant,
            "title": task.title,
            "division": "open",
            "headline_metric": task.headline_metric,
        },
        "dataset": sample["dataset"]
        | {"id": task.dataset, "scale": "synthetic", "sample_seed": 0, "n_samples": PARTS},
        "split": sample["split"] | {"name": task.headline_split},
        "model": sample["model"] | {"best_epoch": EPOCHS},
        "settings": settings,
        "code": sample["code"] | {"commit": COMMIT, "is_dirty": False, "reason": None},
        "timing": sample["timing"] | {"cache_clear": NOT_REQUESTED.to_json()},
        "timeline": timeline(),
        "curve": [epoch(number) for number in range(1, EPOCHS + 1)],
        "metric_definitions": [metric_definition(metric) for metric in task.metrics],
        "metrics": rows,
        "targets": target_rows(task, task.headline_split, rows),
        "throughput": {
            "train_samples_per_s": 406.0,
            "predict_samples_per_s": 3300.0,
            "reason": None,
        },
    }
    return signed(record | changed)


def signed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with its digest, as it is written."""
    record["record_digest"] = HASH
    assert schema_problems(record) == []
    record["record_digest"] = record_digest(record)
    return record


def row(task: Task, metric: Metric, part: str) -> dict[str, Any]:
    """Return a score of a metric between its bounds; of the headline, under its whole key."""
    headline = task.headline_metric or ""
    name, _, variant = headline.partition(".")
    low = metric.minimum if metric.minimum is not None else -1.0
    high = metric.maximum if metric.maximum is not None else low + 1.0
    return {
        "metric_id": metric.id,
        "variant": variant or None if metric.id == name else None,
        "part": part,
        "score": low + 0.75 * (high - low),
        "status": "computed",
        "reason": None,
        "baselines": {},
    }


def epoch(number: int) -> dict[str, Any]:
    """Return the row of the curve of an epoch: two seconds of training, one of validation."""
    start = BEGAN_MS + 5000 + 3000 * (number - 1)
    return {
        "epoch": number,
        "samples": 203,
        "learning_rate": 0.001,
        "train_loss": 1.0 / number,
        "validation_loss": 1.5 / number,
        "monitored": 0.5,
        "train_s": 2.0,
        "evaluation_s": 1.0,
        "is_first_of_process": number == 1,
        "start_time_ms": start,
        "train_stop_time_ms": start + 2000,
        "stop_time_ms": start + 3000,
    }


def timeline(*, is_staging_shared: bool = False) -> list[dict[str, Any]]:
    """Return the marks of a run of twelve seconds."""
    keys = ["init_start", "init_stop", "run_start", "staging_start", "staging_stop"]
    if is_staging_shared:
        keys = ["init_start", "init_stop", "staging_start", "staging_stop", "run_start"]
    marks = [
        {"key": key, "time_ms": BEGAN_MS + 1000 * number, "metadata": {}}
        for number, key in enumerate(keys)
    ]
    best = {"epoch_num": EPOCHS}
    return [
        *marks,
        {"key": "eval_start", "time_ms": BEGAN_MS + 11_000, "metadata": best},
        {"key": "eval_stop", "time_ms": BEGAN_MS + 12_000, "metadata": best},
        {"key": "run_stop", "time_ms": BEGAN_MS + 12_000, "metadata": {"status": "success"}},
    ]
