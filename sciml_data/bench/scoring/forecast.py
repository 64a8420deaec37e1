"""Metrics of a forecast over a whole part: normalised Nash-Sutcliffe efficiency, skill, errors.

Each function takes whole arrays: a part is scored at once, never as an average over batches. A
missing observation (NaN) is dropped together with its prediction; it is never replaced by a
number. A missing prediction where there is an observation is an error, because dropping it would
score the model on an easier sample.

Publications on the same benchmark report three different numbers as NNSE, which cannot be compared
with each other (MLCommons Science earthquake notebook, cell 101, prints the first two;
GNNCoder.ipynb of MultiFoundationQuake, cell 4, the third). Each is a function of its own here:
`nnse_averaged`, `nnse_summed`, `nnse_pooled`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, SciMLDataError

Floats: TypeAlias = npt.NDArray[np.floating]


def nnse(observed: Floats, predicted: Floats) -> npt.NDArray[np.float64]:
    """Return the normalised Nash-Sutcliffe efficiency of each series: SS / (SS + SSE).

    SS is the sum of squares of the observations about their own mean, SSE that of the errors.
    1 is a perfect forecast, 0.5 = predicting the mean, and 0 is the limit of a bad forecast. It
    equals 1 / (2 - NSE) with the efficiency of Nash and Sutcliffe (1970).

    Args:
        observed: (..., time) any float, NaN where missing.
        predicted: the same shape and unit.

    Returns:
        (...) float64; NaN for a series without observations, and for a constant series that was
        predicted exactly.

    Raises:
        CallError: the shapes differ.
        SciMLDataError: a prediction is missing where there is an observation.
    """
    observed, predicted = _checked(observed, predicted)
    known = np.isfinite(observed)
    count = known.sum(axis=-1)
    mean = np.where(known, observed, 0.0).sum(axis=-1) / np.maximum(count, 1)
    variation = np.where(known, observed - mean[..., None], 0.0) ** 2
    error = np.where(known, observed - predicted, 0.0) ** 2
    return _share(variation.sum(axis=-1), error.sum(axis=-1))


def nnse_averaged(observed: Floats, predicted: Floats) -> float:
    """Return the mean over series of the NNSE of each series.

    Series without an NNSE are left out of the mean.

    Args:
        observed: (series, time) any float, NaN where missing.
        predicted: the same shape and unit.
    """
    scores = nnse(observed, predicted)
    defined = scores[np.isfinite(scores)]
    return float(defined.mean()) if defined.size else float("nan")


def nnse_summed(observed: Floats, predicted: Floats) -> float:
    """Return the NNSE of the sum over all series.

    A time at which any series is missing is dropped: a sum over fewer series would look like a
    quiet time.

    Args:
        observed: (series, time) any float, NaN where missing.
        predicted: the same shape and unit.
    """
    observed, predicted = _checked(observed, predicted)
    total = observed.sum(axis=0)
    forecast = np.where(np.isfinite(total), np.where(np.isfinite(observed), predicted, 0).sum(0), 0)
    return float(nnse(total, forecast))


def nnse_pooled(observed: Floats, predicted: Floats) -> float:
    """Return the NNSE of all values as a single series, with a single mean over all of them.

    Args:
        observed: any shape, NaN where missing.
        predicted: the same shape and unit.
    """
    observed, predicted = _checked(observed, predicted)
    return float(nnse(observed.ravel(), predicted.ravel()))


def skill(observed: Floats, predicted: Floats, reference: Floats) -> float:
    """Return the skill over a reference forecast: 1 - MSE / MSE of the reference.

    1 is a perfect forecast, 0 is as good as the reference, and below 0 is worse than it.

    Args:
        observed: any shape, NaN where missing.
        predicted: the same shape and unit.
        reference: the same shape and unit, the forecast to compare with.

    Returns:
        A number; NaN where the reference makes no error at all.
    """
    own = mean_squared_error(observed, predicted)
    other = mean_squared_error(observed, reference)
    return 1.0 - own / other if other > 0 else float("nan")


def mean_squared_error(observed: Floats, predicted: Floats) -> float:
    """Return the mean squared error over all observations; NaN where there are none.

    Args:
        observed: any shape, NaN where missing.
        predicted: the same shape and unit.
    """
    observed, predicted = _checked(observed, predicted)
    known = np.isfinite(observed)
    return float(np.mean((observed[known] - predicted[known]) ** 2)) if known.any() else np.nan


def _share(variation: Floats, error: Floats) -> npt.NDArray[np.float64]:
    """Return variation / (variation + error), NaN where both are 0."""
    total = variation + error
    return np.asarray(np.divide(variation, total, out=np.full_like(total, np.nan), where=total > 0))


def _checked(observed: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """Return both arrays as float64, after checking that they fit each other.

    Float64, because sums over millions of float32 values lose digits.

    Raises:
        CallError: the shapes differ.
        SciMLDataError: a prediction is missing where there is an observation.
    """
    if np.shape(observed) != np.shape(predicted):
        raise CallError(
            f"scoring a forecast: observed has shape {np.shape(observed)}, "
            f"predicted {np.shape(predicted)}",
            untouched="nothing was scored",
        )
    observed, predicted = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    missing = int((np.isfinite(observed) & ~np.isfinite(predicted)).sum())
    if missing:
        raise SciMLDataError(
            f"scoring a forecast: {missing} of {int(np.isfinite(observed).sum())} observations "
            "have no prediction",
            untouched="nothing was scored",
            hint="a model that gives NaN has diverged: lower its learning rate",
        )
    return observed, predicted
