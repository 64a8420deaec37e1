"""What can end a run early: signals, errors, lost workers. The run's record has the reason.

Each context manager here adds one kind of protection; `execution.run_once` combines them.

When a process of a distributed run is gone, the other processes end as well. TensorFlow notices a
closed connection at once, and a silent worker after 10 s without a heartbeat (measured with
`pytest -m slow tests/bench/training/test_workers.py`: 2 s after the chief was killed, 10 s after
another worker was).
"""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sciml_data.bench.monitoring import Monitor
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import load_record, write_record
from sciml_data.bench.run.journal import Journal, Outcome
from sciml_data.bench.training import backend
from sciml_data.errors import RecordError, SciMLDataError

Log = Callable[[str], None]
Write = Callable[[Journal, Outcome], None]

# How long a worker waits for the chief to write the record itself. With the 10 s of a heartbeat
# this is less than the 30 s that Slurm leaves between SIGTERM and SIGKILL (KillWait).
CHIEF_WAIT_S = 15
CHIEF_POLL_S = 0.5
MAX_REASON_CHARACTERS = 500  # TensorFlow's messages can have thousands
NODE = re.compile(r"^\{\{function_node [^}]*\}\} *")  # TensorFlow's prefix, useless to a reader


class WorkerLostError(RecordError):
    """Another process of the run is gone."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without TensorFlow's prefix, shortened."""
    return NODE.sub("", str(error).partition("\n")[0])[:MAX_REASON_CHARACTERS]


@contextlib.contextmanager
def monitoring(journal: Journal, interval_s: float) -> Iterator[None]:
    """Sample the machine during the block, if the interval in seconds is above 0."""
    if not interval_s:
        yield
        return
    with Monitor(journal.folder / runs.MONITOR_NAME, interval_s=interval_s) as journal.monitor:
        yield


@contextlib.contextmanager
def recording_failures(journal: Journal, write: Write, log: Log) -> Iterator[None]:
    """Write the reason into the run's record if the block is interrupted or fails; re-raise.

    Args:
        journal: of the run.
        write: writes the record.
        log: gets the command that resumes an interrupted run.
    """
    resume = f"sciml-data run {journal.prepared.task.name} --resume {journal.folder.name}"
    if own := journal.prepared.own:  # its file is needed again: a stranger may have sent the run
        resume += f" --model {shlex.quote(own.own.path)}:{own.own.origin['function']}"
    try:
        yield
    except KeyboardInterrupt:
        write(journal, Outcome("aborted", "stopped by a signal"))
        log(f"stopped; resume the run after its last whole epoch with: {resume}")
        raise
    except WorkerLostError as error:
        write(journal, Outcome("aborted", error.message))
        raise
    except SciMLDataError as error:
        write(journal, Outcome("failed", error.message))
        raise
    except Exception as error:
        write(journal, Outcome("failed", f"{type(error).__name__}: {first_line(error)}"))
        raise


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on the first SIGTERM, as on Ctrl-C, and ignore further ones.

    Batch systems send SIGTERM before they kill a process. Slurm sends it again while the record is
    being written, and a second interrupt would leave the record unwritten.
    """
    # Python allows signal handlers in the main thread only.
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def lost_workers_raise(benchmark: str, folder: Path | None) -> Iterator[None]:
    """Raise `WorkerLostError` if a collective operation fails because a process is gone.

    Args:
        benchmark: name, for the command that resumes the run.
        folder: of the run, for the same command.
    """
    try:
        yield
    except backend.current().worker_lost_errors() as error:
        name = folder.name if folder else runs.LATEST
        raise WorkerLostError(
            f"a worker was lost: {first_line(error)}",
            done="the run ends as aborted",
            untouched="the state after the last whole epoch was kept",
            hint=f"sciml-data run {benchmark} --resume {name}",
        ) from error


@contextlib.contextmanager
def recording_lost_chief(folder: Path | None) -> Iterator[None]:
    """Write `aborted` into a run's record if the block fails and the chief is gone too.

    For workers that are not the chief. A chief that is alive writes the record itself, so the
    worker waits for it first and writes only if the record still says `running`.
    """
    try:
        yield
    except (WorkerLostError, KeyboardInterrupt) as error:
        if folder is not None:
            _mark_aborted(folder, getattr(error, "message", "stopped by a signal"))
        raise


def _mark_aborted(folder: Path, reason: str) -> None:
    until = time.monotonic() + CHIEF_WAIT_S
    while (record := load_record(folder))["status"] == "running":
        if time.monotonic() > until:
            write_record(folder, {**record, "status": "aborted", "reason": reason})
            return
        time.sleep(CHIEF_POLL_S)
