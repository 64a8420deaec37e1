"""What surrounds a run: one SIGTERM is enough, and whatever goes wrong is recorded."""

from __future__ import annotations

import contextlib
import re
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


@contextlib.contextmanager
def watched(journal: Journal, interval_s: float) -> Iterator[None]:
    """Sample the machine meanwhile; what was sampled goes into the record."""
    if not interval_s:
        yield
        return
    with Monitor(journal.folder / runs.MONITOR_NAME, interval_s=interval_s) as journal.monitor:
        yield


@contextlib.contextmanager
def recorded(journal: Journal, write: Write, log: Log) -> Iterator[None]:
    """Leave a record of what went wrong, and let it go on its way."""
    again = f"sciml-data run {journal.prepared.task.name} --resume {journal.folder.name}"
    try:
        yield
    except KeyboardInterrupt:
        write(journal, Outcome("aborted", "stopped by a signal"))
        log(f"stopped; {again} goes on after the last whole epoch")
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
def terminable() -> Iterator[None]:
    """Treat SIGTERM, which batch systems send before they kill, like Ctrl-C, but only once.

    Slurm sends it again while the record is being written.
    """
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


CHIEF_S = 15  # how long a worker waits for the chief's own record before it takes it for lost
STEP_S = 0.5
NODE = re.compile(r"^\{\{function_node [^}]*\}\} *")  # TensorFlow's prefix, of no use to a reader


class WorkerLostError(RecordError):
    """Another process of the run is gone."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, cut where it grows long."""
    return NODE.sub("", str(error).partition("\n")[0])[:500]


@contextlib.contextmanager
def losses_told(benchmark: str, folder: Path | None) -> Iterator[None]:
    """Raise `WorkerLostError` where a collective failed because a process is gone."""
    try:
        yield
    except backend.current().lost_errors() as error:
        name = folder.name if folder else "latest"
        raise WorkerLostError(
            f"a worker was lost: {first_line(error)}",
            done="the run ends as aborted",
            untouched="the state after the last whole epoch was kept",
            hint=f"sciml-data run {benchmark} --resume {name}",
        ) from error


@contextlib.contextmanager
def chief_missed(folder: Path | None) -> Iterator[None]:
    """Write `aborted` into the record of a run whose chief is gone, in a process that is not it.

    The chief writes it itself where it lives: it is waited for, and its word stands. With the 10 s
    of a heartbeat that is less than the 30 s Slurm leaves between SIGTERM and SIGKILL (KillWait).
    """
    try:
        yield
    except (WorkerLostError, KeyboardInterrupt) as error:
        if folder is not None:
            _mark(folder, getattr(error, "wrong", "stopped by a signal"))
        raise


def _mark(folder: Path, reason: str) -> None:
    until = time.monotonic() + CHIEF_S
    while (record := load_record(folder))["status"] == "running":
        if time.monotonic() > until:
            write_record(folder, {**record, "status": "aborted", "reason": reason})
            return
        time.sleep(STEP_S)
