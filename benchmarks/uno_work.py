"""Multiply-adds that Uno's published network takes, for joined rows and for distinct entities.

What sharing can gain at most follows from these, whatever the machine: the layers of the head
behind its first are computed for every row. A multiplication and a sum count as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Work:
    """Multiply-adds of a forward pass, and those of layers on features among them.

    A training step takes the forward pass, the gradient of the weights and that of the inputs:
    three times the pass, less what nobody needs, the gradient of the features.
    """

    forward: int = 0
    on_features: int = 0

    def __add__(self, other: Work) -> Work:
        """Return both together."""
        return Work(self.forward + other.forward, self.on_features + other.on_features)

    def times(self, count: int) -> Work:
        """Return the work of so many."""
        return Work(self.forward * count, self.on_features * count)

    def amount(self, *, training: bool) -> int:
        """Return the multiply-adds of a pass, or of a step."""
        return 3 * self.forward - self.on_features if training else self.forward


@dataclass(frozen=True)
class Network:
    """Widths of the published network.

    Attributes:
        cells: features of a cell, by kind.
        drugs: features of a drug, by kind.
        tower: units of the layers of each tower.
        head: units of the layers of the head.
        slots: drugs of a row.
        doses: doses of a row.
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

    def shared(self, named: Mapping[str, int], rows: int, *, is_noisy: bool) -> tuple[Work, Work]:
        """Return the work of a batch's distinct entities, and of its rows.

        Args:
            named: how many "cells" and "drugs".
            rows: of the batch.
            is_noisy: noise of its own for each row, so that only the first products are shared.
        """
        cell, drug, row = self._leads(self.cells), self._leads(self.drugs), self._of_row()
        if is_noisy:
            row += self._rest(self.cells) + self._rest(self.drugs).times(self.slots)
        else:
            cell += self._rest(self.cells)
            drug += self._inside(self.drugs) + self._blocks(self.drugs).times(self.slots)
        entities = cell.times(named["cells"]) + drug.times(named["drugs"])
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
    network: Network, named: Mapping[str, int], count: int, *, training: bool, is_noisy: bool
) -> str:
    """Return a sentence: what a row takes either way, and what sharing can gain.

    Args:
        network: widths.
        named: how many distinct "cells" and "drugs" the rows have.
        count: of rows.
        training: a step rather than a pass.
        is_noisy: see `Network.shared`.
    """
    entities, rows = network.shared(named, count, is_noisy=is_noisy)
    joined, shared, least = (
        work.amount(training=training)
        for work in (network.joined().times(count), entities + rows, rows)
    )
    return (
        f"M multiply-adds a row: joined {joined / count / 1e6:.1f}, entity-wise "
        f"{shared / count / 1e6:.2f}, {joined / shared:.2f} times fewer "
        f"({joined / least:.2f} if entities were free)"
    )


def _products(widths: Sequence[int]) -> int:
    return sum(one * other for one, other in pairwise(widths))
