"""Mean and standard deviation of the channels, over valid pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.ready.patches.batches import CHANNELS, Wanted, packing, read_batch
from sciml_data.ready.patches.grid import Patches
from sciml_data.ready.patches.streams import THREADS, order, read_ahead

MOST_PATCHES = 512  # 33 million pixels: what changes with another seed comes from the scenes


@dataclass(frozen=True)
class ChannelStatistics:
    """What was found.

    Attributes:
        mean, std: (channel,) float64, in the channels' units; not-a-number without a pixel.
        count: (channel,) int64, valid pixels whose channel is not missing.
        patches: how many were read.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    count: NDArray[np.int64]
    patches: int


def channel_statistics(
    patches: Patches,
    *,
    most: int = MOST_PATCHES,
    seed: int = 0,
    variables: tuple[str, ...] = CHANNELS,
    threads: int = THREADS,
) -> ChannelStatistics:
    """Return statistics of a seeded subset of patches, read once and never held together.

    Sums are of stored integers, so they are exact and the same whatever the order.

    Args:
        patches: of the training part.
        most: patches that are read.
        seed: of the subset.
        variables: whose bands are the channels.
        threads: that read.

    Raises:
        CallError: there is nothing to read.
    """
    numbers = np.sort(order(len(patches), seed=seed)[:most])
    if not len(numbers):
        raise CallError("there are no patches to take statistics of")
    unpack = packing(patches.scenes, variables)
    wanted = Wanted(variables=variables, raw=True)

    def sums(number: np.int64) -> NDArray[np.int64]:
        batch = read_batch(patches, [int(number)], wanted)
        valid = batch.inputs[batch.weights == 1].T.astype(np.int64)  # (channel, pixel)
        known = valid != unpack.fill[:, None]
        valid[~known] = 0
        return np.stack([known.sum(1), valid.sum(1), (valid * valid).sum(1)])

    total = np.zeros((3, len(unpack.scale)), np.int64)
    for found in read_ahead(numbers, sums, threads=threads, prefetch=2 * threads):
        total += found
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
