"""The Temporal Fusion Transformer, run once over the past.

After Lim, Arik, Loeff and Pfister 2021, International Journal of Forecasting 37, 1748 to 1764.
Variable selection, static covariates, recurrent layers, interpretable attention and gated residuals
as in the paper. Every window is forecast directly from the last fortnight seen and nothing about
the future is known, so the paper's decoder, which reads known future inputs step by step, has
nothing to read: the recurrent layers run once over the past. Each of them starts from a state of
its own, and each window has a head of its own (in the published earthquake code layers start from
each other's states, and head k reads what head k-1 said).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import heads

LAYERS = 2
STATIC = "fault_"
FORBIDDEN = -1e9  # added to the score of what lies ahead


def body(series: Any, settings: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the correction for every fortnight; see the package for the shapes.

    Settings: width, heads, dropout.
    """
    from keras import layers, ops

    folded = heads.fold(series)
    static = [index for index, name in enumerate(names) if name.startswith(STATIC)]
    moving = [index for index in range(len(names)) if index not in static]
    width, dropout = settings["width"], settings["dropout"]
    context = None
    if static:
        constants = ops.take(folded[:, 0], np.array(static), axis=-1)
        context = gated_residual(layers.Dense(width)(constants), width, dropout=dropout)
    chosen = select(ops.take(folded, np.array(moving), axis=-1), context, settings)
    recalled = chosen
    for _ in range(LAYERS):
        start = None
        if context is not None:
            start = [layers.Dense(width, activation="tanh")(context) for _ in range(2)]
        recalled = layers.LSTM(width, return_sequences=True)(recalled, initial_state=start)
    local = add_gated(recalled, chosen, width, dropout)
    enriched = gated_residual(local, width, dropout=dropout, context=context)
    attended = add_gated(interpretable_attention(enriched, settings), enriched, width, dropout)
    refined = add_gated(gated_residual(attended, width, dropout=dropout), local, width, 0.0)
    return heads.unfold(heads.correction(refined), series)


def select(moving: Any, context: Any, settings: Mapping[str, Any]) -> Any:
    """Return the weighted sum of the embedded variables: (batch, time, width).

    moving: (batch, time, variable). Each variable is embedded for itself; the weights, which sum to
    1 over the variables, come from all of them and from the static context.
    """
    from keras import layers, ops

    width, count = settings["width"], moving.shape[-1]
    embed = layers.EinsumDense("btv,vw->btvw", (None, count, width), bias_axes="vw")
    refine = layers.EinsumDense(
        "btvw,vwx->btvx", (None, count, width), bias_axes="vx", activation="elu"
    )
    embedded = embed(moving)
    embedded = layers.LayerNormalization()(embedded + refine(embedded))
    scores = gated_residual(
        layers.Dense(width)(moving), width, dropout=settings["dropout"], context=context
    )
    weights = layers.Dense(count, activation="softmax")(scores)
    return ops.sum(embedded * weights[..., None], axis=-2)


def interpretable_attention(sequence: Any, settings: Mapping[str, Any]) -> Any:
    """Return attention over the past whose heads share their values: (batch, time, width)."""
    from keras import layers, ops

    width, count = settings["width"], settings["heads"]
    size, length = max(width // count, 1), sequence.shape[1]
    shape = (-1, length, count, size)
    asked = ops.reshape(layers.Dense(count * size)(sequence), shape)
    offered = ops.reshape(layers.Dense(count * size)(sequence), shape)
    scores = ops.einsum("bqhs,bkhs->bhqk", asked, offered) / math.sqrt(size)
    ahead = np.triu(np.full((length, length), FORBIDDEN, np.float32), k=1)
    weights = layers.Softmax()(scores + ops.cast(ahead, scores.dtype))
    weights = layers.Dropout(settings["dropout"])(weights)
    seen = ops.matmul(ops.mean(weights, axis=1), layers.Dense(size)(sequence))
    return layers.Dense(width)(seen)


def gated_residual(inputs: Any, width: int, *, dropout: float, context: Any = None) -> Any:
    """Return the paper's gated residual network: (..., width), equations 2 to 4.

    context: (batch, width), the same at every time; None leaves it out.
    """
    from keras import layers, ops

    hidden = layers.Dense(width)(inputs)
    if context is not None:
        hidden = hidden + ops.expand_dims(layers.Dense(width, use_bias=False)(context), 1)
    hidden = layers.Dense(width)(layers.Activation("elu")(hidden))
    return add_gated(hidden, inputs, width, dropout)


def add_gated(hidden: Any, residual: Any, width: int, dropout: float) -> Any:
    """Return the normalised sum of a residual and as much of `hidden` as a gate lets through."""
    from keras import layers

    hidden = layers.Dropout(dropout)(hidden)
    opened = layers.Dense(width)(hidden) * layers.Dense(width, activation="sigmoid")(hidden)
    return layers.LayerNormalization()(opened + residual)
