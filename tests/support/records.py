"""Records of runs that never took place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sciml_data.bench.monitoring.machine import not_monitored
from sciml_data.bench.monitoring.page_cache import NOT_REQUESTED, CacheClear
from sciml_data.bench.scoring.intervals import Replicates, Sampling
from sciml_data.bench.scoring.scores import Score, metric_rows, sampling_block
from sciml_data.bench.task.task import load_task
from tests.support.paths import TOY_REGISTRY

HASH = "sha256:" + "a" * 64


def unwatched() -> dict[str, Any]:
    """Return the groups of a run without a monitor; equal at each call, unlike real memory."""
    groups = not_monitored()
    return groups | {"resources": groups["resources"] | {"peak_host_memory_bytes": 1 << 28}}


def sample_record(**changed: Any) -> dict[str, Any]:
    """Return a record as `assemble_record` makes it, of a run on the toy benchmark."""
    output = {"path": "predictions.nc", "sha256": "b" * 64, "size_bytes": 3, "format": "x"}
    row = {"metric_id": "rmse", "part": "test", "status": "computed", "reason": None}
    return {
        "schema_version": "1.1",
        "run_id": "12345678-1234-4234-8234-123456789abc",
        "record_digest": "",
        "status": "success",
        "reason": None,
        "synthetic": False,
        "benchmark": {
            "name": "toy",
            "title": "Toy",
            "division": "open",
            "headline_metric": "rmse.a",
        },
        "dataset": {
            "id": "toy_points",
            "version": "1.0",
            "manifest_digest": HASH,
            "ready_digest": None,
            "scale": "full",
            "sample_seed": None,
            "sample_set": [],
            "n_samples": {"train": 203, "test": 62},
        },
        "split": {
            "name": "thirds",
            "strategy": "by row",
            "seed": None,
            "members_digest": HASH,
            "is_headline": True,
        },
        "model": {
            "name": "small",
            "parameters": 66,
            "framework": "Keras",
            "best_epoch": 1,
            "origin": "registry",
            "kind": "keras",
            "source": None,
        },
        "settings": {"epochs": 1},
        "settings_overridden": [],
        "settings_digest": HASH,
        "code": {
            "version": "0.1.0",
            "commit": None,
            "is_dirty": None,
            "reason": "not run from a git checkout",
            "runner_digest": HASH,
        },
        "seeds": {
            "seed": 0,
            "generators": ["numpy"],
            "data_order": "a function of seed and epoch",
            "deterministic_ops": False,
        },
        "software": {
            "python_version": "3.11",
            "platform": "Linux",
            "sciml_data": "0.1.0",
            "libraries": {"keras": None},
            "environment": {},
        },
        "hardware": {
            "host_processor_model_name": None,
            "host_processor_core_count": 2,
            "host_processor_available_cores": 2,
            "host_memory_capacity_bytes": 1,
            "accelerators_per_node": 0,
            "accelerator_model_name": None,
            "intra_op_threads": 1,
            "inter_op_threads": 1,
        },
        "distribution": {
            "strategy": "default",
            "replicas": 1,
            "workers": 1,
            "global_batch_size": 32,
        },
        "timing": {
            "clock": "monotonic",
            "start_time": "2026-08-07T12:00:00.000Z",
            "end_time": "2026-08-07T12:00:01.000Z",
            "staging_s": 0.1,
            "prepare_s": 0.1,
            "baselines_s": 0.1,
            "is_staging_shared": False,
            "first_epoch_s": 0.5,
            "steady_epochs_s": 0.0,
            "steady_epochs": 0,
            "validation_s": 0.1,
            "predict_s": 0.1,
            "score_s": 0.1,
            "resumed_epochs": 0,
            "cache_clear": CacheClear.to_json(NOT_REQUESTED),
            "time_to_train_s": 0.9,
            "time_to_train_excl_staging_s": 0.8,
        },
        "timeline": [{"key": "run_start", "time_ms": 1, "metadata": {}}],
        "curve": [],
        "metric_definitions": [
            {
                "metric_id": "rmse",
                "metric_name": "Root mean square error",
                "metric_version": "1",
                "metric_unit": "1",
                "lower_is_better": True,
                "min_score": 0.0,
                "max_score": None,
                "formula": "...",
            }
        ],
        "metrics": [
            {**row, "variant": "a", "score": 0.5, "baselines": {"mean": 0.25}},
            {**row, "variant": "b", "score": 0.125, "baselines": {"mean": None}},
        ],
        "targets": [],
        "throughput": {
            "train_samples_per_s": None,
            "predict_samples_per_s": 10.0,
            "reason": "no epoch after the first of a process",
        },
        **unwatched(),
        "facts": {"shared_rows": 0},
        "outputs": {"predictions": output},
        "verification": {"state": "unchecked", "checks": []},
        "extensions": {},
        **changed,
    }


def seeded(seed: int, score: float, **changed: Any) -> dict[str, Any]:
    record = sample_record(**changed)
    record["seeds"] = {**record["seeds"], "seed": seed}
    record["metrics"] = [{**record["metrics"][0], "score": score}]
    return record


def resampled(
    seed: int = 0,
    model: Sequence[float] = (),
    *,
    units: int = 12,
    digest: str = "0",
    **changed: Any,
) -> dict[str, Any]:
    """Return a record with intervals: values of 12 cells, of which each score is the mean.

    Args:
        seed: of the run.
        model: value of each cell; by default near 0.5. The baseline `mean` has 0.7 in each.
        units: number of cells that the record names; with fewer than five there are no intervals.
        digest: a digit, of the units.
        changed: fields of the record.
    """
    values = np.linspace(0.4, 0.6, 12) if not len(model) else np.asarray(model, float)
    mean = np.linspace(0.72, 0.68, 12)
    reason = None if units > 4 else f"too few units for an interval (cell: {units})"
    sampling = Sampling({"cell": units}, {"cell": units}, f"sha256:{digest * 64}", reason=reason)

    def score(of_cells: Any) -> Score:
        without = (of_cells.sum() - of_cells) / (len(of_cells) - 1)
        return Score(float(of_cells.mean()), None, Replicates.of([without[:units]], sampling))

    scores = {"test": {"rmse.a": score(values)}}
    task = replace(load_task(TOY_REGISTRY / "runners" / "toy"), headline_metric="rmse.a")
    record = seeded(seed, 0.5, **changed)
    record["metrics"] = metric_rows(task, scores, {"mean": {"test": {"rmse.a": score(mean)}}})
    record["resampling"] = sampling_block(scores)
    return record


def stopped_at(seconds: float, **changed: Any) -> dict[str, Any]:
    """Return the group `budget` of a run that stopped at its budget."""
    return {
        "budget_seconds": seconds,
        "is_reached": True,
        "epochs": 3,
        "planned_epochs": 50,
        "steps": 1_234,
        "planned_steps": 20_000,
        "training_seconds": seconds + 0.5,
        "whole_training_seconds": 6_000.0,
        **changed,
    }
