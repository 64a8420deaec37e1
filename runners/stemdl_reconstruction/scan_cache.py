"""A cache of prepared scans in memory, up to a budget; other scans are read again each time.

Nothing is evicted. An epoch needs every scan once, each time in a new order. A cache that evicts
the least recently used scan would evict most scans just before they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .scans import Floats, Numbers

MEBIBYTE = 1 << 20
Read = Callable[[Numbers], tuple[Floats, Floats]]


class ScanCache:
    """Inputs and targets of samples by number."""

    def __init__(self, read: Read, *, budget_mib: int) -> None:
        """Start empty.

        Args:
            read: from sample numbers to inputs and targets, each (sample, ...).
            budget_mib: largest size of the cache in MiB.
        """
        self._read, self._free_bytes = read, budget_mib * MEBIBYTE
        self._cached: dict[int, tuple[Floats, Floats]] = {}

    def __len__(self) -> int:
        """Return the number of cached samples."""
        return len(self._cached)

    def take(self, numbers: Sequence[int] | Numbers) -> tuple[Floats, Floats]:
        """Return inputs and targets (sample, ...) of samples, in the given order."""
        wanted: Numbers = np.asarray(numbers, np.intp)
        missing = np.array([n for n in wanted.tolist() if n not in self._cached], np.intp)
        fresh: dict[int, tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]] = {}
        if len(missing):
            inputs, targets = self._read(missing)
            fresh = dict(zip(missing.tolist(), zip(inputs, targets, strict=True), strict=True))
            for number, pair in fresh.items():
                self._add(number, pair)
        pairs = [self._cached.get(n) or fresh[n] for n in wanted.tolist()]
        return np.stack([inputs for inputs, _ in pairs]), np.stack([target for _, target in pairs])

    def _add(self, number: int, pair: tuple[Floats, Floats]) -> None:
        size = sum(values.nbytes for values in pair)
        if size <= self._free_bytes:
            self._free_bytes -= size
            # Copies, because a view would keep the whole batch in memory.
            self._cached[number] = (pair[0].copy(), pair[1].copy())
