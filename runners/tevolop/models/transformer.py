"""The Science Transformer: attention over time, then over locations, then an LSTM.

After laszewsk/mlcommons, FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cells 162 to 196: an encoder whose
layers look first along time (never forward) and then across locations at one time, its output
joined with the embedded input, and a recurrent decoder. Two differences: time is marked with
sinusoids (Vaswani et al. 2017, section 3.5), and the locations that see each other are neighbours
along a space-filling curve instead of all training locations, so that memory does not grow with
their square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import heads

LONGEST_WAVE = 10_000.0  # Vaswani et al. 2017, section 3.5


def body(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for every fortnight; see the package for the shapes.

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
    """Return sines and cosines of the position: (length, width) float32."""
    rates = LONGEST_WAVE ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * rates
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return waves[:, :width].astype(np.float32)


def _block(hidden: Any, settings: Mapping[str, Any]) -> Any:
    """Return the sum of the input and of what attention and the dense layers add to it."""
    from keras import layers, ops

    by_time = heads.fold(layers.LayerNormalization()(hidden))
    hidden = hidden + heads.unfold(_attention(by_time, settings, is_causal=True), hidden)
    across = ops.transpose(layers.LayerNormalization()(hidden), (0, 2, 1, 3))
    by_location = heads.fold(across)
    seen = heads.unfold(_attention(by_location, settings, is_causal=False), across)
    hidden = hidden + ops.transpose(seen, (0, 2, 1, 3))
    wide = layers.Dense(settings["feed_forward"], activation="selu")
    narrow = layers.Dense(settings["width"])
    added = narrow(wide(layers.LayerNormalization()(hidden)))
    return hidden + layers.Dropout(settings["dropout"])(added)


def _attention(sequence: Any, settings: Mapping[str, Any], *, is_causal: bool) -> Any:
    from keras import layers

    look = layers.MultiHeadAttention(
        settings["heads"],
        settings["width"] // settings["heads"],
        dropout=settings["dropout"],
        flash_attention=False,
    )
    return look(sequence, sequence, use_causal_mask=is_causal)
