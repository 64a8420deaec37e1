"""The Science Transformer: attention over time, then over locations, then an LSTM.

From laszewsk/mlcommons, FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cells 162 to 196: an encoder whose
layers attend first over past times and then over locations at the same time, concatenation with the
embedded input, and a recurrent decoder. There are two differences. Times have a sinusoidal position
encoding (Vaswani et al. 2017, section 3.5). Attention over locations is among neighbours along a
space-filling curve and not among all training locations, so that memory does not grow with the
square of their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import heads

LONGEST_WAVE = 10_000.0  # Vaswani et al. 2017, section 3.5


def body(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for each fortnight; see the package for the shapes.

    Settings: width, heads, blocks, feed_forward, units (of the decoder), dropout.
    """
    from keras import layers

    del names
    embedded = layers.Dense(settings["width"], activation="selu")(series)
    hidden = embedded + sinusoids(series.shape[2], settings["width"])
    for _ in range(settings["blocks"]):
        hidden = _block(hidden, settings)
    joined = layers.Concatenate()([layers.LayerNormalization()(hidden), embedded])
    merged = layers.Dense(settings["width"], activation="selu")(joined)
    decoded = layers.LSTM(settings["units"], return_sequences=True)(heads.fold(merged))
    decoded = layers.Dense(settings["head"], activation="selu")(decoded)
    return heads.unfold(heads.correction(decoded), series)


def sinusoids(length: int, width: int) -> npt.NDArray[np.float32]:
    """Return the sinusoidal position encoding: (length, width) float32."""
    rates = LONGEST_WAVE ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * rates
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return waves[:, :width].astype(np.float32)


def _block(hidden: Any, settings: Mapping[str, Any]) -> Any:
    """Return the input plus attention over time, over locations, and dense layers."""
    from keras import layers, ops

    by_time = heads.fold(layers.LayerNormalization()(hidden))
    hidden = hidden + heads.unfold(_attention(by_time, settings, is_causal=True), hidden)
    across = ops.transpose(layers.LayerNormalization()(hidden), (0, 2, 1, 3))
    by_location = heads.fold(across)
    attended = heads.unfold(_attention(by_location, settings, is_causal=False), across)
    hidden = hidden + ops.transpose(attended, (0, 2, 1, 3))
    wide = layers.Dense(settings["feed_forward"], activation="selu")
    narrow = layers.Dense(settings["width"])
    added = narrow(wide(layers.LayerNormalization()(hidden)))
    return hidden + layers.Dropout(settings["dropout"])(added)


def _attention(sequence: Any, settings: Mapping[str, Any], *, is_causal: bool) -> Any:
    from keras import layers

    attention = layers.MultiHeadAttention(
        settings["heads"],
        settings["width"] // settings["heads"],
        dropout=settings["dropout"],
        flash_attention=False,
    )
    return attention(sequence, sequence, use_causal_mask=is_causal)
