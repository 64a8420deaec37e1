"""Baselines without a network: the most frequent group, the nearest stack, logistic regression.

All use the log intensities that the network uses, and are fitted to stacks of the training part.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.interface import Baseline
from sciml_data.ready.samples import Numbers

from .augment import PolarGrid, Values
from .data import Patterns

PIXELS_SIDE = 32  # of the patterns that `nearest` compares: 3,072 numbers for a stack
RADII, ANGLES = 24, 48  # of the polar grid
ORDERS = 9  # of the Fourier transform over angles: 0 to 8, up to eight-fold symmetry
PENALTY = 0.01  # C of scikit-learn's logistic regression: of standardised features
MAX_STEPS = 200  # of the logistic regression
STACKS_PER_BATCH = 256  # when features are computed


def fit(
    patterns: Patterns, numbers: Numbers, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Mapping[str, Baseline]:
    """Return the baselines by name, from stacks to probabilities (stack, class).

    Args:
        patterns: log intensities of all stacks.
        numbers: (stack,) training stacks.
        targets: (stack,) their classes, 0 to `classes` - 1.
        classes: number of classes; a class without a target gets probability 0.
    """
    from sklearn.neighbors import KNeighborsClassifier

    def features(make: Callable[[Values], Values], chosen: Numbers) -> Values:
        starts = range(0, len(chosen), STACKS_PER_BATCH)
        batches = (patterns.take(chosen[start : start + STACKS_PER_BATCH]) for start in starts)
        return np.concatenate([make(batch) for batch in batches])

    shares = np.bincount(targets, minlength=classes) / len(targets)
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(features(pixels, numbers), targets)
    polar = polar_features(patterns.size)
    linear = _fit_views(features(polar, numbers), targets, classes)
    return {
        "majority": lambda chosen: np.tile(shares, (len(chosen), 1)),
        "nearest": lambda chosen: np.eye(classes)[nearest.predict(features(pixels, chosen))],
        "polar_linear": lambda chosen: linear(features(polar, chosen)),
    }


def pixels(log_intensity: Values) -> Values:
    """Return the pixels of all three patterns, averaged to about 32 x 32: (stack, feature)."""
    count, size = log_intensity.shape[:2]
    block = max(1, size // PIXELS_SIDE)
    side = size // block
    divisible = log_intensity[:, : side * block, : side * block]
    means = divisible.reshape(count, side, block, side, block, 3).mean(axis=(2, 4))
    return np.asarray(means.reshape(count, -1), np.float32)


def polar_features(size: int) -> Callable[[Values], Values]:
    """Return a function that computes the rotational symmetry of patterns at each radius.

    At each radius around the undiffracted beam, the absolute values of the Fourier transform over
    the angle do not change when the pattern is rotated or mirrored. The n-th is large if the
    pattern has n-fold symmetry there. Features are (stack, view x radius x order):
    log(1 + absolute value). Patterns have `size` pixels along a side.
    """
    grid = PolarGrid(size, (RADII, ANGLES))

    def features(log_intensity: Values) -> Values:
        polar = np.moveaxis(grid.resample(log_intensity), -1, 1)
        strength = np.abs(np.fft.rfft(polar, axis=-1)[..., :ORDERS])
        return np.asarray(np.log1p(strength).reshape(len(polar), -1), np.float32)

    return features


def _fit_views(
    training: Values, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Callable[[Values], npt.NDArray[Any]]:
    """Return a logistic regression of single views; a stack has the mean of their probabilities."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=MAX_STEPS)
    model = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        # The baseline is defined as MAX_STEPS steps from zero, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(training.reshape(3 * len(training), -1), targets.repeat(3))

    def predict(features: Values) -> npt.NDArray[Any]:
        count = len(features)
        probabilities = np.zeros((count, classes))
        of_views = model.predict_proba(features.reshape(3 * count, -1))
        probabilities[:, model.classes_] = of_views.reshape(count, 3, -1).mean(axis=1)
        return probabilities

    return predict
