"""Baselines without a network: constants, the product's own mask, and classifiers of a pixel.

The first two are masks without probabilities. Their probabilities are estimated from the training
scenes: the share of cloud among all pixels, or among the pixels of each class. Their classes do
not change by that, and their cross-entropy and calibration can be compared with a model's.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .data import CHANNELS, Flags, Floats, Statistics
from .scenes import Mask, Scene

# A probability of cloud never crosses 1/2, so that the class of the mask stays as it is.
MIN_CLOUD_PROBABILITY = 0.51
MAX_PIXELS = 200_000  # for the classifiers of a pixel
PENALTY = 1e-3  # on the squared weights of standardised channels, per pixel
TOLERANCE = 1e-10  # of the gradient of the mean loss, at which the fit has converged
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
    return {
        "all_cloud": lambda scene: np.full(scene.cloud.shape, everywhere, np.float32),
        "summary": lambda scene: np.where(
            scene.summary, np.float32(where_cloud), np.float32(where_clear)
        ),
        "logistic": fit_logistic(pixels[::stride], cloudy[::stride], statistics),
        "boosting": fit_boosting(pixels[::stride], cloudy[::stride]),
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


def fit_logistic(pixels: Floats, cloudy: Flags, statistics: Statistics) -> Mask:
    """Return the logistic regression of a pixel's nine channels.

    The features are the standardised channels, whether the pixel is lit, and the channels again
    where it is lit. That makes one regression for the day and one for the night.

    Args:
        pixels: (pixel, 9) channels, NaN where missing.
        cloudy: (pixel,) the label.
        statistics: mean and deviation of the channels; a missing channel counts as its mean.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    if cloudy.all() or not cloudy.any():
        model = DummyClassifier()  # predicts the only class; a regression needs both
    else:
        # newton-cholesky reaches this tolerance in few steps; lbfgs stops before it.
        options = {"solver": "newton-cholesky", "tol": TOLERANCE}
        model = LogisticRegression(C=1 / (PENALTY * len(pixels)), **options)
    model.fit(_features(pixels, statistics).astype(np.float64), cloudy)

    def mask(scene: Scene) -> Floats:
        features = _features(scene.channels.reshape(-1, len(CHANNELS)), statistics)
        probability = model.predict_proba(features) @ model.classes_  # of the class True
        return np.asarray(probability.reshape(scene.cloud.shape))

    return mask


def fit_boosting(pixels: Floats, cloudy: Flags) -> Mask:
    """Return gradient boosting of a pixel's channels, which takes missing ones as they are.

    Args:
        pixels: (pixel, channel), NaN where missing; the scenes have the same channels.
        cloudy: (pixel,) the label.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    if cloudy.all() or not cloudy.any():
        share = np.float32(cloudy.all())
        return lambda scene: np.full(scene.cloud.shape, share, np.float32)
    # Settings are scikit-learn's; without early stopping, fits do not depend on the drawn pixels.
    model = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
    model.fit(pixels, cloudy)

    def mask(scene: Scene) -> Floats:
        channels = scene.channels.reshape(-1, pixels.shape[1])
        return np.asarray(model.predict_proba(channels)[:, 1].reshape(scene.cloud.shape))

    return mask


def _features(channels: Floats, statistics: Statistics) -> Floats:
    """Return (pixel, 19) float32 of channels (pixel, 9)."""
    mean, deviation = (
        values.astype(np.float32) for values in (statistics.mean, statistics.deviation)
    )
    centred = (channels - mean) / deviation
    standard = np.where(np.isfinite(centred), centred, np.float32(0.0))
    lit = (channels[..., CHANNELS.index(LIGHT_CHANNEL)] >= MIN_LIT)[..., None]
    return np.concatenate([standard, lit, np.where(lit, standard, 0.0)], axis=-1, dtype=np.float32)
