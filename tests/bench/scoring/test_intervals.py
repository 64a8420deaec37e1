"""Intervals and paired comparisons, beside the t-tests of SciPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sciml_data.bench.scoring.intervals import (
    BETTER,
    MIN_UNITS,
    NO_DIFFERENCE,
    WORSE,
    Replicates,
    Sampling,
    compare,
    interval,
    mean_replicates,
    student_t,
)

ONE_KIND = Sampling({"cell": 12}, {"cell": 12}, "sha256:0")


def mean_without_each(values: Any) -> Any:
    return (values.sum() - values) / (len(values) - 1)


def replicates(values: Any, sampling: Sampling = ONE_KIND) -> Replicates:
    return Replicates.of([np.asarray(values, float)], sampling)


def test_the_interval_of_a_plain_mean_is_that_of_students_t_test() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 12)

    ends = interval(values.mean(), replicates(mean_without_each(values)))

    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert ends == pytest.approx([expected.low, expected.high])


def test_a_paired_comparison_is_that_of_the_paired_t_test() -> None:
    random = np.random.default_rng(1)
    hard = random.normal(0.0, 5.0, 12)  # what both find hard cancels out
    ours, theirs = hard + random.normal(0.0, 0.3, 12), hard + random.normal(1.0, 0.3, 12)
    pair = [replicates(mean_without_each(values)) for values in (ours, theirs)]

    outcome = compare(ours.mean(), pair[0], theirs.mean(), pair[1], lower_is_better=True)

    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert outcome is not None
    assert (outcome.lower, outcome.upper) == pytest.approx((expected.low, expected.high))
    assert outcome.difference == pytest.approx(ours.mean() - theirs.mean())
    assert outcome.verdict == BETTER


@pytest.mark.parametrize(
    ("shift", "lower_is_better", "verdict"),
    [(1.0, True, WORSE), (1.0, False, BETTER), (-1.0, False, WORSE), (0.0, True, NO_DIFFERENCE)],
)
def test_the_verdict_follows_the_direction_of_the_metric(
    shift: float,
    lower_is_better: bool,  # noqa: FBT001
    verdict: str,
) -> None:
    noise = np.random.default_rng(2).normal(0.0, 0.5, 12)
    noise -= noise.mean()
    ours, theirs = replicates(mean_without_each(noise + shift)), replicates(np.zeros(12))

    outcome = compare(shift, ours, 0.0, theirs, lower_is_better=lower_is_better)

    assert outcome is not None
    assert outcome.verdict == verdict


@pytest.mark.parametrize(
    ("bounds", "scale", "back"),
    [
        ((0.0, None), lambda x: -1 / np.sqrt(x), lambda x: 1 / x**2),
        ((0.0, 1.0), lambda x: np.log(x / (1 - x)), lambda x: 1 / (1 + np.exp(-x))),
        ((None, 1.0), lambda x: -np.log(1 - x), lambda x: 1 - np.exp(-x)),
        ((-1.0, 1.0), lambda x: 2 * np.arctanh(x), lambda x: np.tanh(x / 2)),
    ],
)
def test_the_interval_of_a_bounded_score_stays_within_its_bounds(
    bounds: tuple[float | None, float | None], scale: Any, back: Any
) -> None:
    values = np.random.default_rng(3).uniform(0.8, 0.999, 12)
    without = mean_without_each(values)

    ends = interval(values.mean(), replicates(without), minimum=bounds[0], maximum=bounds[1])

    deviations = scale(without) - scale(without).mean()
    margin = stats.t.ppf(0.975, 11) * np.sqrt(11 / 12 * (deviations**2).sum())
    centre = scale(values.mean())
    assert ends == pytest.approx([back(centre - margin), back(centre + margin)])


def test_an_error_that_a_single_unit_makes_up_has_no_interval() -> None:
    values = np.array([0.01] * 11 + [100.0])

    assert interval(values.mean(), replicates(mean_without_each(values)), minimum=0.0) is None


def test_a_score_at_its_bound_has_an_interval_that_ends_there() -> None:
    without = np.array([1.0] * 11 + [0.98])

    ends = interval(0.99, replicates(without), minimum=0.0, maximum=1.0)

    assert ends is not None
    assert ends[1] == 1.0
    assert 0.9 < ends[0] < 0.99


def test_units_that_are_all_alike_and_undefined_scores_have_no_interval() -> None:
    alike, broken = np.full(12, 0.5), np.array([np.nan, *np.arange(11.0)])

    assert interval(0.5, replicates(alike)) is None
    assert interval(0.5, replicates(broken)) is None
    assert compare(1.0, replicates(broken), 0.0, replicates(alike), lower_is_better=True) is None


def test_too_few_units_have_no_interval() -> None:
    few = replicates(np.arange(MIN_UNITS - 1.0))

    assert len(few.values) == 0
    assert interval(1.0, few) is None
    assert compare(1.0, few, 2.0, few, lower_is_better=True) is None


def test_predictors_of_other_samples_are_not_compared() -> None:
    ours = replicates(np.arange(12.0))
    other = replicates(np.arange(12.0)[::-1], replace(ONE_KIND, digest="sha256:1"))

    assert compare(1.0, ours, 2.0, other, lower_is_better=True) is None


def test_a_predictor_does_not_differ_from_itself() -> None:
    ours = replicates(np.arange(12.0))

    outcome = compare(1.0, ours, 1.0, ours, lower_is_better=True)

    assert outcome is not None
    assert (outcome.lower, outcome.upper, outcome.verdict) == (0.0, 0.0, NO_DIFFERENCE)


def test_the_variances_of_two_kinds_of_units_are_added() -> None:
    random = np.random.default_rng(4)
    cells, drugs = random.normal(size=12), random.normal(size=6)
    without = [mean_without_each(values) for values in (cells, drugs)]
    both = Sampling({"cell": 12, "drug": 6}, {"cell": 12, "drug": 6}, "sha256:0")

    ends = interval(0.0, Replicates.of(without, both))

    variance = cells.var(ddof=1) / 12 + drugs.var(ddof=1) / 6
    margin = stats.t.ppf(0.975, 5) * np.sqrt(variance)
    assert ends == pytest.approx([-margin, margin])


def test_blocks_of_time_that_resemble_their_neighbours_widen_the_interval() -> None:
    serial = replace(ONE_KIND, is_serial=True)
    trend = np.repeat([0.0, 1.0], 6)  # neighbours are alike
    jagged = np.tile([0.0, 1.0], 6)  # neighbours are not

    def width(values: Any, sampling: Sampling) -> float:
        ends = interval(0.5, replicates(mean_without_each(values), sampling))
        assert ends is not None
        return ends[1] - ends[0]

    assert width(trend, serial) > 1.5 * width(trend, ONE_KIND)
    assert width(jagged, serial) == pytest.approx(width(jagged, ONE_KIND))


def test_the_mean_of_runs_has_the_mean_of_their_replicates() -> None:
    runs = [replicates(np.arange(12.0) * factor) for factor in (1.0, 3.0)]

    assert mean_replicates(runs).values == pytest.approx(np.arange(12.0) * 2)
    assert mean_replicates(runs).groups == (12,)


def test_students_t_is_that_of_scipy() -> None:
    assert student_t(39) == pytest.approx(stats.t.ppf(0.975, 38))
