"""Targets in units of their spread, and how much each pixel's errors count: from training alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .data import Floats

LEAST_SPREAD = 1e-6
LEAST_VARIANCE = 0.05  # of the mean one: a pixel that never stirs must not outweigh the others


@dataclass(frozen=True)
class Scale:
    """Centre and spread of each window's targets in training: (window=8) float64, magnitude."""

    centre: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    def standard(self, magnitude: Floats) -> npt.NDArray[np.float32]:
        """Return magnitudes in units of the spread."""
        return np.asarray((magnitude - self.centre) / self.spread, np.float32)

    def magnitude(self, standard: Floats) -> npt.NDArray[np.float32]:
        """Return what `standard` was made of."""
        return np.asarray(standard * self.spread + self.centre, np.float32)


def scale_of(training: Floats) -> Scale:
    """Return centre and spread of the training targets; 1 where a window has no spread at all."""
    known = np.isfinite(training)
    count = np.maximum(known.sum(axis=(0, 1)), 1)
    centre = np.where(known, training, 0.0).sum(axis=(0, 1), dtype=np.float64) / count
    square = np.where(known, training - centre, 0.0) ** 2
    spread = np.sqrt(square.sum(axis=(0, 1)) / count)
    return Scale(centre, np.where(spread > LEAST_SPREAD, spread, 1.0))


def weights_of(training: Floats, even_out: float) -> npt.NDArray[np.float32]:
    """Return (pixel, window) float32 weights, 1 in the mean over training pixels.

    NNSE divides the errors of a pixel by the variance of that pixel, so the loss does too:
    `even_out` 1 counts a quiet pixel as much as a lively one, 0 each squared error the same.
    Pixels outside of the training part, whose variance must not be known, have weight 1.
    """
    known = np.isfinite(training)
    count = known.sum(axis=1)
    mean = np.where(known, training, 0.0).sum(axis=1, keepdims=True) / np.maximum(count[:, None], 1)
    variance = (np.where(known, training - mean, 0.0) ** 2).sum(axis=1) / np.maximum(count, 1)
    is_training = count > 0
    typical = variance.sum(axis=0) / np.maximum(is_training.sum(axis=0), 1)
    relative = typical / np.maximum(variance + LEAST_VARIANCE * typical, 1e-12)
    weights = np.where(is_training, relative**even_out, 0.0)
    weights /= np.maximum(weights.sum(axis=0) / np.maximum(is_training.sum(axis=0), 1), 1e-12)
    return np.where(is_training, weights, 1.0).astype(np.float32)
