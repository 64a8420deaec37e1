"""Plain and weighted binary cross-entropy over valid pixels, written in `keras.ops`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from sciml_data.errors import CallError

PLAIN, WEIGHTED = "cross_entropy", "weighted_cross_entropy"
MIN_PROBABILITY = 1e-7  # keras.config.epsilon(), at which the published loss is clipped too


def check_loss(settings: Mapping[str, Any]) -> None:
    """Check the settings of the loss.

    Raises:
        CallError: `border` is as wide as half a patch or wider.
    """
    if 2 * settings["border"] >= settings["patch"]:
        raise CallError(
            f"border={settings['border']} leaves no pixel of patches of {settings['patch']} pixels",
            untouched="nothing was trained",
        )


def loss_sums(
    labels: Any, probabilities: Any, weights: Any, *, pos_weight: float = 1.0
) -> tuple[Any, Any]:
    """Return (sum of weighted losses, sum of weights) over the pixels of a batch: two scalars.

    Args:
        labels: any shape; 1 is cloud, 0 clear.
        probabilities: of cloud, in the shape of the labels.
        weights: of pixels, in the shape of the labels; 0 excludes a pixel.
        pos_weight: factor of the loss of cloudy pixels, as in TensorFlow's
            `weighted_cross_entropy_with_logits`. The divisor stays the number of pixels.
    """
    safe = ops.clip(probabilities, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
    cloudy = pos_weight * labels * ops.log(safe)
    clear = (1.0 - labels) * ops.log(1.0 - safe)
    return -ops.sum(weights * (cloudy + clear)), ops.sum(weights)
