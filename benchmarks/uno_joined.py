"""Joined rows in a file, as the reference exports and reads them.

The published file, and the reference's `--export_data`, are pandas HDFStores in the format
`table`: one float32 frame for each input, whole batches read by position (`DataFeeder` of
uno_data.py), not compressed. Here a file of some batches is written in the order they are trained
on, and read with pandas. Before each pass the page cache is told to forget it: the 13 GB of the
AUC variant may stay there on a large machine, the 1,577 GB of the doses will not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pipeline import drop

TARGET = "y"


class JoinedFile:
    """Some batches as joined rows in a file."""

    def __init__(
        self, path: Path, batches: Sequence[Any], join: Callable[[Any], Sequence[Any]]
    ) -> None:
        """Write the batches.

        Args:
            path: of the file.
            batches: (inputs, targets, weights) each; see `Rows.batches`.
            join: inputs to arrays (row, feature).
        """
        self.path = path
        self.sizes = [len(targets) for _, targets, _ in batches]
        with pd.HDFStore(path, mode="w") as store:
            for inputs, targets, _ in batches:
                parts = list(join(inputs))
                self.inputs = len(parts)
                for number, part in enumerate([*parts, targets]):
                    key = TARGET if number == self.inputs else f"x_{number}"
                    store.append(key, pd.DataFrame(part), format="table", index=False)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the file."""
        return self.path.stat().st_size

    def read(self) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
        """Yield the batches as they are read from the disk: (arrays, targets, weights)."""
        drop([self.path])
        with pd.HDFStore(self.path, mode="r") as store:
            first = 0
            for size in self.sizes:
                keys = [*(f"x_{number}" for number in range(self.inputs)), TARGET]
                *parts, targets = (
                    store.select(key, start=first, stop=first + size).to_numpy() for key in keys
                )
                first += size
                yield tuple(parts), targets, np.ones_like(targets)
