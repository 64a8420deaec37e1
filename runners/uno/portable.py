"""Both networks for rows that have features, so that stock Keras can load a trained model.

In training a row names entities, and towers are computed once for each of them. Here each row has
the features of its own cell and drugs, so the model needs no tables beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import keras
import numpy as np
from keras import layers

from .model import CELL, DRUG, Named, take


def rewrite(model: Any, inputs: Named) -> tuple[Any, dict[str, Any]]:
    """Return a functional model with the weights of a trained network, and its inputs for a batch.

    Its inputs are `SLOT_TABLE`, (row, feature), such as `cell_expression`; `SLOT_number`, (row,)
    numbers of cells and drugs, if the network has a vector for each; and `base`, `dose1`, `dose2`
    and `has_second`, (row,), as in `Rows.inputs`.

    Args:
        model: either network.
        inputs: of a batch; see `Rows.inputs`.
    """
    kinds = {CELL: CELL, **dict.fromkeys(model.slots, DRUG)}
    values: dict[str, Any] = {}
    for slot, kind in kinds.items():
        entities = take(inputs["shared"][f"{kind}s"], inputs[slot])
        tables = model.tables.rows(kind, entities)
        values |= {f"{slot}_{name}": np.asarray(table) for name, table in tables.items()}
        if kind in _vectors(model):
            values[f"{slot}_number"] = np.asarray(entities, np.int32)
    names = [name for name in inputs if name != "shared" and name not in kinds]
    values |= {name: np.asarray(inputs[name]) for name in names}
    symbols = {
        name: keras.Input(array.shape[1:], dtype=array.dtype.name, name=name)
        for name, array in values.items()
    }
    return keras.Model(symbols, _outputs(model, kinds, symbols), name=model.name), values


def _outputs(model: Any, kinds: Named, symbols: Named) -> Any:
    """Return the output of symbols: terms of each slot, and the head."""
    view = _View(
        model,
        tables=_Features(model.tables.names, symbols),
        sum_of_terms=_sum_of_terms,
        join=_Join(model.join) if hasattr(model, "join") else None,
        vectors={
            kind: _by_id(vectors, symbols) for kind, vectors in _vectors(model).items()
        },
    )  # fmt: skip
    terms: dict[str, dict[str, Any]] = {}
    for slot, kind in kinds.items():
        for name, values in view.terms(kind, slot, use_dropout=False).items():
            terms.setdefault(name, {})[slot] = values
    rows = {**symbols, **{slot: slot for slot in kinds}}  # `take` finds the terms of a slot
    return view.combine(terms, rows, use_dropout=False, training=False)


def _sum_of_terms(terms: Named, columns: Named) -> Any:
    return sum(take(terms[name], slot) for name, slot in columns.items())


def _vectors(model: Any) -> dict[str, Any]:
    return dict(getattr(model, "vectors", {}))


def _by_id(embedding: Any, symbols: Named) -> Callable[[str], Any]:
    return lambda slot: embedding(symbols[f"{slot}_number"])


class _View:
    """A network whose methods see other tables and layers."""

    def __init__(self, model: Any, **others: Any) -> None:
        self.__dict__.update(others, _model=model)

    def __getattr__(self, name: str) -> Any:
        function = getattr(type(self._model), name, None)
        if isinstance(function, FunctionType):
            return MethodType(function, self)
        return getattr(self._model, name)


class _Features:
    """The features of each row, in place of `Tables`."""

    def __init__(self, names: Named, symbols: Named) -> None:
        self.names, self._symbols = names, symbols

    def rows(self, kind: str, slot: str) -> dict[str, Any]:
        return {name: self._symbols[f"{slot}_{name}"] for name in self.names[kind]}


class _Join:
    """Dense layers in place of the blocks of `Join`, with its weights."""

    def __init__(self, join: Any) -> None:
        self.bias = np.array(join.bias.numpy())
        self._join = join
        self._layers: dict[str, Any] = {}

    def __call__(self, values: Any, block: str) -> Any:
        if block not in self._layers:
            kernel = np.array(self._join.kernels[block].numpy())
            layer = layers.Dense(kernel.shape[1], use_bias=False, name=f"head_0_{block}")
            layer.build((None, kernel.shape[0]))
            layer.set_weights([kernel])
            self._layers[block] = layer
        return self._layers[block](values)
