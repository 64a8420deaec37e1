"""Classifiers that need no network: the most frequent group, the nearest pattern, a linear one.

All see the levels that the network sees. They are fitted to at most so many training stacks, drawn
evenly, and know the training part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .patterns import Patterns
from .polar import ring_matrix
from .stacks import Numbers

MAJORITY, NEAREST, POLAR = "majority", "nearest", "polar_linear"
PIXELS_SIDE = 32  # of patterns whose pixels are compared: 3,072 numbers for a stack
ANGLES = 48  # of the polar grid
ORDERS = 9  # of the Fourier transform over angles that are kept: 0 to 8, so to eight-fold
RADII = 24
PENALTY = 0.01  # C of scikit-learn's logistic regression: of standardised features
STEPS = 200
AT_ONCE = 256  # stacks whose features are made together

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fitted:
    """A classifier that gives (stack, class) probabilities of features (stack, feature)."""

    features: Callable[[npt.NDArray[np.float32]], Features]
    predict: Callable[[Features], npt.NDArray[Any]]

    def probabilities(self, patterns: Patterns, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Return (stack, class) probabilities."""
        return np.asarray(self.predict(_features(self.features, patterns, numbers)), np.float32)


def fit(
    patterns: Patterns, numbers: Numbers, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Mapping[str, Fitted]:
    """Return the baselines by name.

    Args:
        patterns: levels of all stacks.
        numbers: (stack) training stacks.
        targets: (stack) their classes, 0 to `classes` - 1.
        classes: how many there are; one that is not among the targets gets probability 0.
    """
    shares = np.bincount(targets, minlength=classes) / len(targets)
    polar = polar_features(patterns.shape[0])
    return {
        MAJORITY: Fitted(
            lambda levels: np.zeros((len(levels), 1), np.float32),
            lambda features: np.tile(shares, (len(features), 1)),
        ),
        NEAREST: Fitted(pixels, _nearest(_features(pixels, patterns, numbers), targets, classes)),
        POLAR: Fitted(polar, _linear(_features(polar, patterns, numbers), targets, classes)),
    }


def pixels(levels: npt.NDArray[np.float32]) -> Features:
    """Return the pixels of all three patterns, averaged to about 32 x 32: (stack, feature)."""
    count, size = len(levels), levels.shape[1]
    block = max(1, size // PIXELS_SIDE)
    side = size // block
    cut = levels[:, : side * block, : side * block]
    means = cut.reshape(count, side, block, side, block, 3).mean(axis=(2, 4))
    return np.asarray(means.reshape(count, -1), np.float32)


def polar_features(size: int) -> Callable[[npt.NDArray[np.float32]], Features]:
    """Return a function from levels to how strongly each ring varies with each multiplicity.

    On rings around the undiffracted beam the absolute values of the Fourier transform over the
    angle do not change when the pattern is turned or mirrored; the n-th is large where a ring has
    n-fold symmetry. Features are (stack, view x radius x order): log(1 + absolute value).
    """
    matrix = ring_matrix(size, RADII, ANGLES)

    def features(levels: npt.NDArray[np.float32]) -> Features:
        count = len(levels)
        flat = np.moveaxis(levels, -1, 1).reshape(count * 3, -1)
        rings = (matrix @ flat.T).T.reshape(count * 3, RADII, ANGLES)
        strength = np.abs(np.fft.rfft(rings, axis=-1)[..., :ORDERS])
        return np.asarray(np.log1p(strength).reshape(count, -1), np.float32)

    return features


def _features(
    make: Callable[[npt.NDArray[np.float32]], Features], patterns: Patterns, numbers: Numbers
) -> Features:
    starts = range(0, len(numbers), AT_ONCE)
    return np.concatenate(
        [make(patterns.take(numbers[start : start + AT_ONCE])) for start in starts]
    )


def _nearest(
    known: Features, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Callable[[Features], npt.NDArray[Any]]:
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(1, algorithm="brute").fit(known, targets)
    return lambda features: np.eye(classes)[model.predict(features)]


def _linear(
    known: Features, targets: npt.NDArray[np.integer[Any]], classes: int
) -> Callable[[Features], npt.NDArray[Any]]:
    """Return a logistic regression of single views; the probabilities of a stack are their mean."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=STEPS)
    model = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        # Where it ends is part of the definition: STEPS steps from zero, the same each time.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(known.reshape(3 * len(known), -1), targets.repeat(3))

    def predict(features: Features) -> npt.NDArray[Any]:
        count = len(features)
        found = np.zeros((count, classes))
        of_views = model.predict_proba(features.reshape(3 * count, -1))
        found[:, model.classes_] = of_views.reshape(count, 3, -1).mean(axis=1)
        return found

    return predict
