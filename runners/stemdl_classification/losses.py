"""Cross-entropy over views with smoothed labels, and class weights for rare space groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

NONE, INVERSE, EFFECTIVE = "none", "inverse", "effective"


def class_weights(
    counts: npt.NDArray[np.integer[Any]], name: str, *, beta: float
) -> npt.NDArray[np.float32]:
    """Return a weight for each class (class,), whose mean over all samples is one.

    Args:
        counts: (class,) samples in training, at least one each.
        name: `none`: equal weights; `inverse`: 1 / count; `effective`: (1 - beta) /
            (1 - beta^count), the effective number of samples (Cui et al. 2019, equation 2).
        beta: of `effective`; 0 is `none`, values near 1 approach `inverse`.
    """
    number = counts.astype(np.float64)
    raw = {
        NONE: np.ones_like(number),
        INVERSE: 1 / number,
        EFFECTIVE: (1 - beta) / (1 - beta**number),
    }[name]
    return np.asarray(raw * number.sum() / (raw * number).sum(), np.float32)


def loss_sums(targets: Any, logits: Any, weights: Any, *, smoothing: float) -> tuple[Any, Any]:
    """Return (sum of weighted losses, sum of weights) over a batch: two scalars.

    The loss of a stack is the mean over its views of the cross-entropy of each view.

    Args:
        targets: (stack,) integer classes.
        logits: (stack, view, class).
        weights: (stack,) float.
        smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
    """
    classes = logits.shape[-1]
    log_probabilities = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
    one_hot = ops.one_hot(targets, classes, dtype=logits.dtype)
    smoothed = ops.expand_dims((1.0 - smoothing) * one_hot + smoothing / classes, 1)
    losses = -ops.mean(ops.sum(smoothed * log_probabilities, axis=-1), axis=1)
    return ops.sum(weights * losses), ops.sum(weights)
