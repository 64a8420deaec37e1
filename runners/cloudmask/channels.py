"""The nine channels and their statistics over valid training pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import SciMLDataError
from sciml_data.formats.slstr_hdf5.channels import REFLECTIVE, THERMAL

CHANNELS = (*REFLECTIVE, *THERMAL)  # in the order of the last axis of every input
LEAST_DEVIATION = 1e-6  # of a channel that never varies (a night's reflectance)

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """Mean (channel) and covariance (channel, channel), float64, over so many valid pixels."""

    mean: Doubles
    covariance: Doubles
    pixels: int

    @property
    def deviation(self) -> Doubles:
        """Return the standard deviation of each channel: (channel) float64, never 0."""
        return np.asarray(np.maximum(np.sqrt(np.diag(self.covariance)), LEAST_DEVIATION))


def statistics_of(blocks: Iterable[tuple[Floats, npt.NDArray[np.bool_]]]) -> Statistics:
    """Return the statistics of pixels, block by block.

    Args:
        blocks: channels (..., 9), not-a-number where missing, and which pixels count (...). A
            missing channel counts as that channel's mean.

    Raises:
        SciMLDataError: a channel has no value at all.
    """
    size = len(CHANNELS)
    shift: Doubles | None = None  # near the mean: squares of 280 K would cost digits
    count, total = np.zeros(size), np.zeros(size)
    together, square = np.zeros((size, size)), np.zeros((size, size))
    pixels = 0
    for values, where in blocks:
        chosen = np.asarray(values[where], np.float64)
        known = np.isfinite(chosen)
        if shift is None:
            shift = _middle(chosen, known)
        pixels += len(chosen)
        filled = np.where(known, chosen - shift, 0.0)
        count += known.sum(axis=0)
        total += filled.sum(axis=0)
        square += filled.T @ filled
        present = known.astype(np.float64)
        together += present.T @ present
    if shift is None or not count.all():
        names = [name for name, found in zip(CHANNELS, count, strict=True) if not found]
        raise SciMLDataError(
            f"no valid training pixel has a value of {', '.join(names)}",
            untouched="nothing was trained",
        )
    mean = total / count
    pairs = np.maximum(together, 1)
    covariance = (square - together * np.outer(mean, mean)) / pairs
    return Statistics(shift + mean, covariance, pixels)


def _middle(values: Doubles, known: npt.NDArray[np.bool_]) -> Doubles:
    count = np.maximum(known.sum(axis=0), 1)
    return np.asarray(np.where(known, values, 0.0).sum(axis=0) / count)
