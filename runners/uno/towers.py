"""Building blocks of both networks: tables, towers, and a dense layer computed in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops


class Tables:
    """Features of all cells and drugs on the device.

    They are constants: not weights of a model, and not in its checkpoints.
    """

    def __init__(self, cells: Mapping[str, Any], drugs: Mapping[str, Any]) -> None:
        """Copy the arrays to the device.

        Args:
            cells: tables by name, float32 (cell, feature), or bits as uint8.
            drugs: tables by name, float32 (drug, feature), or bits as uint8.
        """
        self.cells = {name: ops.convert_to_tensor(values) for name, values in cells.items()}
        self.drugs = {name: ops.convert_to_tensor(values) for name, values in drugs.items()}
        self.counts = {"cell": _length(cells), "drug": _length(drugs)}

    def cell_rows(self, cells: Any) -> dict[str, Any]:
        """Return features of cells by name, float32 (cell, feature), from indices (cell,)."""
        return _rows(self.cells, cells)

    def drug_rows(self, drugs: Any) -> dict[str, Any]:
        """Return features of drugs by name, float32 (drug, feature), from indices (drug,)."""
        return _rows(self.drugs, drugs)


class Tower(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Dense layers with ReLU and dropout, in two steps: the first product, and the rest.

    There is no dropout before the first product, so all rows of an entity can share it.
    """

    def __init__(
        self, widths: Sequence[int], dropout: float, *, has_first: bool = True, name: str
    ) -> None:
        super().__init__(name=name)
        denses = [
            layers.Dense(width, kernel_initializer="glorot_normal", name=f"{name}_{number}")
            for number, width in enumerate(widths)
        ]
        self.lead: Any = denses[0] if has_first else None
        self.denses = denses[1:]
        self.dropout = dropout
        self.seeds = keras.random.SeedGenerator(_drawn_seed())
        self.built = True  # it has no weights of its own; its layers build themselves

    def first(self, values: Any) -> Any:
        """Return the first layer's product and bias, without its activation."""
        return self.lead(values)

    def rest(self, values: Any, *, use_dropout: bool) -> Any:
        """Return the tower's output from its first product."""
        values = self._activated(values, use_dropout=use_dropout)
        for dense in self.denses:
            values = self._activated(dense(values), use_dropout=use_dropout)
        return values

    def drop_inputs(self, values: Any, rate: float) -> Any:
        """Apply dropout to the inputs of the tower."""
        return dropout(values, rate, self.seeds)

    def _activated(self, values: Any, *, use_dropout: bool) -> Any:
        values = ops.relu(values)
        return dropout(values, self.dropout, self.seeds) if use_dropout else values


class Join(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """A dense layer on concatenated inputs, whose product is computed block by block.

    Each block of inputs has a kernel of its own, because slicing one kernel at every step would
    cost time. The kernels are drawn together, so that their initial values are those of a dense
    layer on all inputs.
    """

    def __init__(self, units: int, blocks: Mapping[str, int], *, name: str) -> None:
        super().__init__(name=name)
        ends = np.cumsum(list(blocks.values()))
        drawn = keras.initializers.get("glorot_normal")((int(ends[-1]), units))
        self.kernels = {
            block: self.add_weight(
                name=f"kernel_{block}",
                shape=(width, units),
                initializer=keras.initializers.Constant(ops.convert_to_numpy(rows)),
            )
            for (block, width), rows in zip(
                blocks.items(), ops.split(drawn, ends[:-1].tolist()), strict=True
            )
        }
        self.bias = self.add_weight(name="bias", shape=(units,), initializer="zeros")
        self.built = True

    def call(self, values: Any, block: str) -> Any:
        """Return the product of the values (row, width) of one block and its kernel."""
        return ops.matmul(values, self.kernels[block])


def dropout(values: Any, rate: float, seeds: Any) -> Any:
    """Apply dropout."""
    return keras.random.dropout(values, rate, seed=seeds) if rate > 0 else values


def take(rows: Any, indices: Any) -> Any:
    """Return the rows with these indices."""
    return ops.take(rows, indices, axis=0)


def _rows(tables: Mapping[str, Any], indices: Any) -> dict[str, Any]:
    return {name: ops.cast(take(table, indices), "float32") for name, table in tables.items()}


def _length(tables: Mapping[str, Any]) -> int:
    return len(next(iter(tables.values())))


def _drawn_seed() -> int:
    """Return a seed from NumPy's global generator, which the engine has seeded."""
    return int(np.random.randint(2**31))  # noqa: NPY002 - the engine seeds this generator
