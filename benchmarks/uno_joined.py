"""Uno's published network on joined rows: every feature of every row side by side.

The runner computes each tower once for each distinct cell line and drug of a batch
(`runners/uno/model.py`). This module has the published way to compute the same network: each row
carries all features of its cell line and its drugs. The tests compare outputs and gradients of
both, and `uno.py` compares their speed. No benchmark trains on it.

`JoinedFile` stores joined rows as the reference does. The published file, and the reference's
`--export_data`, are pandas HDFStores in the format `table`: one float32 frame for each input, not
compressed, whole batches read by position (`DataFeeder` of uno_data.py).

Keras is imported in the functions, because `uno.py` chooses the backend first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from page_cache import drop_from_page_cache

TARGET = "y"  # key of the targets in the file


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
        drugs: width of each kind of drug features by name.
        tower_widths: units of the layers of each tower.
        head_widths: units of the layers of the head.
        has_doses: whether there are two slots for drugs, with a dose each.
        dropout: dropout rate after each layer.
    """
    import keras
    from keras import layers

    towers = {
        name: keras.Sequential(
            [keras.Input((width,)), *_relu_layers(tower_widths, dropout)], name=f"tower_{name}"
        )
        for name, width in {**cells, **drugs}.items()
    }
    slots = 2 if has_doses else 1
    names = [*cells, *[name for _ in range(slots) for name in drugs]]
    inputs = [keras.Input((towers[name].input_shape[-1],)) for name in names]
    values = [towers[name](features) for name, features in zip(names, inputs, strict=True)]
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
    inputs: Mapping[str, Any],
) -> list[np.ndarray[Any, Any]]:
    """Return the rows of a batch with all their features, float32, as `joined_model` takes them.

    Args:
        cells: features of cells by name, each (cell, feature).
        drugs: features of drugs by name, each (drug, feature).
        inputs: of one batch; see `Rows.inputs` of the runner.
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
    """Copy the weights of the runner's `models.Reference` into the joined network."""
    for tower in (*reference.cell_towers.values(), *reference.drug_towers.values()):
        name = tower.name.partition("_")[2]
        denses = _dense_layers(joined.get_layer(f"tower_{name}"))
        for source, target in zip((tower.lead, *tower.denses), denses, strict=True):
            target.set_weights(source.get_weights())
    first, *others = _dense_layers(joined)
    *kernels, bias = reference.join.get_weights()  # one kernel for each block of inputs
    first.set_weights([np.concatenate(kernels), bias])
    for source, target in zip((*reference.head.denses, reference.out), others, strict=True):
        target.set_weights(source.get_weights())


class JoinedFile:
    """Some batches as joined rows in an HDF5 file, in the order they are trained on."""

    def __init__(
        self, path: Path, batches: Sequence[Any], join: Callable[[Any], Sequence[Any]]
    ) -> None:
        """Write the batches.

        Args:
            path: of the file.
            batches: (inputs, targets, weights) each; see `Rows.batches` of the runner.
            join: inputs to arrays (row, feature).
        """
        self.path = path
        self.sizes = [len(targets) for _, targets, _ in batches]
        with pd.HDFStore(path, mode="w") as store:
            for inputs, targets, _ in batches:
                parts = list(join(inputs))
                self.inputs = len(parts)
                for number, part in enumerate([*parts, targets]):
                    key = TARGET if number == self.inputs else f"x_{number}"
                    store.append(key, pd.DataFrame(part), format="table", index=False)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the file."""
        return self.path.stat().st_size

    def read(self) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
        """Yield the batches as they are read from the disk: (arrays, targets, weights).

        The page cache is dropped first: a large machine could keep the 13 GB of the AUC variant in
        memory, no machine keeps the 1,577 GB of the dose variant.
        """
        drop_from_page_cache([self.path])
        with pd.HDFStore(self.path, mode="r") as store:
            first = 0
            for size in self.sizes:
                keys = [*(f"x_{number}" for number in range(self.inputs)), TARGET]
                *parts, targets = (
                    store.select(key, start=first, stop=first + size).to_numpy() for key in keys
                )
                first += size
                yield tuple(parts), targets, np.ones_like(targets)


def _dense_layers(model: Any) -> list[Any]:
    from keras import layers

    return [layer for layer in model.layers if isinstance(layer, layers.Dense)]


def _relu_layers(widths: Sequence[int], dropout: float) -> list[Any]:
    from keras import layers

    built: list[Any] = []
    for width in widths:
        built.append(layers.Dense(width, activation="relu", kernel_initializer="glorot_normal"))
        if dropout:
            built.append(layers.Dropout(dropout))
    return built
