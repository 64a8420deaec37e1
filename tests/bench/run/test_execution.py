"""A run leaves a record that tells what happened, whatever happened."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.record.record import load_record, write_record
from sciml_data.bench.record.report import run_table
from sciml_data.bench.record.runs import all_runs, describe_output, find_run
from sciml_data.bench.run import execution
from sciml_data.bench.run.execution import prepare, run_once
from sciml_data.bench.run.journal import Prepared
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.rescoring import rescore
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.predictions import load_predictions, save_predictions
from sciml_data.bench.task.task import Task
from sciml_data.bench.training.loop import Trained
from sciml_data.errors import CallError, RecordError
from sciml_data.home import Home
from sciml_data.registry.layout import Registry
from tests.support.paths import TOY_REGISTRY

REGISTRY = Registry(TOY_REGISTRY)
DIGEST = "sha256:" + "0" * 64
# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# Whatever follows from the seed; durations, times and the run's name do not.
SAME = ("metrics", "targets", "settings", "settings_digest", "model", "seeds", "dataset", "split")


def points(_: Task | None = None, *, synthetic: bool = False) -> Source:
    import xarray as xr

    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(330, 5)).astype("float32")
    targets = np.tanh(inputs @ rng.normal(size=(5, 2)).astype("float32"))
    dataset = xr.Dataset({"inputs": (("row", "f"), inputs), "targets": (("row", "o"), targets)})
    seed = 0 if synthetic else None
    return Source(dataset, "toy_points", "1.0", DIGEST, None, synthetic, seed)


def request(**changed: Any) -> Request:
    return Request("toy", REGISTRY, strategy="default", **changed)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(request(), points)


@pytest.fixture(scope="module")
def done(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = run_once(prepared, 0, home=Home(tmp_path_factory.mktemp("home")))
    assert folder is not None
    return folder


def losses(record: dict[str, Any]) -> list[tuple[float, float]]:
    return [(row["train_loss"], row["validation_loss"]) for row in record["curve"]]


def test_a_run_writes_all_it_promises(done: Path) -> None:
    record = load_record(done)

    assert record["status"] == "success"
    assert {"predictions", "weights", "state", "curve", "monitor"} == set(record["outputs"])
    assert record["dataset"]["n_samples"] == {"train": 203, "validation": 65, "test": 62}
    assert 4 == len(record["curve"]) == len((done / "curve.jsonl").read_text().splitlines())
    assert len((done / "log.txt").read_text().splitlines()) == 4
    assert record["facts"] == {"shared_rows": 0, "scaling_from": "train"}
    assert record["model"]["parameters"] == 5 * 8 + 8 + 8 * 2 + 2
    assert done.parent.name == "toy"
    assert done.name.endswith("Z-small-thirds-s0")


def test_every_score_has_the_baseline_beside_it(done: Path) -> None:
    rows = load_record(done)["metrics"]

    assert len(rows) == 9  # 3 scores for each of 3 parts
    assert all(row["baselines"]["mean"] is not None for row in rows)
    test = next(r for r in rows if r["part"] == "test" and r["metric_id"] == "explained")
    assert test["score"] > 0.5 > test["baselines"]["mean"]


def test_throughput_counts_steady_epochs_only(done: Path) -> None:
    record = load_record(done)
    steady = [row for row in record["curve"] if not row["is_first_of_process"]]

    assert 3 == len(steady) == record["timing"]["steady_epochs"]
    expected = 3 * 203 / sum(row["train_s"] for row in steady)
    assert expected == pytest.approx(record["throughput"]["train_samples_per_s"])
    assert record["timing"]["first_epoch_s"] == record["curve"][0]["train_s"]


def test_stored_predictions_give_the_recorded_scores_again(done: Path) -> None:
    checked, differences = rescore(done, REGISTRY, stage=points)

    assert (checked, differences) == (18, [])
    assert load_record(done)["verification"]["state"] == "rescored"


def test_a_typed_score_is_found_by_rescoring(
    prepared: Prepared, done: Path, tmp_path: Path
) -> None:
    import shutil

    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    record = load_record(copy)
    record["metrics"][0]["score"] += 0.01
    record["metrics"][1]["baselines"]["mean"] = None
    write_record(copy, record)

    _, differences = rescore(copy, REGISTRY, stage=points)

    assert {("model", "train"), ("mean", "train")} == {
        (one.predictor, one.part) for one in differences
    }
    assert load_record(copy)["verification"]["state"] == "unchecked"


def test_predictions_changed_since_the_run_are_refused(done: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    with (copy / "predictions.nc").open("ab") as file:
        file.write(b"\0")

    with pytest.raises(RecordError, match="predictions was changed"):
        rescore(copy, REGISTRY, stage=points)


def test_observations_made_to_please_the_predictions_are_refused(
    done: Path, tmp_path: Path
) -> None:
    import dataclasses
    import shutil

    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    path = copy / "predictions.nc"
    parts = {
        part: dataclasses.replace(one, observed=one.predicted)
        for part, one in load_predictions(path).items()
    }
    save_predictions(path, parts, synthetic=False)
    record = load_record(copy)
    stated = record["outputs"]["predictions"]
    record["outputs"]["predictions"] = describe_output(copy, stated["path"], stated["format"])
    write_record(copy, record)

    with pytest.raises(RecordError, match="observations") as error:
        rescore(copy, REGISTRY, stage=points)

    assert {"observed"} == {problem.kind for problem in error.value.problems}
    assert load_record(copy)["verification"]["state"] == "unchecked"


def test_other_data_are_not_scored_against(done: Path) -> None:
    import dataclasses

    other = dataclasses.replace(points(), manifest_digest="sha256:" + "1" * 64)

    with pytest.raises(RecordError) as error:
        rescore(done, REGISTRY, stage=lambda _: other)

    places = [(problem.kind, problem.place) for problem in error.value.problems]
    assert places == [("digest", "dataset")]


def test_a_sample_is_marked_in_the_record_and_its_predictions(home: Home) -> None:
    import xarray as xr

    sample = prepare(request(is_sample=True), lambda _: points(synthetic=True))
    folder = run_once(sample, 0, home=home)

    assert folder is not None
    record = load_record(folder)
    assert (
        record["synthetic"],
        record["dataset"]["scale"],
        record["dataset"]["sample_seed"],
    ) == (True, "synthetic", 0)
    assert record["settings"]["epochs"] == 2
    with xr.open_dataset(folder / "predictions.nc", engine="h5netcdf") as stored:
        assert stored.attrs["synthetic"] == 1


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), "aborted", "stopped by a signal"),
        (RecordError("the loss is nan"), "failed", "the loss is nan"),
        (OSError("/data/x/y.nc: No space left"), "failed", "OSError: .../y.nc: No space left"),
    ],
)
def test_a_run_that_does_not_end_leaves_a_record(
    prepared: Prepared,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: str,
    reason: str,
) -> None:
    def fail(*_: object, **__: object) -> Trained:
        raise error

    monkeypatch.setattr(execution, "train", fail)

    with pytest.raises(type(error)):
        run_once(prepared, 0, home=home)

    (folder,) = all_runs(home)
    record = load_record(folder)
    assert (status, reason) == (record["status"], record["reason"])
    assert record["metrics"] == []


def test_a_lost_worker_ends_a_run_as_aborted(
    prepared: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    def lose(*_: object, **__: object) -> Trained:
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    monkeypatch.setattr(execution, "train", lose)

    with pytest.raises(RecordError) as error:
        run_once(prepared, 0, home=home)

    (folder,) = all_runs(home)
    record = load_record(folder)
    assert error.value.hint == f"sciml-data run toy --resume {folder.name}"
    assert (record["status"], record["reason"]) == ("aborted", "a worker was lost: Socket closed")
    assert "reason: a worker was lost" in run_table(record)


def test_sigterm_ends_a_run_as_aborted(
    prepared: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate(*_: object, **__: object) -> Trained:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was not heard")

    monkeypatch.setattr(execution, "train", terminate)

    with pytest.raises(KeyboardInterrupt):
        run_once(prepared, 0, home=home)

    (folder,) = all_runs(home)
    assert load_record(folder)["status"] == "aborted"


def test_a_second_sigterm_does_not_keep_the_record_from_being_written(
    prepared: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate(*_: object, **__: object) -> Trained:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was not heard")

    def write(journal: Any, outcome: Any) -> None:
        if outcome.status == "aborted":
            os.kill(os.getpid(), signal.SIGTERM)  # as Slurm does
        written(journal, outcome)

    written = execution._write
    monkeypatch.setattr(execution, "train", terminate)
    monkeypatch.setattr(execution, "_write", write)
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run_once(prepared, 0, home=home)

    (folder,) = all_runs(home)
    assert load_record(folder)["status"] == "aborted"
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_state_of_another_seed_is_not_gone_on_with(prepared: Prepared, done: Path) -> None:
    with pytest.raises(RecordError, match="other settings"):
        run_once(prepared, 5, home=Home(done), resume=done)


def test_a_run_is_found_by_path_name_id_and_as_the_latest(done: Path) -> None:
    home = Home(done.parents[2])
    run_id = load_record(done)["run_id"]

    for name in (str(done), done.name, run_id, run_id[:8], "latest", "toy/latest"):
        assert done == find_run(home, name)


@pytest.mark.parametrize("name", ["nothing", "other/latest", "ab"])
def test_an_unknown_run_is_refused(done: Path, name: str) -> None:
    with pytest.raises(CallError, match="no such run"):
        find_run(Home(done.parents[2]), name)


@pytest.mark.slow
@pytest.mark.parametrize("epochs_before", [0, 2])
def test_a_killed_run_goes_on_and_ends_with_the_same_scores(
    prepared: Prepared, done: Path, home: Home, epochs_before: int
) -> None:
    killed = subprocess.run(
        [sys.executable, __file__, str(home.root), str(epochs_before)], check=False
    )
    (folder,) = all_runs(home)
    before = load_record(folder)

    resumed = run_once(prepared, 0, home=home, resume=folder)

    assert killed.returncode == -signal.SIGKILL
    assert before["status"] == "running"
    assert folder == resumed
    record, whole = load_record(folder), load_record(done)
    assert before["run_id"] == record["run_id"]
    assert epochs_before == record["timing"]["resumed_epochs"]
    assert losses(whole) == losses(record)
    for group in SAME:
        assert whole[group] == record[group], group


@pytest.mark.slow
def test_a_run_killed_in_the_midst_of_an_epoch_ends_with_the_same_scores(home: Home) -> None:
    """With dropout and a schedule; the batch at which it is killed is drawn anew each time."""
    batch = secrets.randbelow(BATCHES_OF_EPOCH * EPOCHS - 1) + 1
    whole = run_once(prepare(noisy(), points), 0, home=home)
    killed = subprocess.run(
        [sys.executable, __file__, str(home.root / "killed"), f"batch {batch}"], check=False
    )
    (folder,) = all_runs(Home(home.root / "killed"))
    before = load_record(folder)

    run_once(prepare(noisy(), points), 0, home=home, resume=folder)

    assert whole is not None
    assert (killed.returncode, before["status"]) == (-signal.SIGKILL, "running")
    one, other = load_record(whole), load_record(folder)
    assert other["timing"]["resumed_epochs"] < EPOCHS, f"killed at batch {batch}"
    assert losses(one) == losses(other), f"killed at batch {batch}"
    for group in SAME:
        assert one[group] == other[group], f"{group}, killed at batch {batch}"


NOISY = ("epochs=4", "schedule=cosine")
EPOCHS = 4
BATCHES_OF_EPOCH = 7  # of 203 rows, 32 each


def noisy(**changed: Any) -> Request:
    return request(model="noisy", overrides=NOISY, **changed)


def killing_itself(problem: Any, at: int) -> Any:
    """Return the problem, with a training batch that is never handed out: SIGKILL comes first."""
    handed_out = itertools.count(1)
    batches = type(problem).batches

    def until_killed(self: Any, part: str, **how: int) -> Any:
        for batch in batches(self, part, **how):
            if part == "train" and next(handed_out) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    type(problem).batches = until_killed
    return problem


def kill_self_after(epochs: int) -> Callable[[str], None]:
    def log(text: str) -> None:
        if text.startswith(f"epoch {epochs + 1}/"):
            raise AssertionError("not reached")  # pragma: no cover - the kill comes first
        if text.startswith(f"epoch {epochs}/"):
            os.kill(os.getpid(), signal.SIGKILL)

    return log


if __name__ == "__main__":  # the process that is killed
    own_home = Path(sys.argv[1])
    if sys.argv[2].startswith("batch"):
        victim = prepare(noisy(threads=1), points)
        killing_itself(victim.problem, int(sys.argv[2].split()[1]))
        run_once(victim, 0, home=Home(own_home))
    wanted = int(sys.argv[2])
    ready = prepare(request(threads=1), points)
    if wanted == 0:  # within the first epoch: the record is there, the state is not

        def die(*_: object, **__: object) -> Trained:
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        setattr(execution, "train", die)  # noqa: B010 - the module only imports that name
    run_once(ready, 0, home=Home(own_home), log=kill_self_after(wanted))
    print(json.dumps("not killed"))  # noqa: T201 - seen only when the test fails
