"""Baselines forecast what they say, from what they may know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml_data.bench.scoring import baselines

RNG = np.random.default_rng(7)


def test_persistence_is_the_window_that_ends_now() -> None:
    series = np.arange(10.0) ** 2
    ahead = np.full((1, 10, 2), np.nan)
    ahead[0, :9, 0] = series[1:]
    ahead[0, :7, 1] = series[1:8] + series[2:9] + series[3:10]

    forecast = baselines.persistence(ahead, (1, 3))

    assert series[5] == forecast[0, 5, 0]
    assert series[3] + series[4] + series[5] == forecast[0, 5, 1]


def test_persistence_is_missing_until_a_whole_window_is_past() -> None:
    forecast = baselines.persistence(np.ones((2, 6, 2)), (1, 4))

    assert np.isfinite(forecast[0, :, 0]).tolist() == [False, True, True, True, True, True]
    assert np.isfinite(forecast[0, :, 1]).tolist() == [False, False, False, False, True, True]


def test_persistence_of_a_series_shorter_than_the_window_is_missing() -> None:
    assert np.isnan(baselines.persistence(np.ones((1, 3, 1)), (5,))).all()


def test_climatology_is_the_training_mean_of_each_series() -> None:
    training = np.array([[[1.0], [3.0], [np.nan]], [[5.0], [5.0], [8.0]]])

    forecast = baselines.climatology(training, like=np.empty((2, 4, 1)))

    assert forecast[..., 0].tolist() == [[2.0] * 4, [6.0] * 4]


def test_climatology_of_an_unknown_series_is_the_mean_of_all() -> None:
    training = np.array([[[1.0], [3.0]], [[np.nan], [np.nan]]])

    forecast = baselines.climatology(training, like=training)

    assert forecast[1, :, 0].tolist() == [2.0, 2.0]


def test_climatology_of_each_window_counts_its_own_observations() -> None:
    nan = np.nan
    training = np.array([[[1.0, nan], [nan, nan]], [[5.0, nan], [8.0, 4.0]]])

    forecast = baselines.climatology(training, like=training[:, :1])

    assert forecast[:, 0].tolist() == [[1.0, 4.0], [6.5, 4.0]]


@pytest.mark.parametrize("baseline", [baselines.climatology, baselines.same_date_mean])
def test_means_of_single_precision_are_added_up_in_double_precision(baseline: Any) -> None:
    training = RNG.normal(1e3, 1.0, (500, 500, 1)).astype(np.float32)

    expected = baseline(training.astype(float), like=training)

    assert np.array_equal(baseline(training, like=training), expected)


def test_same_date_mean_is_of_the_series_that_are_observed_then() -> None:
    unobserved = np.full((2, 400, 1), np.nan)
    training = np.concatenate([np.array([[[1.0], [np.nan]], [[3.0], [7.0]]]), unobserved], axis=1)

    forecast = baselines.same_date_mean(training, like=training[:1])

    assert forecast[0, :2, 0].tolist() == [2.0, 7.0]
    assert np.isnan(forecast[0, 2:]).all()


def test_same_date_mean_is_what_the_training_series_showed_then() -> None:
    training = np.array([[[1.0], [np.nan]], [[3.0], [np.nan]]])

    forecast = baselines.same_date_mean(training, like=np.empty((3, 2, 1)))

    assert forecast.shape == (3, 2, 1)
    assert forecast[:, 0, 0].tolist() == [2.0, 2.0, 2.0]
    assert np.isnan(forecast[:, 1]).all()
