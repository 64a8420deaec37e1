"""The published network and a smaller one (`pooled`): towers for cells and drugs, and a head.

A row of a batch names a cell and drugs, and features belong to these entities. So each tower is
computed once for each distinct entity of a batch, and rows gather the outputs that they need
(`towers.py`). With dropout that is drawn for each row, only the product before the first dropout
can be shared.

All layers are from Keras and `keras.ops`. With Uno's features (942 genes, 5,270 descriptors, and
2,048 bits for doses) the reference has 16,224,001 parameters (AUC) and 21,275,001 (dose), as
published.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers, ops

from .towers import Join, Tables, Tower, take

REFERENCE, POOLED = "reference", "pooled"
NOISY = "reference-noisy"


def build_model(
    settings: Mapping[str, Any], tables: Tables, *, has_doses: bool, has_pairs: bool
) -> Any:
    """Return the configured model, built.

    Args:
        settings: see task.toml.
        tables: features of all entities.
        has_doses: whether rows have doses, and with them slots for two drugs.
        has_pairs: whether any row has a second drug.
    """
    kind = {REFERENCE: Reference, POOLED: Pooled}[settings["model"]]
    model = kind(settings, tables, has_doses=has_doses, has_pairs=has_pairs)
    index = ops.zeros((1,), "int32")
    batch = {"cell": index, "drug1": index, "base": ops.zeros((1,), "float32")}
    if has_doses:
        batch |= {"drug2": index, "dose1": batch["base"], "dose2": batch["base"]}
        batch["has_second"] = batch["base"]
    model.call({**batch, "shared": {"cells": index, "drugs": index}})  # creates the weights
    model.built = True
    return model


class EntityModel(keras.Model, ABC):  # type: ignore[misc] # Keras ships no types
    """Base class of both networks: compute terms of distinct entities, then combine them to rows.

    Subclasses implement `cell_terms`, `drug_terms` and `combine`.
    """

    def __init__(
        self, settings: Mapping[str, Any], tables: Tables, *, has_doses: bool, has_pairs: bool
    ) -> None:
        # Layers cast their inputs themselves; base and doses stay float32 in every precision.
        super().__init__(name=f"uno_{settings['model']}", autocast=False)
        self.tables, self.has_doses, self.has_pairs = tables, has_doses, has_pairs
        self.dropout = float(settings["dropout"])
        self.is_noisy = settings["evaluation"] == NOISY
        self.slots = ("drug1", "drug2") if has_doses else ("drug1",)

    def call(self, inputs: Mapping[str, Any], training: Any = None) -> Any:
        """Return (row, 1) float32.

        Args:
            inputs: of a batch; see `Rows.inputs`.
            training: whether to apply dropout; it is always applied if the setting `evaluation`
                is `reference-noisy`.
        """
        shared = inputs["shared"]
        use_dropout = self.dropout > 0 and bool(training or self.is_noisy)
        terms = {
            **self.cell_terms(shared["cells"], use_dropout=use_dropout),
            **self.drug_terms(shared["drugs"], use_dropout=use_dropout),
        }
        return self.combine(terms, inputs, use_dropout=use_dropout, training=bool(training))

    @abstractmethod
    def combine(
        self,
        terms: Mapping[str, Any],
        inputs: Mapping[str, Any],
        *,
        use_dropout: bool,
        training: bool,
    ) -> Any:
        """Return (row, 1) from the terms of entities.

        Args:
            terms: of distinct entities, each (entity, width).
            inputs: of a batch; see `Rows.inputs`.
            use_dropout: whether to apply dropout.
            training: whether the output is used in training.
        """

    @abstractmethod
    def cell_terms(self, cells: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return terms by name, each (cell, width), from indices of cells (cell,)."""

    @abstractmethod
    def drug_terms(self, drugs: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return terms by name, each (drug, width), from indices of drugs (drug,)."""


class Reference(EntityModel):
    """The published network (ECP-CANDLE/Benchmarks, Pilot1/Uno/uno_baseline_keras2.py).

    A tower for each kind of feature, shared by both drugs; a head on the concatenated outputs and
    doses. ReLU, Glorot-normal weights, dropout after each layer.
    """

    def __init__(
        self, settings: Mapping[str, Any], tables: Tables, *, has_doses: bool, has_pairs: bool
    ) -> None:
        super().__init__(settings, tables, has_doses=has_doses, has_pairs=has_pairs)
        widths = settings["tower_widths"]
        self.cell_towers = {
            name: Tower(widths, self.dropout, name=f"cell_{name}") for name in tables.cells
        }
        self.drug_towers = {
            name: Tower(widths, self.dropout, name=f"drug_{name}") for name in tables.drugs
        }
        first, *others = settings["head_widths"]
        blocks = {"cell": widths[-1] * len(tables.cells)}
        blocks |= dict.fromkeys(self.slots, widths[-1] * len(tables.drugs))
        if self.has_doses:
            blocks["doses"] = len(self.slots)
        self.join = Join(first, blocks, name="head_0")
        self.head = Tower([first, *others], self.dropout, has_first=False, name="head")
        self.out = layers.Dense(1, kernel_initializer="glorot_normal", name="out")

    def cell_terms(self, cells: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return the cells' share of the head's first product.

        With dropout: the first product of each tower.
        """
        return self._terms(
            self.cell_towers, self.tables.cell_rows(cells), ("cell",), use_dropout=use_dropout
        )

    def drug_terms(self, drugs: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return the drugs' share of the head's first product, for each slot.

        With dropout: the first product of each tower.
        """
        return self._terms(
            self.drug_towers, self.tables.drug_rows(drugs), self.slots, use_dropout=use_dropout
        )

    def combine(
        self,
        terms: Mapping[str, Any],
        inputs: Mapping[str, Any],
        *,
        use_dropout: bool,
        training: bool,
    ) -> Any:
        """Return (row, 1): add up the shares of the head's first product, then apply the rest.

        In evaluation without dropout, both orders of a pair are averaged, because the order of
        drugs has no meaning.
        """
        if use_dropout:
            values = self._first_product_with_dropout(terms, inputs)
        else:
            values = sum(take(terms[name], inputs[name]) for name in ("cell", *self.slots))
        output = self._head(values, inputs, ("dose1", "dose2"), use_dropout=use_dropout)
        if self.has_pairs and not use_dropout and not training:
            other = sum(
                take(terms[slot], inputs[name])
                for slot, name in zip(self.slots, self.slots[::-1], strict=True)
            )
            values = take(terms["cell"], inputs["cell"]) + other
            output = (
                output + self._head(values, inputs, ("dose2", "dose1"), use_dropout=False)
            ) / 2
        return output

    def _terms(
        self, towers: Mapping[str, Any], rows: Mapping[str, Any], blocks: tuple[str, ...],
        *, use_dropout: bool,
    ) -> dict[str, Any]:  # fmt: skip
        if use_dropout:
            return {name: tower.first(rows[name]) for name, tower in towers.items()}
        outputs = [
            tower.rest(tower.first(rows[name]), use_dropout=False) for name, tower in towers.items()
        ]
        whole = ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
        return {block: self.join(whole, block=block) for block in blocks}

    def _first_product_with_dropout(
        self, terms: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> Any:
        total = 0.0
        kinds = {"cell": self.cell_towers, **dict.fromkeys(self.slots, self.drug_towers)}
        for block, towers in kinds.items():
            outputs = [
                tower.rest(take(terms[name], inputs[block]), use_dropout=True)
                for name, tower in towers.items()
            ]
            total = total + self.join(ops.concatenate(outputs, axis=-1), block=block)
        return total

    def _head(
        self, values: Any, inputs: Mapping[str, Any], doses: tuple[str, str], *, use_dropout: bool
    ) -> Any:
        if self.has_doses:
            columns = ops.stack([inputs[name] for name in doses], -1)
            values = values + self.join(columns, block="doses")
        values = values + ops.cast(self.join.bias, values.dtype)
        return ops.cast(self.out(self.head.rest(values, use_dropout=use_dropout)), "float32")


class Pooled(EntityModel):
    """A smaller network: drugs are summed, so that their order cannot matter.

    A slot has the terms of its drug and dose, and their sum and product with the terms of the cell.
    The output is a correction to a forecast that needs no features (`base`). Dropout in the towers
    is drawn for each entity of a batch. The dropout of a single row has the same distribution as
    if drawn for the row, so the expected gradient is the same, and towers are computed once for
    each entity in training too.
    """

    def __init__(
        self, settings: Mapping[str, Any], tables: Tables, *, has_doses: bool, has_pairs: bool
    ) -> None:
        super().__init__(settings, tables, has_doses=has_doses, has_pairs=has_pairs)
        self.cell_tower = Tower(settings["cell_widths"], self.dropout, name="cell")
        self.drug_tower = Tower(settings["drug_widths"], self.dropout, name="drug")
        width, self.scale = settings["slot_width"], float(settings["output_scale"])
        self.slot_cell = layers.Dense(width, name="slot_cell")
        self.slot_drug = layers.Dense(width, name="slot_drug")
        self.slot_dose = layers.Dense(width, use_bias=False, name="slot_dose")
        self.vectors = {
            kind: layers.Embedding(count, width, embeddings_initializer="zeros", name=f"{kind}_id")
            for kind, count in tables.counts.items()
            if f"{kind}_id" in settings["knows"]
        }
        self.input_dropout = float(settings["input_dropout"])
        first, *others = settings["head_widths"]
        self.join_row = layers.Dense(first, name="head_0")
        self.head = Tower([first, *others], self.dropout, has_first=False, name="head")
        self.out = layers.Dense(1, kernel_initializer="zeros", name="out")

    def cell_terms(self, cells: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return the cells' terms (cell, slot width)."""
        return {"cell": self._terms_of("cell", cells, use_dropout=use_dropout)}

    def drug_terms(self, drugs: Any, *, use_dropout: bool) -> dict[str, Any]:
        """Return the drugs' terms (drug, slot width), without dose."""
        return {"drug": self._terms_of("drug", drugs, use_dropout=use_dropout)}

    def combine(
        self,
        terms: Mapping[str, Any],
        inputs: Mapping[str, Any],
        *,
        use_dropout: bool,
        training: bool,
    ) -> Any:
        """Return (row, 1): base plus correction."""
        del training
        cell, total = take(terms["cell"], inputs["cell"]), 0.0
        for number, name in enumerate(self.slots):
            drug = take(terms["drug"], inputs[name])
            if self.has_doses:
                dose = ops.expand_dims(inputs[f"dose{number + 1}"], -1)
                shape = ops.concatenate([dose, ops.square(dose) - 1.0], -1)
                drug = drug + self.slot_dose(shape)
            slot = ops.concatenate([ops.gelu(drug), ops.gelu(drug + cell), drug * cell], -1)
            if number:
                slot = slot * ops.expand_dims(ops.cast(inputs["has_second"], slot.dtype), -1)
            total = total + slot
        values = self.join_row(ops.concatenate([ops.gelu(cell), total], -1))
        correction = ops.cast(self.out(self.head.rest(values, use_dropout=use_dropout)), "float32")
        return ops.expand_dims(inputs["base"], -1) + self.scale * correction

    def _terms_of(self, kind: str, entities: Any, *, use_dropout: bool) -> Any:
        rows = self.tables.cell_rows if kind == "cell" else self.tables.drug_rows
        tower = self.cell_tower if kind == "cell" else self.drug_tower
        features = list(rows(entities).values())
        values = ops.concatenate(features, axis=-1) if len(features) > 1 else features[0]
        if use_dropout:
            values = tower.drop_inputs(values, self.input_dropout)
        dense = self.slot_cell if kind == "cell" else self.slot_drug
        terms = dense(tower.rest(tower.first(values), use_dropout=use_dropout))
        return terms + self.vectors[kind](entities) if kind in self.vectors else terms
