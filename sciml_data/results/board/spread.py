"""N values of one thing as median, olympic mean and spread, misses counted as the worst.

A miss is a run that gave no value: it failed, its metric could not be computed, or its target was
not reached. MLPerf and AlgoPerf both count such a run as infinitely bad; leaving it out would make
an unsteady model look better than a steady one.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_FOR_OLYMPIC = 3  # fewer values leave nothing once the best and the worst are dropped
OLYMPIC = "mean without the best and the worst"
PLAIN = "mean of all: fewer than three runs"
INVALID = "none: more misses than the one that may be dropped"


@dataclass(frozen=True)
class Spread:
    """Values of one metric over runs; None among `values` is a miss.

    `median` counts misses as the worst and is None where the middle is one; `olympic_mean` drops
    the best and the worst, a miss before any value, and `olympic_method` says what was done.
    `std` (of a sample), `minimum` and `maximum` are of the values that there are.
    """

    values: tuple[float | None, ...]
    misses: int
    median: float | None
    olympic_mean: float | None
    olympic_method: str
    std: float | None
    minimum: float | None
    maximum: float | None

    @property
    def runs(self) -> int:
        """Return how many runs were counted, misses among them."""
        return len(self.values)


def spread(values: Sequence[float | None], *, lower_is_better: bool) -> Spread:
    """Return the spread of values, of which None is a miss."""
    known = sorted(value for value in values if value is not None)
    if not lower_is_better:
        known.reverse()
    misses = len(values) - len(known)
    ranked: list[float | None] = [*known, *[None] * misses]  # the best first
    olympic_mean, method = _olympic(known, misses)
    return Spread(
        values=tuple(values),
        misses=misses,
        median=_median(ranked),
        olympic_mean=olympic_mean,
        olympic_method=method,
        std=statistics.stdev(known) if len(known) > 1 else None,
        minimum=min(known, default=None),
        maximum=max(known, default=None),
    )


def _median(ranked: Sequence[float | None]) -> float | None:
    if not ranked:
        return None
    middle = [ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]]
    known = [value for value in middle if value is not None]
    return statistics.mean(known) if len(known) == len(middle) else None


def _olympic(known: Sequence[float], misses: int) -> tuple[float | None, str]:
    """Return the mean and how it was made; `known` has the best first."""
    if len(known) + misses < FEWEST_FOR_OLYMPIC:
        return (statistics.mean(known), PLAIN) if known and not misses else (None, INVALID)
    if misses > 1:
        return None, INVALID
    kept = known[1:] if misses else known[1:-1]
    return statistics.mean(kept), OLYMPIC
