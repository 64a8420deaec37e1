"""Make batches of rows: indices of entities, doses, and the distinct entities of each batch.

Only indices and doses go to the device with a batch: 20 bytes for each row. A row of the dose
variant with all features joined would have 62,320 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .data import Floats, Responses

# Lists of distinct entities are padded to a multiple of this, if each new shape is compiled.
PADDING = 64
MIN_SHARE, MAX_SHARE = 0.001, 0.999  # of a dose that is split in two, as in the published code
Inputs = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """All rows, and how they become inputs of a model.

    Attributes:
        responses: all rows as read.
        base: (row,) float32, the forecast that a model corrects; 0 if there is none.
        dose_scale: mean and standard deviation that doses are standardised with; None: not at all.
        duplicate_single_drugs: whether a single drug is in both slots, with its dose divided
            between them, as in the published code.
        is_padded: whether lists of distinct entities are padded.
    """

    responses: Responses
    base: Floats
    dose_scale: tuple[float, float] | None
    duplicate_single_drugs: bool
    is_padded: bool

    def batches(
        self,
        rows: npt.NDArray[np.int64],
        *,
        batch_size: int,
        rng: np.random.Generator | None = None,
    ) -> Iterator[tuple[Inputs, Floats, Floats]]:
        """Yield (inputs, targets (row, 1), weights (row, 1)) of rows in the given order.

        Args:
            rows: indices of rows.
            batch_size: rows of a batch; the last may have fewer.
            rng: draws which pairs are swapped and how single doses are divided; None swaps no pair
                and divides doses in halves.
        """
        for first in range(0, len(rows), batch_size):
            chosen = rows[first : first + batch_size]
            target = self.responses.target[chosen][:, None]
            yield self.inputs(chosen, rng), target, np.ones_like(target)

    def inputs(self, rows: npt.NDArray[np.int64], rng: np.random.Generator | None = None) -> Inputs:
        """Return the inputs of some rows.

        Args:
            rows: indices of rows.
            rng: see `batches`.

        Returns:
            `shared`: distinct `cells` and `drugs`, indices of the tables; `cell`, `drug1`,
            `drug2`: (row,) positions in them; `dose1`, `dose2`, `base`, `has_second`: (row,)
            float32.
        """
        drugs, doses = self._slots(rows, rng)
        cells, cell = self._distinct(self.responses.cell[rows], len(self.responses.cells))
        distinct_drugs, places = self._distinct(drugs, len(self.responses.drug_table))
        inputs = self._columns(rows, drugs=places, doses=doses)
        return {**inputs, "cell": cell, "shared": {"cells": cells, "drugs": distinct_drugs}}

    def _columns(
        self,
        rows: npt.NDArray[np.int64],
        *,
        drugs: npt.NDArray[np.int32],
        doses: Floats,
    ) -> Inputs:
        columns: Inputs = {"base": self.base[rows]}
        for slot in range(drugs.shape[1]):
            columns[f"drug{slot + 1}"] = drugs[:, slot]
        for slot in range(doses.shape[1]):
            columns[f"dose{slot + 1}"] = doses[:, slot]
        if drugs.shape[1] > 1:
            has_second = self.responses.drugs[rows, 1] >= 0
            columns["has_second"] = has_second.astype(np.float32)
        return columns

    def _slots(
        self, rows: npt.NDArray[np.int64], rng: np.random.Generator | None
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """Return drugs and standardised doses, each (row, slot); doses are 0 for an empty slot."""
        drugs, doses = self.responses.drugs[rows], self.responses.doses[rows]
        if drugs.shape[1] > 1 and self.duplicate_single_drugs:
            drugs, doses = _duplicated(drugs, doses, rng)
        if drugs.shape[1] > 1 and rng is not None:
            swapped = rng.random(len(rows)) < 0.5
            swapped &= drugs[:, 1] >= 0  # a single drug stays in the first slot
            drugs = np.where(swapped[:, None], drugs[:, ::-1], drugs)
            doses = np.where(swapped[:, None], doses[:, ::-1], doses)
        if self.dose_scale is not None and doses.shape[1]:
            mean, spread = self.dose_scale
            doses = (doses - np.float32(mean)) / np.float32(spread)
        return drugs, np.nan_to_num(doses, nan=0.0)

    def _distinct(
        self, column: npt.NDArray[np.int32], count: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return the distinct entities, ascending, and the position of each value among them.

        Args:
            column: indices of entities, -1 for an empty slot.
            count: number of entities.
        """
        present = np.zeros(count + 1, bool)  # index -1, the last, is the empty slot
        present[column] = True
        distinct = np.flatnonzero(present[:-1]).astype(np.int32)
        place = np.zeros(count + 1, np.int32)
        place[distinct] = np.arange(len(distinct), dtype=np.int32)
        positions = place[column]
        if self.is_padded:
            padded = min(count, -(-len(distinct) // PADDING) * PADDING)
            distinct = np.pad(distinct, (0, padded - len(distinct)), mode="edge")
        return distinct, positions


def epoch_order(
    responses: Responses,
    rows: npt.NDArray[np.int64],
    *,
    rng: np.random.Generator,
    together: int,
) -> npt.NDArray[np.int64]:
    """Return rows in a new order.

    Args:
        responses: all rows.
        rows: those to order.
        rng: draws the order.
        together: rows of a batch that should share cells and drugs; 0 mixes all rows. Cells and
            drugs are randomly divided into groups, such that the rows of a group of cells and a
            group of drugs make a block of about that size. A batch is about a block: it has few
            distinct entities and costs less.
    """
    if not together or together >= len(rows):
        return rng.permutation(rows)
    cells, drugs = responses.cell[rows], responses.drugs[rows, 0]
    blocks = len(rows) / together
    counts = len(np.unique(cells)), len(np.unique(drugs))
    cell_groups = min(counts[0], max(1, round((blocks * counts[0] / counts[1]) ** 0.5)))
    drug_groups = min(counts[1], max(1, round(blocks / cell_groups)))
    of_cell = rng.permutation(len(responses.cells)) % cell_groups
    of_drug = rng.permutation(len(responses.drug_table)) % drug_groups
    block = of_cell[cells] * drug_groups + of_drug[drugs]
    rank = rng.permutation(cell_groups * drug_groups)[block]
    return np.asarray(rows[np.lexsort((rng.random(len(rows)), rank))])


def _duplicated(
    drugs: npt.NDArray[np.int32], doses: Floats, rng: np.random.Generator | None
) -> tuple[npt.NDArray[np.int32], Floats]:
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
