"""Baselines forecast what they say, from what they may know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciml_data.bench.scoring import baselines
from sciml_data.errors import CallError, SciMLDataError

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


def test_ridge_without_penalty_is_least_squares() -> None:
    features = RNG.normal(size=(50, 3)) * [1.0, 100.0, 0.01] + [5.0, 0.0, -1.0]
    targets = RNG.normal(size=(50, 2))
    design = np.column_stack([np.ones(50), features])

    line = baselines.fit_ridge([(features, targets)], penalty=0.0)

    expected = design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    np.testing.assert_allclose(line.predict(features), expected, atol=1e-9)


def test_ridge_solves_its_normal_equations() -> None:
    features, targets = RNG.normal(size=(80, 4)), RNG.normal(size=(80, 1))
    standard = (features - features.mean(0)) / features.std(0)

    line = baselines.fit_ridge([(features, targets)], penalty=0.3)

    gram = standard.T @ standard / 80 + 0.3 * np.eye(4)
    expected = np.linalg.solve(gram, standard.T @ (targets - targets.mean(0)) / 80)
    np.testing.assert_allclose(line.weights, expected, atol=1e-12)


def test_ridge_does_not_depend_on_how_samples_are_split_into_blocks() -> None:
    features, targets = RNG.normal(size=(60, 5)), RNG.normal(size=(60, 3))
    targets[RNG.random((60, 3)) < 0.3] = np.nan
    blocks = [(features[cut], targets[cut]) for cut in (slice(0, 7), slice(7, 40), slice(40, 60))]

    whole = baselines.fit_ridge([(features, targets)], penalty=0.01)
    pieces = baselines.fit_ridge(blocks, penalty=0.01)

    np.testing.assert_allclose(whole.predict(features), pieces.predict(features), atol=1e-10)


def test_each_target_of_a_ridge_uses_the_rows_in_which_it_is_known() -> None:
    features, targets = RNG.normal(size=(60, 3)), RNG.normal(size=(60, 2))
    holed = targets.copy()
    holed[20:, 1] = np.nan

    both = baselines.fit_ridge([(features, holed)], penalty=0.0)

    alone = baselines.fit_ridge([(features[:20], targets[:20, 1:])], penalty=0.0)
    complete = baselines.fit_ridge([(features, targets[:, :1])], penalty=0.0)
    np.testing.assert_allclose(both.predict(features)[:, 1], alone.predict(features)[:, 0])
    np.testing.assert_allclose(both.predict(features)[:, 0], complete.predict(features)[:, 0])


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features = np.column_stack([RNG.normal(size=30), np.full(30, 4.2)])
    targets = features[:, :1] * 2 + 1

    line = baselines.fit_ridge([(features, targets)], penalty=1e-9)

    np.testing.assert_allclose(line.predict(features), targets, atol=1e-6)
    assert line.scale[1] == 1.0


@pytest.mark.parametrize(("spread", "is_constant"), [(0.5e-9, True), (1.5e-9, False)])
def test_a_feature_is_constant_if_it_varies_by_less_than_1e_9(
    spread: float, *, is_constant: bool
) -> None:
    features = spread * np.array([[-1.0], [1.0]] * 4)

    line = baselines.fit_ridge([(features, features / spread)], penalty=0.1)

    assert line.scale == pytest.approx([1.0 if is_constant else spread], rel=1e-6)


def test_features_are_standardised_over_the_rows_of_the_target_known_in_most() -> None:
    features, targets = RNG.normal(size=(60, 3)), RNG.normal(size=(60, 3))
    targets[20:, 0] = targets[50:, 2] = np.nan

    line = baselines.fit_ridge([(features, targets)], penalty=0.3)

    np.testing.assert_allclose(line.centre, features.mean(axis=0))
    np.testing.assert_allclose(line.scale, features.std(axis=0))


def test_a_ridge_without_samples_is_refused() -> None:
    with pytest.raises(CallError, match="no samples"):
        baselines.fit_ridge([], penalty=1.0)


def test_a_ridge_target_that_is_never_known_is_an_error() -> None:
    targets = np.column_stack([np.ones(5), np.full(5, np.nan)])

    with pytest.raises(SciMLDataError, match="target 1 has no known value"):
        baselines.fit_ridge([(np.ones((5, 2)), targets)], penalty=1.0)
