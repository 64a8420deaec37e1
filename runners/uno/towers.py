"""The pieces of both networks: tables, towers, and the head's first product in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops


class Tables:
    """Features of all cells and drugs on the device; constants, in no checkpoint and no weights."""

    def __init__(self, cells: Mapping[str, Any], drugs: Mapping[str, Any]) -> None:
        """Put the arrays on the device: float32 (entity, feature), or bits as uint8."""
        self.cells = {name: ops.convert_to_tensor(values) for name, values in cells.items()}
        self.drugs = {name: ops.convert_to_tensor(values) for name, values in drugs.items()}
        self.counts = {"cell": _length(cells), "drug": _length(drugs)}

    def cell_rows(self, cells: Any) -> dict[str, Any]:
        """Return the features of these cells by name, float32."""
        return _rows(self.cells, cells)

    def drug_rows(self, drugs: Any) -> dict[str, Any]:
        """Return the features of these drugs by name, float32."""
        return _rows(self.drugs, drugs)


class Tower(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Dense layers with ReLU and dropout, in two halves: the first product, and the rest.

    The first product has no noise before it, so it can be shared by all rows of an entity.
    """

    def __init__(
        self, widths: Sequence[int], dropout: float, *, has_first: bool = True, name: str
    ) -> None:
        super().__init__(name=name)
        made = [
            layers.Dense(width, kernel_initializer="glorot_normal", name=f"{name}_{number}")
            for number, width in enumerate(widths)
        ]
        self.lead: Any = made[0] if has_first else None
        self.denses = made[1:]
        self.dropout = dropout
        self.seeds = keras.random.SeedGenerator(_drawn_seed())
        self.built = True  # its layers build themselves; nothing of its own is left to make

    def first(self, values: Any) -> Any:
        """Return the first layer's product and bias, without its activation."""
        return self.lead(values)

    def rest(self, values: Any, *, is_on: bool) -> Any:
        """Return the tower's output from its first product; `is_on` says whether dropout is."""
        values = self._passed(values, is_on=is_on)
        for dense in self.denses:
            values = self._passed(dense(values), is_on=is_on)
        return values

    def quiet(self, values: Any, share: float) -> Any:
        """Return values of which a share is put out, the others scaled up."""
        return noise(values, share, self.seeds)

    def _passed(self, values: Any, *, is_on: bool) -> Any:
        values = ops.relu(values)
        return noise(values, self.dropout, self.seeds) if is_on else values


class Join(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """A dense layer on values side by side, whose product is taken block by block.

    Each block has its rows of the kernel to itself, so that none is cut out of a larger one at
    every step; they are drawn together, as a dense layer on all inputs would draw them.
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
        """Return the product of one block's values and its rows of the kernel."""
        return ops.matmul(values, self.kernels[block])


def noise(values: Any, share: float, seeds: Any) -> Any:
    """Return values of which a share is put out, the others scaled up."""
    return keras.random.dropout(values, share, seed=seeds) if share > 0 else values


def take(rows: Any, places: Any) -> Any:
    """Return one row of a term for each place."""
    return ops.take(rows, places, axis=0)


def _rows(tables: Mapping[str, Any], places: Any) -> dict[str, Any]:
    return {name: ops.cast(take(table, places), "float32") for name, table in tables.items()}


def _length(tables: Mapping[str, Any]) -> int:
    return len(next(iter(tables.values())))


def _drawn_seed() -> int:
    """Return a seed drawn from NumPy's generator, which the engine has seeded."""
    return int(np.random.randint(2**31))  # noqa: NPY002 - the engine seeds this one
