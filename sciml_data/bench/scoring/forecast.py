"""Scores of a forecast over a whole part: the normalised Nash-Sutcliffe efficiency and its kin.

Every function takes whole arrays (a part is scored at once, never averaged over batches) and
drops an observation that is missing, together with its prediction; it is never replaced. A
prediction that is missing where there is an observation is an error, not a smaller sample.

Three numbers go by the name NNSE in the literature of one benchmark and are not comparable
(MLCommons Science earthquake notebook, cell 101, prints the first two; GNNCoder.ipynb of
MultiFoundationQuake, cell 4, the third), so each has a function of its own here.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, SciMLDataError

Floats: TypeAlias = npt.NDArray[np.floating]


def nnse(observed: Floats, predicted: Floats) -> npt.NDArray[np.float64]:
    """Return SS / (SS + SSE) of each series, the mean of the observed series being its own.

    1 is a perfect forecast, 0.5 as good as the mean of what was observed, 0 the limit of a bad
    one; it equals 1 / (2 - NSE) with the efficiency of Nash and Sutcliffe (1970).

    Args:
        observed: (..., time) any float, NaN where missing.
        predicted: the same shape.

    Returns:
        (...) float64; NaN for a series with no observation, or constant and predicted exactly.

    Raises:
        CallError: the shapes differ.
        SciMLDataError: a prediction is missing where there is an observation.
    """
    seen, predicted = _paired(observed, predicted)
    known = np.isfinite(seen)
    count = known.sum(axis=-1)
    mean = np.where(known, seen, 0.0).sum(axis=-1) / np.maximum(count, 1)
    variation = np.where(known, seen - mean[..., None], 0.0) ** 2
    error = np.where(known, seen - predicted, 0.0) ** 2
    return _share(variation.sum(axis=-1), error.sum(axis=-1))


def nnse_averaged(observed: Floats, predicted: Floats) -> float:
    """Return the mean over series of the NNSE of each: (series, time) in, one number out."""
    scores = nnse(observed, predicted)
    defined = scores[np.isfinite(scores)]
    return float(defined.mean()) if defined.size else float("nan")


def nnse_summed(observed: Floats, predicted: Floats) -> float:
    """Return the NNSE of the one series made by adding all series up.

    A time at which any series is missing is dropped: a smaller sum would look like quiet.

    Args:
        observed: (series, time) any float, NaN where missing.
        predicted: the same shape.
    """
    seen, predicted = _paired(observed, predicted)
    total = seen.sum(axis=0)
    forecast = np.where(np.isfinite(total), np.where(np.isfinite(seen), predicted, 0).sum(0), 0)
    return float(nnse(total, forecast))


def nnse_pooled(observed: Floats, predicted: Floats) -> float:
    """Return the NNSE of all values taken as one series, with one mean over all of them."""
    seen, forecast = _paired(observed, predicted)
    return float(nnse(seen.ravel(), forecast.ravel()))


def skill(observed: Floats, predicted: Floats, reference: Floats) -> float:
    """Return 1 - SSE / SSE of the reference forecast: 0 is as good as it, 1 perfect.

    Args:
        observed: any shape, NaN where missing.
        predicted: the same shape.
        reference: the same shape, the forecast to be better than.

    Returns:
        One number; NaN where the reference makes no error at all.
    """
    own = mean_squared_error(observed, predicted)
    other = mean_squared_error(observed, reference)
    return 1.0 - own / other if other > 0 else float("nan")


def mean_squared_error(observed: Floats, predicted: Floats) -> float:
    """Return the mean of the squared errors over all observations; NaN where there are none."""
    seen, predicted = _paired(observed, predicted)
    known = np.isfinite(seen)
    return float(np.mean((seen[known] - predicted[known]) ** 2)) if known.any() else float("nan")


def _share(variation: Floats, error: Floats) -> npt.NDArray[np.float64]:
    """Return variation / (variation + error), NaN where both are nothing."""
    total = variation + error
    return np.asarray(np.divide(variation, total, out=np.full_like(total, np.nan), where=total > 0))


def _paired(observed: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """Return both as float64, or say why they do not belong together."""
    if np.shape(observed) != np.shape(predicted):
        raise CallError(
            f"scoring a forecast: observed has shape {np.shape(observed)}, "
            f"predicted {np.shape(predicted)}",
            untouched="nothing was scored",
        )
    seen, forecast = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    absent = int((np.isfinite(seen) & ~np.isfinite(forecast)).sum())
    if absent:
        raise SciMLDataError(
            f"scoring a forecast: {absent} of {int(np.isfinite(seen).sum())} observations "
            "have no prediction",
            untouched="nothing was scored",
            hint="a model that gives NaN has diverged: lower its learning rate",
        )
    return seen, forecast
