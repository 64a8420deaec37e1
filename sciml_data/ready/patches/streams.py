"""Epochs of batches in a seeded order, and whole scenes one after the other, read ahead.

A batch is made in one of a few threads while the caller works with those before it. Reading,
unpacking and decompressing let go of the interpreter's lock, so two threads keep two cores busy.
Nothing is kept of an epoch but the batches ahead, and their memory is used again once the caller
has let go of them. No more files are open than there are threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.ready.patches.batches import (
    CHANNELS,
    Batch,
    Missing,
    Wanted,
    read_batch,
    read_windows,
)
from sciml_data.ready.patches.grid import Patches
from sciml_data.ready.patches.memory import Pool
from sciml_data.ready.patches.reading import Window
from sciml_data.ready.patches.scenes import Scenes

THREADS = 2
PREFETCH = 4  # batches: of 32 patches each takes 80 MB
Task = TypeVar("Task")
Made = TypeVar("Made")


def order(count: int, *, seed: int, epoch: int = 0) -> NDArray[np.int64]:
    """Return the order in which an epoch takes its patches: a permutation of all of them.

    A pure function of its arguments, for one version of NumPy.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)


def batch_indices(
    count: int,
    *,
    batch_size: int,
    seed: int | None,
    epoch: int = 0,
    ranks: tuple[int, int] = (0, 1),
    drop_remainder: bool = False,
) -> list[NDArray[np.int64]]:
    """Return the numbers of the patches of each batch of a rank.

    All ranks together take `batch_size` times their number from the epoch's order at a time, so a
    step sees the same patches whatever the number of ranks that share them. Ranks differ by at
    most one patch, and so by at most one batch; none with `drop_remainder`.

    Args:
        count: patches.
        batch_size: of one rank.
        seed: of the order; None is the order of the list.
        epoch: of the order.
        ranks: which rank, of how many: rank r has positions r, r + ranks, ... of the order.
        drop_remainder: leave out what fills no batch of all ranks.

    Raises:
        CallError: sizes or ranks cannot be.
    """
    rank, of = ranks
    if batch_size < 1 or not 0 <= rank < of:
        raise CallError(f"no batches of {batch_size} patches for rank {rank} of {of}")
    whole = np.arange(count) if seed is None else order(count, seed=seed, epoch=epoch)
    if drop_remainder:
        whole = whole[: count - count % (batch_size * of)]
    mine = whole[rank::of]
    return [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]


def stream(  # noqa: PLR0913 - the first names the patches, the rest are keywords
    patches: Patches,
    *,
    batch_size: int,
    seed: int | None,
    epoch: int = 0,
    rank: int = 0,
    ranks: int = 1,
    start_batch: int = 0,
    drop_remainder: bool = False,
    threads: int = THREADS,
    prefetch: int = PREFETCH,
    variables: tuple[str, ...] = CHANNELS,
    label: str = "cloud",
    mask: str = "valid",
    missing: Missing = 0.0,
    raw: bool = False,
) -> Iterator[Batch]:
    """Return one epoch of batches; what is given is looked at here, and read when asked for.

    Args:
        patches: of one part of a split.
        batch_size: patches in a batch of this rank; the last one may have fewer.
        seed: with `epoch`, of the order; None is the order of the list.
        epoch: another order for each.
        rank: of this process.
        ranks: processes that share the epoch; see `batch_indices`.
        start_batch: batches of this rank to pass over, unread: to go on where a run was cut.
        drop_remainder: leave out what fills no batch of all ranks.
        threads: that read.
        prefetch: batches that are made ahead, at least one.
        variables: see `Wanted`, as the rest.
        label: 0, 1, 255.
        mask: 0, 1.
        missing: value of missing channels.
        raw: channels as stored.

    Raises:
        CallError: no such variable, or sizes that cannot be.
        ConversionError: while reading: a file cannot be read; `.problems` names it.
    """
    batches = batch_indices(
        len(patches),
        batch_size=batch_size,
        seed=seed,
        epoch=epoch,
        ranks=(rank, ranks),
        drop_remainder=drop_remainder,
    )
    wanted = Wanted(variables, label, mask, missing, raw)
    return read_ahead(
        batches[start_batch:],
        lambda numbers: read_batch(patches, numbers, wanted),
        threads=threads,
        prefetch=prefetch,
    )


def stream_scenes(
    scenes: Scenes,
    *,
    wanted: Wanted | None = None,
    threads: int = THREADS,
    prefetch: int = 1,
) -> Iterator[Batch]:
    """Return whole scenes in their order, each as a batch of one; `index` is the scene's number.

    A scene of 1200 x 1500 takes 65 MB as float32.

    Args:
        scenes: to read.
        wanted: channels, label, mask.
        threads: that read.
        prefetch: scenes that are read ahead.
    """
    whole, chosen, pool = Window(0, 0, *scenes.shape), wanted or Wanted(), Pool()

    def read(number: int) -> Batch:
        index = np.array([number], np.int64)
        return read_windows(scenes, [(number, whole)], chosen, index=index, pool=pool)

    return read_ahead(range(len(scenes)), read, threads=threads, prefetch=prefetch)


def read_ahead(
    tasks: Iterable[Task], make: Callable[[Task], Made], *, threads: int, prefetch: int
) -> Iterator[Made]:
    """Yield what is made of each task, in their order, made in threads ahead of time.

    The threads end with the iterator: when it is exhausted, fails, is closed or is dropped.

    Raises:
        CallError: there is to be no thread.
    """
    if threads < 1:
        raise CallError(f"{threads} threads read nothing", hint="threads=1")
    return _read_ahead(iter(tasks), make, threads, max(prefetch, 1))


def _read_ahead(
    left: Iterator[Task], make: Callable[[Task], Made], threads: int, ahead: int
) -> Iterator[Made]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="patches")
    try:
        waiting: deque[Future[Made]] = deque(
            pool.submit(make, task) for task in islice(left, ahead)
        )
        while waiting:
            made = waiting.popleft().result()
            waiting.extend(pool.submit(make, task) for task in islice(left, 1))
            yield made
            del made  # not kept while the next one is waited for
    finally:
        pool.shutdown(cancel_futures=True)
