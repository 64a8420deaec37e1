"""Stream epochs of batches in a seeded order, or whole scenes, read ahead by threads.

A few threads make batches while the caller works with earlier batches. Reading, unpacking and
decompression release the interpreter lock, so two threads use two cores. Only the batches ahead are
in memory, and their memory is used again when the caller has released them. At most one file for
each thread is open.

`channel_statistics` reads a subset of the patches in the same way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.ready.own_rows import EVERYTHING, make_batch, reading
from sciml_data.ready.patches.batches import (
    CHANNELS,
    Batch,
    BatchContent,
    Missing,
    packing,
    read_batch,
    read_windows,
)
from sciml_data.ready.patches.grid import Patches
from sciml_data.ready.patches.reading import MemoryPool, Window
from sciml_data.ready.patches.scenes import Scenes

THREADS = 2
PREFETCH = 4  # batches; with 32 patches each has 80 MB
MAX_PATCHES = 512  # for statistics: 33 million pixels; differences between seeds come from scenes
Input = TypeVar("Input")
Output = TypeVar("Output")


def epoch_order(count: int, *, seed: int, epoch: int = 0) -> NDArray[np.int64]:
    """Return the order of the patches in an epoch: a permutation of `count` numbers.

    It is a pure function of its arguments, for a version of NumPy.
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

    In a step, all ranks together take the next `batch_size` * ranks patches of the epoch. So a step
    has the same patches for any number of ranks with the same global batch size. Ranks differ by at
    most one patch, and so by at most one batch; with `drop_remainder` they do not differ.

    Args:
        count: number of patches.
        batch_size: patches in a batch of a rank.
        seed: seed of the order; None is the order of the list.
        epoch: number of the epoch.
        ranks: this rank, and the number of ranks; rank r has positions r, r + ranks, ... of the
            order.
        drop_remainder: leave out patches that do not fill a batch of all ranks.

    Raises:
        CallError: batch size or ranks are not valid.
    """
    rank, count_of_ranks = ranks
    if batch_size < 1 or not 0 <= rank < count_of_ranks:
        raise CallError(
            f"cannot make batches of {batch_size} samples for rank {rank} of {count_of_ranks}",
            untouched="nothing was read",
        )
    order = np.arange(count) if seed is None else epoch_order(count, seed=seed, epoch=epoch)
    if drop_remainder:
        order = order[: count - count % (batch_size * count_of_ranks)]
    of_rank = order[rank::count_of_ranks]
    return [of_rank[start : start + batch_size] for start in range(0, len(of_rank), batch_size)]


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
    step: int = 1,
) -> Iterator[Batch]:
    """Return an iterator over the batches of an epoch; arguments are checked at once.

    Args:
        patches: patches of a part of a split.
        batch_size: patches in a batch of this rank; the last batch may have fewer.
        seed: seed of the order, together with `epoch`; None is the order of the list.
        epoch: number of the epoch; each has another order.
        rank: rank of this process.
        ranks: number of processes that share the epoch; see `batch_indices`.
        start_batch: batches of this rank to skip without reading, to resume a run.
        drop_remainder: leave out patches that do not fill a batch of all ranks.
        threads: number of reading threads.
        prefetch: batches to make ahead, at least one.
        variables: see `BatchContent`, as for the following arguments.
        label: variable with the labels.
        mask: variable with the mask.
        missing: value of missing channels.
        raw: return channels as stored.
        step: return every step-th pixel along each axis.

    Raises:
        CallError: a variable does not exist, or a number is not valid.
        ConversionError: during iteration: a file cannot be read; `.problems` names it.
    """
    batches = batch_indices(
        len(patches),
        batch_size=batch_size,
        seed=seed,
        epoch=epoch,
        ranks=(rank, ranks),
        drop_remainder=drop_remainder,
    )
    content = BatchContent(variables, label, mask, missing, raw, step)
    return read_ahead(
        batches[start_batch:],
        lambda numbers: read_batch(patches, numbers, content),
        threads=threads,
        prefetch=prefetch,
    )


def stream_scenes(
    scenes: Scenes,
    *,
    content: BatchContent | None = None,
    threads: int = THREADS,
    prefetch: int = 1,
) -> Iterator[Batch]:
    """Return an iterator over whole scenes in order; each is a batch of one.

    `Batch.index` is the number of the scene. A scene of 1200 x 1500 has 65 MB as float32.

    Args:
        scenes: scenes.
        content: channels, label and mask; None is the default.
        threads: number of reading threads.
        prefetch: scenes to read ahead.
    """
    window, pool = Window(0, 0, *scenes.shape), MemoryPool()
    content = content or BatchContent()

    def read(number: int) -> Batch:
        index = np.array([number], np.int64)
        return read_windows(scenes, [(number, window)], content, index=index, pool=pool)

    return read_ahead(range(len(scenes)), read, threads=threads, prefetch=prefetch)


def read_ahead(
    tasks: Iterable[Input], function: Callable[[Input], Output], *, threads: int, prefetch: int
) -> Iterator[Output]:
    """Return an iterator over the results of a function, computed ahead by threads, in order.

    The threads end with the iterator: when it is exhausted, fails, is closed or is collected.

    Args:
        tasks: arguments of the function.
        function: function of a task; it runs in several threads at once.
        threads: number of threads.
        prefetch: results to compute ahead, at least one.

    Raises:
        CallError: the number of threads is below 1.
    """
    if threads < 1:
        raise CallError(
            f"reading needs at least one thread, not {threads}",
            untouched="nothing was read",
            hint="threads=1",
        )
    return _read_ahead(iter(tasks), function, threads, max(prefetch, 1))


def _read_ahead(
    left: Iterator[Input], function: Callable[[Input], Output], threads: int, ahead: int
) -> Iterator[Output]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="patches")

    def submit(numbered: tuple[int, Input]) -> Future[Output]:
        # A thread has a context of its own, without the rows that this process needs.
        number, task = numbered
        return pool.submit(copy_context().run, make_batch, number, function, task)

    try:
        tasks = enumerate(left)
        waiting = deque(map(submit, islice(tasks, ahead)))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(map(submit, islice(tasks, 1)))
            yield result
            del result  # its memory is free for the next batch while this waits
    finally:
        pool.shutdown(cancel_futures=True)


# --- statistics ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation of channels over valid pixels.

    Attributes:
        mean: (channel,) float64, in the unit of the channel; NaN without a pixel.
        std: (channel,) float64, in the unit of the channel; NaN without a pixel.
        count: (channel,) int64, number of valid pixels with a value.
        patches: number of patches that were read.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    count: NDArray[np.int64]
    patches: int


def channel_statistics(
    patches: Patches,
    *,
    max_patches: int = MAX_PATCHES,
    seed: int = 0,
    variables: tuple[str, ...] = CHANNELS,
    threads: int = THREADS,
) -> ChannelStatistics:
    """Return statistics of a random subset of patches.

    Patches are read one by one. Sums are of stored integers, so they are exact and do not depend on
    the order.

    Args:
        patches: patches of the training part.
        max_patches: largest number of patches to read.
        seed: seed of the subset.
        variables: variables with the channels.
        threads: number of reading threads.

    Raises:
        CallError: there are no patches.
    """
    numbers = np.sort(epoch_order(len(patches), seed=seed)[:max_patches])
    if not len(numbers):
        raise CallError("there are no patches for channel statistics", untouched="nothing was read")
    unpack = packing(patches.scenes, variables)
    content = BatchContent(variables=variables, raw=True)

    def sums(number: np.int64) -> NDArray[np.int64]:
        batch = read_batch(patches, [int(number)], content)
        valid = batch.inputs[batch.weights == 1].T.astype(np.int64)  # (channel, pixel)
        known = valid != unpack.fill[:, None]
        valid[~known] = 0
        return np.stack([known.sum(1), valid.sum(1), (valid * valid).sum(1)])

    total = np.zeros((3, len(unpack.scale)), np.int64)
    with reading(EVERYTHING):  # a benchmark may need statistics when it makes its first batch
        for of_patch in read_ahead(numbers, sums, threads=threads, prefetch=2 * threads):
            total += of_patch
    count = total[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        stored = total[1] / count
        variance = total[2] / count - stored**2
    scale = unpack.scale.astype(np.float64)
    return ChannelStatistics(
        mean=stored * scale + unpack.offset,
        std=np.sqrt(np.maximum(variance, 0)) * scale,
        count=count,
        patches=len(numbers),
    )
