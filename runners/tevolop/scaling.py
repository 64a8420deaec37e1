"""Standardisation of targets, and weights of pixels in the loss; both from training only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .data import Floats

MIN_SPREAD = 1e-6  # magnitude
# Added to each pixel's variance, relative to the mean variance, so that a pixel without activity
# does not get a huge weight.
MIN_VARIANCE = 0.05


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each window's training targets.

    Attributes:
        centre: (window=8,) float64, magnitude.
        spread: (window=8,) float64, magnitude.
    """

    centre: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    def standard(self, magnitude: Floats) -> npt.NDArray[np.float32]:
        """Return standardised targets from magnitudes (..., window)."""
        return np.asarray((magnitude - self.centre) / self.spread, np.float32)

    def magnitude(self, standard: Floats) -> npt.NDArray[np.float32]:
        """Return magnitudes from standardised targets (..., window)."""
        return np.asarray(standard * self.spread + self.centre, np.float32)


def scale_of(training: Floats) -> Scale:
    """Return the scale of training targets (pixel, time, window); a spread of 0 becomes 1."""
    known = np.isfinite(training)
    count = np.maximum(known.sum(axis=(0, 1)), 1)
    centre = np.where(known, training, 0.0).sum(axis=(0, 1), dtype=np.float64) / count
    square = np.where(known, training - centre, 0.0) ** 2
    spread = np.sqrt(square.sum(axis=(0, 1)) / count)
    return Scale(centre, np.where(spread > MIN_SPREAD, spread, 1.0))


def weights_of(training: Floats, even_out: float) -> npt.NDArray[np.float32]:
    """Return weights (pixel, window) float32, of mean 1 over training pixels.

    NNSE divides the squared errors of a pixel by the variance of that pixel. The weights do the
    same in the loss.

    Args:
        training: (pixel, time, window) targets, NaN outside of the training part.
        even_out: exponent of the relative weight. 1 counts a quiet pixel as much as an active one,
            0 gives all pixels the same weight. Other pixels than those of the training part have
            weight 1, because their variance must not be used.
    """
    known = np.isfinite(training)
    count = known.sum(axis=1)
    mean = np.where(known, training, 0.0).sum(axis=1, keepdims=True) / np.maximum(count[:, None], 1)
    variance = (np.where(known, training - mean, 0.0) ** 2).sum(axis=1) / np.maximum(count, 1)
    is_training = count > 0
    typical = variance.sum(axis=0) / np.maximum(is_training.sum(axis=0), 1)
    relative = typical / np.maximum(variance + MIN_VARIANCE * typical, 1e-12)
    weights = np.where(is_training, relative**even_out, 0.0)
    weights /= np.maximum(weights.sum(axis=0) / np.maximum(is_training.sum(axis=0), 1), 1e-12)
    return np.where(is_training, weights, 1.0).astype(np.float32)
