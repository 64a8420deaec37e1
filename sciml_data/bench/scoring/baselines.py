"""Baseline forecasts that need little or no training, to report beside every score.

If a baseline reaches a published target, the record says so. The functions take plain arrays and
do not depend on a benchmark.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating]
Doubles: TypeAlias = npt.NDArray[np.float64]


def persistence(ahead: Floats, lengths: tuple[int, ...]) -> Doubles:
    """Forecast the value over the last window of the same length (persistence).

    Args:
        ahead: (series, time, window) any float: at time t the value over t+1 .. t+length.
        lengths: (window) lengths in time steps.

    Returns:
        (series, time, window) float64; NaN at times before a whole window has passed.
    """
    forecast = np.full(ahead.shape, np.nan)
    for index, length in enumerate(lengths):
        forecast[:, length:, index] = ahead[:, : max(ahead.shape[1] - length, 0), index]
    return forecast


def climatology(training: Floats, *, like: Floats) -> Doubles:
    """Forecast each series' mean over the training times, at every time of `like`.

    Args:
        training: (series, time, window) any float, NaN where missing.
        like: (series, other time, window), only its shape is used.

    Returns:
        Float64 in the shape of `like`; a series without training observations gets the mean of all
        series.
    """
    known = np.isfinite(training)
    count = known.sum(axis=1)
    total = np.where(known, training, 0.0).sum(axis=1, dtype=np.float64)
    overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    mean = np.where(count > 0, total / np.maximum(count, 1), overall)
    return np.array(np.broadcast_to(mean[:, None, :], like.shape))


def same_date_mean(training: Floats, *, like: Floats) -> Doubles:
    """Return the mean of the training series at the same date, which makes a leak visible.

    Where training and validation share their dates, this is the score that a model can reach by
    knowing nothing but the date. It uses observations of the forecast time, so it is not a
    forecast.

    Args:
        training: (series, time, window) any float, NaN where missing.
        like: (other series, time, window), only its shape is used.

    Returns:
        Float64 in the shape of `like`; NaN at dates without an observed training series.
    """
    known = np.isfinite(training)
    total = np.where(known, training, 0.0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return np.array(np.broadcast_to(mean[None], like.shape))
