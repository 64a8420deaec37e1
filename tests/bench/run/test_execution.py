"""A run writes its record and files, and can be resumed with the same result."""

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

import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.record.runs import all_runs
from sciml_data.bench.run import execution
from sciml_data.bench.run.execution import prepare, run_once
from sciml_data.bench.run.journal import Prepared
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.staging import Sample
from sciml_data.bench.training.loop import Trained
from sciml_data.errors import RecordError
from sciml_data.home import Home
from tests.support.paths import ROOT
from tests.support.toy import toy_request, toy_source

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# Groups of a record that follow from the seed; durations, times and the run's id do not.
# A script that is run by its path finds the tests by this.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SAME = ("metrics", "targets", "settings", "settings_digest", "model", "seeds", "dataset", "split")


def losses(record: dict[str, Any]) -> list[tuple[float, float]]:
    return [(row["train_loss"], row["validation_loss"]) for row in record["curve"]]


def test_a_run_writes_all_it_promises(done: Path) -> None:
    record = load_record(done)

    assert record["status"] == "success"
    assert set(record["outputs"]) == {
        "predictions", "weights", "state", "curve", "monitor", "keras", "card"
    }  # fmt: skip
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


def test_a_sample_is_marked_in_the_record_and_its_predictions(home: Home) -> None:
    import xarray as xr

    sample = prepare(toy_request(is_sample=True), lambda task: toy_source(task, sample=Sample(0)))
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


def test_the_state_of_another_seed_is_not_resumed(prepared: Prepared, done: Path) -> None:
    with pytest.raises(RecordError, match="other settings"):
        run_once(prepared, 5, home=Home(done), resume=done)


def test_a_run_with_a_damaged_state_is_resumed_from_the_one_before(
    prepared: Prepared, done: Path, home: Home
) -> None:
    folder = stopped_after(prepared, 2, home)
    state = folder / "checkpoint" / "state.npz"
    state.write_bytes(state.read_bytes()[:-100])
    leftover = folder / "checkpoint" / ".state.npz.999999999"
    leftover.write_bytes(b"half")
    lines: list[str] = []

    run_once(prepared, 0, home=home, resume=folder, log=lines.append)

    record, whole = load_record(folder), load_record(done)
    assert "state.npz" in lines[0]
    assert "resumed after epoch 1" in lines[0]
    assert record["timing"]["resumed_epochs"] == 1
    assert losses(whole) == losses(record)
    for group in SAME:
        assert whole[group] == record[group], group
    assert not leftover.exists()
    assert sorted(path.name for path in state.parent.iterdir()) == [
        "best.weights.h5",
        "state.npz",
    ]


def test_a_run_without_any_sound_state_is_a_sentence_and_stays_as_it_is(
    prepared: Prepared, home: Home
) -> None:
    folder = stopped_after(prepared, 1, home)
    (folder / "checkpoint" / "state.npz").write_bytes(b"")
    before = (folder / "record.json").read_bytes()

    with pytest.raises(RecordError, match=r"state\.npz"):
        run_once(prepared, 0, home=home, resume=folder)

    assert (folder / "record.json").read_bytes() == before


def stopped_after(prepared: Prepared, epochs: int, home: Home) -> Path:
    """Run until the end of an epoch, stop as Ctrl-C does, and return the folder."""
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if line.startswith(f"epoch {epochs}/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_once(prepared, 0, home=home, log=stop)
    (folder,) = all_runs(home)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("epochs_before", [0, 2])
def test_a_killed_run_goes_on_and_ends_with_the_same_scores(
    prepared: Prepared, done: Path, home: Home, epochs_before: int
) -> None:
    killed = subprocess.run(
        [sys.executable, __file__, str(home.root), str(epochs_before)],
        check=False,
        env=ENVIRONMENT,
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
    whole = run_once(prepare(noisy(), toy_source), 0, home=home)
    killed = subprocess.run(
        [sys.executable, __file__, str(home.root / "killed"), f"batch {batch}"],
        check=False,
        env=ENVIRONMENT,
    )
    (folder,) = all_runs(Home(home.root / "killed"))
    before = load_record(folder)

    run_once(prepare(noisy(), toy_source), 0, home=home, resume=folder)

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
    return toy_request(model="noisy", overrides=NOISY, **changed)


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
        victim = prepare(noisy(threads=1), toy_source)
        killing_itself(victim.problem, int(sys.argv[2].split()[1]))
        run_once(victim, 0, home=Home(own_home))
    wanted = int(sys.argv[2])
    ready = prepare(toy_request(threads=1), toy_source)
    if wanted == 0:  # within the first epoch: the record is there, the state is not

        def die(*_: object, **__: object) -> Trained:
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        setattr(execution, "train", die)  # noqa: B010 - the module only imports that name
    run_once(ready, 0, home=Home(own_home), log=kill_self_after(wanted))
    print(json.dumps("not killed"))  # noqa: T201 - seen only when the test fails
