"""Masks that need no network: everything cloud, the product's own summary, each pixel by itself.

The first two are masks without probabilities. They are given those that the training scenes teach:
the share of cloud among all pixels, or among those of each class. So their classes stay what they
are, and their cross-entropy and calibration can be read beside a model's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .channels import CHANNELS, Doubles, Floats, Statistics

ALL_CLOUD, SUMMARY, LOGISTIC = "all_cloud", "summary", "logistic"
NEAREST_TO_HALF = 0.51  # so that a class stays a class, whatever was learnt of it
PENALTY = 1e-3  # on the squared weights of standardised channels, per pixel
STEPS = 25  # of Newton's method; it converges in about eight
LARGEST_LOGIT = 30.0
LIGHT_CHANNEL, LEAST_LIT = "S1", 0.02  # as the ready form's flag `unlit`


@dataclass(frozen=True)
class Rates:
    """Share of cloud in the training scenes: of all pixels, and where summary says clear, cloud."""

    all_pixels: float
    summary_clear: float
    summary_cloud: float

    def all_cloud(self, shape: tuple[int, ...]) -> Floats:
        """Return one probability for every pixel."""
        return np.full(shape, max(self.all_pixels, NEAREST_TO_HALF), np.float32)

    def summary(self, is_cloud: npt.NDArray[np.bool_]) -> Floats:
        """Return a probability for each class of the summary mask."""
        cloud = max(self.summary_cloud, NEAREST_TO_HALF)
        clear = min(self.summary_clear, 1 - NEAREST_TO_HALF)
        return np.where(is_cloud, np.float32(cloud), np.float32(clear))


def fit_rates(scenes: Iterable[tuple[Any, Any, Any]]) -> Rates:
    """Return the shares over scenes of (label, summary, valid), each (row, column) bool."""
    pixels, cloudy = np.zeros(2), np.zeros(2)
    for label, summary, valid in scenes:
        pixels += np.bincount(summary[valid], minlength=2)
        cloudy += np.bincount(summary[valid], weights=label[valid], minlength=2)
    clear, cloud = np.divide(cloudy, pixels, out=np.full(2, 0.5), where=pixels > 0)
    return Rates(float(cloudy.sum() / max(pixels.sum(), 1)), float(clear), float(cloud))


@dataclass(frozen=True)
class Logistic:
    """Cloud from each pixel's nine channels: sigmoid of features @ weights + offset.

    The features are the standardised channels, whether the pixel is lit, and the channels again
    where it is: one regression for the day and one for the night. weights: (feature) float64.
    """

    statistics: Statistics
    weights: Doubles
    offset: float

    def predict(self, channels: Floats) -> Floats:
        """Return the probability of cloud (...) float32 of channels (..., 9)."""
        features = _features(channels, self.statistics)
        logit = features @ self.weights.astype(np.float32) + np.float32(self.offset)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -LARGEST_LOGIT, LARGEST_LOGIT))))


def fit_logistic(channels: Floats, cloudy: npt.NDArray[np.bool_], known: Statistics) -> Logistic:
    """Return the logistic regression of pixels, by Newton's method; the same each time.

    Args:
        channels: (pixel, 9), not-a-number where missing.
        cloudy: (pixel) the label.
        known: mean and deviation of the channels; a missing one counts as the mean.
    """
    features = _features(channels, known)
    rows = np.concatenate([np.ones((len(features), 1)), features], axis=1, dtype=np.float64)
    truth, weights = cloudy.astype(np.float64), np.zeros(rows.shape[1])
    penalty = np.full(rows.shape[1], PENALTY * len(rows))
    penalty[0] = 0.0
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-np.clip(rows @ weights, -LARGEST_LOGIT, LARGEST_LOGIT)))
        curvature = np.maximum(probability * (1 - probability), 1e-9)
        slope = rows.T @ (truth - probability) - penalty * weights
        bend = (rows * curvature[:, None]).T @ rows + np.diag(penalty + 1e-9)
        step = np.linalg.solve(bend, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    return Logistic(known, weights[1:], float(weights[0]))


def _features(channels: Floats, statistics: Statistics) -> Floats:
    """Return (..., 19) float32 of channels (..., 9)."""
    mean, deviation = (
        values.astype(np.float32) for values in (statistics.mean, statistics.deviation)
    )
    centred = (channels - mean) / deviation
    standard = np.where(np.isfinite(centred), centred, np.float32(0.0))
    lit = (channels[..., CHANNELS.index(LIGHT_CHANNEL)] >= LEAST_LIT)[..., None]
    return np.concatenate([standard, lit, np.where(lit, standard, 0.0)], axis=-1, dtype=np.float32)
