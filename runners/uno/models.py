"""Towers for cells and drugs, and a head: the published network, and a smaller one of ours.

A row of a batch says which cell and which drugs; features belong to entities. So a tower works on
the distinct entities of a batch, and rows gather what they need of its output (`towers.py`). Where
noise is drawn for each row (dropout), only what comes before it can be shared: the first product.

Everything is Keras layers and `keras.ops`. Parameters at Uno's widths (942 genes, 5,270 descriptors
and for doses 2,048 bits): reference 16,224,001 (AUC) and 21,275,001 (dose), as published.
"""

from __future__ import annotations

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
    """Return the model that the settings name, built.

    Args:
        settings: see task.toml.
        tables: features of all entities; they are no weights of the model.
        has_doses: whether rows have doses, and so slots for two drugs.
        has_pairs: whether any row has a second drug.
    """
    kind = {REFERENCE: Reference, POOLED: Pooled}[settings["model"]]
    model = kind(settings, tables, has_doses=has_doses, has_pairs=has_pairs)
    one = ops.zeros((1,), "int32")
    batch = {"cell": one, "drug1": one, "base": ops.zeros((1,), "float32")}
    if has_doses:
        batch |= {"drug2": one, "dose1": batch["base"], "dose2": batch["base"]}
        batch["has_second"] = batch["base"]
    model.call({**batch, "shared": {"cells": one, "drugs": one}})  # makes the weights
    model.built = True
    return model


class EntityModel(keras.Model):  # type: ignore[misc] # Keras ships no types
    """What both networks share: terms of entities first, then rows made of them.

    Three methods are each network's own. They raise here, as Keras' own do: a Keras model is no
    abstract base class.
    """

    def __init__(
        self, settings: Mapping[str, Any], tables: Tables, *, has_doses: bool, has_pairs: bool
    ) -> None:
        # Layers cast what they take; bases and doses stay as they are whatever the precision.
        super().__init__(name=f"uno_{settings['model']}", autocast=False)
        self.tables, self.has_doses, self.has_pairs = tables, has_doses, has_pairs
        self.dropout = float(settings["dropout"])
        self.is_noisy = settings["evaluation"] == NOISY
        self.slots = ("drug1", "drug2") if has_doses else ("drug1",)

    def call(self, inputs: Mapping[str, Any], training: Any = None) -> Any:
        """Return (row, 1) float32.

        Args:
            inputs: `cell`, `drug1`, … (row,) positions in `shared["cells"]` and
                `shared["drugs"]`, which are indices of the tables; `dose1`, … (row,).
            training: whether dropout is on; it always is where evaluation is to be noisy.
        """
        shared, is_on = inputs["shared"], self.dropout > 0 and bool(training or self.is_noisy)
        terms = {
            **self.cell_terms(shared["cells"], is_on=is_on),
            **self.drug_terms(shared["drugs"], is_on=is_on),
        }
        return self.rows(terms, inputs, is_on=is_on, is_training=bool(training))

    def rows(
        self, terms: Mapping[str, Any], inputs: Mapping[str, Any], *, is_on: bool, is_training: bool
    ) -> Any:
        """Return (row, 1) from the terms of entities; `is_on` says whether dropout is."""
        raise NotImplementedError

    def cell_terms(self, cells: Any, *, is_on: bool) -> dict[str, Any]:
        """Return what rows gather of these cells, by name, each (cell, width)."""
        raise NotImplementedError

    def drug_terms(self, drugs: Any, *, is_on: bool) -> dict[str, Any]:
        """Return what rows gather of these drugs, by name, each (drug, width)."""
        raise NotImplementedError


class Reference(EntityModel):
    """The published network (ECP-CANDLE/Benchmarks, Pilot1/Uno/uno_baseline_keras2.py), restated.

    A tower for each kind of feature, both drugs through the same ones; all outputs and the doses
    side by side into the head. ReLU, Glorot-normal weights, dropout after each layer.
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

    def cell_terms(self, cells: Any, *, is_on: bool) -> dict[str, Any]:
        """Return the cells' part of the head's first product, or with noise that of the towers."""
        return self._terms(self.cell_towers, self.tables.cell_rows(cells), ("cell",), is_on=is_on)

    def drug_terms(self, drugs: Any, *, is_on: bool) -> dict[str, Any]:
        """Return the drugs' parts of the head's first product, or with noise of the towers'."""
        return self._terms(self.drug_towers, self.tables.drug_rows(drugs), self.slots, is_on=is_on)

    def rows(
        self, terms: Mapping[str, Any], inputs: Mapping[str, Any], *, is_on: bool, is_training: bool
    ) -> Any:
        """Return (row, 1): the head's first product put together, then the rest of the head."""
        if is_on:
            values = self._joined_noisy(terms, inputs)
        else:
            values = sum(take(terms[name], inputs[name]) for name in ("cell", *self.slots))
        found = self._head(values, inputs, ("dose1", "dose2"), is_on=is_on)
        if self.has_pairs and not is_on and not is_training:  # the order of drugs says nothing
            other = sum(
                take(terms[slot], inputs[name])
                for slot, name in zip(self.slots, self.slots[::-1], strict=True)
            )
            values = take(terms["cell"], inputs["cell"]) + other
            found = (found + self._head(values, inputs, ("dose2", "dose1"), is_on=False)) / 2
        return found

    def _terms(
        self, towers: Mapping[str, Any], rows: Mapping[str, Any], blocks: tuple[str, ...],
        *, is_on: bool,
    ) -> dict[str, Any]:  # fmt: skip
        if is_on:
            return {name: tower.first(rows[name]) for name, tower in towers.items()}
        outputs = [
            tower.rest(tower.first(rows[name]), is_on=False) for name, tower in towers.items()
        ]
        whole = ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
        return {block: self.join(whole, block=block) for block in blocks}

    def _joined_noisy(self, terms: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        total = 0.0
        kinds = {"cell": self.cell_towers, **dict.fromkeys(self.slots, self.drug_towers)}
        for block, towers in kinds.items():
            outputs = [
                tower.rest(take(terms[name], inputs[block]), is_on=True)
                for name, tower in towers.items()
            ]
            total = total + self.join(ops.concatenate(outputs, axis=-1), block=block)
        return total

    def _head(
        self, values: Any, inputs: Mapping[str, Any], doses: tuple[str, str], *, is_on: bool
    ) -> Any:
        if self.has_doses:
            given = ops.stack([inputs[name] for name in doses], -1)
            values = values + self.join(given, block="doses")
        values = values + ops.cast(self.join.bias, values.dtype)
        return ops.cast(self.out(self.head.rest(values, is_on=is_on)), "float32")


class Pooled(EntityModel):
    """Ours: smaller towers, drugs added up so that their order cannot matter, and products.

    What it says is added to a forecast that needs no features (`base`). Dropout in the towers is
    drawn for each entity of a batch: each row's noise has the distribution it would have alone, so
    the expected gradient is the same, and towers run once for each entity in training too.
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
        self.input_noise = float(settings["input_dropout"])
        first, *others = settings["head_widths"]
        self.join_row = layers.Dense(first, name="head_0")
        self.head = Tower([first, *others], self.dropout, has_first=False, name="head")
        self.out = layers.Dense(1, kernel_initializer="zeros", name="out")

    def cell_terms(self, cells: Any, *, is_on: bool) -> dict[str, Any]:
        """Return the cells' side of the product."""
        return {"cell": self._side("cell", cells, is_on=is_on)}

    def drug_terms(self, drugs: Any, *, is_on: bool) -> dict[str, Any]:
        """Return the drugs' side of the product, without its dose."""
        return {"drug": self._side("drug", drugs, is_on=is_on)}

    def rows(
        self, terms: Mapping[str, Any], inputs: Mapping[str, Any], *, is_on: bool, is_training: bool
    ) -> Any:
        """Return (row, 1): base and correction."""
        del is_training
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
        found = ops.cast(self.out(self.head.rest(values, is_on=is_on)), "float32")
        return ops.expand_dims(inputs["base"], -1) + self.scale * found

    def _side(self, kind: str, entities: Any, *, is_on: bool) -> Any:
        rows = self.tables.cell_rows if kind == "cell" else self.tables.drug_rows
        tower = self.cell_tower if kind == "cell" else self.drug_tower
        found = list(rows(entities).values())
        values = ops.concatenate(found, axis=-1) if len(found) > 1 else found[0]
        if is_on:
            values = tower.quiet(values, self.input_noise)
        dense = self.slot_cell if kind == "cell" else self.slot_drug
        side = dense(tower.rest(tower.first(values), is_on=is_on))
        return side + self.vectors[kind](entities) if kind in self.vectors else side
