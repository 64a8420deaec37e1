"""Forecasts that need little or no training, of all pixels, times and windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sciml_data.bench.scoring import baselines
from sciml_data.formats.earthquake import ENERGY_EXPONENT

from .data import FIRST_FORECAST, WINDOWS, Flags, Floats, Fortnights, Indices, Singles
from .features import BACK_WINDOWS, Doubles, energy_of, own_history, trailing_sum

RIDGE_LAGS = 26  # fortnights, as in the published models


def make_baselines(
    grid: Fortnights, pixels: Indices, observed: Floats, *, is_training: Flags, penalty: float
) -> Mapping[str, Singles]:
    """Return the magnitudes that each baseline forecasts: (pixel, time, window=8) float32.

    They are fitted to training targets, and no value is missing from the first forecast on. Only
    `same_date_mean` looks at later dates. It exists if some pixels were not trained on.

    Args:
        grid: all fortnights.
        pixels: (pixel,) numbers.
        observed: (pixel, time, window) magnitudes, NaN if unknown.
        is_training: (pixel, time, window) bool, which of them belong to the training part.
        penalty: of the ridge; see `baselines.fit_ridge`.
    """
    training = np.where(is_training, observed, np.nan)
    climatology = baselines.climatology(training, like=observed)
    forecasts = {
        "persistence": _persistence(grid, pixels, observed),
        "climatology": climatology,
        "ridge": _ridge(grid, pixels, training, penalty),
    }
    is_trained = is_training.any(axis=(1, 2))
    if not is_trained.all():
        same_date = baselines.same_date_mean(training[is_trained], like=observed)
        forecasts["same_date_mean"] = np.where(np.isfinite(same_date), same_date, climatology)
    return {name: forecast.astype(np.float32) for name, forecast in forecasts.items()}


def ridge_rows(grid: Fortnights, pixel: int) -> Doubles:
    """Return the inputs of the ridge for one pixel: (time, feature=84).

    26 lags of magnitude, of log count and of log strong count, five back windows and the depth.
    These are from the past of the pixel itself, as in the published models.
    """
    own = own_history(grid, np.array([pixel]))
    columns = [
        np.pad(own[name][0], (lag, 0))[: len(grid)]
        for name in ("magnitude_1", "count_1", "strong_1")
        for lag in range(RIDGE_LAGS)
    ]
    columns += [own[f"magnitude_{steps}"][0] for steps in BACK_WINDOWS[1:]]
    return np.stack([*columns, own["depth"][0]], axis=-1)


def _persistence(grid: Fortnights, pixels: Indices, observed: Floats) -> Floats:
    """Return the last complete window; if there is none, or it is empty, the rate so far."""
    energy = energy_of(grid, pixels)
    rates = [np.log10(trailing_sum(energy, steps)).T / ENERGY_EXPONENT for steps in WINDOWS]
    last = baselines.persistence(observed, WINDOWS)
    return np.where(np.isfinite(last), last, np.stack(rates, axis=-1))


def _ridge(grid: Fortnights, pixels: Indices, training: Floats, penalty: float) -> Floats:
    """Return the forecast of a ridge regression on the pixel's own past."""
    used = slice(FIRST_FORECAST - 1, None)
    rows = [ridge_rows(grid, int(pixel)) for pixel in pixels]
    line = baselines.fit_ridge(
        (
            (inputs[used], targets[used])
            for inputs, targets in zip(rows, training, strict=True)
            if np.isfinite(targets).any()
        ),
        penalty=penalty,
    )
    return np.stack([line.predict(inputs) for inputs in rows])
