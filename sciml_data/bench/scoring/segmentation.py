"""Metrics of a binary mask, computed from counts: no pixel is stored and no batch is averaged.

Each scene is reduced to two rows of counts: the pixels that were predicted at each level of
probability, and how many of them are positive by the label. Every metric here is a function of
such counts, so a part of the split is scored by adding up the rows of its scenes.

A level is a bin of probability. Levels have equal widths in the logit, because the logit resolves
probabilities near 0 and 1, where the cross-entropy is most sensitive. With a width of 0.05 the
cross-entropy of 2 million pixels differs from the exact value by less than 1e-4 (measured:
`tests/bench/scoring/test_segmentation.py`). The outermost levels begin at logits of -12 and 12
(probabilities 6e-6 and 1 - 6e-6) and hold everything beyond.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError

LEVELS = 480
STEPS_PER_LOGIT = 20
OFFSET = LEVELS // 2  # first level with a probability of 1/2 or more: predicted as positive
MIN_PROBABILITY = 1e-7  # keeps the logit of a float32 probability finite
BINS = 10  # of equal width in probability: reliability diagram, expected calibration error
PUBLISHED_POS_WEIGHT = 0.5  # SciML-Bench 1.0, slstr_cloud: weighted cross-entropy

Counts: TypeAlias = npt.NDArray[np.integer[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


def level_of(probability: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
    """Return the level of each probability: the same shape, integers from 0 to LEVELS - 1."""
    safe = np.clip(np.asarray(probability, np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    steps = np.floor(np.log(safe / (1 - safe)) * STEPS_PER_LOGIT) + OFFSET
    return np.asarray(np.clip(steps, 0, LEVELS - 1), np.intp)


def probabilities() -> Doubles:
    """Return the probability at the middle (in the logit) of each level: (level) float64."""
    logit = (np.arange(LEVELS) - OFFSET + 0.5) / STEPS_PER_LOGIT
    return 1 / (1 + np.exp(-logit))


def tabulate(
    probability: npt.NDArray[np.floating[Any]],
    positive: npt.NDArray[np.bool_],
    where: npt.NDArray[np.bool_],
) -> tuple[Counts, Counts]:
    """Count the pixels of a scene at each level of predicted probability.

    Args:
        probability: predicted probability of being positive, any shape, float.
        positive: the label, the same shape.
        where: the pixels to score, the same shape.

    Returns:
        (positive pixels, all pixels), each (level) int64.

    Raises:
        CallError: the shapes differ, or a pixel to score has no finite probability.
    """
    if not probability.shape == positive.shape == where.shape:
        raise CallError(
            f"scoring a mask: probability has shape {probability.shape}, positive "
            f"{positive.shape}, where {where.shape}; the three shapes must be equal"
        )
    counted = probability[where]
    if not np.isfinite(counted).all():
        raise CallError(
            f"scoring a mask: {int((~np.isfinite(counted)).sum())} of {counted.size} pixels to "
            "score have no finite probability",
            hint="a model that gives NaN has diverged: lower its learning rate",
        )
    level = level_of(counted)
    total = np.bincount(level, minlength=LEVELS)
    return np.bincount(level[positive[where]], minlength=LEVELS), total


def scores(positive: Counts, total: Counts) -> dict[str, float]:
    """Return every metric of a table of counts; NaN where a metric is not defined.

    Args:
        positive: (level) pixels that are positive by the label.
        total: (level) all pixels.
    """
    return classification(positive, total) | calibration(positive, total)


def classification(positive: Counts, total: Counts) -> dict[str, float]:
    """Return the metrics of the mask: pixels with a probability of 1/2 or more are positive.

    `kuiper` is the true positive rate minus the false positive rate (Hanssen and Kuipers 1965).
    `false_positive` and `false_negative` are rates: errors of type I among the negative pixels, and
    errors of type II among the positive pixels.

    Args:
        positive: (level) pixels that are positive by the label.
        total: (level) all pixels.
    """
    hit, missed = float(positive[OFFSET:].sum()), float(positive[:OFFSET].sum())
    alarm = float(total[OFFSET:].sum()) - hit
    quiet = float(total[:OFFSET].sum()) - missed
    sensitivity, specificity = _share(hit, hit + missed), _share(quiet, quiet + alarm)
    iou = _share(hit, hit + missed + alarm), _share(quiet, quiet + missed + alarm)
    return {
        "accuracy": _share(hit + quiet, hit + missed + alarm + quiet),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "iou": iou[0],
        "iou_mean": (iou[0] + iou[1]) / 2,
        "f1": _share(2 * hit, 2 * hit + missed + alarm),
        "kuiper": sensitivity + specificity - 1,
        "false_positive": 1 - specificity,
        "false_negative": 1 - sensitivity,
        "positive_share": _share(hit + missed, hit + missed + alarm + quiet),
    }


def calibration(positive: Counts, total: Counts) -> dict[str, float]:
    """Return metrics of the probabilities: Brier score, cross-entropies, calibration error.

    `calibration_error` is the expected calibration error over the bins of `reliability`.

    Args:
        positive: (level) pixels that are positive by the label.
        total: (level) all pixels.
    """
    p, count = probabilities(), float(total.sum())
    negative = total - positive
    loss_positive = float((positive * -np.log(p)).sum())
    loss_negative = float((negative * -np.log1p(-p)).sum())
    predicted, _, observed, pixels = reliability(positive, total)
    known = pixels > 0
    gap = (pixels[known] * np.abs(predicted[known] - observed[known])).sum()
    return {
        "brier": _share(float((positive * (1 - p) ** 2 + negative * p**2).sum()), count),
        "cross_entropy": _share(loss_positive + loss_negative, count),
        "weighted_cross_entropy": _share(
            PUBLISHED_POS_WEIGHT * loss_positive + loss_negative, count
        ),
        "calibration_error": _share(float(gap), count),
    }


def reliability(positive: Counts, total: Counts) -> tuple[Doubles, Doubles, Doubles, Counts]:
    """Return the reliability diagram: predicted probability against observed frequency, by bin.

    Args:
        positive: (level) pixels that are positive by the label.
        total: (level) all pixels.

    Returns:
        (mean predicted probability, lower edge of the bin, observed share of positive pixels,
        number of pixels), each (bin); mean and share are NaN where a bin is empty.
    """
    p = probabilities()
    bin_of = np.minimum((p * BINS).astype(int), BINS - 1)
    pixels = np.bincount(bin_of, weights=total, minlength=BINS)
    predicted = np.bincount(bin_of, weights=p * total, minlength=BINS)
    observed = np.bincount(bin_of, weights=positive, minlength=BINS)
    safe = np.where(pixels > 0, pixels, np.nan)
    return predicted / safe, np.arange(BINS) / BINS, observed / safe, pixels.astype(np.int64)


def by_scene(positive: Counts, total: Counts, name: str) -> Mapping[str, float]:
    """Return mean, median, worst and best over scenes of a metric that is better when higher.

    Args:
        positive: (scene, level) pixels that are positive by the label.
        total: (scene, level) all pixels; a scene without pixels is left out.
        name: of the metric, a key of `classification`.
    """
    rows = zip(positive, total, strict=True)
    each = [classification(*row)[name] for row in rows if row[1].any()]
    known = np.array([value for value in each if np.isfinite(value)])
    if not known.size:
        return dict.fromkeys(("mean", "median", "worst", "best"), np.nan)
    return {
        "mean": float(known.mean()),
        "median": float(np.median(known)),
        "worst": float(known.min()),
        "best": float(known.max()),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
