"""Targets, and the forecasts of all baselines, for all pixels and fortnights."""

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
