"""A run that fails or is stopped leaves a record with the reason."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.record.report import run_table
from sciml_data.bench.record.runs import all_runs
from sciml_data.bench.run import execution
from sciml_data.bench.run.execution import run_once
from sciml_data.bench.run.journal import Prepared
from sciml_data.bench.training.loop import Trained
from sciml_data.errors import RecordError
from sciml_data.home import Home

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


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
