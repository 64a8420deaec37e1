"""Metrics of a binary mask, computed from counts: no pixel is stored and no batch is averaged.

Each scene is reduced to two rows of counts: the pixels that were predicted at each level of
probability, and how many of them are positive by the label. Every metric here is a function of
such counts, so a part of the split is scored by adding up the rows of its scenes. In predictions,
`predicted` has all pixels and `observed` the positive pixels of each level; the axis is `level`.

A level is a bin of probability. Levels have equal widths in the logit, because the logit resolves
probabilities near 0 and 1, where the cross-entropy is most sensitive. With a width of 0.05 the
cross-entropy of 2 million pixels differs from the exact value by less than 1e-4 (measured:
`tests/bench/scoring/test_segmentation.py`). The outermost levels begin at logits of -11.95 and
11.95 (probabilities 6e-6 and 1 - 6e-6) and hold everything beyond. They count as 1e-7 and
1 - 1e-7, the limits of Keras, so a hard mask of 0 and 1 is scored as Keras scores it. Other
probabilities are at most 0.00625 from the middle of their level. The formulas say what this means
for each metric.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.metrics import metric
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
    """Return the probability that each level counts as: (level) float64.

    It is that of the middle of the level in the logit, and `MIN_PROBABILITY` from 0 or 1 in the
    outermost levels.
    """
    logit = (np.arange(LEVELS) - OFFSET + 0.5) / STEPS_PER_LOGIT
    middle = 1 / (1 + np.exp(-logit))
    middle[[0, -1]] = MIN_PROBABILITY, 1 - MIN_PROBABILITY
    return middle


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


_share_metric = partial(metric, minimum=0.0, maximum=1.0, last=("level",))
_loss_metric = partial(metric, unit="nat", lower_is_better=True, minimum=0.0, last=("level",))


@_share_metric(
    "binary_accuracy", name="accuracy of a mask",
    formula="share of pixels with the class of the label; positive from probability 1/2 on",
)  # fmt: skip
@_share_metric(
    "binary_balanced_accuracy", name="balanced accuracy",
    formula="mean of the shares of positive and of negative pixels that are predicted as such",
)  # fmt: skip
@_share_metric(
    "iou", name="intersection over union",
    formula="pixels that are positive in both, over those that are positive in either",
)  # fmt: skip
@_share_metric(
    "mean_iou", name="intersection over union, mean of both classes",
    formula="(IoU of positive + IoU of negative pixels) / 2",
)  # fmt: skip
@_share_metric("binary_f1", name="F1", formula="2 TP / (2 TP + FP + FN)")
@metric(
    "kuiper", name="Kuiper skill score", minimum=-1.0, maximum=1.0, last=("level",),
    formula="true positive rate - false positive rate (Hanssen and Kuipers 1965); 0 for a mask of "
    "one class",
)  # fmt: skip
@_share_metric(
    "false_positive_rate", name="false positive rate, error of type I", lower_is_better=True,
    formula="FP / (FP + TN)",
)  # fmt: skip
@_share_metric(
    "false_negative_rate", name="false negative rate, error of type II", lower_is_better=True,
    formula="FN / (FN + TP)",
)  # fmt: skip
@_share_metric(
    "positive_share", name="share of positive pixels",
    formula="of the data, the same for every model: neither value is the better one",
)  # fmt: skip
@_share_metric(
    "binary_ece", name="expected calibration error", lower_is_better=True,
    formula="mean over pixels of |predicted probability - observed share| in the pixel's bin, ten "
    "bins of equal width; from levels of probability, so at most 0.0063 off for a constant, and "
    "exact for a hard mask",
)  # fmt: skip
@_share_metric(
    "binary_brier", name="Brier score", lower_is_better=True,
    formula="mean of (probability - label)^2; from levels of probability, so at most 0.0074 off, "
    "and exact for a hard mask",
)  # fmt: skip
@_loss_metric(
    "binary_cross_entropy", name="binary cross-entropy",
    formula="mean of -(y log p + (1 - y) log(1 - p)), from levels of probability that are 0.05 "
    "apart in the logit: at most 0.025 off between -11.95 and 11.95; beyond, p is 1e-7 from 0 or "
    "1, as in Keras, which is exact for a hard mask",
)  # fmt: skip
@_loss_metric(
    "weighted_binary_cross_entropy", name="weighted binary cross-entropy",
    formula="mean of -(y log p / 2 + (1 - y) log(1 - p)): weight 1/2 on positive pixels; from "
    "levels, as binary_cross_entropy",
)  # fmt: skip
def scores(positive: Counts, total: Counts) -> dict[str, float]:
    """Return every metric of tables of counts, added up; NaN where a metric is not defined.

    Pixels with a probability of 1/2 or more are predicted as positive. The false positive rate is
    an error of type I among the negative pixels, the false negative rate one of type II among the
    positive pixels.

    Args:
        positive: (..., level) pixels that are positive by the label: the observations.
        total: (..., level) all pixels: the predictions.
    """
    positive, total = (table.reshape(-1, LEVELS).sum(axis=0) for table in (positive, total))
    hit, missed = float(positive[OFFSET:].sum()), float(positive[:OFFSET].sum())
    alarm = float(total[OFFSET:].sum()) - hit
    quiet = float(total[:OFFSET].sum()) - missed
    sensitivity, specificity = _share(hit, hit + missed), _share(quiet, quiet + alarm)
    iou = _share(hit, hit + missed + alarm), _share(quiet, quiet + missed + alarm)
    return {
        "binary_accuracy": _share(hit + quiet, hit + missed + alarm + quiet),
        "binary_balanced_accuracy": (sensitivity + specificity) / 2,
        "iou": iou[0],
        "mean_iou": (iou[0] + iou[1]) / 2,
        "binary_f1": _share(2 * hit, 2 * hit + missed + alarm),
        "kuiper": sensitivity + specificity - 1,
        "false_positive_rate": 1 - specificity,
        "false_negative_rate": 1 - sensitivity,
        "positive_share": _share(hit + missed, hit + missed + alarm + quiet),
        **_calibration(positive, total),
    }


def _calibration(positive: Counts, total: Counts) -> dict[str, float]:
    """Return Brier score, cross-entropies, and the calibration error over bins of `reliability`."""
    p, count = probabilities(), float(total.sum())
    negative = total - positive
    loss_positive = float((positive * -np.log(p)).sum())
    loss_negative = float((negative * -np.log1p(-p)).sum())
    predicted, _, observed, pixels = reliability(positive, total)
    known = pixels > 0
    gap = (pixels[known] * np.abs(predicted[known] - observed[known])).sum()
    weighted = PUBLISHED_POS_WEIGHT * loss_positive + loss_negative
    return {
        "binary_brier": _share(float((positive * (1 - p) ** 2 + negative * p**2).sum()), count),
        "binary_cross_entropy": _share(loss_positive + loss_negative, count),
        "weighted_binary_cross_entropy": _share(weighted, count),
        "binary_ece": _share(float(gap), count),
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


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
