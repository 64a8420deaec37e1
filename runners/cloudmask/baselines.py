"""Baselines without a network: all cloud, the product's own summary mask, logistic regression.

The first two are masks without probabilities. Their probabilities are estimated from the training
scenes: the share of cloud among all pixels, or among the pixels of each class. Their classes do
not change by that, and their cross-entropy and calibration can be compared with a model's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .data import CHANNELS, Doubles, Flags, Floats, Statistics
from .scenes import Mask, Scene

# A probability of cloud never crosses 1/2, so that the class of the mask stays as it is.
MIN_CLOUD_PROBABILITY = 0.51
MAX_PIXELS = 200_000  # for the logistic regression
PENALTY = 1e-3  # on the squared weights of standardised channels, per pixel
MAX_STEPS = 25  # of Newton's method, which converges in about eight
STEP_TOLERANCE = 1e-8  # largest change of a weight at which the fit has converged
MIN_CURVATURE = 1e-9  # keeps the Hessian invertible where all probabilities are near 0 or 1
MAX_LOGIT = 30.0  # keeps exp() finite; the probability is 1e-13 from 0 or 1 there
LIGHT_CHANNEL, MIN_LIT = "S1", 0.02  # reflectance, as in the ready form's flag `unlit`


def fit_masks(
    scenes: Iterable[Scene], pixels: Floats, cloudy: Flags, statistics: Statistics
) -> dict[str, Mask]:
    """Return each baseline as a function from a scene to the probability of cloud (row, column).

    Args:
        scenes: training scenes, read once.
        pixels: (pixel, 9) channels of training pixels, NaN where missing.
        cloudy: (pixel,) their label.
        statistics: mean and deviation that channels are standardised with.
    """
    everywhere, where_clear, where_cloud = cloud_shares(scenes)
    everywhere = max(everywhere, MIN_CLOUD_PROBABILITY)
    where_cloud = max(where_cloud, MIN_CLOUD_PROBABILITY)
    where_clear = min(where_clear, 1 - MIN_CLOUD_PROBABILITY)
    stride = max(1, len(pixels) // MAX_PIXELS)
    logistic = fit_logistic(pixels[::stride], cloudy[::stride], statistics)
    return {
        "all_cloud": lambda scene: np.full(scene.cloud.shape, everywhere, np.float32),
        "summary": lambda scene: np.where(
            scene.summary, np.float32(where_cloud), np.float32(where_clear)
        ),
        "logistic": lambda scene: logistic.predict(scene.channels),
    }


def cloud_shares(scenes: Iterable[Scene]) -> tuple[float, float, float]:
    """Return shares of cloud: of all valid pixels, and of those that `summary` calls clear, cloud.

    The shares of scenes without such pixels are 1/2.
    """
    pixels, cloudy = np.zeros(2), np.zeros(2)
    for scene in scenes:
        summary = scene.summary[scene.valid]
        pixels += np.bincount(summary, minlength=2)
        cloudy += np.bincount(summary, weights=scene.cloud[scene.valid], minlength=2)
    clear, cloud = np.divide(cloudy, pixels, out=np.full(2, 0.5), where=pixels > 0)
    return float(cloudy.sum() / max(pixels.sum(), 1)), float(clear), float(cloud)


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on the nine channels of a pixel: sigmoid of features @ weights + offset.

    The features are the standardised channels, whether the pixel is lit, and the channels again
    where it is lit. That makes one regression for the day and one for the night.

    Attributes:
        statistics: mean and deviation that channels are standardised with.
        weights: (feature,) float64.
        offset: the intercept.
    """

    statistics: Statistics
    weights: Doubles
    offset: float

    def predict(self, channels: Floats) -> Floats:
        """Return the probability of cloud (...), float32, from channels (..., 9)."""
        features = _features(channels, self.statistics)
        logit = features @ self.weights.astype(np.float32) + np.float32(self.offset)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -MAX_LOGIT, MAX_LOGIT))))


def fit_logistic(channels: Floats, cloudy: Flags, statistics: Statistics) -> Logistic:
    """Return the logistic regression of pixels, fitted by Newton's method; deterministic.

    Args:
        channels: (pixel, 9) float, NaN where missing.
        cloudy: (pixel,) the label.
        statistics: mean and deviation of the channels; a missing channel counts as its mean.
    """
    features = _features(channels, statistics)
    rows = np.concatenate([np.ones((len(features), 1)), features], axis=1, dtype=np.float64)
    truth, weights = cloudy.astype(np.float64), np.zeros(rows.shape[1])
    penalty = np.full(rows.shape[1], PENALTY * len(rows))
    penalty[0] = 0.0  # the intercept is not penalised
    for _ in range(MAX_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(rows @ weights, -MAX_LOGIT, MAX_LOGIT)))
        curvature = np.maximum(probability * (1 - probability), MIN_CURVATURE)
        gradient = rows.T @ (truth - probability) - penalty * weights
        hessian = (rows * curvature[:, None]).T @ rows + np.diag(penalty + MIN_CURVATURE)
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step
        if np.abs(step).max() < STEP_TOLERANCE:
            break
    return Logistic(statistics, weights[1:], float(weights[0]))


def _features(channels: Floats, statistics: Statistics) -> Floats:
    """Return (..., 19) float32 of channels (..., 9)."""
    mean, deviation = (
        values.astype(np.float32) for values in (statistics.mean, statistics.deviation)
    )
    centred = (channels - mean) / deviation
    standard = np.where(np.isfinite(centred), centred, np.float32(0.0))
    lit = (channels[..., CHANNELS.index(LIGHT_CHANNEL)] >= MIN_LIT)[..., None]
    return np.concatenate([standard, lit, np.where(lit, standard, 0.0)], axis=-1, dtype=np.float32)
