"""Processes that read or write native files, and end with the command, also if it is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@contextmanager
def process_pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes that end with this context, or when this process is killed.

    Each process listens at an end of a pipe. Only this process has the other end. When it is
    closed, by this function or by the kernel after a kill, the processes end. Without the pipe,
    they would outlive a `kill -9` and wait for work for ever. Processes are spawned, because a fork
    copies locked locks of HDF5 and of threads.

    Args:
        count: number of processes.
    """
    context = get_context("spawn")
    listener, lifeline = context.Pipe(duplex=False)
    executor = _QuietPool(
        count, mp_context=context, initializer=_watch_parent, initargs=(listener,)
    )
    with listener, lifeline:
        try:
            yield executor
        except BaseException:
            lifeline.close()  # ends the processes at once, in the middle of a task
            raise
        finally:
            executor.shutdown(cancel_futures=True)


class _QuietPool(ProcessPoolExecutor):
    """A pool in which only the parent acts on Ctrl-C, which a terminal sends to every process."""

    def submit(
        self,
        function: Callable[Arguments, Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        """Queue a task; this may start a process, which inherits the blocked interrupt.

        Without that, an interrupt while the new process still imports would be its traceback.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(function, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch_parent(listener: Connection) -> None:
    """Set a worker up: ignore interrupts, which the parent handles, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        listener.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
