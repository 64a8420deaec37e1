"""Scores of a mask of two classes, from counts: no pixel is kept, and no batch is averaged.

Of each scene two rows are counted: how many pixels were predicted with each level of probability,
and how many of them are positive by the label. Every score here is a function of these counts, so
a whole split is scored by adding rows up, scene by scene or all at once. Levels are even in the
logit, because there a probability of 0.9999 is as far from 0.99 as that is from 0.5: with steps of
0.05 the cross-entropy of 2 million pixels differs from the exact one by less than 1e-4 (measured:
`tests/bench/scoring/test_segmentation.py`). Beyond +-12 (6e-6) levels end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError

LEVELS = 480
STEPS_PER_LOGIT = 20
OFFSET = LEVELS // 2  # the first level at or above probability 1/2: from here a pixel is positive
LEAST_PROBABILITY = 1e-7  # keeps the logit of a float32 finite
BINS = 10  # of equal width in probability: reliability diagram, expected calibration error
PUBLISHED_POS_WEIGHT = 0.5  # SciML-Bench 1.0, slstr_cloud: weighted cross-entropy

Counts: TypeAlias = npt.NDArray[np.integer[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


def level_of(probability: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
    """Return the level of each probability: the same shape, 0 to LEVELS - 1."""
    safe = np.clip(np.asarray(probability, np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    steps = np.floor(np.log(safe / (1 - safe)) * STEPS_PER_LOGIT) + OFFSET
    return np.asarray(np.clip(steps, 0, LEVELS - 1), np.intp)


def probabilities() -> Doubles:
    """Return the probability that each level stands for: (level) float64, the middle in logit."""
    logit = (np.arange(LEVELS) - OFFSET + 0.5) / STEPS_PER_LOGIT
    return 1 / (1 + np.exp(-logit))


def tabulate(
    probability: npt.NDArray[np.floating[Any]],
    positive: npt.NDArray[np.bool_],
    where: npt.NDArray[np.bool_],
) -> tuple[Counts, Counts]:
    """Return (positive pixels, all pixels) at each level: two (level) int64.

    Args:
        probability: of being positive, any shape.
        positive: the label, the same shape.
        where: which pixels count, the same shape.

    Raises:
        CallError: the shapes differ, or a pixel that counts was given no probability.
    """
    if not probability.shape == positive.shape == where.shape:
        raise CallError(
            f"scoring a mask: probability has shape {probability.shape}, the label "
            f"{positive.shape}, the pixels that count {where.shape}"
        )
    counted = probability[where]
    if not np.isfinite(counted).all():
        raise CallError(
            f"scoring a mask: {int((~np.isfinite(counted)).sum())} of {counted.size} pixels that "
            "count have no probability",
            hint="a model that gives NaN has diverged: lower its learning rate",
        )
    level = level_of(counted)
    total = np.bincount(level, minlength=LEVELS)
    return np.bincount(level[positive[where]], minlength=LEVELS), total


def scores(positive: Counts, total: Counts) -> dict[str, float]:
    """Return every score of one table of counts; NaN where it is not defined.

    Args:
        positive: (level) pixels that are positive by the label.
        total: (level) all pixels.
    """
    return classification(positive, total) | calibration(positive, total)


def classification(positive: Counts, total: Counts) -> dict[str, float]:
    """Return the scores of the mask that says positive from probability 1/2 on.

    `kuiper` is the true minus the false positive rate (Hanssen and Kuipers 1965); `false_positive`
    is the error of type I as a share of the negative pixels, `false_negative` that of type II as a
    share of the positive ones.
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
    """Return how good the probabilities are: Brier score, cross-entropies, calibration error."""
    p, count = probabilities(), float(total.sum())
    negative = total - positive
    loss_positive = float((positive * -np.log(p)).sum())
    loss_negative = float((negative * -np.log1p(-p)).sum())
    said, _, share, pixels = reliability(positive, total)
    known = pixels > 0
    gap = (pixels[known] * np.abs(said[known] - share[known])).sum()
    return {
        "brier": _share(float((positive * (1 - p) ** 2 + negative * p**2).sum()), count),
        "cross_entropy": _share(loss_positive + loss_negative, count),
        "weighted_cross_entropy": _share(
            PUBLISHED_POS_WEIGHT * loss_positive + loss_negative, count
        ),
        "calibration_error": _share(float(gap), count),
    }


def reliability(positive: Counts, total: Counts) -> tuple[Doubles, Doubles, Doubles, Counts]:
    """Return for each of BINS bins of probability what was said, and what came of it.

    Returns:
        (mean probability said, lower edge of the bin, share that is positive, pixels), each (bin);
        NaN where a bin is empty.
    """
    p = probabilities()
    bin_of = np.minimum((p * BINS).astype(int), BINS - 1)
    pixels = np.bincount(bin_of, weights=total, minlength=BINS)
    said = np.bincount(bin_of, weights=p * total, minlength=BINS)
    seen = np.bincount(bin_of, weights=positive, minlength=BINS)
    safe = np.where(pixels > 0, pixels, np.nan)
    return said / safe, np.arange(BINS) / BINS, seen / safe, pixels.astype(np.int64)


def by_scene(positive: Counts, total: Counts, name: str) -> Mapping[str, float]:
    """Return mean, median, worst and best over scenes of one score that is better when higher.

    Args:
        positive: (scene, level).
        total: (scene, level); a scene without a pixel is left out.
        name: of the score, as `classification` names it.
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
