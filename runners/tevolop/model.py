"""The models as causal sequence models in Keras 3: ours here, those as published in `reference.py`.

They take pieces of series, and forecast all fortnights of a piece at once. The output at fortnight
t does not depend on later fortnights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from . import reference
from .data import WINDOWS

RECURRENT_LAYERS = 2


def build_model(
    settings: Mapping[str, Any],
    *,
    names: Sequence[str],
    locations: int,
    length: int,
    outputs: int = len(WINDOWS),
) -> Any:
    """Return a new model.

    Args:
        settings: `model`, and the sizes of that model.
        names: of the features, in order.
        locations: number of locations in a piece.
        length: number of fortnights in a piece.
        outputs: number of values that are forecast.

    Returns:
        A model of `series` (batch, location, time, feature) and, if it corrects another forecast,
        `base` (batch, location, time, window=8), both float32 and scaled. Its output is
        (batch, location, time, output).
    """
    name = settings["model"]
    series = keras.Input((locations, length, len(names)), name="series")
    inputs = {"series": series}
    if name.startswith("residual-lstm"):
        inputs["base"] = keras.Input((locations, length, len(WINDOWS)), name="base")
        correction = residual_lstm(series, settings)
        output = layers.Add(dtype="float32")([inputs["base"], correction])
    elif name == "reference-lstm":
        output = reference.lstm(series, settings, outputs)
    elif name == "reference-transformer":
        output = reference.transformer(series, settings, outputs)
    else:
        output = reference.tft(series, settings, outputs, names)
    return keras.Model(inputs, output, name=name)


def residual_lstm(series: Any, settings: Mapping[str, Any]) -> Any:
    """Return the correction of the base forecast: two recurrent layers between two dense ones.

    Sizes are those of the published LSTM. The published activation of the recurrent layers, selu,
    can grow without bound over a series of 78 fortnights, so it is tanh here. The last layer starts
    at 0, so an untrained model predicts the base.

    Settings: dense, units, head (sizes), dropout (after the recurrent layers).
    """
    hidden = layers.Dense(settings["dense"], activation="selu")(reference.fold(series))
    for _ in range(RECURRENT_LAYERS):
        hidden = layers.LSTM(settings["units"], return_sequences=True)(hidden)
    hidden = layers.Dropout(settings["dropout"])(hidden)
    hidden = layers.Dense(settings["head"], activation="selu")(hidden)
    correction = layers.Dense(len(WINDOWS), kernel_initializer="zeros", name="windows")(hidden)
    return reference.unfold(correction, series)
