"""Forecasts that need little or no training, of all pixels, times and windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sciml_data.bench.scoring import baselines
from sciml_data.bench.task.splits import evenly_spaced
from sciml_data.errors import SciMLDataError
from sciml_data.formats.earthquake import ENERGY_EXPONENT

from .data import WINDOW_TITLES, WINDOWS, Flags, Floats, Fortnights, Indices, Singles
from .features import BACK_WINDOWS, Doubles, energy_of, own_history, trailing_sum

RIDGE_LAGS = 26  # fortnights, as in the published models
MAX_RIDGE_SAMPLES = 200_000  # their 84 features take 134 MB, and twice that during the fit


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
        penalty: of the ridge, see task.toml.

    Raises:
        SciMLDataError: no target of a window is known in the training part.
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


def ridge_rows(grid: Fortnights, pixel: np.intp) -> Doubles:
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
    """Return the forecast of a ridge regression on the pixel's own past.

    Each window has its own regression, on the samples in which its target is known. Features are
    standardised alike for all windows.
    """
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    samples = np.argwhere(np.isfinite(training).any(axis=-1))
    place, time = evenly_spaced(samples, MAX_RIDGE_SAMPLES).T  # rows of `pixels`, fortnights
    targets = training[place, time]
    known = np.isfinite(targets)
    if not known.any(axis=0).all():
        raise SciMLDataError(
            "the baseline ridge has nothing to learn from: in the training part no target is known "
            f"of the window of {WINDOW_TITLES[int(known.any(axis=0).argmin())]}",
            untouched="nothing was trained",
            hint="choose a split with a longer training period: --split",
        )
    scaler = StandardScaler(copy=False)
    standard = scaler.fit_transform(
        np.concatenate(
            [ridge_rows(grid, pixels[row])[time[place == row]] for row in np.unique(place)]
        )
    )
    lines = [
        # scikit-learn's penalty is for the sum over samples. `standard[chosen]` is a copy already.
        Ridge(alpha=penalty * chosen.sum(), copy_X=False).fit(standard[chosen], target[chosen])
        for chosen, target in zip(known.T, targets.T, strict=True)
    ]
    forecasts = np.empty(training.shape, np.float32)
    for row, pixel in enumerate(pixels):
        standard = scaler.transform(ridge_rows(grid, pixel))
        forecasts[row] = np.stack([line.predict(standard) for line in lines], axis=-1)
    return forecasts
