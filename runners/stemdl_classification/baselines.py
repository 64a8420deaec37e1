"""Baselines without a network: the most frequent group, the nearest stack, logistic regression.

All use the log intensities that the network uses. They are fitted to evenly spaced stacks of the
training part, at most as many as the setting `baseline_stacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.ready.samples import Numbers

from .patterns import Patterns
from .polar import polar_matrix

MAJORITY, NEAREST, POLAR = "majority", "nearest", "polar_linear"
PIXELS_SIDE = 32  # of the patterns that `nearest` compares: 3,072 numbers for a stack
ANGLES = 48  # of the polar grid
ORDERS = 9  # of the Fourier transform over angles: 0 to 8, up to eight-fold symmetry
RADII = 24  # of the polar grid
PENALTY = 0.01  # C of scikit-learn's logistic regression: of standardised features
MAX_STEPS = 200  # of the logistic regression
STACKS_PER_BATCH = 256  # when features are computed

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        features: from log intensities (stack, row, column, view) to (stack, feature).
        predict: from features to probabilities (stack, class).
    """

    features: Callable[[npt.NDArray[np.float32]], Features]
    predict: Callable[[Features], npt.NDArray[Any]]

    def probabilities(self, patterns: Patterns, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return probabilities (stack, class), float32."""
        return np.asarray(self.predict(_features(self.features, patterns, numbers)), np.float32)


def fit(
    patterns: Patterns, numbers: Numbers, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Mapping[str, Classifier]:
    """Return the baselines by name.

    Args:
        patterns: log intensities of all stacks.
        numbers: (stack,) training stacks.
        targets: (stack,) their classes, 0 to `classes` - 1.
        classes: number of classes; a class without a target gets probability 0.
    """
    shares = np.bincount(targets, minlength=classes) / len(targets)
    polar = polar_features(patterns.shape[0])
    return {
        MAJORITY: Classifier(
            lambda log_intensity: np.zeros((len(log_intensity), 1), np.float32),
            lambda features: np.tile(shares, (len(features), 1)),
        ),
        NEAREST: Classifier(
            pixels, _nearest(_features(pixels, patterns, numbers), targets, classes)
        ),
        POLAR: Classifier(polar, _linear(_features(polar, patterns, numbers), targets, classes)),
    }


def pixels(log_intensity: npt.NDArray[np.float32]) -> Features:
    """Return the pixels of all three patterns, averaged to about 32 x 32: (stack, feature)."""
    count, size = len(log_intensity), log_intensity.shape[1]
    block = max(1, size // PIXELS_SIDE)
    side = size // block
    divisible = log_intensity[:, : side * block, : side * block]
    means = divisible.reshape(count, side, block, side, block, 3).mean(axis=(2, 4))
    return np.asarray(means.reshape(count, -1), np.float32)


def polar_features(size: int) -> Callable[[npt.NDArray[np.float32]], Features]:
    """Return a function that computes the rotational symmetry of patterns at each radius.

    At each radius around the undiffracted beam, the absolute values of the Fourier transform over
    the angle do not change when the pattern is rotated or mirrored. The n-th is large if the
    pattern has n-fold symmetry there. Features are (stack, view x radius x order):
    log(1 + absolute value).

    Args:
        size: pixels along a side of a pattern.
    """
    matrix = polar_matrix(size, RADII, ANGLES)

    def features(log_intensity: npt.NDArray[np.float32]) -> Features:
        count = len(log_intensity)
        flat = np.moveaxis(log_intensity, -1, 1).reshape(count * 3, -1)
        polar = (matrix @ flat.T).T.reshape(count * 3, RADII, ANGLES)
        strength = np.abs(np.fft.rfft(polar, axis=-1)[..., :ORDERS])
        return np.asarray(np.log1p(strength).reshape(count, -1), np.float32)

    return features


def _features(
    make: Callable[[npt.NDArray[np.float32]], Features], patterns: Patterns, numbers: Numbers
) -> Features:
    """Return (stack, feature) of stacks, computed in batches."""
    starts = range(0, len(numbers), STACKS_PER_BATCH)
    return np.concatenate(
        [make(patterns.take(numbers[start : start + STACKS_PER_BATCH])) for start in starts]
    )


def _nearest(
    training: Features, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Callable[[Features], npt.NDArray[Any]]:
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(1, algorithm="brute").fit(training, targets)
    return lambda features: np.eye(classes)[model.predict(features)]


def _linear(
    training: Features, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Callable[[Features], npt.NDArray[Any]]:
    """Return a logistic regression of single views; a stack has the mean of their probabilities."""
    import warnings

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

    def predict(features: Features) -> npt.NDArray[Any]:
        count = len(features)
        probabilities = np.zeros((count, classes))
        of_views = model.predict_proba(features.reshape(3 * count, -1))
        probabilities[:, model.classes_] = of_views.reshape(count, 3, -1).mean(axis=1)
        return probabilities

    return predict
