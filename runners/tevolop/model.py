"""The three reference models, as causal sequence models in Keras 3.

All take pieces of series and a base forecast, and return the base plus a correction for all
fortnights at once. They are causal: the output at fortnight t does not depend on later fortnights.

    inputs   series  (batch, location, time, feature)   float32, standardised
             base    (batch, location, time, window=8)  float32, standardised
    output           (batch, location, time, window=8)  float32, standardised

All layers are from `keras.layers` and `keras.ops`. The last layer of each model starts at 0, so an
untrained model predicts the base.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .data import WINDOWS, Singles

RECURRENT_LAYERS = 2  # of `lstm` and `tft`
STATIC = "fault_"
MASKED = -1e9  # added to the attention scores of future fortnights
LONGEST_WAVE = 10_000.0  # Vaswani et al. 2017, section 3.5


def build_model(
    settings: Mapping[str, Any], *, names: Sequence[str], locations: int, length: int
) -> Any:
    """Return a new model.

    Args:
        settings: `model`, and the sizes of that model.
        names: of the features, in order; those that begin with "fault_" are constant in time.
        locations: number of locations in a piece.
        length: number of fortnights in a piece.
    """
    name = settings["model"]
    body = {"lstm": lstm, "transformer": transformer, "tft": tft}[name]
    series = keras.Input((locations, length, len(names)), name="series")
    base = keras.Input((locations, length, len(WINDOWS)), name="base")
    output = layers.Add(dtype="float32")([base, body(series, settings, names)])
    return keras.Model({"series": series, "base": base}, output, name=name)


def lstm(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for each fortnight: two recurrent layers between two dense ones.

    Sizes of the published one: Dense 32, LSTM 16, LSTM 16, Dense 64 (laszewsk/mlcommons,
    benchmarks/earthquake/feb-2022/notebooks/FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cells 121 to
    123). The published recurrent activation, selu, can grow without bound over a long series, so it
    is tanh here.

    Settings: dense, units, head (sizes), dropout (after the recurrent layers).
    """
    del names
    hidden = layers.Dense(settings["dense"], activation="selu")(fold(series))
    for _ in range(RECURRENT_LAYERS):
        hidden = layers.LSTM(settings["units"], return_sequences=True)(hidden)
    hidden = layers.Dropout(settings["dropout"])(hidden)
    hidden = layers.Dense(settings["head"], activation="selu")(hidden)
    return unfold(correction(hidden), series)


def transformer(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for each fortnight: attention over time and locations, then an LSTM.

    From laszewsk/mlcommons, FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cells 162 to 196: an encoder
    whose layers attend first over past times and then over locations at the same time,
    concatenation with the embedded input, and a recurrent decoder. There are two differences. Times
    have a sinusoidal position encoding (Vaswani et al. 2017, section 3.5). Attention over locations
    is among neighbours along a space-filling curve and not among all training locations, so that
    memory does not grow with the square of their number.

    Settings: width, heads, blocks, feed_forward, units (of the decoder), dropout.
    """
    del names
    embedded = layers.Dense(settings["width"], activation="selu")(series)
    hidden = embedded + sinusoids(series.shape[2], settings["width"])
    for _ in range(settings["blocks"]):
        hidden = _block(hidden, settings)
    joined = layers.Concatenate()([layers.LayerNormalization()(hidden), embedded])
    merged = layers.Dense(settings["width"], activation="selu")(joined)
    decoded = layers.LSTM(settings["units"], return_sequences=True)(fold(merged))
    decoded = layers.Dense(settings["head"], activation="selu")(decoded)
    return unfold(correction(decoded), series)


def sinusoids(length: int, width: int) -> Singles:
    """Return the sinusoidal position encoding: (length, width) float32."""
    rates = LONGEST_WAVE ** (-np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * rates
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return waves[:, :width].astype(np.float32)


def _block(hidden: Any, settings: Mapping[str, Any]) -> Any:
    """Return the input plus attention over time, over locations, and dense layers."""
    by_time = fold(layers.LayerNormalization()(hidden))
    hidden = hidden + unfold(_attention(by_time, settings, is_causal=True), hidden)
    across = ops.transpose(layers.LayerNormalization()(hidden), (0, 2, 1, 3))
    by_location = fold(across)
    attended = unfold(_attention(by_location, settings, is_causal=False), across)
    hidden = hidden + ops.transpose(attended, (0, 2, 1, 3))
    wide = layers.Dense(settings["feed_forward"], activation="selu")
    narrow = layers.Dense(settings["width"])
    added = narrow(wide(layers.LayerNormalization()(hidden)))
    return hidden + layers.Dropout(settings["dropout"])(added)


def _attention(sequence: Any, settings: Mapping[str, Any], *, is_causal: bool) -> Any:
    attention = layers.MultiHeadAttention(
        settings["heads"],
        settings["width"] // settings["heads"],
        dropout=settings["dropout"],
        flash_attention=False,
    )
    return attention(sequence, sequence, use_causal_mask=is_causal)


def tft(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for each fortnight, by a Temporal Fusion Transformer without a decoder.

    From Lim, Arik, Loeff and Pfister 2021, International Journal of Forecasting 37, 1748 to 1764.
    Variable selection, static covariates, recurrent layers, interpretable attention and gated
    residuals are as in the paper. The paper's decoder reads known future inputs step by step. Here
    no future input is known and all windows are forecast at once, so the recurrent layers run once
    over the past. Each of them has its own initial state, and each window its own output. (In the
    published earthquake code layers start from each other's states, and head k has the output of
    head k-1 as input.)

    Settings: width, heads, dropout.
    """
    folded = fold(series)
    static = [index for index, name in enumerate(names) if name.startswith(STATIC)]
    dynamic = [index for index in range(len(names)) if index not in static]
    width, dropout = settings["width"], settings["dropout"]
    context = None
    if static:
        constants = ops.take(folded[:, 0], np.array(static), axis=-1)
        context = gated_residual(layers.Dense(width)(constants), width, dropout=dropout)
    chosen = select(ops.take(folded, np.array(dynamic), axis=-1), context, settings)
    encoded = chosen
    for _ in range(RECURRENT_LAYERS):
        start = None
        if context is not None:
            start = [layers.Dense(width, activation="tanh")(context) for _ in range(2)]
        encoded = layers.LSTM(width, return_sequences=True)(encoded, initial_state=start)
    local = add_gated(encoded, chosen, width, dropout)
    enriched = gated_residual(local, width, dropout=dropout, context=context)
    attended = add_gated(interpretable_attention(enriched, settings), enriched, width, dropout)
    refined = add_gated(gated_residual(attended, width, dropout=dropout), local, width, 0.0)
    return unfold(correction(refined), series)


def select(variables: Any, context: Any, settings: Mapping[str, Any]) -> Any:
    """Return the weighted sum of the embedded variables: (batch, time, width).

    Each variable has its own embedding. The weights sum to 1 over the variables and depend on all
    variables and the static context.

    Args:
        variables: (batch, time, variable).
        context: (batch, width), or None.
        settings: width and dropout.
    """
    width, count = settings["width"], variables.shape[-1]
    embed = layers.EinsumDense("btv,vw->btvw", (None, count, width), bias_axes="vw")
    refine = layers.EinsumDense(
        "btvw,vwx->btvx", (None, count, width), bias_axes="vx", activation="elu"
    )
    embedded = embed(variables)
    embedded = layers.LayerNormalization()(embedded + refine(embedded))
    scores = gated_residual(
        layers.Dense(width)(variables), width, dropout=settings["dropout"], context=context
    )
    weights = layers.Dense(count, activation="softmax")(scores)
    return ops.sum(embedded * weights[..., None], axis=-2)


def interpretable_attention(sequence: Any, settings: Mapping[str, Any]) -> Any:
    """Return causal attention whose heads share their values: (batch, time, width)."""
    width, count = settings["width"], settings["heads"]
    size, length = max(width // count, 1), sequence.shape[1]
    shape = (-1, length, count, size)
    query = ops.reshape(layers.Dense(count * size)(sequence), shape)
    key = ops.reshape(layers.Dense(count * size)(sequence), shape)
    scores = ops.einsum("bqhs,bkhs->bhqk", query, key) / math.sqrt(size)
    mask = np.triu(np.full((length, length), MASKED, np.float32), k=1)
    weights = layers.Softmax()(scores + ops.cast(mask, scores.dtype))
    weights = layers.Dropout(settings["dropout"])(weights)
    attended = ops.matmul(ops.mean(weights, axis=1), layers.Dense(size)(sequence))
    return layers.Dense(width)(attended)


def gated_residual(inputs: Any, width: int, *, dropout: float, context: Any = None) -> Any:
    """Return the gated residual network of the paper, equations 2 to 4: (..., width).

    Args:
        inputs: (..., width).
        width: of the network.
        dropout: rate.
        context: (batch, width), equal at all times; None without context.
    """
    hidden = layers.Dense(width)(inputs)
    if context is not None:
        hidden = hidden + ops.expand_dims(layers.Dense(width, use_bias=False)(context), 1)
    hidden = layers.Dense(width)(layers.Activation("elu")(hidden))
    return add_gated(hidden, inputs, width, dropout)


def add_gated(hidden: Any, residual: Any, width: int, dropout: float) -> Any:
    """Return the normalised sum of the residual and the gated hidden values (GLU)."""
    hidden = layers.Dropout(dropout)(hidden)
    gated = layers.Dense(width)(hidden) * layers.Dense(width, activation="sigmoid")(hidden)
    return layers.LayerNormalization()(gated + residual)


def fold(series: Any) -> Any:
    """Return (batch * location, time, feature) from (batch, location, time, feature)."""
    return ops.reshape(series, (-1, *series.shape[2:]))


def unfold(folded: Any, like: Any) -> Any:
    """Return (batch, location, time, feature) from (batch * location, time, feature)."""
    return ops.reshape(folded, (-1, like.shape[1], *folded.shape[1:]))


def correction(hidden: Any) -> Any:
    """Return the correction of all windows (..., window=8), which is 0 before training."""
    return layers.Dense(len(WINDOWS), kernel_initializer="zeros", name="windows")(hidden)
