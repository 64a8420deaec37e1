"""The LSTM: two recurrent layers between two dense ones.

Sizes of the published one: Dense 32, LSTM 16, LSTM 16, Dense 64 (laszewsk/mlcommons,
benchmarks/earthquake/feb-2022/notebooks/FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cells 121 to 123).
The published recurrent activation, selu, can grow without bound over a long series, so it is tanh
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import heads

LAYERS = 2


def body(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for each fortnight; see the package for the shapes.

    Settings: dense, units, head (sizes), dropout (after the recurrent layers).
    """
    from keras import layers

    del names
    hidden = layers.Dense(settings["dense"], activation="selu")(heads.fold(series))
    for _ in range(LAYERS):
        hidden = layers.LSTM(settings["units"], return_sequences=True)(hidden)
    hidden = layers.Dropout(settings["dropout"])(hidden)
    hidden = layers.Dense(settings["head"], activation="selu")(hidden)
    return heads.unfold(heads.correction(hidden), series)
