"""Several processes of one run: one writes, all end together, and a lost one ends the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.run.execution import prepare, run_once
from sciml_data.bench.run.request import Request
from sciml_data.bench.training.loop import Training, train
from sciml_data.bench.training.tensorflow_backend import make_strategy
from sciml_data.errors import SciMLDataError
from sciml_data.home import Home
from tests.support.paths import ROOT
from tests.support.ports import unused_ports
from tests.support.toy import REGISTRY, toy_source

SECONDS_TO_NOTICE = 60  # how soon a lost worker has to end the others
PATIENCE_S = 600  # to start and to end, on a machine with much else to do
EPOCHS = 15  # more than are reached before the kill
LOSS_TOLERANCE = 1e-4  # relative, after that many: float32 sums over replicas differ in their order
# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Worker:
    """One process of a run on the toy benchmark."""

    def __init__(
        self, home: Path, addresses: list[str], index: int, *, epochs: int, budget_s: float | None
    ) -> None:
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
        self.log = home / f"worker-{index}.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(home), str(epochs), str(budget_s or "")],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "TF_CONFIG": cluster,
                    "TF_CPP_MIN_LOG_LEVEL": "2",
                    "PYTHONPATH": str(ROOT),
                },
            )

    def ends(self) -> tuple[int, str]:
        """Return exit code and output."""
        code = self.process.wait(timeout=PATIENCE_S)
        return code, self.log.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Return a function that starts two workers of one run; none outlives the test."""
    workers: list[Worker] = []

    def two(epochs: int, budget_s: float | None = None) -> list[Worker]:
        tmp_path.joinpath("home").mkdir(exist_ok=True)
        addresses = [f"127.0.0.1:{port}" for port in unused_ports(2)]
        pair = [
            Worker(tmp_path / "home", addresses, index, epochs=epochs, budget_s=budget_s)
            for index in range(2)
        ]
        workers.extend(pair)
        return pair

    yield two
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


def folder_of(home: Home) -> Path:
    return home.runs("toy") / "shared"


def wait_for_epoch(folder: Path, epochs: int) -> None:
    until = time.monotonic() + PATIENCE_S
    curve = folder / "curve.jsonl"
    while time.monotonic() < until:
        if curve.is_file() and len(curve.read_text().splitlines()) >= epochs:
            return
        time.sleep(0.05)
    pytest.fail("the workers never came to train")


@pytest.mark.slow
def test_one_worker_writes_and_both_end_well(start: Any, home: Home) -> None:
    codes = [worker.ends()[0] for worker in start(3)]

    record = load_record(folder_of(home))
    assert codes == [0, 0]
    assert record["status"] == "success"
    assert (record["distribution"]["strategy"], record["distribution"]["workers"]) == (
        "multiworker",
        2,
    )
    assert record["distribution"]["global_batch_size"] == record["settings"]["batch_size"]
    assert [row["learning_rate"] for row in record["curve"]] == [0.02] * 3
    assert len(list(home.runs("toy").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_ends_every_process_and_the_run_goes_on(
    start: Any, home: Home, lost: int
) -> None:
    workers = start(EPOCHS)
    wait_for_epoch(folder_of(home), 1)

    workers[lost].process.kill()
    began = time.monotonic()
    code, output = workers[1 - lost].ends()
    took = time.monotonic() - began
    aborted = load_record(folder_of(home))
    codes = [worker.ends()[0] for worker in start(EPOCHS)]

    record = load_record(folder_of(home))
    assert code == 1
    assert "error: a worker was lost" in output
    assert took < SECONDS_TO_NOTICE
    assert (aborted["status"], aborted["reason"][:17]) == ("aborted", "a worker was lost")
    assert (codes, record["status"]) == ([0, 0], "success")
    assert record["run_id"] == aborted["run_id"]
    assert 1 <= record["timing"]["resumed_epochs"] < EPOCHS
    np.testing.assert_allclose(losses(record), uninterrupted(), rtol=LOSS_TOLERANCE)


@pytest.mark.slow
def test_a_budget_stops_all_workers_at_the_same_step(start: Any, home: Home) -> None:
    codes = [worker.ends()[0] for worker in start(100_000, budget_s=5.0)]

    record = load_record(folder_of(home))
    budget = record["budget"]
    assert codes == [0, 0]
    assert (record["status"], budget["is_reached"]) == ("success", True)
    assert budget["steps"] < budget["planned_steps"]
    assert budget["training_seconds"] < 5.0 + SECONDS_TO_NOTICE


def losses(record: Any) -> list[tuple[float, float]]:
    return [(row["train_loss"], row["validation_loss"]) for row in record["curve"]]


def uninterrupted() -> list[tuple[float, float]]:
    """Return the losses of the same run in one process."""
    ready = prepare(request(EPOCHS), toy_source)
    training = Training(settings=ready.settings, seed=0, strategy=make_strategy("default", {}))
    curve = train(ready.problem, training).progress.curve
    return losses({"curve": curve})


def request(epochs: int, **changed: Any) -> Request:
    return Request("toy", REGISTRY, overrides=(f"epochs={epochs}",), **changed)


if __name__ == "__main__":  # one process of the tests above
    own_home = Home(Path(sys.argv[1]))
    try:
        limit = float(sys.argv[3]) if sys.argv[3] else None
        ready = prepare(request(int(sys.argv[2]), threads=1, budget_s=limit), toy_source)
        run_once(ready, 0, home=own_home, resume=folder_of(own_home))
    except SciMLDataError as error:
        sys.exit(f"error: {error}")
