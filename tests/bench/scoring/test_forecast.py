"""Scores hold their definitions: by hand, and against what they must not depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sciml_data.bench.scoring import forecast
from sciml_data.errors import CallError, SciMLDataError

OBSERVED = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]])
PREDICTED = np.array([[1.0, 2.0, 4.0], [0.0, 3.0, 3.0]])
# Series 1: SS = 2, SSE = 1. Series 2: SS = 24, SSE = 18.
numbers = st.floats(-100, 100, allow_subnormal=False)


def test_nnse_is_the_share_of_variation_in_variation_and_error() -> None:
    assert pytest.approx(forecast.nnse(OBSERVED, PREDICTED)) == [2 / 3, 24 / 42]


def test_averaged_nnse_is_the_mean_of_that_of_each_series() -> None:
    assert pytest.approx(forecast.nnse_averaged(OBSERVED, PREDICTED)) == (2 / 3 + 24 / 42) / 2


def test_averaged_nnse_is_a_mean_and_not_a_median() -> None:
    observed = np.array([[1.0, 2.0, 3.0]] * 3)
    predicted = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 5.0]])
    # The series have SS = 2 and SSE = 0, 0, 4, so their NNSE is 1, 1 and 1/3.

    assert forecast.nnse_averaged(observed, predicted) == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_averaged_nnse_leaves_series_without_a_score_out() -> None:
    observed = np.vstack([OBSERVED, np.full(3, np.nan)])
    predicted = np.vstack([PREDICTED, np.zeros(3)])

    assert forecast.nnse_averaged(observed, predicted) == forecast.nnse_averaged(
        OBSERVED, PREDICTED
    )


def test_summed_nnse_is_that_of_the_sum_of_the_series() -> None:
    # The sums are 1 2 9 (SS = 38) and 1 5 7 (SSE = 13).
    assert pytest.approx(forecast.nnse_summed(OBSERVED, PREDICTED)) == 38 / 51


def test_pooled_nnse_has_one_mean_for_all_values() -> None:
    # The mean of all is 2: SS = 26, SSE = 19.
    assert pytest.approx(forecast.nnse_pooled(OBSERVED, PREDICTED)) == 26 / 45


def test_a_single_observation_has_no_variation() -> None:
    observed = np.array([[5.0, np.nan], [np.nan, 5.0]])

    scores = forecast.nnse(observed, np.array([[5.0, 0.0], [0.0, 6.0]]))

    assert np.isnan(scores[0])
    assert scores[1] == 0.0


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_nnse_does_not_depend_on_the_unit(factor: float) -> None:
    assert forecast.nnse(factor * OBSERVED, factor * PREDICTED) == pytest.approx(
        forecast.nnse(OBSERVED, PREDICTED)
    )


@pytest.mark.parametrize(
    "metric",
    [
        forecast.nnse_averaged,
        forecast.nnse_summed,
        forecast.nnse_pooled,
        forecast.mean_squared_error,
    ],
)
def test_values_of_single_precision_are_added_up_in_double_precision(metric: Any) -> None:
    random = np.random.default_rng(0)
    observed, predicted = random.normal(1e3, 1.0, (2, 20, 500)).astype(np.float32)

    expected = metric(observed.astype(float), predicted.astype(float))

    assert metric(observed, predicted) == expected
    assert metric(observed.astype(float), predicted) == expected
    assert metric(observed, predicted.astype(float)) == expected


@given(arrays(float, 9, elements=numbers), arrays(float, 9, elements=numbers))
def test_nnse_is_one_over_two_minus_the_efficiency(
    observed: np.ndarray, predicted: np.ndarray
) -> None:
    variation = ((observed - observed.mean()) ** 2).sum()
    if variation < 1e-6:
        return
    efficiency = 1 - ((observed - predicted) ** 2).sum() / variation

    assert 1 / (2 - efficiency) == pytest.approx(float(forecast.nnse(observed, predicted)))


@given(arrays(float, (3, 8), elements=numbers), arrays(float, (3, 8), elements=numbers))
def test_every_nnse_is_between_0_and_1(observed: np.ndarray, predicted: np.ndarray) -> None:
    for metric in (forecast.nnse_averaged, forecast.nnse_summed, forecast.nnse_pooled):
        score = metric(observed, predicted)

        assert np.isnan(score) or 0 <= score <= 1


def test_predicting_the_observed_mean_scores_one_half() -> None:
    mean = np.broadcast_to(OBSERVED.mean(axis=1, keepdims=True), OBSERVED.shape)

    assert forecast.nnse_averaged(OBSERVED, mean) == pytest.approx(0.5)


def test_a_missing_observation_is_dropped_with_its_prediction() -> None:
    missing = np.insert(OBSERVED, 1, np.nan, axis=1)
    wild = np.insert(PREDICTED, 1, 1e6, axis=1)

    for metric in (forecast.nnse_averaged, forecast.nnse_summed, forecast.nnse_pooled):
        assert metric(OBSERVED, PREDICTED) == metric(missing, wild)
    assert forecast.mean_squared_error(OBSERVED, PREDICTED) == forecast.mean_squared_error(
        missing, wild
    )


def test_a_sum_is_not_made_where_one_series_is_missing() -> None:
    missing = OBSERVED.copy()
    missing[0, 1] = np.nan

    expected = forecast.nnse_summed(OBSERVED[:, [0, 2]], PREDICTED[:, [0, 2]])

    assert expected == forecast.nnse_summed(missing, PREDICTED)


def test_a_missing_prediction_is_an_error_where_something_was_observed() -> None:
    holed = PREDICTED.copy()
    holed[1, 2] = np.nan

    with pytest.raises(SciMLDataError, match="1 of 6 observations"):
        forecast.nnse_averaged(OBSERVED, holed)


def test_a_missing_prediction_is_none_where_nothing_was_observed() -> None:
    observed, predicted = OBSERVED.copy(), PREDICTED.copy()
    observed[1, 2] = predicted[1, 2] = np.nan

    assert np.isfinite(forecast.nnse_summed(observed, predicted))


def test_scores_without_observations_are_not_defined() -> None:
    nothing = np.full((2, 3), np.nan)

    assert np.isnan(forecast.nnse_averaged(nothing, PREDICTED))
    assert np.isnan(forecast.nnse_summed(nothing, PREDICTED))
    assert np.isnan(forecast.mean_squared_error(nothing, PREDICTED))


def test_skill_is_0_for_the_reference_itself_and_1_for_the_truth() -> None:
    reference = OBSERVED + 1.0

    assert forecast.skill(OBSERVED, reference, reference) == 0.0
    assert forecast.skill(OBSERVED, OBSERVED, reference) == 1.0
    assert forecast.skill(OBSERVED, OBSERVED + 2.0, reference) == -3.0
    assert forecast.skill(OBSERVED, OBSERVED + 1.0, OBSERVED + 2.0) == 0.75


def test_skill_against_a_reference_without_error_is_not_defined() -> None:
    assert np.isnan(forecast.skill(OBSERVED, PREDICTED, OBSERVED))


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(CallError, match=r"shape \(2, 3\), predicted \(2, 2\)"):
        forecast.nnse_pooled(OBSERVED, PREDICTED[:, :2])
