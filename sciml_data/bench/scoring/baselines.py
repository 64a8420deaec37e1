"""Forecasts that need no training worth the name, to stand beside every score.

A target that one of these meets is met by a baseline, and the record says so. All work on plain
arrays and know nothing of any benchmark.
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
    """Return as forecast what the window of the same length showed that ends now.

    Args:
        ahead: (series, time, window) any float: at time t the value over t+1 .. t+length.
        lengths: of each window, in steps.

    Returns:
        (series, time, window) float64; NaN until one whole window lies in the past.
    """
    forecast = np.full(ahead.shape, np.nan)
    for index, length in enumerate(lengths):
        forecast[:, length:, index] = ahead[:, : max(ahead.shape[1] - length, 0), index]
    return forecast


def climatology(training: Floats, *, like: Floats) -> Doubles:
    """Return each series' mean over the training times, at every time of `like`.

    Args:
        training: (series, time, window) any float, NaN where missing.
        like: (series, other time, window), only its shape is used.

    Returns:
        Float64 in the shape of `like`; a series never seen in training takes the mean of all.
    """
    known = np.isfinite(training)
    count = known.sum(axis=1)
    total = np.where(known, training, 0.0).sum(axis=1, dtype=np.float64)
    overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    mean = np.where(count > 0, total / np.maximum(count, 1), overall)
    return np.array(np.broadcast_to(mean[:, None, :], like.shape))


def same_date_mean(training: Floats, *, like: Floats) -> Doubles:
    """Return the mean of the training series at the same date: a leak made visible, no forecast.

    Where training and validation share their dates, this scores what a model may learn by
    knowing the date alone; it looks at what happened, so it can forecast nothing.

    Args:
        training: (series, time, window) any float, NaN where missing.
        like: (other series, time, window), only its shape is used.

    Returns:
        Float64 in the shape of `like`, NaN where no training series was seen at that date.
    """
    known = np.isfinite(training)
    total = np.where(known, training, 0.0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return np.array(np.broadcast_to(mean[None], like.shape))


@dataclass(frozen=True)
class Ridge:
    """A linear forecast: (standardised features) @ weights + offset.

    centre, scale: (feature,) float64, of the training features.
    weights: (feature, target) float64. offset: (target,) float64.
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
    """Return the least-squares line with `penalty` x samples on the squared weights, closed form.

    The sums are taken block by block, so that the features of all samples never exist at once;
    each target uses every row in which it is known.

    Args:
        blocks: pairs of features (n, feature), finite, and targets (n, target), NaN where missing.
        penalty: share of the mean square of a standardised feature that is added to the diagonal.

    Raises:
        CallError: there is no block.
        SciMLDataError: a target has no known value.
    """
    sums: _Sums | None = None
    for features, targets in blocks:
        sums = sums or _Sums.empty(features.shape[-1], targets.shape[-1])
        sums.add(np.asarray(features, np.float64), np.asarray(targets, np.float64))
    if sums is None:
        raise CallError("fitting a ridge: no samples were given", untouched="nothing was fitted")
    return sums.solve(penalty)


@dataclass(frozen=True)
class _Sums:
    """Second moments of (1, features), and their products with each target, over its known rows.

    gram: (target, 1 + feature, 1 + feature); cross: (target, 1 + feature).
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
        # Rows that miss the same targets go together, so that each is multiplied out once.
        pattern = known @ (2.0 ** np.arange(known.shape[1]))
        for number in np.unique(pattern):
            alike = pattern == number
            self.gram[known[alike][0]] += rows[alike].T @ rows[alike]

    def solve(self, penalty: float) -> Ridge:
        count = self.gram[:, 0, 0]
        if (count == 0).any():
            raise SciMLDataError(
                f"fitting a ridge: target {int(np.argmin(count))} has no known value",
                untouched="nothing was fitted",
            )
        most = int(np.argmax(count))
        centre = self.gram[most, 0, 1:] / count[most]
        spread = np.sqrt(np.maximum(np.diag(self.gram[most])[1:] / count[most] - centre**2, 0.0))
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
        """Return weights of the standardised features and the offset of one target."""
        count = self.gram[target, 0, 0]
        mean = self.gram[target, 0, 1:] / count
        spread = self.gram[target, 1:, 1:] / count - np.outer(mean, mean)
        covariance = spread / np.outer(scale, scale)
        level = self.cross[target, 0] / count
        product = (self.cross[target, 1:] / count - mean * level) / scale
        weights = np.linalg.solve(covariance + penalty * np.eye(len(mean)), product)
        return weights, float(level - ((mean - centre) / scale) @ weights)
