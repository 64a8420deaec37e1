"""Find again which features belong to which id, from rows that repeat them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass
class Found:
    """One row of features for each id that came so far; grows as rows come.

    Attributes:
        width: columns.
        numbers: of each id, in the order of first coming.
        values: (id, column); room beyond the ids is empty.
    """

    width: int
    numbers: dict[bytes, int] = field(default_factory=dict)
    values: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def add(self, ids: NDArray[np.bytes_], rows: NDArray[np.float32]) -> NDArray[np.intp]:
        """Take in rows; return how many columns of each differ from what its id had before."""
        codes, known = pd.factorize(ids)
        first = np.full(len(known), len(ids))
        np.minimum.at(first, codes, np.arange(len(ids)))
        places = np.empty(len(known), np.intp)
        for code, name in enumerate(known):
            if name not in self.numbers:
                self._keep(len(self.numbers), rows[first[code]])
                self.numbers[name] = len(self.numbers)
            places[code] = self.numbers[name]
        before = self.values[places[codes]]
        differs = (before.view(np.uint32) != rows.view(np.uint32)).any(axis=1)
        counts = np.zeros(len(ids), np.intp)
        one, other = before[differs], rows[differs]
        is_same = (one == other) | (np.isnan(one) & np.isnan(other))  # -0 is 0, and NaN is NaN
        counts[differs] = (~is_same).sum(axis=1)
        return counts

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids in the order of first coming."""
        return tuple(name.decode() for name in self.numbers)

    @property
    def features(self) -> NDArray[np.float32]:
        """Return the features: (id, column)."""
        return self.values[: len(self.numbers)]

    def _keep(self, place: int, row: NDArray[np.float32]) -> None:
        if place >= len(self.values):
            grown = np.empty((max(64, 2 * place), self.width), np.float32)
            grown[:place] = self.values[:place].reshape(place, self.width)
            self.values = grown
        self.values[place] = row


def same_features(found: Found) -> tuple[str, ...]:
    """Return one name for ids whose features are the same: the first of them by alphabet.

    A drug under two ids has the same descriptors; so have isomers that no descriptor tells apart,
    and drugs without any. For a split without leaks, too few names are safe.
    """
    digests = [
        hashlib.blake2b((row + np.float32(0)).tobytes(), digest_size=16).digest()
        for row in found.features
    ]
    names: dict[bytes, str] = {}
    for name, digest in sorted(zip(found.ids, digests, strict=True)):
        names.setdefault(digest, name)
    return tuple(names[digest] for digest in digests)
