"""The Temporal Fusion Transformer without a decoder.

From Lim, Arik, Loeff and Pfister 2021, International Journal of Forecasting 37, 1748 to 1764.
Variable selection, static covariates, recurrent layers, interpretable attention and gated residuals
are as in the paper. The paper's decoder reads known future inputs step by step. Here no future
input is known and all windows are forecast at once, so the recurrent layers run once over the past.
Each of them has its own initial state, and each window its own output. (In the published earthquake
code layers start from each other's states, and head k has the output of head k-1 as input.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import heads

LAYERS = 2
STATIC = "fault_"
MASKED = -1e9  # added to the attention scores of future fortnights


def body(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for each fortnight; see the package for the shapes.

    Settings: width, heads, dropout.
    """
    from keras import layers, ops

    folded = heads.fold(series)
    static = [index for index, name in enumerate(names) if name.startswith(STATIC)]
    dynamic = [index for index in range(len(names)) if index not in static]
    width, dropout = settings["width"], settings["dropout"]
    context = None
    if static:
        constants = ops.take(folded[:, 0], np.array(static), axis=-1)
        context = gated_residual(layers.Dense(width)(constants), width, dropout=dropout)
    chosen = select(ops.take(folded, np.array(dynamic), axis=-1), context, settings)
    encoded = chosen
    for _ in range(LAYERS):
        start = None
        if context is not None:
            start = [layers.Dense(width, activation="tanh")(context) for _ in range(2)]
        encoded = layers.LSTM(width, return_sequences=True)(encoded, initial_state=start)
    local = add_gated(encoded, chosen, width, dropout)
    enriched = gated_residual(local, width, dropout=dropout, context=context)
    attended = add_gated(interpretable_attention(enriched, settings), enriched, width, dropout)
    refined = add_gated(gated_residual(attended, width, dropout=dropout), local, width, 0.0)
    return heads.unfold(heads.correction(refined), series)


def select(variables: Any, context: Any, settings: Mapping[str, Any]) -> Any:
    """Return the weighted sum of the embedded variables: (batch, time, width).

    Each variable has its own embedding. The weights sum to 1 over the variables and depend on all
    variables and the static context.

    Args:
        variables: (batch, time, variable).
        context: (batch, width), or None.
        settings: width and dropout.
    """
    from keras import layers, ops

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
    from keras import layers, ops

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
    from keras import layers, ops

    hidden = layers.Dense(width)(inputs)
    if context is not None:
        hidden = hidden + ops.expand_dims(layers.Dense(width, use_bias=False)(context), 1)
    hidden = layers.Dense(width)(layers.Activation("elu")(hidden))
    return add_gated(hidden, inputs, width, dropout)


def add_gated(hidden: Any, residual: Any, width: int, dropout: float) -> Any:
    """Return the normalised sum of the residual and the gated hidden values (GLU)."""
    from keras import layers

    hidden = layers.Dropout(dropout)(hidden)
    gated = layers.Dense(width)(hidden) * layers.Dense(width, activation="sigmoid")(hidden)
    return layers.LayerNormalization()(gated + residual)
