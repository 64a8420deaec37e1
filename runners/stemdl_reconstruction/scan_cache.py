"""Prepared scans in memory as far as a budget goes; the others are read each time they are asked.

What was read first stays. An epoch asks for everything once, in an order of its own: to forget the
oldest would then forget each scan just before it is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .scans import Floats, Numbers

MEBIBYTE = 1 << 20
Read = Callable[[Numbers], tuple[Floats, Floats]]


class Store:
    """Inputs and targets of samples by their numbers; `read` makes those that are not kept."""

    def __init__(self, read: Read, *, budget_mib: int) -> None:
        """Keep nothing yet, and at most so many MiB later."""
        self._read, self._room = read, budget_mib * MEBIBYTE
        self._kept: dict[int, tuple[Floats, Floats]] = {}

    def __len__(self) -> int:
        """Return how many samples are kept."""
        return len(self._kept)

    def take(self, numbers: Sequence[int] | Numbers) -> tuple[Floats, Floats]:
        """Return (sample, ...) inputs and targets of samples, in the order asked for."""
        wanted: Numbers = np.asarray(numbers, np.intp)
        missing = np.array([n for n in wanted.tolist() if n not in self._kept], np.intp)
        fresh: dict[int, tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]] = {}
        if len(missing):
            inputs, targets = self._read(missing)
            fresh = dict(zip(missing.tolist(), zip(inputs, targets, strict=True), strict=True))
            for number, pair in fresh.items():
                self._keep(number, pair)
        found = [self._kept.get(n) or fresh[n] for n in wanted.tolist()]
        return np.stack([one for one, _ in found]), np.stack([other for _, other in found])

    def _keep(self, number: int, pair: tuple[Floats, Floats]) -> None:
        size = sum(values.nbytes for values in pair)
        if size <= self._room:
            self._room -= size
            self._kept[number] = (pair[0].copy(), pair[1].copy())
