"""Scores of a mask from counts by level of probability, against the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest

from sciml_data.bench.scoring import segmentation
from sciml_data.errors import CallError

# 3 true positives, 1 false positive, 2 missed, 4 true negatives.
LABEL = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], bool)
PREDICTED = np.array([0.9, 0.8, 0.6, 0.7, 0.2, 0.4, 0.1, 0.3, 0.05, 0.45])
EVERYWHERE = np.ones(10, bool)


def scored(predicted: np.ndarray, label: np.ndarray, where: np.ndarray) -> dict[str, float]:
    return segmentation.scores(*segmentation.tabulate(predicted, label, where))


def test_classes_are_scored_as_by_hand() -> None:
    expected = {
        "binary_accuracy": 0.7,
        "binary_balanced_accuracy": (3 / 5 + 4 / 5) / 2,
        "iou": 3 / 6,
        "mean_iou": (3 / 6 + 4 / 7) / 2,
        "binary_f1": 6 / 9,
        "kuiper": 3 / 5 - 1 / 5,
        "false_positive_rate": 1 / 5,
        "false_negative_rate": 2 / 5,
        "positive_share": 0.5,
    }
    scores = scored(PREDICTED, LABEL, EVERYWHERE)

    assert expected == pytest.approx({name: scores[name] for name in expected})


def test_pixels_that_do_not_count_are_left_out() -> None:
    where = np.arange(10) < 4

    assert scored(PREDICTED, LABEL, where)["binary_accuracy"] == pytest.approx(3 / 4)


def test_one_half_is_positive_and_just_below_is_not() -> None:
    half = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0.0))])

    assert (segmentation.level_of(half) >= segmentation.OFFSET).tolist() == [True, False]


def test_probabilities_at_and_beyond_the_ends_have_the_outermost_levels() -> None:
    ends = np.array([0.0, 1.0, -1e-6, 1 + 1e-6])  # rounding may lead beyond

    with np.errstate(all="raise"):
        levels = segmentation.level_of(ends)

    assert levels.tolist() == [0, segmentation.LEVELS - 1, 0, segmentation.LEVELS - 1]


def test_the_level_of_a_probability_does_not_depend_on_its_type() -> None:
    edges = (np.arange(1, segmentation.LEVELS) - segmentation.OFFSET) / segmentation.STEPS_PER_LOGIT
    single = (1 / (1 + np.exp(-edges))).astype(np.float32)  # where rounding would matter

    assert np.array_equal(
        segmentation.level_of(single), segmentation.level_of(single.astype(float))
    )


def test_probabilities_of_many_pixels_are_scored_as_without_levels() -> None:
    rng = np.random.default_rng(3)
    logit = rng.normal(1.0, 3.0, 2_000_000)
    predicted = (1 / (1 + np.exp(-logit))).astype(np.float32)
    label = rng.random(predicted.size) < predicted**1.3
    exact = np.clip(predicted.astype(float), 1e-6, 1 - 1e-6)
    loss = -np.where(label, np.log(exact), np.log1p(-exact))
    scores = scored(predicted, label, np.ones(predicted.size, bool))

    assert loss.mean() == pytest.approx(scores["binary_cross_entropy"], abs=1e-4)
    assert np.where(label, 0.5 * loss, loss).mean() == pytest.approx(
        scores["weighted_binary_cross_entropy"], abs=1e-4
    )
    assert ((exact - label) ** 2).mean() == pytest.approx(scores["binary_brier"], abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_a_hard_mask_is_scored_exactly(share: float) -> None:
    label = np.arange(1000) % 2 == 0
    wrong = np.arange(1000) < 1000 * share
    predicted = np.where(wrong, ~label, label).astype(np.float32)

    scores = scored(predicted, label, np.ones(1000, bool))

    keras = -(share * np.log(1e-7) + (1 - share) * np.log1p(-1e-7))
    assert scores["binary_cross_entropy"] == pytest.approx(keras, rel=1e-9)
    assert scores["binary_brier"] == pytest.approx(share, abs=1e-6)
    assert scores["binary_ece"] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("constant", [0.001, 0.1, 0.5, 0.8, 0.9999])
def test_a_constant_is_scored_within_the_bounds_that_the_formulas_state(constant: float) -> None:
    label = np.arange(1000) < 430

    scores = scored(np.full(1000, constant), label, np.ones(1000, bool))

    brier = 0.43 * (1 - constant) ** 2 + 0.57 * constant**2
    entropy = -(0.43 * np.log(constant) + 0.57 * np.log1p(-constant))
    assert scores["binary_brier"] == pytest.approx(brier, abs=0.0074)
    assert scores["binary_ece"] == pytest.approx(abs(constant - 0.43), abs=0.0063)
    assert scores["binary_cross_entropy"] == pytest.approx(entropy, abs=0.025)


def test_honest_probabilities_are_calibrated_and_exaggerated_ones_are_not() -> None:
    rng = np.random.default_rng(4)
    predicted = rng.random(300_000)
    label = rng.random(predicted.size) < predicted
    everywhere = np.ones(predicted.size, bool)
    sure = np.where(predicted > 0.5, 0.99, 0.01)

    assert scored(predicted, label, everywhere)["binary_ece"] < 0.01
    assert scored(sure, label, everywhere)["binary_ece"] == pytest.approx(0.24, abs=0.01)


def test_bins_have_the_mean_prediction_and_the_observed_share() -> None:
    predicted = np.array([0.05, 0.05, 0.95, 0.95])
    label = np.array([False, True, True, True])
    mean, lower, share, pixels = segmentation.reliability(
        *segmentation.tabulate(predicted, label, np.ones(4, bool))
    )

    assert pixels.tolist() == [2, *[0] * 8, 2]
    assert pixels.dtype == np.int64
    assert [lower[0], lower[9]] == pytest.approx([0.0, 0.9])
    assert [share[0], share[9]] == pytest.approx([0.5, 1.0])
    assert [mean[0], mean[9]] == pytest.approx([0.05, 0.95], abs=2e-3)
    assert np.isnan(mean[1:9]).all()


def test_a_bin_of_one_pixel_counts_in_the_calibration_error() -> None:
    scores = scored(np.array([0.05, 0.95]), np.ones(2, bool), np.ones(2, bool))

    assert scores["binary_ece"] == pytest.approx((0.95 + 0.05) / 2, abs=2e-3)


def test_a_mask_of_one_class_has_no_kuiper_skill() -> None:
    assert scored(np.full(10, 0.8), LABEL, EVERYWHERE)["kuiper"] == 0.0


def test_scores_that_are_not_defined_are_not_numbers() -> None:
    scores = scored(PREDICTED, np.ones(10, bool), EVERYWHERE)

    assert np.isnan(scores["false_positive_rate"])
    assert scores["binary_accuracy"] == pytest.approx(0.4)


def test_tables_of_several_scenes_are_added_up() -> None:
    tables = [segmentation.tabulate(PREDICTED, LABEL, np.arange(10) % 2 == odd) for odd in (0, 1)]
    positive, total = (np.stack(rows) for rows in zip(*tables, strict=True))

    whole = segmentation.scores(*segmentation.tabulate(PREDICTED, LABEL, EVERYWHERE))

    assert segmentation.scores(positive, total) == whole


def test_a_pixel_without_a_probability_is_an_error_where_it_counts() -> None:
    predicted = np.where(np.arange(10) == 2, np.nan, PREDICTED)

    with pytest.raises(CallError, match="1 of 10 pixels"):
        segmentation.tabulate(predicted, LABEL, EVERYWHERE)
    assert segmentation.tabulate(predicted, LABEL, np.arange(10) != 2)[1].sum() == 9


def test_other_shapes_are_refused() -> None:
    with pytest.raises(CallError, match=r"positive \(5,\)"):
        segmentation.tabulate(PREDICTED, LABEL[:5], EVERYWHERE)
