"""Multiply-adds of Uno's published network, for joined rows and for distinct entities.

They bound what sharing can gain on any machine, because all layers of the head but the first are
computed for every row. A multiplication and an addition count as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Work:
    """Multiply-adds of a forward pass, and the share of layers that have features as inputs.

    A training step computes the forward pass, the gradient of the weights and the gradient of the
    inputs: three times the pass, minus the gradient of the features, which is not needed.
    """

    forward: int = 0
    on_features: int = 0

    def __add__(self, other: Work) -> Work:
        """Return the sum of both."""
        return Work(self.forward + other.forward, self.on_features + other.on_features)

    def times(self, count: int) -> Work:
        """Return the work of `count` rows or entities."""
        return Work(self.forward * count, self.on_features * count)

    def amount(self, *, training: bool) -> int:
        """Return the multiply-adds of a training step, or of a forward pass."""
        return 3 * self.forward - self.on_features if training else self.forward


@dataclass(frozen=True)
class Network:
    """Widths of the published network.

    Attributes:
        cells: number of features of each kind of cell features.
        drugs: number of features of each kind of drug features.
        tower: units of the layers of each tower.
        head: units of the layers of the head.
        slots: drugs in a row.
        doses: doses in a row.
    """

    cells: tuple[int, ...]
    drugs: tuple[int, ...]
    tower: tuple[int, ...]
    head: tuple[int, ...]
    slots: int
    doses: int

    def joined(self) -> Work:
        """Return the work of a joined row."""
        return (
            self._leads(self.cells)
            + self._rest(self.cells)
            + (self._leads(self.drugs) + self._rest(self.drugs)).times(self.slots)
            + self._of_row()
        )

    def shared(
        self, distinct: Mapping[str, int], rows: int, *, has_dropout: bool
    ) -> tuple[Work, Work]:
        """Return the work of a batch's distinct entities, and that of its rows.

        Args:
            distinct: number of "cells" and "drugs".
            rows: number of rows.
            has_dropout: whether dropout is drawn for each row, so that only the first products are
                shared.
        """
        cell, drug, row = self._leads(self.cells), self._leads(self.drugs), self._of_row()
        if has_dropout:
            row += self._rest(self.cells) + self._rest(self.drugs).times(self.slots)
        else:
            cell += self._rest(self.cells)
            drug += self._inside(self.drugs) + self._blocks(self.drugs).times(self.slots)
        entities = cell.times(distinct["cells"]) + drug.times(distinct["drugs"])
        return entities, row.times(rows)

    def _leads(self, features: Sequence[int]) -> Work:
        product = sum(features) * self.tower[0]
        return Work(product, product)

    def _inside(self, features: Sequence[int]) -> Work:
        return Work(len(features) * _products(self.tower))

    def _blocks(self, features: Sequence[int]) -> Work:
        """Return the work of the head's first product on the towers' outputs."""
        return Work(len(features) * self.tower[-1] * self.head[0])

    def _rest(self, features: Sequence[int]) -> Work:
        return self._inside(features) + self._blocks(features)

    def _of_row(self) -> Work:
        return Work(self.doses * self.head[0] + _products((*self.head, 1)))


def gain(
    network: Network, distinct: Mapping[str, int], count: int, *, training: bool, has_dropout: bool
) -> str:
    """Return the multiply-adds of a row in both ways, and the possible gain, in a sentence.

    Args:
        network: widths.
        distinct: number of distinct "cells" and "drugs" of the rows.
        count: number of rows.
        training: whether to count a training step, else a forward pass.
        has_dropout: see `Network.shared`.
    """
    entities, rows = network.shared(distinct, count, has_dropout=has_dropout)
    joined, shared, rows_only = (
        work.amount(training=training)
        for work in (network.joined().times(count), entities + rows, rows)
    )
    return (
        f"M multiply-adds per row: joined {joined / count / 1e6:.1f}, entity-wise "
        f"{shared / count / 1e6:.2f}, {joined / shared:.2f} times fewer "
        f"({joined / rows_only:.2f} if entities were free)"
    )


def _products(widths: Sequence[int]) -> int:
    return sum(width * following for width, following in pairwise(widths))
