"""A run in an MLflow store, opened again by MLflow's own client."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import write_record
from sciml_data.bench.record.runs import describe_output
from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.results.exports.mlflow_store import params_of, points_of, sample_points, tags_of
from tests.support.run_samples import EPOCH_MS, written_run


def export(run: Path, to: str, *words: str) -> Result:
    return CliRunner().invoke(group, ["export", "mlflow", str(run), "--to", to, *words])


@pytest.fixture
def record(tmp_path: Path) -> dict[str, Any]:
    return written_run(tmp_path / "run")


def test_the_curve_has_a_step_for_each_epoch(record: dict[str, Any]) -> None:
    points = list(points_of(record))

    losses = [point for point in points if point[0] == "train_loss"]
    assert losses == [
        ("train_loss", 1.0, EPOCH_MS + 350, 1),
        ("train_loss", 0.5, EPOCH_MS + 550, 2),
    ]
    assert "validation_loss" not in [point[0] for point in points]


def test_scores_stand_beside_baselines_at_the_epoch_scored(record: dict[str, Any]) -> None:
    found = {name: (value, step) for name, value, _, step in points_of(record)}

    assert found["score/test/rmse.a"] == (0.5, 1)
    assert found["baseline/mean/test/rmse.a"] == (0.25, 1)
    assert "baseline/mean/test/rmse.b" not in found
    assert found["timing/time_to_train_s"] == (0.9, 1)
    assert "energy/measured" not in found


def test_samples_are_system_metrics_with_their_time(record: dict[str, Any], tmp_path: Path) -> None:
    points = list(sample_points(tmp_path / "run" / "monitor.csv"))

    assert ("system/process_rss_bytes", 1e6, EPOCH_MS, 0) in points
    assert len(points) == 2


def test_params_and_tags_are_texts_within_the_limits(tmp_path: Path) -> None:
    record = written_run(tmp_path / "run", settings={"long": "x" * 9000, "units": [1, 2]})

    params, tags = params_of(record), tags_of(record, org=None)

    assert params["settings.units"] == "[1,2]"
    assert len(params["settings.long"]) == 6000
    assert tags["sciml_data.record_digest"] == record["record_digest"]
    assert "sciml_data.organisation" not in tags
    assert {str} == {type(value) for value in (*params.values(), *tags.values())}


@pytest.mark.parametrize("to", ["runs.db", "sqlite:///absent/runs.db"])
def test_an_address_that_is_no_store_is_refused(record: dict[str, Any], to: str) -> None:
    from sciml_data.results.exports import mlflow_store

    with pytest.raises(CallError) as error:
        mlflow_store._client(to)

    assert error.value.untouched == "nothing was written"


def test_without_mlflow_the_extra_is_named(
    record: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alembic", None)

    result = export(tmp_path / "run", f"sqlite:///{tmp_path / 'runs.db'}")

    assert isinstance(result.exception, CallError)
    assert result.exception.hint == "pip install 'sciml-data[mlflow]'"
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize("damage", [b"x" * 200_000, b"inf", b"\xff"])
def test_a_damaged_table_of_samples_is_named_before_a_store_is_made(
    damage: bytes, record: dict[str, Any], tmp_path: Path
) -> None:
    table = tmp_path / "run" / "monitor.csv"
    table.write_bytes(table.read_bytes().replace(b"1000000", damage))
    # As a forger would: the record states the damaged bytes.
    record["outputs"]["monitor"] = describe_output(table.parent, table.name, "x")
    write_record(table.parent, record)

    result = export(tmp_path / "run", f"sqlite:///{tmp_path / 'runs.db'}")

    assert isinstance(result.exception, RecordError)
    assert [problem.place for problem in result.exception.problems] == ["monitor.csv"]
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_store_that_is_no_database_is_a_sentence(record: dict[str, Any], tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    store.write_bytes(b"not a database" * 1000)

    result = export(tmp_path / "run", f"sqlite:///{store}")

    assert isinstance(result.exception, CallError)
    assert str(store) in str(result.exception)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_client_opens_what_was_written(record: dict[str, Any], tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    written_run(tmp_path / "sample", synthetic=True, run_id=record["run_id"].replace("1", "2"))

    first = export(tmp_path / "run", store, "--org", "A Laboratory")
    again = export(tmp_path / "run", store)
    sample = export(tmp_path / "sample", store, "--with-predictions")

    import mlflow

    client = mlflow.MlflowClient(tracking_uri=store)
    run = client.get_run(first.stdout.strip())
    assert "is in this store already" in str(again.exception)
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (EPOCH_MS, EPOCH_MS + 1000)
    assert run.data.params["settings.epochs"] == "1"
    assert run.data.metrics["score/test/rmse.b"] == 0.125
    assert run.data.tags["sciml_data.organisation"] == "A Laboratory"
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(one.step, one.value, one.timestamp) for one in history] == [
        (1, 1.0, EPOCH_MS + 350),
        (2, 0.5, EPOCH_MS + 550),
    ]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "tevolop_socal 1.0 (full)"
    kept = Path(
        mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, artifact_path="record.json", tracking_uri=store
        )
    )
    assert json.loads(kept.read_text()) == record

    names = {one.name for one in client.search_experiments()}
    assert {"sciml-data/tevolop", "sciml-data/tevolop (synthetic)"} <= names
    listed = {one.path for one in client.list_artifacts(sample.stdout.strip())}
    assert "predictions.nc" in listed
    assert "predictions.nc" not in {one.path for one in client.list_artifacts(run.info.run_id)}
