"""What becomes of a run when one of its processes is gone: every other one ends, and says so.

TensorFlow notices a closed connection at once and a silent worker after 10 s without a heartbeat
(measured with `pytest -m slow tests/bench/training/test_workers.py`: 2 s where the chief was
killed, 10 s where another one was).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

from sciml_data.bench.record.record import load_record, write_record
from sciml_data.bench.training import backend
from sciml_data.errors import RecordError

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
