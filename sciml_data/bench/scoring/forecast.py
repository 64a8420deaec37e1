"""Metrics of numbers over a whole part: errors, R2, correlation, Nash-Sutcliffe efficiency, skill.

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

from sciml_data.bench.scoring.compute import check_predictions
from sciml_data.bench.scoring.metrics import metric
from sciml_data.errors import CallError

KERAS_BATCH = 32  # rows, as in the shipped configurations of CANDLE-UNO
ROUNDING = 8 * np.finfo(np.float64).eps  # relative error of a few sums and products
KERAS_EPSILON = 1e-7  # keras.backend.epsilon(), which CANDLE-UNO's code adds to the variation

Floats: TypeAlias = npt.NDArray[np.floating]
Doubles: TypeAlias = npt.NDArray[np.float64]


@metric(
    "mse", name="mean squared error", lower_is_better=True, minimum=0.0,
    formula="mean of (observed - predicted)^2",
)  # fmt: skip
def squared_error(observed: Floats, predicted: Floats) -> Doubles:
    """Return (observed - predicted)^2; NaN where there is no observation."""
    observed, predicted = _checked(observed, predicted)
    return np.asarray((observed - predicted) ** 2)


@metric(
    "mae", name="mean absolute error", lower_is_better=True, minimum=0.0,
    formula="mean of |observed - predicted|",
)  # fmt: skip
def absolute_error(observed: Floats, predicted: Floats) -> Doubles:
    """Return |observed - predicted|; NaN where there is no observation."""
    observed, predicted = _checked(observed, predicted)
    return np.asarray(np.abs(observed - predicted))


@metric(
    "rmse", name="root mean square error", lower_is_better=True, minimum=0.0,
    formula="root of the mean of (observed - predicted)^2",
)  # fmt: skip
def root_mean_squared_error(observed: Floats, predicted: Floats) -> float:
    """Return the root of the mean squared error; NaN without observations."""
    return float(np.sqrt(mean_squared_error(observed, predicted)))


@metric(
    "r2", name="coefficient of determination", maximum=1.0,
    formula="1 - sum (observed - predicted)^2 / sum (observed - mean observed)^2",
)  # fmt: skip
def r2(observed: Floats, predicted: Floats) -> float:
    """Return the coefficient of determination; NaN if all observations are equal."""
    observed, predicted = _known(observed, predicted)
    variation = float(((observed - observed.mean()) ** 2).sum()) if observed.size else 0.0
    error = float(((observed - predicted) ** 2).sum())
    return 1.0 - error / variation if variation > 0 else float("nan")


@metric(
    "pearson", name="correlation", minimum=-1.0, maximum=1.0,
    formula="Pearson's correlation of observed and predicted",
)  # fmt: skip
def pearson(observed: Floats, predicted: Floats) -> float:
    """Return Pearson's correlation; NaN if either does not vary beyond rounding."""
    observed, predicted = _known(observed, predicted)
    if not observed.size:
        return float("nan")
    x, y = deviations(observed), deviations(predicted)
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float(np.clip((x * y).sum() / size, -1.0, 1.0)) if size > 0 else float("nan")


def deviations(values: Doubles) -> Doubles:
    """Return deviations from the mean in units of the greatest one; 0 if nothing varies.

    A large offset or a small unit changes nothing, because correlations need ratios only. Values
    that differ by rounding alone do not vary.

    Args:
        values: (..., value) float64, finite.
    """
    # From the first value before the mean: the difference of close numbers is exact, and that of
    # equal numbers is 0.
    centred = values - values[..., :1]
    centred = centred - centred.mean(axis=-1, keepdims=True)
    greatest = np.abs(centred).max(axis=-1, keepdims=True)
    rounding = ROUNDING * np.abs(values).max(axis=-1, keepdims=True)
    return np.asarray(
        np.divide(centred, greatest, out=np.zeros_like(centred), where=greatest > rounding)
    )


@metric(
    "r2_batch_averaged", name="coefficient of determination, batch by batch", maximum=1.0,
    formula="mean over batches of 32 rows, in the order of the dataset, of 1 - SSE/(SS + 1e-7) of "
    "the batch; biased low",
)  # fmt: skip
def r2_batch_averaged(observed: Floats, predicted: Floats) -> float:
    """Return the mean R2 of batches, as in the training log of CANDLE-UNO's published code."""
    observed, predicted = _known(observed, predicted)
    scores = []
    for first in range(0, len(observed), KERAS_BATCH):
        y_true, y_pred = (values[first : first + KERAS_BATCH] for values in (observed, predicted))
        variation = ((y_true - y_true.mean()) ** 2).sum()
        scores.append(1.0 - ((y_true - y_pred) ** 2).sum() / (variation + KERAS_EPSILON))
    return float(np.mean(scores)) if scores else float("nan")


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


@metric(
    "nnse_averaged", name="normalised Nash-Sutcliffe efficiency, averaged over series",
    minimum=0.0, maximum=1.0, last=("time",),
    formula="mean over series of SS/(SS+SSE); SS = sum over time of (observed - its mean over "
    "time)^2, SSE = sum of (observed - predicted)^2; missing observations are dropped. Nash and "
    "Sutcliffe 1970, normalised: 1/(2-NSE)",
)  # fmt: skip
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


@metric(
    "nnse_summed", name="normalised Nash-Sutcliffe efficiency of the sum over series",
    minimum=0.0, maximum=1.0, last=("time",),
    formula="SS/(SS+SSE) of one series: the sum over all series",
)  # fmt: skip
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


@metric(
    "nnse_pooled", name="normalised Nash-Sutcliffe efficiency of all values pooled",
    minimum=0.0, maximum=1.0,
    formula="SS/(SS+SSE) over all series and times at once, with one mean",
)  # fmt: skip
def nnse_pooled(observed: Floats, predicted: Floats) -> float:
    """Return the NNSE of all values as a single series, with a single mean over all of them.

    Args:
        observed: any shape, NaN where missing.
        predicted: the same shape and unit.
    """
    observed, predicted = _checked(observed, predicted)
    return float(nnse(observed.ravel(), predicted.ravel()))


@metric(
    "skill", name="skill against a reference forecast", maximum=1.0,
    formula="1 - MSE/MSE(reference) over all values",
)  # fmt: skip
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
    observed, predicted = _known(observed, predicted)
    return float(np.mean((observed - predicted) ** 2)) if observed.size else np.nan


def _share(variation: Floats, error: Floats) -> npt.NDArray[np.float64]:
    """Return variation / (variation + error), NaN where both are 0."""
    total = variation + error
    return np.asarray(np.divide(variation, total, out=np.full_like(total, np.nan), where=total > 0))


def _known(observed: Floats, predicted: Floats) -> tuple[Doubles, Doubles]:
    """Return the values (value,) where there is an observation; see `_checked` for the errors."""
    observed, predicted = _checked(observed, predicted)
    known = np.isfinite(observed)
    return observed[known], predicted[known]


def _checked(observed: Floats, predicted: Floats) -> tuple[Doubles, Doubles]:
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
    check_predictions(observed, predicted)
    return np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
