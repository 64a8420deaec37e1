"""Give shards to whoever makes them: a few at a time, each failure kept, an end at once if asked.

However many shards there are, only a few are handed out at a time, so that neither this process
nor a scheduler has to hold 29,300 of them, and an interrupt has little to wait for.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection

from sciml_data.errors import ConversionError, Problem, SciMLDataError
from sciml_data.ready.convert.shard import Task, make_shard
from sciml_data.registry.manifest import Entry

WAITING_PER_WORKER = 2  # shards handed out: one that is made, one so that no worker has to wait
WAITING_AT_EXECUTOR = 64  # of an executor whose size nobody has told
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Workforce:
    """Who makes shards, and how many are handed out at a time."""

    executor: Executor
    most_waiting: int


def workforce(
    workers: int | str | Executor, task: Task, tasks: int
) -> AbstractContextManager[Workforce]:
    """Return who makes the shards; it is dismissed when the context ends.

    Args:
        workers: number of processes, address or scheduler file of a Dask cluster, or an executor.
        task: one of the tasks, by whose folders a cluster is tried.
        tasks: how many there are.

    Raises:
        CallError: the cluster cannot be reached, or Dask is not installed.
        ConversionError: its workers differ from this process, or see other folders.
    """
    if isinstance(workers, Executor):
        return nullcontext(Workforce(workers, WAITING_AT_EXECUTOR))
    if isinstance(workers, str):
        from sciml_data.ready.convert.cluster import dask_workers

        return dask_workers(workers, task)
    if min(workers, tasks) <= 1:
        return _one_thread()
    return _processes(min(workers, tasks))


def make_all(
    tasks: Iterable[Task], force: Workforce, made: Callable[[Task, Entry], None]
) -> list[tuple[Task, Exception]]:
    """Make all shards that can be made; return those that failed, each with its reason.

    Args:
        tasks: what is to be made.
        force: by whom.
        made: told each shard that is ready.

    Raises:
        ConversionError: nothing more can be made, for the disk is full or a worker died.
    """
    failed: list[tuple[Task, Exception]] = []
    stop: ConversionError | None = None
    left = iter(tasks)
    running: dict[Future[Entry], Task] = {}
    try:
        while True:
            for task in islice(left, 0 if stop else force.most_waiting - len(running)):
                running[force.executor.submit(make_shard, task)] = task
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, error = running.pop(future), _error(future)
                if error is None:
                    made(task, future.result())
                else:
                    failed.append((task, error))
                    stop = stop or _reason_to_stop(error)
    finally:
        for future in running:
            future.cancel()
    if stop is not None:
        raise stop from failed[-1][1]
    return failed


def problems_of(task: Task, error: Exception) -> tuple[Problem, ...]:
    """Return what is wrong with a shard, by its native file."""
    if isinstance(error, SciMLDataError) and error.problems:
        return error.problems
    place = task.shard.inputs[0] if len(task.shard.inputs) == 1 else task.shard.name
    said = (
        error.message if isinstance(error, SciMLDataError) else f"{type(error).__name__}: {error}"
    )
    return (Problem("failed", place, said),)


def _error(future: Future[Entry]) -> Exception | None:
    """Return why a shard was not made; what is no error of the shard is raised."""
    if future.cancelled():
        return CancelledError("cancelled")
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error


def _reason_to_stop(error: Exception) -> ConversionError | None:
    """Return why no other shard will fare better, None where one may."""
    hint = "run the same again: what is ready is kept"
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return ConversionError(
            f"the disk of the ready files is full: {error}",
            done="no more were begun",
            untouched="native files and finished ready files are untouched",
            hint=f"make room, then {hint}",
        )
    if isinstance(error, CancelledError):
        return ConversionError(
            "the cluster gave the work up: its scheduler ended, or someone cancelled it",
            done="no more were begun",
            untouched="native files and finished ready files are untouched",
            hint=hint,
        )
    if isinstance(error, BrokenExecutor):
        return ConversionError(
            "a process that makes ready files ended without a word; too little memory perhaps",
            done="no more were begun",
            untouched="native files and finished ready files are untouched",
            hint=f"fewer --jobs need less memory; {hint}",
        )
    return None


@contextmanager
def _one_thread() -> Iterator[Workforce]:
    """Yield a thread: this process then waits where an interrupt reaches it."""
    pool = ThreadPoolExecutor(1)
    try:
        yield Workforce(pool, 1)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _processes(count: int) -> Iterator[Workforce]:
    """Yield processes that end when this context does, or when this process is killed.

    Each listens at one end of a pipe, whose other end only this process holds: when that is closed,
    by us or by our death, there is nobody to work for.
    """
    context = get_context("spawn")
    listener, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_work_while, initargs=(listener,)
    )
    with listener, lifeline:
        try:
            yield Workforce(pool, count * WAITING_PER_WORKER)
        except BaseException:
            lifeline.close()  # whatever they are at
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _work_while(listener: Connection) -> None:
    """Leave interrupts to the process that gives out the work, and end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        listener.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
