"""Compute scores over all rows of a part, and over the rows of each drug."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.forecast import mean_squared_error
from sciml_data.errors import SciMLDataError

MIN_ROWS = 10  # of a drug, or a pair of drugs, for an R2 of its own
LEGACY_BATCH = 32  # rows, as in the shipped configurations (uno_auc_model.txt and others)
LEGACY_EPSILON = 1e-7  # keras.backend.epsilon(), which the published code adds to the variation
Doubles: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Scores of one drug or pair of drugs.

    Attributes:
        number: of the group.
        rows: number of rows.
        observed: mean of the observed values.
        mse: mean squared error.
        r2: None for fewer than `MIN_ROWS` rows, or if all observed values are equal.
    """

    number: int
    rows: int
    observed: float
    mse: float
    r2: float | None


def score(
    observed: npt.NDArray[np.floating], predicted: npt.NDArray[np.floating], groups: Codes
) -> Mapping[str, float]:
    """Return every metric of task.toml; NaN if undefined.

    Args:
        observed: (row,).
        predicted: (row,).
        groups: (row,) number of the drug or pair of drugs.

    Raises:
        SciMLDataError: a prediction is not finite.
    """
    y_true, y_pred = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    if not np.isfinite(y_pred).all():
        raise SciMLDataError(f"{int((~np.isfinite(y_pred)).sum())} predictions are not finite")
    of_drugs = [group.r2 for group in group_scores(y_true, y_pred, groups) if group.r2 is not None]
    return {
        "mse": mean_squared_error(y_true, y_pred),
        "mae": float(np.abs(y_true - y_pred).mean()),
        "r2": r2(y_true, y_pred),
        "pearson": pearson(y_true, y_pred),
        "r2_per_drug": float(np.median(of_drugs)) if of_drugs else float("nan"),
        "drugs_scored": float(len(of_drugs)),
        "r2_batch_averaged": r2_batch_averaged(y_true, y_pred),
    }


def r2(observed: Doubles, predicted: Doubles) -> float:
    """Return the coefficient of determination over all rows; NaN if all observed are equal."""
    variation = float(((observed - observed.mean()) ** 2).sum())
    error = float(((observed - predicted) ** 2).sum())
    return 1.0 - error / variation if variation > 0 else float("nan")


def pearson(observed: Doubles, predicted: Doubles) -> float:
    """Return Pearson's correlation; NaN if either does not vary beyond rounding."""
    x, y = observed - observed.mean(), predicted - predicted.mean()
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    tiny = 1e-12 * max(1.0, float(np.abs(predicted).max())) ** 2 * len(predicted)
    return float((x * y).sum() / size) if size > tiny else float("nan")


def r2_batch_averaged(observed: Doubles, predicted: Doubles) -> float:
    """Return the mean R2 of batches, as in the training log of the published code."""
    scores = []
    for first in range(0, len(observed), LEGACY_BATCH):
        y_true, y_pred = (values[first : first + LEGACY_BATCH] for values in (observed, predicted))
        variation = ((y_true - y_true.mean()) ** 2).sum()
        scores.append(1.0 - ((y_true - y_pred) ** 2).sum() / (variation + LEGACY_EPSILON))
    return float(np.mean(scores))


def group_scores(observed: Doubles, predicted: Doubles, groups: Codes) -> Iterator[Group]:
    """Yield the scores of each group in ascending order of numbers; arguments are (row,)."""
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        y_true, y_pred = observed[rows], predicted[rows]
        own = r2(y_true, y_pred) if len(rows) >= MIN_ROWS else float("nan")
        yield Group(
            int(number),
            len(rows),
            float(y_true.mean()),
            float(((y_true - y_pred) ** 2).mean()),
            own if np.isfinite(own) else None,
        )
