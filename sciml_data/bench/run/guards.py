"""What surrounds a run: one SIGTERM is enough, and whatever goes wrong is recorded."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from sciml_data.bench.monitoring import Monitor
from sciml_data.bench.record import runs
from sciml_data.bench.run.assemble import Journal, Outcome
from sciml_data.bench.run.lost import WorkerLostError, first_line
from sciml_data.errors import SciMLDataError

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
        write(journal, Outcome("aborted", error.wrong))
        raise
    except SciMLDataError as error:
        write(journal, Outcome("failed", error.wrong))
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
