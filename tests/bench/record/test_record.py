"""A record is sound, whole, and says nothing that is no fact of the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.monitoring.machine import not_monitored
from sciml_data.bench.monitoring.page_cache import NOT_REQUESTED, CacheClear
from sciml_data.bench.record.record import (
    RECORD_NAME,
    SCHEMA_PATH,
    as_json,
    check_repeats,
    load_record,
    record_digest,
    schema_problems,
    write_record,
)
from sciml_data.bench.record.report import SYNTHETIC, run_table, spread_table
from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.bench.scoring.scores import Score, metric_rows, score_parts, target_rows
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError, RecordError
from tests.support.paths import TOY_REGISTRY

TOY = TOY_REGISTRY / "runners" / "toy"
HASH = "sha256:" + "a" * 64


def sample_record(**changed: Any) -> dict[str, Any]:
    """Return a record as `assemble` makes one, of a run that never took place."""
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
        "model": {"name": "small", "parameters": 66, "framework": "Keras", "best_epoch": 1},
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
        **not_monitored(),
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


def test_the_schema_is_a_schema() -> None:
    import jsonschema

    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_record(tmp_path, sample_record())

    assert written == load_record(tmp_path)
    assert record_digest(written) == written["record_digest"]
    assert [path.name for path in tmp_path.iterdir()] == [RECORD_NAME]


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_none_is_not_written(tmp_path: Path, number: float) -> None:
    record = sample_record(resources={**not_monitored()["resources"], "cpu_s": number})

    with pytest.raises(RecordError, match="finite"):
        write_record(tmp_path, record)

    assert list(tmp_path.iterdir()) == []


def test_unknown_fields_stand_in_extensions_or_nowhere(tmp_path: Path) -> None:
    write_record(tmp_path, sample_record(extensions={"lab": {"shift": 3}}))

    with pytest.raises(RecordError) as error:
        write_record(tmp_path, sample_record(shift=3, status="fine"))

    assert {"record", "status"} == {problem.place for problem in error.value.problems}


def test_no_absolute_path_goes_into_a_record(tmp_path: Path) -> None:
    record = sample_record(
        status="failed",
        reason="cannot read /home/somebody/data/x.nc (see https://example.org/a/b), 3 km/h",
        facts={"source": ["/scratch/user/run/"]},
    )

    written = write_record(tmp_path, record)

    assert written["reason"] == "cannot read .../x.nc (see https://example.org/a/b), 3 km/h"
    assert "somebody" not in json.dumps(written)
    assert "/scratch" not in json.dumps(written)


def test_a_record_that_was_touched_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, sample_record())
    path = tmp_path / RECORD_NAME
    path.write_text(path.read_text(encoding="utf-8").replace("0.125", "0.126"), encoding="utf-8")

    with pytest.raises(RecordError) as error:
        load_record(tmp_path)

    assert [problem.kind for problem in error.value.problems] == ["digest"]


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file"):
        load_record(tmp_path)


def test_what_a_runner_reports_becomes_json() -> None:
    facts = {"n": np.int64(3), "scale": np.array([1.5, np.nan]), "kept": (True, None), 4: Path("a")}

    assert as_json(facts) == {"n": 3, "scale": [1.5, None], "kept": [True, None], "4": "a"}
    assert schema_problems(sample_record(record_digest=HASH, facts=as_json(facts))) == []


class Scored:
    """A problem that scores with what the test says."""

    def __init__(self, scores: dict[str, float] | Exception) -> None:
        self.scores = scores

    def score(self, _: Predictions) -> dict[str, float]:
        if isinstance(self.scores, Exception):
            raise self.scores
        return self.scores


def test_a_score_that_cannot_be_is_null_with_a_reason() -> None:
    task = load_task(TOY)
    scored: Any = Scored({"rmse.a": math.nan, "rmse.b": -1.0, "explained": 0.5})

    scores = score_parts(scored, task, {"test": tiny_predictions()})["test"]
    rows = metric_rows(task, {"test": scores}, {})

    assert [row["score"] for row in rows] == [None, None, 0.5]
    assert [row["status"] for row in rows] == ["failed", "failed", "computed"]
    assert "nan" in str(rows[0]["reason"])
    assert "outside" in str(rows[1]["reason"])


def test_a_metric_that_fails_leaves_a_row_for_each_metric() -> None:
    task = load_task(TOY)
    scored: Any = Scored(ZeroDivisionError("no spread"))

    scores = score_parts(scored, task, {"test": tiny_predictions()})["test"]

    assert {"rmse": Score(None, "no spread"), "explained": Score(None, "no spread")} == scores


def test_a_target_says_which_baselines_meet_it() -> None:
    task = load_task(TOY)
    model, mean = {"explained": Score(0.9)}, {"explained": Score(-0.1)}
    rows = metric_rows(task, {"test": model}, {"mean": {"test": mean}})

    (target,) = target_rows(task, "thirds", rows)

    assert tuple(target[key] for key in ("score", "is_reached", "reached_by_baselines")) == (
        0.9,
        True,
        ["mean"],
    )


def test_the_table_has_the_model_beside_the_baseline_and_marks_the_better() -> None:
    table = run_table(sample_record()).splitlines()

    rows = [line.split() for line in table]
    assert ["a", "0.5000", "0.2500*"] in rows
    assert ["b", "0.1250*", "-"] in rows
    assert "rmse.a, test: small 0.5000  baselines: mean 0.2500" in table
    assert SYNTHETIC not in table


def test_a_synthetic_run_says_so_first_and_last() -> None:
    table = run_table(sample_record(synthetic=True)).splitlines()
    spread = spread_table([sample_record(synthetic=True)]).splitlines()

    assert (table[0], table[-1]) == (SYNTHETIC, SYNTHETIC)
    assert (spread[0], spread[-1]) == (SYNTHETIC, SYNTHETIC)


def test_several_runs_are_shown_as_median_and_spread() -> None:
    records = [seeded(seed, score) for seed, score in enumerate([0.1, 0.2, 0.6])]

    rows = [line.split() for line in spread_table(records).splitlines()]

    assert ["test", "rmse.a", "0.2000", "0.2646", "0.1000", "0.6000", "0.2500"] in rows


def test_runs_that_are_no_repeats_are_refused_with_every_difference() -> None:
    other_data = {**sample_record()["dataset"], "version": "2.0"}

    with pytest.raises(CallError) as error:
        check_repeats(
            [
                seeded(0, 0.1),
                seeded(1, 0.1, dataset=other_data),
                seeded(2, 0.1, synthetic=True),
                seeded(2, 0.1, settings={"epochs": 2}),
                seeded(4, 0.1, status="aborted", reason="stopped"),
            ]
        )

    assert [problem.kind for problem in error.value.problems] == [
        "dataset",
        "synthetic",
        "settings",
        "status",
        "seed",
    ]


def tiny_predictions() -> Predictions:
    return Predictions(np.zeros(2), np.ones(2), {"row": np.arange(2)})


def test_predictions_are_read_as_they_were_stored(tmp_path: Path) -> None:
    observed = np.array([[1.0, np.nan], [3.0, 4.0]], "float32")
    axes = {
        "time": np.array(["2020-01-01", "2020-01-15"], "datetime64[ns]"),
        "window": np.array(["w1", "w2"], dtype=object),
    }
    stored = {"test": Predictions(observed, observed + 1, axes), "fresh": tiny_predictions()}

    save_predictions(tmp_path / "a.nc", stored, synthetic=True)
    found = load_predictions(tmp_path / "a.nc")

    assert list(found) == ["test", "fresh"]
    np.testing.assert_array_equal(observed, found["test"].observed)
    np.testing.assert_array_equal(observed + 1, found["test"].predicted)
    assert np.dtype("float32") == found["test"].predicted.dtype
    for name, values in axes.items():
        assert values.tolist() == found["test"].coords[name].tolist()


def test_predictions_whose_axes_are_not_named_are_refused() -> None:
    with pytest.raises(RecordError, match="do not fit"):
        Predictions(np.zeros((2, 3)), np.zeros((2, 3)), {"row": np.arange(2)})


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(RecordError, match="shape"):
        Predictions(np.zeros(2), np.zeros(3), {"row": np.arange(2)})
