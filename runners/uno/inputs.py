"""Inputs of both networks: scaled features, and batches that name entities instead of features.

Features are filled and standardised with the statistics of the training part's entities. Each cell
or drug counts once, however many rows it has. Only indices and doses go to the device with a batch:
20 bytes for each row. A row of the dose variant with all features joined would have 62,320 bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .data import Codes, Entities, Floats, Responses

MIN_SPREAD = 1e-6  # relative standard deviation; a feature with less counts as constant
BLOCK = 4096  # entities that are scaled at once, so that no second table is in memory
# Lists of distinct entities are padded to a multiple of this, if each new shape is compiled.
PADDING = 64
MIN_SHARE, MAX_SHARE = 0.001, 0.999  # of a dose that is split in two, as in the published code
Indices: TypeAlias = npt.NDArray[np.int32]
Tables: TypeAlias = dict[str, npt.NDArray[Any]]
Inputs: TypeAlias = dict[str, Any]
Batch: TypeAlias = tuple[Inputs, Floats, Floats]


def scale(entities: Entities, training: Codes, *, clip: float) -> tuple[Tables, dict[str, Any]]:
    """Return the features by name, and the width and scaling of each for the record.

    Numbers become standardised float32, missing ones the mean. Bits stay uint8.

    Args:
        entities: cells or drugs.
        training: indices of the entities of the training part.
        clip: limit of a value in standard deviations; 0 is no limit.
    """
    tables, facts = dict(entities.tables), {}
    for name, values in entities.tables.items():
        facts[name] = {"width": values.shape[1], "scaling": "none: bits"}
        if values.dtype != np.uint8:
            tables[name], facts[name] = _standardise(values, training, clip)
    return tables, facts


def _standardise(
    values: npt.NDArray[Any], training: Codes, clip: float
) -> tuple[Floats, dict[str, Any]]:
    """Return values (entity, feature) standardised by the training entities, and a description."""
    known = values[training].astype(np.float64)
    known[~np.isfinite(known)] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that no entity has
        mean, spread = np.nan_to_num([np.nanmean(known, axis=0), np.nanstd(known, axis=0)])
    varies = spread > MIN_SPREAD * (1 + np.abs(mean))
    factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)
    standard = np.empty(values.shape, np.float32)
    missing = 0
    for first in range(0, len(values), BLOCK):
        block = values[first : first + BLOCK]
        is_missing = ~np.isfinite(block)
        missing += int(is_missing.sum())
        filled = np.where(is_missing, 0.0, (block - mean) * factor)
        standard[first : first + BLOCK] = np.clip(filled, -clip, clip) if clip else filled
    return standard, {
        "width": values.shape[1],
        "constant_in_training": int((~varies).sum()),
        "missing_values": missing,
        "scaling": f"mean and standard deviation of {len(training)} training entities; missing "
        "values are the mean",
        "clip": clip,
    }


def dose_scale(doses: Floats) -> tuple[float, float]:
    """Return mean and standard deviation of doses (row, slot), NaN for no drug; (0, 1) of none."""
    known = doses[np.isfinite(doses)].astype(np.float64)
    return (float(known.mean()), float(known.std()) or 1.0) if known.size else (0.0, 1.0)


@dataclass(frozen=True)
class Rows:
    """All rows, and how they become inputs of a model.

    Attributes:
        responses: all rows.
        base: (row,) float32, the forecast that a model corrects.
        process: (row,) float32, the forecast of the Gaussian process; None if it is not used.
        dose_scale: mean and standard deviation that doses are standardised with; None: not at all.
        duplicate_single_drugs: a single drug is in both slots, as in the published code, with its
            dose divided between them.
        is_compiled: the training step is compiled for each shape of a batch.
    """

    responses: Responses
    base: Floats
    process: Floats | None
    dose_scale: tuple[float, float] | None
    duplicate_single_drugs: bool
    is_compiled: bool

    @cached_property
    def is_padded(self) -> bool:
        """Return whether lists of distinct entities are padded: JAX compiles each shape, too."""
        # Computed at the first batch, because the name of the backend may need Keras.
        from sciml_data.bench.training import backend

        return self.is_compiled or backend.name() == "jax"

    def batches(
        self, rows: Codes, *, batch_size: int, rng: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield (inputs, targets (row, 1), weights (row, 1)) of rows in the given order.

        `rng` draws which pairs are swapped and how single doses are divided; None swaps no pair and
        divides doses in halves.
        """
        for first in range(0, len(rows), batch_size):
            chosen = rows[first : first + batch_size]
            target = self.responses.target[chosen][:, None]
            yield self.inputs(chosen, rng), target, np.ones_like(target)

    def inputs(self, rows: Codes, rng: np.random.Generator | None = None) -> Inputs:
        """Return the inputs of some rows; `rng` as in `batches`.

        They are `shared`: distinct `cells` and `drugs`, indices of the tables; `cell`, `drug1`,
        `drug2`: (row,) positions in them; `dose1`, `dose2`, `base`, `process`, `has_second`: (row,)
        float32.
        """
        slots, doses = self._slots(rows, rng)
        cells, cell = self._distinct(self.responses.cell[rows], len(self.responses.cells))
        drugs, places = self._distinct(slots, len(self.responses.drug_table))
        inputs: Inputs = {"base": self.base[rows]}
        if self.process is not None:
            inputs["process"] = self.process[rows]
        inputs |= {f"drug{slot + 1}": places[:, slot] for slot in range(places.shape[1])}
        inputs |= {f"dose{slot + 1}": doses[:, slot] for slot in range(doses.shape[1])}
        if self.responses.has_doses:
            inputs["has_second"] = (self.responses.drugs[rows, 1] >= 0).astype(np.float32)
        return {**inputs, "cell": cell, "shared": {"cells": cells, "drugs": drugs}}

    def _slots(self, rows: Codes, rng: np.random.Generator | None) -> tuple[Indices, Floats]:
        """Return drugs and standardised doses, each (row, slot); doses are 0 for an empty slot."""
        drugs, doses = self.responses.drugs[rows], self.responses.doses[rows]
        if not self.responses.has_doses:
            return drugs, doses
        if self.duplicate_single_drugs:
            drugs, doses = _duplicated(drugs, doses, rng)
        if rng is not None:
            swapped = rng.random(len(rows)) < 0.5
            swapped &= drugs[:, 1] >= 0  # a single drug stays in the first slot
            drugs = np.where(swapped[:, None], drugs[:, ::-1], drugs)
            doses = np.where(swapped[:, None], doses[:, ::-1], doses)
        if self.dose_scale is not None:
            mean, spread = self.dose_scale
            doses = (doses - np.float32(mean)) / np.float32(spread)
        return drugs, np.nan_to_num(doses, nan=0.0)

    def _distinct(self, column: Indices, count: int) -> tuple[Indices, Indices]:
        """Return the distinct of `count` entities, and the position of each value among them.

        Index -1 is an empty slot; its position has no meaning.
        """
        # Lists of all entities: `np.unique` takes 25 times as long for a batch of 4,096 pairs.
        present = np.zeros(count + 1, bool)  # the last is the empty slot
        present[column] = True
        distinct = np.flatnonzero(present[:-1]).astype(np.int32)
        place = np.zeros(count + 1, np.int32)
        place[distinct] = np.arange(len(distinct), dtype=np.int32)
        positions = place[column]
        if self.is_padded:
            padded = min(count, -(-len(distinct) // PADDING) * PADDING)
            distinct = np.pad(distinct, (0, padded - len(distinct)), mode="edge")
        return distinct, positions


def _duplicated(
    drugs: Indices, doses: Floats, rng: np.random.Generator | None
) -> tuple[Indices, Floats]:
    """Return drugs and doses with single drugs in both slots, at doses that add up to theirs.

    The published code draws the share of the first slot for each row. Without `rng` it is a half.
    """
    is_single = drugs[:, 1] < 0
    shares = np.full(len(drugs), 0.5)
    if rng is not None:
        shares = rng.uniform(MIN_SHARE, MAX_SHARE, len(drugs))
    split = doses[:, :1] - np.log10(np.stack([shares, 1.0 - shares], axis=1))
    return (
        np.where(is_single[:, None], drugs[:, :1], drugs),
        np.where(is_single[:, None], split, doses).astype(np.float32),
    )


def epoch_order(
    responses: Responses, rows: Codes, *, rng: np.random.Generator, together: int
) -> Codes:
    """Return rows in a new order.

    `together` is the number of rows of a batch that should share cells and drugs; 0 mixes all rows.
    Cells and drugs are randomly divided into groups, such that the rows of a group of cells and a
    group of drugs make a block of about that size. A batch is about a block: it has few distinct
    entities and costs less.
    """
    if not together or together >= len(rows):
        return rng.permutation(rows)
    cell, drug = responses.cell[rows], responses.drugs[rows, 0]
    blocks, cells, drugs = len(rows) / together, len(np.unique(cell)), len(np.unique(drug))
    cell_groups = min(cells, max(1, round((blocks * cells / drugs) ** 0.5)))
    drug_groups = min(drugs, max(1, round(blocks / cell_groups)))
    of_cell = rng.permutation(len(responses.cells)) % cell_groups
    of_drug = rng.permutation(len(responses.drug_table)) % drug_groups
    block = of_cell[cell] * drug_groups + of_drug[drug]
    rank = rng.permutation(cell_groups * drug_groups)[block]
    return np.asarray(rows[np.lexsort((rng.random(len(rows)), rank))])
