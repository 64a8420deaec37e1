"""95 % intervals of scores, and of differences between two predictors, from leave-out replicates.

A test part has few independent observations: 899 rows of 39 new cell lines are 39 observations of
"a new cell line". An interval therefore resamples the unit that the split holds out. The method is
the delete-a-group jackknife (Efron 1982; Shao and Tu 1995): the score is computed again without
each unit (without each of `MAX_GROUPS` groups of units if there are more), and

    standard error^2 = (G - 1) / G * sum over groups of (score without the group - their mean)^2

The interval is score ± t * standard error, with Student's t of G - 1 degrees of freedom, on a scale
where the score has no bounds, or is less skewed: the logit for a share, the logarithm of 1 - R2,
and 1 / sqrt for an error, because a few units with large errors make the mean of others too small.
A difference of two scores has no bounds, so its interval is on the scale of the scores. Both
predictors are computed without the same units, so what makes a unit hard for both of them cancels
out: the comparison is paired.

The method has no random numbers, works for every metric, and covers the true value more often than
a bootstrap does with 5 to 40 units; benchmarks/interval_coverage.py measures this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
METHOD = "delete-a-group jackknife, Student's t, logit or 1 / sqrt scale"
# With fewer, the standard error itself is a guess: at 4 units, t is 3.2 and an interval reaches
# over most scores that a model can have.
MIN_UNITS = 5
MAX_GROUPS = 100  # more would change the interval by 1 % (t is 1.984 and not 1.960) and take longer
BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"

Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """What was left out, in turn, to compute replicates.

    Attributes:
        units: kind of unit -> number of them in the part. Several kinds are left out one after
            another.
        groups: kind of unit -> number of groups that were left out.
        digest: of the ids of the units, in order. Equal digests mean that replicates belong to the
            same groups, so that two runs can be compared.
        seed: of the random groups; None if each unit is a group.
        is_serial: whether units are neighbouring blocks of time.
        reason: why there are no intervals; None if there are.
    """

    units: Mapping[str, int]
    groups: Mapping[str, int]
    digest: str
    seed: int | None = None
    is_serial: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Replicates:
    """The scores of one metric without each group.

    Attributes:
        values: (group) float64, the groups of one kind of unit after those of another. Groups
            without an observation of this metric are left out: no window of four years starts in
            the last years of a part.
        groups: number of groups of each kind.
        t: of Student's distribution, by which the standard error is multiplied.
        sampling: what the groups are.
    """

    values: Doubles
    groups: tuple[int, ...]
    t: float
    sampling: Sampling

    @classmethod
    def of(cls, of_kinds: Sequence[Doubles], sampling: Sampling) -> Replicates:
        """Return the replicates of each kind of unit together; empty if a kind has too few."""
        groups = tuple(map(len, of_kinds))
        if not groups or min(groups) < MIN_UNITS:
            return cls(np.zeros(0), (), 0.0, sampling)
        return cls(np.concatenate(of_kinds), groups, student_t(min(groups)), sampling)


@dataclass(frozen=True)
class Comparison:
    """A predictor's score less another's, with the ends of its interval.

    Attributes:
        difference: in the unit of the score.
        lower, upper: ends of the 95 % interval.
        verdict: `BETTER`, `WORSE` or `NO_DIFFERENCE`, of the first predictor.
    """

    difference: float
    lower: float
    upper: float
    verdict: str


def student_t(groups: int) -> float:
    """Return Student's t of a 95 % interval from a number of groups."""
    from scipy.special import stdtrit

    return float(stdtrit(groups - 1, (1 + CONFIDENCE) / 2))


def interval(
    score: float,
    replicates: Replicates,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> tuple[float, float] | None:
    """Return the ends of a score's 95 % interval; None if the replicates do not determine it.

    An error of which a few units make up the most has no upper end.

    Args:
        score: of all samples.
        replicates: of the same metric.
        minimum: lower bound of the metric; None if there is no bound.
        maximum: upper bound of the metric; None if there is no bound.
    """
    values = replicates.values
    if not len(values) or not np.isfinite(values).all() or not np.ptp(values) > 0:
        return None
    low, high = _bounds(minimum, maximum)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre, others = _unbounded(np.float64(score), low, high), _unbounded(values, low, high)
    if np.isfinite(centre) and np.isfinite(others).all():
        margin = _margin(others, replicates)
        ends = _bounded(centre + np.array([-margin, margin]), low, high)
    else:  # a score at its bound is infinitely far away on the scale without bounds
        margin = _margin(values, replicates)
        ends = np.clip([score - margin, score + margin], low, high)
    lower, upper = sorted(ends.tolist())
    return (lower, upper) if np.isfinite(ends).all() else None


def compare(
    score: float,
    replicates: Replicates,
    other: float,
    of_other: Replicates,
    *,
    lower_is_better: bool,
) -> Comparison | None:
    """Return how a predictor compares with another on the same samples; None if unknown.

    Args:
        score: of the predictor.
        replicates: of the predictor.
        other: score of the other predictor.
        of_other: replicates of the other predictor, without the same groups.
        lower_is_better: direction of the metric.
    """
    if replicates.sampling.digest != of_other.sampling.digest:
        return None
    if not replicates.groups or replicates.groups != of_other.groups:
        return None
    differences, difference = replicates.values - of_other.values, score - other
    if not np.isfinite(differences).all():
        return None
    margin = _margin(differences, replicates)
    if margin == 0 and difference != 0:
        return None
    lower, upper = difference - margin, difference + margin
    verdict = BETTER if (difference < 0) == lower_is_better else WORSE
    return Comparison(difference, lower, upper, NO_DIFFERENCE if lower <= 0 <= upper else verdict)


def mean_replicates(of_runs: Sequence[Replicates]) -> Replicates:
    """Return the replicates of the mean score of several runs on the same samples."""
    values = np.mean([replicates.values for replicates in of_runs], axis=0)
    return replace(of_runs[0], values=np.asarray(values, np.float64))


def _margin(values: Doubles, replicates: Replicates) -> float:
    """Return half the width of an interval: t times the standard error of the replicates.

    The variances of several kinds of units are added. This counts what the kinds share twice, so
    the interval is rather too wide (Cameron, Gelbach and Miller 2011 subtract it).
    """
    variance, first = 0.0, 0
    for size in replicates.groups:
        deviations = values[first : first + size] - values[first : first + size].mean()
        squares = float((deviations**2).sum())
        if replicates.sampling.is_serial:
            # Neighbouring blocks resemble each other. This can only make a score less certain.
            squares += max(2 * float((deviations[1:] * deviations[:-1]).sum()), 0.0)
        variance += (size - 1) / size * squares
        first += size
    return float(replicates.t * np.sqrt(variance))


def _bounds(minimum: float | None, maximum: float | None) -> tuple[float, float]:
    return (
        -np.inf if minimum is None else minimum,
        np.inf if maximum is None else maximum,
    )


def _unbounded(values: Any, low: float, high: float) -> Any:
    """Return values on the scale of an interval: (any shape), infinite at a bound."""
    if np.isfinite(low) and np.isfinite(high):
        return np.log((values - low) / (high - values))
    if np.isfinite(low):
        return -1 / np.sqrt(values - low)
    return -np.log(high - values) if np.isfinite(high) else values


def _bounded(values: Doubles, low: float, high: float) -> Doubles:
    """Return values of `_unbounded` on the scale of the score."""
    if np.isfinite(low) and np.isfinite(high):
        return np.asarray(low + (high - low) / (1 + np.exp(-values)))
    if np.isfinite(low):
        return np.asarray(low + np.where(values < 0, 1 / values**2, np.inf))
    return np.asarray(high - np.exp(-values)) if np.isfinite(high) else values
