"""The published network the published way: every feature of every row side by side.

What `models.Reference` computes from tables of entities is held against this, in tests, and
measured against it, in `benchmarks/uno.py`. Nothing trains on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from .batches import Inputs


def joined_model(
    cells: Mapping[str, int],
    drugs: Mapping[str, int],
    *,
    tower_widths: Sequence[int],
    head_widths: Sequence[int],
    has_doses: bool,
    dropout: float = 0.0,
) -> Any:
    """Return the network on joined rows: a list of arrays (row, feature) to (row, 1).

    Args:
        cells: width of each kind of cell features by name.
        drugs: the same of drugs.
        tower_widths: units of the layers of each tower.
        head_widths: units of the layers of the head.
        has_doses: whether there are two slots for drugs, with a dose each.
        dropout: share of each layer's outputs that is put out in training.
    """
    towers = {
        name: keras.Sequential(
            [keras.Input((width,)), *_relu_layers(tower_widths, dropout)], name=f"tower_{name}"
        )
        for name, width in {**cells, **drugs}.items()
    }
    slots = 2 if has_doses else 1
    names = [*cells, *[name for _ in range(slots) for name in drugs]]
    inputs = [keras.Input((towers[name].input_shape[-1],)) for name in names]
    values = [towers[name](given) for name, given in zip(names, inputs, strict=True)]
    if has_doses:
        inputs.append(keras.Input((slots,), name="doses"))
        values.append(inputs[-1])
    joined = layers.Concatenate()(values) if len(values) > 1 else values[0]
    for layer in _relu_layers(head_widths, dropout):
        joined = layer(joined)
    outputs = layers.Dense(1, kernel_initializer="glorot_normal", name="out")(joined)
    return keras.Model(inputs, outputs, name="joined")


def joined_rows(
    cells: Mapping[str, np.ndarray[Any, Any]],
    drugs: Mapping[str, np.ndarray[Any, Any]],
    inputs: Inputs,
) -> list[np.ndarray[Any, Any]]:
    """Return the rows of a batch with all their features, float32, as `joined_model` takes them.

    Args:
        cells: tables of cells.
        drugs: tables of drugs.
        inputs: see `Rows.inputs`.
    """
    shared = inputs["shared"]
    cell = shared["cells"][inputs["cell"]]
    rows = [table[cell].astype(np.float32) for table in cells.values()]
    for slot in (name for name in ("drug1", "drug2") if name in inputs):
        drug = shared["drugs"][inputs[slot]]
        rows += [table[drug].astype(np.float32) for table in drugs.values()]
    if "dose1" in inputs:
        rows.append(np.stack([inputs["dose1"], inputs["dose2"]], axis=1))
    return rows


def copy_weights(reference: Any, joined: Any) -> None:
    """Give the joined network the weights of `models.Reference`."""
    for tower in (*reference.cell_towers.values(), *reference.drug_towers.values()):
        name = tower.name.partition("_")[2]
        denses = _denses(joined.get_layer(f"tower_{name}"))
        for source, target in zip((tower.lead, *tower.denses), denses, strict=True):
            target.set_weights(source.get_weights())
    first, *others = _denses(joined)
    first.set_weights(reference.join.whole())
    for source, target in zip((*reference.head.denses, reference.out), others, strict=True):
        target.set_weights(source.get_weights())


def _denses(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, layers.Dense)]


def _relu_layers(widths: Sequence[int], dropout: float) -> list[Any]:
    made: list[Any] = []
    for width in widths:
        made.append(layers.Dense(width, activation="relu", kernel_initializer="glorot_normal"))
        if dropout:
            made.append(layers.Dropout(dropout))
    return made
