"""Scores of images are what their definitions say, on images whose scores are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sciml_data.bench.scoring import forecast, images
from sciml_data.errors import CallError, SciMLDataError

pytest.importorskip("skimage")

Array = npt.NDArray[np.float64]


def bumps(places: list[tuple[float, float]], size: int = 40, width: float = 1.5) -> Array:
    axis = np.arange(size)
    image = np.zeros((size, size))
    for y, x in places:
        image += np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * width**2))
    return image


def noise(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(2.0, 1.0, shape)


def test_errors_are_over_all_pixels_of_all_images() -> None:
    observed = np.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    predicted = observed + np.array([[[1.0, -1.0], [2.0, -2.0]], [[0.0, 0.0], [0.0, 4.0]]])

    assert forecast.absolute_error(observed, predicted).mean() == pytest.approx(10 / 8)
    assert forecast.root_mean_squared_error(observed, predicted) == pytest.approx(np.sqrt(26 / 8))
    assert images.relative_l2(observed, predicted) == pytest.approx(np.sqrt(26 / 30))


def test_the_relative_error_of_nothing_is_not_defined() -> None:
    assert np.isnan(images.relative_l2(np.zeros((1, 2, 2)), np.ones((1, 2, 2))))


def test_a_scaled_error_is_in_units_of_each_channel() -> None:
    observed = np.zeros((2, 2, 3, 3))
    predicted = observed + np.array([1.0, 10.0])[None, :, None, None]
    predicted[1] *= 3

    errors = images.scaled_error(observed, predicted, scale=np.array([1.0, 5.0]))

    assert errors == pytest.approx([1.5, 4.5])


def test_the_correlation_is_numpys_of_each_image() -> None:
    observed, predicted = noise(0, 3, 9, 9), noise(1, 3, 9, 9)
    expected = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(observed, predicted, strict=True)
    ]

    assert images.pearson(observed, predicted) == pytest.approx(expected)
    assert images.pearson(observed, -3 * observed + 1) == pytest.approx([-1.0] * 3)


def test_a_constant_image_correlates_with_nothing() -> None:
    observed = noise(0, 2, 9, 9)
    observed[1] = 5.0

    scores = images.pearson(observed, np.full_like(observed, 7.3))

    assert scores[0] == 0.0
    assert np.isnan(scores[1])


@pytest.mark.parametrize("value", [5.0, 7.3, 0.1, 1e6 + 0.3])
def test_the_correlation_with_a_constant_true_image_is_not_defined(value: float) -> None:
    with np.errstate(all="raise"):
        assert np.isnan(images.pearson(np.full((1, 9, 9), value), noise(0, 1, 9, 9))).all()


@pytest.mark.parametrize("value", [7.3, 1e6 + 0.3])
def test_rounding_errors_of_constant_images_correlate_with_nothing(value: float) -> None:
    # The mean of such an image is not its value, so its deviations are not 0.
    assert images.pearson(noise(0, 64, 9, 9), np.full((64, 9, 9), value)).tolist() == [0.0] * 64


@pytest.mark.parametrize(("offset", "deviation"), [(1e6, 1e-3), (0.0, 1e-12), (1.0, 1e-9)])
def test_a_large_offset_and_a_small_unit_do_not_change_a_correlation(
    offset: float, deviation: float
) -> None:
    pattern = np.indices((1, 8, 8)).sum(axis=0) % 2 * 2.0 - 1.0

    assert images.pearson(pattern, offset + deviation * pattern) == pytest.approx([1.0])
    assert images.pearson(offset + deviation * pattern, -pattern) == pytest.approx([-1.0])


def test_an_image_that_varies_by_rounding_alone_correlates_with_nothing() -> None:
    pattern = np.indices((1, 8, 8)).sum(axis=0) % 2 * 2.0 - 1.0

    assert images.pearson(pattern, 1 + 4e-16 * pattern).tolist() == [0.0]


def test_an_image_of_large_values_does_not_make_others_constant() -> None:
    observed = noise(0, 2, 9, 9)
    predicted = observed * np.array([1.0, 1e12])[:, None, None]

    assert images.pearson(observed, predicted) == pytest.approx([1.0, 1.0])


def test_rounding_does_not_lead_outside_of_the_bounds_of_a_correlation() -> None:
    observed = noise(0, 500, 9, 9)

    assert images.pearson(observed, observed).max() <= 1.0
    assert images.pearson(observed, -observed).min() >= -1.0


def test_ssim_of_one_window_is_that_of_wang_and_others() -> None:
    observed, predicted = noise(0, 1, 7, 7), noise(1, 1, 7, 7)  # as large as the window
    span = np.ptp(observed)
    first, second = (0.01 * span) ** 2, (0.03 * span) ** 2
    covariance = np.cov(observed.ravel(), predicted.ravel())
    expected = (
        (2 * observed.mean() * predicted.mean() + first)
        * (2 * covariance[0, 1] + second)
        / (
            (observed.mean() ** 2 + predicted.mean() ** 2 + first)
            * (covariance[0, 0] + covariance[1, 1] + second)
        )
    )

    assert images.ssim(observed, predicted) == pytest.approx([expected])
    assert images.ssim(observed, observed) == pytest.approx([1.0])
    assert np.isnan(images.ssim(np.ones((1, 7, 7)), observed)).all()


def test_peaks_are_found_between_pixels() -> None:
    places = [(10.3, 12.0), (25.0, 30.4), (30.6, 8.7)]

    peaks = images.peaks(bumps(places), min_distance=3)

    assert len(peaks) == 3
    assert np.sort(peaks[:, 0]) == pytest.approx([10.3, 25.0, 30.6], abs=0.05)


def test_low_bumps_edges_and_flat_images_have_no_peaks() -> None:
    image = bumps([(20, 20)]) + 0.2 * bumps([(8, 8)]) + bumps([(0, 30)])

    assert images.peaks(image, min_distance=3) == pytest.approx(np.array([[20.0, 20.0]]), abs=0.01)
    assert images.peaks(np.ones((9, 9)), min_distance=2).shape == (0, 2)


def test_only_the_outermost_pixels_have_no_peaks() -> None:
    found = images.peaks(bumps([(1, 20)]), min_distance=3)

    assert found == pytest.approx(np.array([[1.0, 20.0]]), abs=0.01)


def test_of_two_near_peaks_the_higher_one_is_found() -> None:
    image = bumps([(20, 18)], width=1.0) + 0.9 * bumps([(20, 23)], width=1.0)

    assert len(images.peaks(image, min_distance=3)) == 2
    assert images.peaks(image, min_distance=7) == pytest.approx(np.array([[20.0, 18.0]]), abs=0.05)


@pytest.mark.parametrize(("height", "number"), [(0.2, 1), (0.3, 2)])
def test_a_peak_rises_by_a_share_of_the_range_whatever_the_unit(height: float, number: int) -> None:
    image = bumps([(20, 20)]) + height * bumps([(8, 8)])

    assert len(images.peaks(100 + 10 * image, min_distance=3)) == number


def test_a_peak_is_not_refined_along_an_axis_without_change() -> None:
    ridge = np.tile(bumps([(10.3, 10.3)], size=20)[10], (20, 1))

    found = images.peaks(ridge, min_distance=1)

    assert sorted(found[:, 0]) == list(range(1, 19))
    assert found[:, 1] == pytest.approx([10.3] * 18, abs=0.05)


def test_displaced_peaks_are_matched_and_measured() -> None:
    true = np.array([[5.0, 5.0], [10.0, 10.0], [20.0, 20.0]])
    predicted = np.array([[10.0, 13.0], [5.0, 6.0], [30.0, 30.0], [20.0, 28.0]])

    match = images.match_peaks(true, predicted, radius=0.5, pixel=0.125)

    assert sorted(match.distances) == pytest.approx([0.125, 0.375])
    assert (match.true_count, match.predicted_count, len(match.distances)) == (3, 4, 2)


def test_the_largest_number_of_pairs_is_matched() -> None:
    # The first true peak's nearest neighbour is the only candidate of the second.
    true, predicted = np.array([[0.0, 0.0], [0.0, 3.0]]), np.array([[0.0, 1.0], [0.0, -2.0]])

    match = images.match_peaks(true, predicted, radius=2.5, pixel=1.0)

    assert (match.true_count, match.predicted_count, len(match.distances)) == (2, 2, 2)


def test_peak_scores_are_over_all_images() -> None:
    near = images.PeakMatch(np.array([0.1, 0.3]), true_count=2, predicted_count=3)
    unmatched = images.PeakMatch(np.zeros(0), true_count=2, predicted_count=0)

    assert images.peak_scores([near, unmatched]) == pytest.approx(
        {"peak_error": 0.2, "peaks_missed": 0.5, "peaks_false": 1 / 3}
    )
    assert np.isnan(list(images.peak_scores([]).values())).all()


def test_a_shifted_image_has_the_shift_as_peak_error() -> None:
    places = [(10.0, 12.0), (25.0, 30.0), (30.0, 9.0)]
    true, predicted = (
        images.peaks(bumps([(y + by, x) for y, x in places]), min_distance=3) for by in (0, 2.0)
    )

    scores = images.peak_scores([images.match_peaks(true, predicted, radius=0.5, pixel=0.1)])

    assert scores == pytest.approx(
        {"peak_error": 0.2, "peaks_missed": 0.0, "peaks_false": 0.0}, abs=1e-6
    )


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    images.require_libraries()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(CallError, match="scikit-image") as error:
        images.require_libraries()

    assert "sciml-data[train,stemdl]" in str(error.value)


def test_images_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(CallError, match=r"\(2, 3, 3\), predicted \(2, 3, 4\)"):
        images.relative_l2(np.zeros((2, 3, 3)), np.zeros((2, 3, 4)))
    broken = np.zeros((1, 3, 3))
    broken[0, 1, 1] = np.nan
    with pytest.raises(SciMLDataError, match="1 of 9 pixels"):
        images.relative_l2(np.zeros((1, 3, 3)), broken)
    with pytest.raises(SciMLDataError, match="2 of 9 pixels"):
        images.relative_l2(broken, broken)


def test_an_image_without_peaks_is_matched_with_nothing() -> None:
    some, none = np.array([[3.0, 4.0], [8.0, 9.0]]), np.zeros((0, 2))

    missed = images.match_peaks(some, none, radius=1.0, pixel=0.5)
    false = images.match_peaks(none, some, radius=1.0, pixel=0.5)

    assert missed.distances.shape == false.distances.shape == (0,)
    assert (missed.true_count, missed.predicted_count) == (2, 0)
    assert (false.true_count, false.predicted_count) == (0, 2)


def test_a_pair_at_the_radius_is_matched_and_one_beyond_is_not() -> None:
    true = np.array([[0.0, 0.0]])

    at = images.match_peaks(true, np.array([[0.0, 2.0]]), radius=1.0, pixel=0.5)
    beyond = images.match_peaks(true, np.array([[0.0, 2.1]]), radius=1.0, pixel=0.5)

    assert at.distances.tolist() == [1.0]
    assert (beyond.distances.tolist(), beyond.true_count, beyond.predicted_count) == ([], 1, 1)


def test_a_pair_at_the_radius_is_preferred_to_a_nearer_index_beyond_it() -> None:
    true, predicted = np.array([[0.0, 0.0]]), np.array([[0.0, 9.0], [0.0, 2.0]])

    match = images.match_peaks(true, predicted, radius=1.0, pixel=0.5)

    assert match.distances.tolist() == [1.0]


def test_a_pair_within_a_large_radius_is_preferred_to_one_beyond_it() -> None:
    true, predicted = np.array([[0.0, 0.0]]), np.array([[0.0, 40.0], [0.0, 200.0]])

    match = images.match_peaks(true, predicted, radius=50.0, pixel=1.0)

    assert match.distances.tolist() == [40.0]


@pytest.mark.parametrize("place", [(14.3, 20.0), (20.0, 14.3), (17.7, 22.4)])
def test_a_peak_is_refined_along_each_axis_in_the_right_direction(
    place: tuple[float, float],
) -> None:
    pytest.importorskip("skimage")

    (found,) = images.peaks(bumps([place]), min_distance=3)

    assert found == pytest.approx(place, abs=0.05)


def test_small_values_have_scores_as_large_ones_do() -> None:
    true, predicted = noise(0, 3, 16, 16), noise(1, 3, 16, 16)

    large = images.pearson(true, predicted)
    small = images.pearson(1e-3 * true, 1e-3 * predicted)

    assert small == pytest.approx(large, abs=1e-9)
    assert images.relative_l2(1e-3 * true, 1e-3 * predicted) == pytest.approx(
        images.relative_l2(true, predicted)
    )
    assert images.ssim(1e-3 * true, 1e-3 * predicted) == pytest.approx(
        images.ssim(true, predicted), abs=1e-9
    )


@pytest.mark.parametrize("types", ["ff", "fd", "df"])
def test_images_of_single_precision_are_scored_in_double_precision(types: str) -> None:
    single = [1e3 + noise(seed, 3, 16, 16).astype(np.float32) for seed in (0, 1)]
    double = [values.astype(float) for values in single]
    true, predicted = (values.astype(kind) for values, kind in zip(single, types, strict=True))

    assert images.relative_l2(true, predicted) == images.relative_l2(double[0], double[1])
    assert np.array_equal(images.pearson(true, predicted), images.pearson(double[0], double[1]))


def test_peaks_of_images_with_a_known_pixel_are_measured() -> None:
    places = [(10.0, 10.0), (10.0, 30.0), (30.0, 20.0)]
    true = np.stack([bumps(places)] * 2)
    predicted = np.stack([bumps(places), bumps(places[:2])])

    scores = images.peak_metrics(true, predicted, pixel=np.array([0.1, 0.2]))
    unknown = images.peak_metrics(true, predicted, pixel=np.array([0.1, np.nan]))

    assert scores == pytest.approx({"peak_error": 0.0, "peaks_missed": 1 / 6, "peaks_false": 0.0})
    assert np.isnan(list(unknown.values())).all()
