"""Targets, their scale and weights, and the forecasts of all baselines, for all pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import baselines
from sciml_data.bench.task.splits import TRAIN
from sciml_data.formats.earthquake import ENERGY_EXPONENT

from .data import (
    FIRST_FORECAST,
    WINDOWS,
    Floats,
    Fortnights,
    SplitParts,
    missing_share,
    windows_ahead,
    windows_in_part,
)
from .features import ridge_blocks, trailing_sum

MIN_SPREAD = 1e-6  # magnitude
# Added to each pixel's variance, relative to the mean variance, so that a pixel without activity
# does not get a huge weight.
MIN_VARIANCE = 0.05


@dataclass(frozen=True)
class Forecasts:
    """Magnitudes (pixel, time, window=8), where time is the last fortnight of the input.

    Attributes:
        observed: float32, NaN if the window is incomplete or has no earthquakes.
        training_targets: float32, as `observed`, and NaN outside of the training part.
        baselines: forecasts by name, float32; no value is missing from the first forecast on.
    """

    observed: npt.NDArray[np.float32]
    training_targets: npt.NDArray[np.float32]
    baselines: Mapping[str, npt.NDArray[np.float32]]


def make_forecasts(
    grid: Fortnights, split: SplitParts, *, penalty: float, max_missing: float
) -> Forecasts:
    """Return targets and baselines, which are fitted to training targets only.

    Only `same_date_mean` uses later dates.

    Args:
        grid: all fortnights.
        split: pixels and parts.
        penalty: of the ridge; see `baselines.fit_ridge`.
        max_missing: largest share of a window in known gaps of the catalogue; a window with more
            counts as missing.
    """
    observed = windows_ahead(grid.target_magnitude[:, split.pixels])
    observed[:, missing_share(grid.complete) > max_missing] = np.nan
    train = split.part(TRAIN)
    is_target = train.has_pixel[:, None, None] & windows_in_part(train, len(grid))
    training = np.where(is_target, observed, np.nan).astype(np.float32)
    named = {
        "persistence": _persistence(grid, split, observed),
        "climatology": baselines.climatology(training, like=observed),
        "ridge": _ridge(grid, split, training, penalty),
    }
    if split.is_spatial:
        own = training[train.has_pixel]
        filled = baselines.climatology(training, like=observed)
        same = baselines.same_date_mean(own, like=observed)
        named["same_date_mean"] = np.where(np.isfinite(same), same, filled)
    return Forecasts(
        observed, training, {name: values.astype(np.float32) for name, values in named.items()}
    )


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


def _persistence(grid: Fortnights, split: SplitParts, observed: Floats) -> Floats:
    """Return the last complete window; if there is none, or it is empty, the rate so far."""
    energy = 10 ** (ENERGY_EXPONENT * grid.magnitude[:, split.pixels].astype(np.float64))
    rates = [np.log10(trailing_sum(energy, steps)) / ENERGY_EXPONENT for steps in WINDOWS]
    last = baselines.persistence(observed, WINDOWS)
    return np.where(np.isfinite(last), last, np.stack(rates, axis=-1).transpose(1, 0, 2))


def _ridge(grid: Fortnights, split: SplitParts, training: Floats, penalty: float) -> Floats:
    """Return the forecast of a ridge regression on the pixel's own past."""
    used = slice(FIRST_FORECAST - 1, None)
    rows = zip(ridge_blocks(grid, split.pixels), training, strict=True)
    blocks = [(inputs, targets) for inputs, targets in rows if np.isfinite(targets).any()]
    line = baselines.fit_ridge(
        ((inputs[used], targets[used]) for inputs, targets in blocks), penalty=penalty
    )
    return np.stack([line.predict(inputs) for inputs in ridge_blocks(grid, split.pixels)])
