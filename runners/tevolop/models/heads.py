"""Parts that all models share: folding locations into the batch, and the last layer."""

from __future__ import annotations

from typing import Any

WINDOW_COUNT = 8  # equal to len(data.WINDOWS); tests/runners/test_tevolop_models.py checks it


def fold(series: Any) -> Any:
    """Return (batch * location, time, feature) from (batch, location, time, feature)."""
    from keras import ops

    return ops.reshape(series, (-1, *series.shape[2:]))


def unfold(folded: Any, like: Any) -> Any:
    """Return (batch, location, time, feature) from (batch * location, time, feature)."""
    from keras import ops

    return ops.reshape(folded, (-1, like.shape[1], *folded.shape[1:]))


def correction(hidden: Any) -> Any:
    """Return the correction of all windows (..., window=8), which is 0 before training."""
    from keras import layers

    return layers.Dense(WINDOW_COUNT, kernel_initializer="zeros", name="windows")(hidden)
