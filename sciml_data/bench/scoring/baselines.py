"""Baseline forecasts that need little or no training, to report beside every score.

If a baseline reaches a published target, the record says so. The functions take plain arrays and
do not depend on a benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, SciMLDataError

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


@dataclass(frozen=True)
class Ridge:
    """A linear forecast: (standardised features) @ weights + offset.

    Attributes:
        centre: (feature) float64, means of the training features.
        scale: (feature) float64, standard deviations of the training features.
        weights: (feature, target) float64.
        offset: (target) float64.
    """

    centre: Doubles
    scale: Doubles
    weights: Doubles
    offset: Doubles

    def predict(self, features: Floats) -> Doubles:
        """Return (..., target) float64 for features (..., feature)."""
        standard = (np.asarray(features, np.float64) - self.centre) / self.scale
        return np.asarray(standard @ self.weights + self.offset)


def fit_ridge(blocks: Iterable[tuple[Floats, Floats]], *, penalty: float) -> Ridge:
    """Fit a ridge regression in closed form: `penalty` x samples on the squared weights.

    Sums are accumulated block by block, so that the features of all samples are never in memory
    at once. Each target uses every row in which it is known.

    Args:
        blocks: pairs of features (n, feature), finite, and targets (n, target), NaN where missing.
        penalty: added to the diagonal of the correlation matrix of the features.

    Raises:
        CallError: there is no block.
        SciMLDataError: a target has no known value.
    """
    sums: _Sums | None = None
    for features, targets in blocks:
        sums = sums or _Sums.empty(features.shape[-1], targets.shape[-1])
        sums.add(np.asarray(features, np.float64), np.asarray(targets, np.float64))
    if sums is None:
        raise CallError("fitting a ridge: there are no samples", untouched="nothing was fitted")
    return sums.solve(penalty)


@dataclass(frozen=True)
class _Sums:
    """Sums over the rows in which a target is known, with a column of ones before the features.

    Attributes:
        gram: (target, 1 + feature, 1 + feature) products of features.
        cross: (target, 1 + feature) products of features and target.
    """

    gram: Doubles
    cross: Doubles

    @classmethod
    def empty(cls, features: int, targets: int) -> _Sums:
        return cls(
            np.zeros((targets, features + 1, features + 1)), np.zeros((targets, features + 1))
        )

    def add(self, features: Doubles, targets: Doubles) -> None:
        rows = np.concatenate([np.ones((len(features), 1)), features], axis=1)
        known = np.isfinite(targets)
        self.cross[:] += np.where(known, targets, 0.0).T @ rows
        # Targets that are known in the same rows have the same Gram matrix. Rows are grouped by
        # their pattern of known targets (a binary number), and each group is multiplied once.
        pattern = known @ (2.0 ** np.arange(known.shape[1]))
        for number in np.unique(pattern):
            group = pattern == number
            self.gram[known[group][0]] += rows[group].T @ rows[group]

    def solve(self, penalty: float) -> Ridge:
        count = self.gram[:, 0, 0]
        if (count == 0).any():
            raise SciMLDataError(
                f"fitting a ridge: target {int(np.argmin(count))} has no known value",
                untouched="nothing was fitted",
            )
        # Standardise all targets' features alike, by the target that is known in most rows.
        fullest = int(np.argmax(count))
        gram, rows = self.gram[fullest], count[fullest]
        centre = gram[0, 1:] / rows
        spread = np.sqrt(np.maximum(np.diag(gram)[1:] / rows - centre**2, 0.0))
        # A constant feature has a spread of rounding errors; dividing by it would amplify them.
        scale = np.where(spread > 1e-9 * (1 + np.abs(centre)), spread, 1.0)
        solved = [self._solve_one(target, centre, scale, penalty) for target in range(len(count))]
        return Ridge(
            centre,
            scale,
            np.stack([weights for weights, _ in solved], axis=1),
            np.array([offset for _, offset in solved]),
        )

    def _solve_one(
        self, target: int, centre: Doubles, scale: Doubles, penalty: float
    ) -> tuple[Doubles, float]:
        """Return (weights of the standardised features, offset) of a target."""
        count = self.gram[target, 0, 0]
        mean = self.gram[target, 0, 1:] / count
        spread = self.gram[target, 1:, 1:] / count - np.outer(mean, mean)
        covariance = spread / np.outer(scale, scale)
        target_mean = self.cross[target, 0] / count
        product = (self.cross[target, 1:] / count - mean * target_mean) / scale
        weights = np.linalg.solve(covariance + penalty * np.eye(len(mean)), product)
        return weights, float(target_mean - ((mean - centre) / scale) @ weights)
