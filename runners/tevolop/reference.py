"""The published models of the working group, as standalone forecasters in Keras 3.

They correct no other forecast and see no neighbours. Sizes, activations and connections are those
of two notebooks of laszewsk/mlcommons @ 4aa36db4, benchmarks/earthquake:

    LSTM, Transformer  feb-2022/notebooks/FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cells 85 to 194
    TFT                apr2023/new.ipynb, cells 120 to 157

    input    series  (batch, location, time, feature=27)  float32, the published properties
    output           (batch, location, time, output)      float32: the 8 windows, and for LSTM and
                     Transformer 16 further values; see `further_targets` in data.py

All of them are causal: the output at fortnight t depends on no later fortnight. README.md says in
what they differ from the notebooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import layers, ops

from .features import STATIC, is_encoding

RECURRENT_LAYERS = 2
EPSILON = 1e-6  # of layer normalisation in the Transformer (cell 172)
MASKED = -1e9  # added to attention scores that do not count
TFT_HEADS = 4  # output heads of the TFT: one for each published target


def lstm(series: Any, settings: Mapping[str, Any], outputs: int) -> Any:
    """Return the outputs of the published LSTM (cells 116 and 121).

    Settings: dense, units, head (sizes), dropout (of inputs and of recurrent states).
    """
    hidden = layers.Dense(settings["dense"], activation="selu")(fold(series))
    return unfold(_recurrent(hidden, settings, outputs), series)


def _recurrent(hidden: Any, settings: Mapping[str, Any], outputs: int) -> Any:
    """Return two recurrent layers and two dense ones, which LSTM and Transformer share."""
    for _ in range(RECURRENT_LAYERS):
        hidden = layers.LSTM(
            settings["units"],
            activation="selu",
            recurrent_activation="sigmoid",
            dropout=settings["dropout"],
            recurrent_dropout=settings["dropout"],
            return_sequences=True,
        )(hidden)
    hidden = layers.Dense(settings["head"], activation="selu")(hidden)
    return layers.Dense(outputs)(hidden)


def transformer(series: Any, settings: Mapping[str, Any], outputs: int) -> Any:
    """Return the outputs of the published Science Transformer (cells 162 to 194).

    An encoder attends over past times and over locations; an LSTM decodes it.

    Settings: width, heads, blocks, feed_forward; units, head (of the decoder); dropout.
    """
    embedded = layers.Dense(settings["width"], activation="selu")(series)
    hidden = layers.Dropout(settings["dropout"])(embedded)
    for _ in range(settings["blocks"]):
        hidden = _block(hidden, embedded, settings)
    merged = layers.Concatenate()([embedded, hidden])
    merged = layers.Dense(settings["width"], activation="selu")(merged)
    return unfold(_recurrent(fold(merged), settings, outputs), series)


def _block(hidden: Any, embedded: Any, settings: Mapping[str, Any]) -> Any:
    """Return a layer of the encoder: attention and a feed-forward network, each normalised.

    The encoder is twice as wide as its input, so the first layer doubles its input for the sum.
    """
    wide = 2 * settings["width"]
    attended = layers.Dense(wide)(_two_attentions(hidden, embedded, settings))
    attended = layers.Dropout(settings["dropout"])(attended)
    skipped = hidden if hidden.shape[-1] == wide else layers.Concatenate()([hidden, hidden])
    hidden = layers.LayerNormalization(epsilon=EPSILON)(skipped + attended)
    fed = layers.Dense(settings["feed_forward"], activation="selu")(hidden)
    fed = layers.Dropout(settings["dropout"])(layers.Dense(wide)(fed))
    return layers.LayerNormalization(epsilon=EPSILON)(hidden + fed)


def _two_attentions(hidden: Any, values: Any, settings: Mapping[str, Any]) -> Any:
    """Return attention over past times beside attention over locations at the same time.

    Both have the same queries and keys. The values are the embedded inputs, the same in each head.
    """
    count, length = settings["heads"], hidden.shape[2]
    split = (-1, *hidden.shape[1:3], count, settings["width"] // count)
    query = ops.reshape(layers.Dense(settings["width"])(hidden), split)
    key = ops.reshape(layers.Dense(settings["width"])(hidden), split)
    query = query / np.float32(np.sqrt(split[-1]))
    future = np.triu(np.full((length, length), MASKED, np.float32), k=1)
    times = ops.softmax(ops.einsum("blthd,blshd->blhts", query, key) + future)
    places = ops.softmax(ops.einsum("blthd,bmthd->bthlm", query, key))
    attended = [
        ops.einsum("blhts,blsv->blthv", times, values),
        ops.einsum("bthlm,bmtv->blthv", places, values),
    ]
    shape = (-1, *hidden.shape[1:3], count * values.shape[-1])
    return layers.Concatenate()([ops.reshape(each, shape) for each in attended])


def tft(series: Any, settings: Mapping[str, Any], outputs: int, names: Sequence[str]) -> Any:
    """Return the outputs of the published Temporal Fusion Transformer (cells 145 to 157).

    The decoder makes one step for each forecast, because a window that starts with the next
    fortnight is the first horizon of the published decoder.

    Settings: width, heads, dropout.
    """
    folded = fold(series)
    width, length = settings["width"], series.shape[2]
    embedded = {
        name: layers.Dense(width)(folded[..., index : index + 1])
        for index, name in enumerate(names)
    }
    constant = [each[:, 0] for name, each in embedded.items() if name.startswith(STATIC)]
    past = [each for name, each in embedded.items() if not name.startswith(STATIC)]
    known = [each for name, each in embedded.items() if is_encoding(name)]
    static = _select(constant, settings)
    chooser, enriching, *start = (_gated_residual(static, settings) for _ in range(4))
    history = _select(past, settings, chooser[:, None])
    future = _select(known, settings, chooser[:, None])
    encoded = layers.LSTM(width, return_sequences=True)(history, initial_state=start)
    encoded, cell = _states(encoded, start, width)
    decoded = _decoder_step(future, encoded, cell, width)
    inputs = layers.Concatenate(axis=1)([history, future])
    local = _add_gated(layers.Concatenate(axis=1)([encoded, decoded]), inputs, settings)
    enriched = _gated_residual(local, settings, context=enriching[:, None])
    local, query = local[:, length:], enriched[:, length:]
    hidden, heads = _interpretable_attention(query, enriched, settings), []
    for _ in range(TFT_HEADS):
        hidden = _add_gated(hidden, query, settings)
        refined = _add_gated(_gated_residual(hidden, settings), local, settings)
        heads.append(layers.Dense(outputs // TFT_HEADS)(refined))
    return unfold(layers.Concatenate()(heads), series)


def _states(sequence: Any, start: Sequence[Any], width: int) -> tuple[Any, Any]:
    """Return outputs and cell states of a recurrent layer at each time: (batch, time, width)."""
    both = layers.RNN(StateCell(width), return_sequences=True)(sequence, initial_state=start)
    return both[..., :width], both[..., width:]


class StateCell(layers.LSTMCell):  # type: ignore[misc] # Keras ships no types
    """An LSTM cell with the cell state beside its output, so that a decoder can start from both."""

    def __init__(self, units: int, **options: Any) -> None:
        """Create a cell of some width."""
        super().__init__(units, **options)
        self.output_size = 2 * units

    def call(self, inputs: Any, states: Any, training: Any = None) -> tuple[Any, Any]:
        """Return the hidden and the cell state side by side, and both as the new state."""
        _, states = super().call(inputs, states, training=training)
        return ops.concatenate(states, axis=-1), states


def _decoder_step(future: Any, hidden: Any, cell: Any, width: int) -> Any:
    """Return one step of a recurrent decoder from the encoder's state at each time."""
    states = [ops.reshape(each, (-1, width)) for each in (hidden, cell)]
    output = ops.reshape(future, (-1, width))
    for _ in range(RECURRENT_LAYERS):
        output, states = layers.LSTMCell(width)(output, states)
    return ops.reshape(output, (-1, future.shape[1], width))


def _select(variables: Sequence[Any], settings: Mapping[str, Any], context: Any = None) -> Any:
    """Return the weighted sum of refined variables; weights depend on all of them and context."""
    flat = layers.Concatenate()(list(variables))
    scores = _gated_residual(flat, settings, context=context, size=len(variables))
    weights = layers.Activation("softmax")(scores)
    refined = ops.stack([_gated_residual(each, settings) for each in variables], axis=-2)
    return ops.sum(refined * weights[..., None], axis=-2)


def _interpretable_attention(query: Any, sequence: Any, settings: Mapping[str, Any]) -> Any:
    """Return attention of each decoder step to the past steps of the encoder and to itself.

    All heads share their values.

    Args:
        query: (batch, time, width), steps of the decoder.
        sequence: (batch, 2 * time, width), those of the encoder, then those of the decoder.
        settings: width, heads, dropout.
    """
    count, length = settings["heads"], query.shape[1]
    size = settings["width"] // count
    is_seen = np.hstack([np.tril(np.ones((length, length))), np.eye(length)])
    mask = np.where(is_seen, 0.0, MASKED).astype(np.float32)
    value = layers.Dense(size, use_bias=False)(sequence)
    attended = []
    for _ in range(count):
        scores = ops.einsum(
            "bts,bus->btu",
            layers.Dense(size, use_bias=False)(query) / np.float32(np.sqrt(size)),
            layers.Dense(size, use_bias=False)(sequence),
        )
        head = ops.matmul(ops.softmax(scores + mask), value)
        attended.append(layers.Dropout(settings["dropout"])(head))
    mean = layers.Average()(attended) if count > 1 else attended[0]
    merged = layers.Dense(settings["width"], use_bias=False)(mean)
    return layers.Dropout(settings["dropout"])(merged)


def _gated_residual(
    inputs: Any, settings: Mapping[str, Any], *, context: Any = None, size: int | None = None
) -> Any:
    """Return the gated residual network of the TFT: (..., width), or (..., size)."""
    width = settings["width"]
    skipped = inputs if size is None else layers.Dense(size)(inputs)
    hidden = layers.Dense(width)(inputs)
    if context is not None:
        hidden = hidden + layers.Dense(width, use_bias=False)(context)
    hidden = layers.Dense(width)(layers.Activation("elu")(hidden))
    return _add_gated(hidden, skipped, settings)


def _add_gated(hidden: Any, skipped: Any, settings: Mapping[str, Any]) -> Any:
    """Return the normalised sum of skipped values and gated hidden ones (GLU)."""
    hidden = layers.Dropout(settings["dropout"])(hidden)
    width = skipped.shape[-1]
    gated = layers.Dense(width)(hidden) * layers.Dense(width, activation="sigmoid")(hidden)
    return layers.LayerNormalization()(gated + skipped)


def fold(series: Any) -> Any:
    """Return (batch * location, time, feature) from (batch, location, time, feature)."""
    return ops.reshape(series, (-1, *series.shape[2:]))


def unfold(folded: Any, like: Any) -> Any:
    """Return (batch, location, time, feature) from (batch * location, time, feature)."""
    return ops.reshape(folded, (-1, like.shape[1], *folded.shape[1:]))
