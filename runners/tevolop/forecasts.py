"""What is forecast, and the baselines' forecasts of it, for all pixels and fortnights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import baselines
from sciml_data.formats.earthquake.grid import ENERGY_EXPONENT

from .data import FIRST_FORECAST, WINDOWS, Floats, Fortnights, ahead, missing_share
from .features import ridge_blocks, trailing_sum
from .split import TRAIN, Layout, inside, is_spatial


@dataclass(frozen=True)
class Forecasts:
    """All in magnitudes, (pixel, time, window=8), time being the last fortnight seen.

    observed: float32, NaN where the window is not whole or holds nothing. training_targets: the
    same, NaN also where it is no training target. baselines: name -> float32, no value missing
    from the first forecast on.
    """

    observed: npt.NDArray[np.float32]
    training_targets: npt.NDArray[np.float32]
    baselines: Mapping[str, npt.NDArray[np.float32]]


def make_forecasts(
    grid: Fortnights, layout: Layout, *, penalty: float, most_missing: float
) -> Forecasts:
    """Return targets and baselines; only training targets are looked at, save by same_date_mean.

    Args:
        grid: all fortnights.
        layout: pixels and parts.
        penalty: of the ridge; see `baselines.fit_ridge`.
        most_missing: share of a window that may lie in a known gap of the catalogue; a window with
            more is no observation.
    """
    observed = ahead(grid.shown[:, layout.pixels])
    observed[:, missing_share(grid.complete) > most_missing] = np.nan
    train = layout.part(TRAIN)
    is_target = train.has_pixel[:, None, None] & inside(train, len(grid))
    training = np.where(is_target, observed, np.nan).astype(np.float32)
    made = {
        "persistence": _persistence(grid, layout, observed),
        "climatology": baselines.climatology(training, like=observed),
        "ridge": _ridge(grid, layout, training, penalty),
    }
    if is_spatial(layout):
        own = training[train.has_pixel]
        filled = baselines.climatology(training, like=observed)
        same = baselines.same_date_mean(own, like=observed)
        made["same_date_mean"] = np.where(np.isfinite(same), same, filled)
    return Forecasts(
        observed, training, {name: values.astype(np.float32) for name, values in made.items()}
    )


def _persistence(grid: Fortnights, layout: Layout, observed: Floats) -> Floats:
    """Return the last whole window; before there is one, or where it is empty, the rate so far."""
    energy = 10 ** (ENERGY_EXPONENT * grid.magnitude[:, layout.pixels].astype(np.float64))
    rates = [np.log10(trailing_sum(energy, steps)) / ENERGY_EXPONENT for steps in WINDOWS]
    last = baselines.persistence(observed, WINDOWS)
    return np.where(np.isfinite(last), last, np.stack(rates, axis=-1).transpose(1, 0, 2))


def _ridge(grid: Fortnights, layout: Layout, training: Floats, penalty: float) -> Floats:
    used = slice(FIRST_FORECAST - 1, None)
    rows = zip(ridge_blocks(grid, layout.pixels), training, strict=True)
    blocks = [(inputs, targets) for inputs, targets in rows if np.isfinite(targets).any()]
    line = baselines.fit_ridge(
        ((inputs[used], targets[used]) for inputs, targets in blocks), penalty=penalty
    )
    made = [line.predict(inputs) for inputs in ridge_blocks(grid, layout.pixels)]
    return np.stack(made)
