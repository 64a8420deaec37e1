"""Plain and weighted binary cross-entropy over valid pixels, on `keras.ops`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from sciml_data.errors import CallError, nearest

PLAIN, WEIGHTED = "cross_entropy", "weighted_cross_entropy"
NAMES = (PLAIN, WEIGHTED)
LEAST_PROBABILITY = 1e-7  # keras.config.epsilon, by which the reference's loss is clipped as well


def check_loss(settings: Mapping[str, Any]) -> None:
    """Refuse a loss that there is not.

    Raises:
        CallError: `loss` is unknown, or `border` leaves nothing of a patch.
    """
    name = settings["loss"]
    if name not in NAMES:
        raise CallError(
            f"there is no loss {name!r}{nearest(name, NAMES)}; there are {', '.join(NAMES)}",
            untouched="nothing was trained",
        )
    if not 0 <= 2 * settings["border"] < settings["patch"]:
        raise CallError(
            f"border={settings['border']} leaves nothing of patches of {settings['patch']} pixels",
            untouched="nothing was trained",
        )


def loss_sums(
    labels: Any, probabilities: Any, weights: Any, *, pos_weight: float = 1.0
) -> tuple[Any, Any]:
    """Return (sum of weighted losses, sum of weights) over the pixels of a batch: two scalars.

    Args:
        labels: 1 cloud, 0 clear; any shape.
        probabilities: of cloud, the same shape.
        weights: of each pixel, 0 where it does not count; the same shape.
        pos_weight: of cloudy pixels' losses, as in TensorFlow's
            `weighted_cross_entropy_with_logits`: the divisor stays the number of pixels.
    """
    safe = ops.clip(probabilities, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
    cloudy = pos_weight * labels * ops.log(safe)
    clear = (1.0 - labels) * ops.log(1.0 - safe)
    return -ops.sum(weights * (cloudy + clear)), ops.sum(weights)
