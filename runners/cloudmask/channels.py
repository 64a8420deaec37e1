"""The nine channels and their statistics over valid training pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import SciMLDataError
from sciml_data.formats.slstr_hdf5 import REFLECTIVE, THERMAL

CHANNELS = (*REFLECTIVE, *THERMAL)  # in the order of the last axis of every input
MIN_DEVIATION = 1e-6  # a channel that never varies (reflectance at night) is divided by this

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """Statistics of the channels over valid pixels.

    Attributes:
        mean: (channel,) float64, reflectance without unit and brightness temperature in K.
        covariance: (channel, channel) float64.
        pixels: number of valid pixels.
    """

    mean: Doubles
    covariance: Doubles
    pixels: int

    @property
    def deviation(self) -> Doubles:
        """Return the standard deviation of each channel: (channel,) float64, never 0."""
        return np.asarray(np.maximum(np.sqrt(np.diag(self.covariance)), MIN_DEVIATION))


def statistics_of(blocks: Iterable[tuple[Floats, npt.NDArray[np.bool_]]]) -> Statistics:
    """Return the statistics of pixels, read block by block.

    Each covariance is a mean over the pixels that have both channels.

    Args:
        blocks: pairs of channels (..., 9), NaN where missing, and a bool mask (...) of the pixels
            that count.

    Raises:
        SciMLDataError: a channel has no value at all.
    """
    size = len(CHANNELS)
    # Values are shifted by about their mean first: the variance of temperatures near 280 K, as a
    # difference of large squares, would lose digits.
    shift: Doubles | None = None
    count, total = np.zeros(size), np.zeros(size)
    pair_count, square = np.zeros((size, size)), np.zeros((size, size))
    pixels = 0
    for values, mask in blocks:
        chosen = np.asarray(values[mask], np.float64)
        is_known = np.isfinite(chosen)
        if shift is None:
            shift = _known_mean(chosen, is_known)
        pixels += len(chosen)
        filled = np.where(is_known, chosen - shift, 0.0)
        count += is_known.sum(axis=0)
        total += filled.sum(axis=0)
        square += filled.T @ filled
        present = is_known.astype(np.float64)
        pair_count += present.T @ present
    if shift is None or not count.all():
        names = [name for name, values in zip(CHANNELS, count, strict=True) if not values]
        raise SciMLDataError(
            f"no valid training pixel has a value in channel {', '.join(names)}",
            untouched="nothing was trained",
        )
    mean = total / count
    pairs = np.maximum(pair_count, 1)
    covariance = (square - pair_count * np.outer(mean, mean)) / pairs
    return Statistics(shift + mean, covariance, pixels)


def _known_mean(values: Doubles, is_known: npt.NDArray[np.bool_]) -> Doubles:
    """Return the mean of each column (channel,) over its known values; 0 without any."""
    count = np.maximum(is_known.sum(axis=0), 1)
    return np.asarray(np.where(is_known, values, 0.0).sum(axis=0) / count)
