"""The published network and a smaller one (`pooled`): towers for cells and drugs, and a head.

A row of a batch names a cell and drugs, and features belong to these entities. So each tower is
computed once for each distinct entity of a batch, and rows gather the outputs that they need. With
dropout that is drawn for each row, only the product before the first dropout can be shared.

All layers are from Keras and `keras.ops`. With Uno's features (942 genes, 5,270 descriptors, and
2,048 bits for doses) the reference has 16,224,001 parameters (AUC) and 21,275,001 (dose), as
published.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from sciml_data.bench.training import backend

REFERENCE, POOLED = "reference", "pooled"
NOISY = "reference-noisy"  # value of the setting `evaluation`
CELL, DRUG = "cell", "drug"
PREDICT_ROWS = 1 << 14  # in one pass through the head: about 65 MB of activations
ENTITIES_PER_PASS = 4096  # through a tower
Named: TypeAlias = Mapping[str, Any]


def build_model(settings: Named, tables: Tables) -> Any:
    """Return the configured model, built.

    Args:
        settings: see task.toml, and `has_doses`: rows have doses, and with them slots for two
            drugs; `has_pairs`: a row has a second drug; `has_process`: a row has the forecast of
            the Gaussian process; `knows`: kinds of entities that `pooled` has vectors for;
            `output_scale`: unit of its corrections.
        tables: features of all entities.
    """
    model = {REFERENCE: Reference, POOLED: Pooled}[settings["model"]](settings, tables)
    index = ops.zeros((1,), "int32")
    batch = {"cell": index, "drug1": index, "base": ops.zeros((1,), "float32")}
    if settings["has_process"]:
        batch["process"] = batch["base"]
    if model.has_doses:
        batch |= {"drug2": index, "dose1": batch["base"], "dose2": batch["base"]}
        batch["has_second"] = batch["base"]
    model.call({**batch, "shared": {"cells": index, "drugs": index}})  # creates the weights
    model.built = True
    return model


def predict_by_entity(
    model: Any, inputs: Named, *, batch_size: int = PREDICT_ROWS
) -> npt.NDArray[Any]:
    """Return outputs (row, 1) without dropout: towers once for each entity, then rows in batches.

    Args:
        model: either network.
        inputs: of all rows; see `Rows.inputs`.
        batch_size: rows of one pass through the head.
    """
    combine, terms_of = model.forward
    terms: dict[str, Any] = {}
    for kind, function in terms_of.items():
        entities = inputs["shared"][f"{kind}s"]
        pieces = [
            function(entities[first : first + ENTITIES_PER_PASS])
            for first in range(0, len(entities), ENTITIES_PER_PASS)
        ]
        terms |= {name: ops.concatenate([p[name] for p in pieces], axis=0) for name in pieces[0]}
    columns = {name: values for name, values in inputs.items() if name != "shared"}
    outputs = []
    for first in range(0, len(inputs["cell"]), batch_size):
        batch = {name: values[first : first + batch_size] for name, values in columns.items()}
        outputs.append(np.asarray(combine(terms, batch)))
    return np.concatenate(outputs)


class Tables:
    """Features of all cells and drugs on the device.

    They are constants: not weights of a model, and not in its checkpoints.

    Attributes:
        names: names of the tables of each kind of entity.
        counts: number of entities of each kind.
    """

    def __init__(self, cell: Named, drug: Named) -> None:
        """Copy tables by name to the device: float32 (entity, feature), or bits as uint8."""
        kinds = {CELL: cell, DRUG: drug}
        self.names = {kind: tuple(tables) for kind, tables in kinds.items()}
        self.counts = {kind: len(next(iter(tables.values()))) for kind, tables in kinds.items()}
        self._tensors = {
            kind: {name: ops.convert_to_tensor(values) for name, values in tables.items()}
            for kind, tables in kinds.items()
        }

    def rows(self, kind: str, entities: Any) -> dict[str, Any]:
        """Return features by name, float32 (entity, feature), from indices (entity,)."""
        tensors = self._tensors[kind]
        return {name: ops.cast(take(table, entities), "float32") for name, table in tensors.items()}


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
        # NumPy's global generator is seeded by the engine.
        self.seeds = keras.random.SeedGenerator(int(np.random.randint(2**31)))  # noqa: NPY002
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

    def drop(self, values: Any, rate: float) -> Any:
        """Apply dropout."""
        return keras.random.dropout(values, rate, seed=self.seeds) if rate > 0 else values

    def _activated(self, values: Any, *, use_dropout: bool) -> Any:
        values = ops.relu(values)
        return self.drop(values, self.dropout) if use_dropout else values


class Join(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """A dense layer on concatenated inputs, whose product is computed block by block.

    Each block of inputs has a kernel of its own, because slicing one kernel at every step would
    cost time. The kernels are drawn together, so that their initial values are those of a dense
    layer on all inputs.
    """

    def __init__(self, units: int, blocks: Mapping[str, int], *, name: str) -> None:
        super().__init__(name=name)
        ends = np.cumsum(list(blocks.values())).tolist()
        drawn = keras.initializers.get("glorot_normal")((ends[-1], units))
        self.kernels: dict[str, Any] = {}
        for block, rows in zip(blocks, ops.split(drawn, ends[:-1]), strict=True):
            self.kernels[block] = self.add_weight(
                name=f"kernel_{block}",
                shape=rows.shape,
                initializer=keras.initializers.Constant(ops.convert_to_numpy(rows)),
            )
        self.bias = self.add_weight(name="bias", shape=(units,), initializer="zeros")
        self.built = True

    def call(self, values: Any, block: str) -> Any:
        """Return the product of the values (row, width) of one block and its kernel."""
        return ops.matmul(values, self.kernels[block])


def take(rows: Any, indices: Any) -> Any:
    """Return the rows with these indices; or, of terms by slot, those of a slot."""
    return rows[indices] if isinstance(rows, dict) else ops.take(rows, indices, axis=0)


class EntityModel(keras.Model, ABC):  # type: ignore[misc] # Keras ships no types
    """Base class of both networks: compute terms of distinct entities, then rows from them."""

    def __init__(self, settings: Named, tables: Tables) -> None:
        # Layers cast their inputs themselves; base and doses stay float32 in every precision.
        super().__init__(name=f"uno_{settings['model']}", autocast=False)
        self.tables = tables
        self.dropout = float(settings["dropout"])
        self.is_noisy = settings["evaluation"] == NOISY
        self.has_doses = settings["has_doses"]
        self.has_pairs = self.has_doses and settings["has_pairs"]
        self.slots = ("drug1", "drug2") if self.has_doses else ("drug1",)

    def call(self, inputs: Named, training: Any = None) -> Any:
        """Return (row, 1) float32 from the inputs of a batch; see `Rows.inputs`.

        Dropout is applied in training, and always if `evaluation` is `reference-noisy`.
        """
        use_dropout = self.dropout > 0 and bool(training or self.is_noisy)
        terms: dict[str, Any] = {}
        for kind in (CELL, DRUG):
            terms |= self.terms(kind, inputs["shared"][f"{kind}s"], use_dropout=use_dropout)
        return self.combine(terms, inputs, use_dropout=use_dropout, training=bool(training))

    def sum_of_terms(self, terms: Named, columns: Named) -> Any:
        """Return (row, width), the sum of the terms at the indices of each column, in this order.

        Three terms are one gather and one sum, because TensorFlow replaces a chain of additions by
        AccumulateNV2, which adds in the order in which threads finish: equal runs would differ.
        """
        if len(columns) < 3:  # the order of two does not matter
            return sum(take(terms[name], indices) for name, indices in columns.items())
        first, places = 0, []
        for name, indices in columns.items():
            places.append(ops.add(indices, first))
            first = first + ops.shape(terms[name])[0]
        table = ops.concatenate([terms[name] for name in columns], axis=0)
        return ops.sum(take(table, ops.stack(places)), axis=0)

    @cached_property
    def forward(self) -> tuple[Any, dict[str, Any]]:
        """Return `combine`, and `terms` by kind, compiled for evaluation without dropout."""
        compiled = backend.current().compiled
        combine = partial(self.combine, use_dropout=False, training=False)
        terms = {kind: partial(self.terms, kind, use_dropout=False) for kind in (CELL, DRUG)}
        return compiled(combine), {kind: compiled(function) for kind, function in terms.items()}

    @abstractmethod
    def terms(self, kind: str, entities: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return terms by name, each (entity, width), from indices (entity,) of a kind."""

    @abstractmethod
    def combine(self, terms: Named, inputs: Named, *, use_dropout: bool, training: bool) -> Any:
        """Return (row, 1) from the terms of entities and the inputs of a batch."""


class Reference(EntityModel):
    """The published network (ECP-CANDLE/Benchmarks, Pilot1/Uno/uno_baseline_keras2.py).

    A tower for each kind of feature, shared by both drugs; a head on the concatenated outputs and
    doses. ReLU, Glorot-normal weights, dropout after each layer.
    """

    def __init__(self, settings: Named, tables: Tables) -> None:
        super().__init__(settings, tables)
        widths = settings["tower_widths"]
        self.cell_towers, self.drug_towers = (
            {
                name: Tower(widths, self.dropout, name=f"{kind}_{name}")
                for name in tables.names[kind]
            }
            for kind in (CELL, DRUG)
        )
        first, *others = settings["head_widths"]
        blocks = {CELL: widths[-1] * len(self.cell_towers)}
        blocks |= dict.fromkeys(self.slots, widths[-1] * len(self.drug_towers))
        if self.has_doses:
            blocks["doses"] = len(self.slots)
        self.join = Join(first, blocks, name="head_0")
        self.head = Tower([first, *others], self.dropout, has_first=False, name="head")
        self.out = layers.Dense(1, kernel_initializer="glorot_normal", name="out")

    def terms(self, kind: str, entities: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return the entities' share of the head's first product; for drugs, of each slot.

        With dropout: the first product of each tower.
        """
        rows, towers = self.tables.rows(kind, entities), self._towers(kind)
        if use_dropout:
            return {name: tower.first(rows[name]) for name, tower in towers.items()}
        outputs = [
            tower.rest(tower.first(rows[name]), use_dropout=False) for name, tower in towers.items()
        ]
        joined = ops.concatenate(outputs, axis=-1)
        blocks = (CELL,) if kind == CELL else self.slots
        return {block: self.join(joined, block=block) for block in blocks}

    def combine(self, terms: Named, inputs: Named, *, use_dropout: bool, training: bool) -> Any:
        """Return (row, 1): add up the shares of the head's first product, then apply the rest.

        In evaluation without dropout, both orders of a pair are averaged, because the order of
        drugs has no meaning.
        """
        if use_dropout:
            values = self._first_product_with_dropout(terms, inputs)
            return self._head(values, inputs, use_dropout=True)
        columns = {name: inputs[name] for name in (CELL, *self.slots)}
        output = self._head(self.sum_of_terms(terms, columns), inputs, use_dropout=False)
        if training or not self.has_pairs:
            return output
        columns = {"drug1": inputs["drug2"], "drug2": inputs["drug1"], CELL: inputs[CELL]}
        values = self.sum_of_terms(terms, columns)
        return (output + self._head(values, inputs, use_dropout=False, order=-1)) / 2

    def _towers(self, kind: str) -> dict[str, Any]:
        return dict(self.cell_towers if kind == CELL else self.drug_towers)

    def _first_product_with_dropout(self, terms: Named, inputs: Named) -> Any:
        total = 0.0
        for block in (CELL, *self.slots):
            outputs = [
                tower.rest(take(terms[name], inputs[block]), use_dropout=True)
                for name, tower in self._towers(CELL if block == CELL else DRUG).items()
            ]
            total = total + self.join(ops.concatenate(outputs, axis=-1), block=block)
        return total

    def _head(self, values: Any, inputs: Named, *, use_dropout: bool, order: int = 1) -> Any:
        if self.has_doses:
            columns = ops.stack([inputs["dose1"], inputs["dose2"]][::order], -1)
            values = values + self.join(columns, block="doses")
        values = values + ops.cast(self.join.bias, values.dtype)
        return ops.cast(self.out(self.head.rest(values, use_dropout=use_dropout)), "float32")


class Pooled(EntityModel):
    """A smaller network: drugs are summed, so that their order cannot matter.

    A slot has the terms of its drug and dose, and their sum and product with the terms of the cell.
    The output is a correction to a forecast that needs no features (`base`). Outside of training it
    is averaged with the forecast of a Gaussian process: two models with different errors are better
    together, and the network learns as if alone. Dropout in the towers
    is drawn for each entity of a batch. The dropout of a single row has the same distribution as
    if drawn for the row, so the expected gradient is the same, and towers are computed once for
    each entity in training too.
    """

    def __init__(self, settings: Named, tables: Tables) -> None:
        super().__init__(settings, tables)
        self.cell_tower = Tower(settings["cell_widths"], self.dropout, name="cell")
        self.drug_tower = Tower(settings["drug_widths"], self.dropout, name="drug")
        width, self.scale = settings["slot_width"], float(settings["output_scale"])
        self.process_share = float(settings["process_share"])
        self.slot_cell = layers.Dense(width, name="slot_cell")
        self.slot_drug = layers.Dense(width, name="slot_drug")
        self.slot_dose = layers.Dense(width, use_bias=False, name="slot_dose")
        self.vectors = {
            kind: layers.Embedding(count, width, embeddings_initializer="zeros", name=f"{kind}_id")
            for kind, count in tables.counts.items()
            if kind in settings["knows"]
        }
        self.input_dropout = float(settings["input_dropout"])
        first, *others = settings["head_widths"]
        self.join_row = layers.Dense(first, name="head_0")
        self.head = Tower([first, *others], self.dropout, has_first=False, name="head")
        self.out = layers.Dense(1, kernel_initializer="zeros", name="out")

    def terms(self, kind: str, entities: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return the terms (entity, slot width) of cells, or of drugs without dose."""
        tower, dense = self.cell_tower, self.slot_cell
        if kind == DRUG:
            tower, dense = self.drug_tower, self.slot_drug
        values = ops.concatenate(list(self.tables.rows(kind, entities).values()), axis=-1)
        if use_dropout:
            values = tower.drop(values, self.input_dropout)
        terms = dense(tower.rest(tower.first(values), use_dropout=use_dropout))
        return {kind: terms + self.vectors[kind](entities) if kind in self.vectors else terms}

    def combine(self, terms: Named, inputs: Named, *, use_dropout: bool, training: bool) -> Any:
        """Return (row, 1): base plus correction; and the process, outside of training."""
        cell, total = take(terms[CELL], inputs[CELL]), 0.0
        for number, name in enumerate(self.slots, start=1):
            drug = take(terms[DRUG], inputs[name])
            if self.has_doses:
                dose = ops.expand_dims(inputs[f"dose{number}"], -1)
                shape = ops.concatenate([dose, ops.square(dose) - 1.0], -1)
                drug = drug + self.slot_dose(shape)
            slot = ops.concatenate([ops.gelu(drug), ops.gelu(drug + cell), drug * cell], -1)
            if number > 1:
                slot = slot * ops.expand_dims(ops.cast(inputs["has_second"], slot.dtype), -1)
            total = total + slot
        values = self.join_row(ops.concatenate([ops.gelu(cell), total], -1))
        correction = ops.cast(self.out(self.head.rest(values, use_dropout=use_dropout)), "float32")
        values = ops.expand_dims(inputs["base"], -1) + self.scale * correction
        if training or "process" not in inputs:
            return values
        process = ops.expand_dims(inputs["process"], -1)
        return values + self.process_share * (process - values)
