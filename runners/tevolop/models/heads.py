"""What the models share: locations folded into the batch and back, and the last layer."""

from __future__ import annotations

from typing import Any

WINDOW_COUNT = 8  # tests/runners/test_tevolop_models.py holds it against data.WINDOWS


def fold(series: Any) -> Any:
    """Return (batch * location, time, feature) from (batch, location, time, feature)."""
    from keras import ops

    return ops.reshape(series, (-1, *series.shape[2:]))


def unfold(folded: Any, like: Any) -> Any:
    """Return (batch, location, time, feature) from (batch * location, time, feature)."""
    from keras import ops

    return ops.reshape(folded, (-1, like.shape[1], *folded.shape[1:]))


def correction(hidden: Any) -> Any:
    """Return the eight windows of each fortnight, 0 before training: (..., window=8)."""
    from keras import layers

    return layers.Dense(WINDOW_COUNT, kernel_initializer="zeros", name="windows")(hidden)
