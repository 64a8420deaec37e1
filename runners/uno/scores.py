"""Scores over all rows of a part, and over the rows of each drug."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.forecast import mean_squared_error
from sciml_data.errors import SciMLDataError

LEAST_ROWS = 10  # of a drug, or a pair of drugs, for an R2 of its own
LEGACY_BATCH = 32  # rows; the batch of the shipped configurations (uno_auc_model.txt and others)
LEGACY_EPSILON = 1e-7  # keras.backend.epsilon, added to the variation as the reference does
Doubles: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """One drug or pair of drugs: its number, rows, mean observed, mean squared error, and R2.

    `r2` is None for fewer than `LEAST_ROWS` rows, or for rows that were all observed alike.
    """

    number: int
    rows: int
    observed: float
    mse: float
    r2: float | None


def score(
    observed: npt.NDArray[np.floating], predicted: npt.NDArray[np.floating], groups: Codes
) -> Mapping[str, float]:
    """Return every metric of task.toml; NaN where one is not defined.

    Args:
        observed: (row,).
        predicted: (row,).
        groups: (row,) number of each row's drug or pair of drugs.

    Raises:
        SciMLDataError: a prediction is not finite.
    """
    seen, said = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    if not np.isfinite(said).all():
        raise SciMLDataError(f"{int((~np.isfinite(said)).sum())} predictions are not finite")
    of_drugs = [group.r2 for group in each_group(seen, said, groups) if group.r2 is not None]
    return {
        "mse": mean_squared_error(seen, said),
        "mae": float(np.abs(seen - said).mean()),
        "r2": r2(seen, said),
        "pearson": pearson(seen, said),
        "r2_per_drug": float(np.median(of_drugs)) if of_drugs else float("nan"),
        "drugs_scored": float(len(of_drugs)),
        "r2_batch_averaged": r2_batch_averaged(seen, said),
    }


def r2(observed: Doubles, predicted: Doubles) -> float:
    """Return 1 - SSE / SS over all rows at once; NaN where all were observed alike."""
    variation = float(((observed - observed.mean()) ** 2).sum())
    error = float(((observed - predicted) ** 2).sum())
    return 1.0 - error / variation if variation > 0 else float("nan")


def pearson(observed: Doubles, predicted: Doubles) -> float:
    """Return the correlation; NaN where either does not vary."""
    one, other = observed - observed.mean(), predicted - predicted.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    tiny = 1e-12 * max(1.0, float(np.abs(predicted).max())) ** 2 * len(predicted)
    return float((one * other).sum() / size) if size > tiny else float("nan")


def r2_batch_averaged(observed: Doubles, predicted: Doubles) -> float:
    """Return the mean over batches of each batch's R2, as the reference's training log does."""
    scores = []
    for first in range(0, len(observed), LEGACY_BATCH):
        seen, said = (values[first : first + LEGACY_BATCH] for values in (observed, predicted))
        variation = ((seen - seen.mean()) ** 2).sum()
        scores.append(1.0 - ((seen - said) ** 2).sum() / (variation + LEGACY_EPSILON))
    return float(np.mean(scores))


def each_group(observed: Doubles, predicted: Doubles, groups: Codes) -> Iterator[Group]:
    """Yield the score of each group, in the order of their numbers."""
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        seen, said = observed[rows], predicted[rows]
        own = r2(seen, said) if len(rows) >= LEAST_ROWS else float("nan")
        yield Group(
            int(number),
            len(rows),
            float(seen.mean()),
            float(((seen - said) ** 2).mean()),
            own if np.isfinite(own) else None,
        )
