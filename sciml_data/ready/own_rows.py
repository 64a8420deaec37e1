"""Read only those rows of a batch that this process needs, when several processes share a batch.

A benchmark makes global batches, and draws what is random for a whole batch, so that a run does
not depend on the number of processes. Each process then uses the rows of its own devices. While
batches are made within `reading`, the readers of this package (`read_batch` of patches,
`SampleCache.take`) read these rows alone. All other rows are copies of the first row that was read:
valid values that nobody uses.

A benchmark may read other samples than the rows of its batch, or in another order. The engine
compares the first batch with a batch that was read whole, and shares nothing if they differ; see
`bench/training/tensorflow_backend.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OwnRows:
    """The rows of each batch that a process needs: pieces `first` to `stop` of equal pieces.

    Attributes:
        first: number of the first piece.
        stop: number after the last piece.
        pieces: of a batch, one for each device of all processes.
        is_first_batch: whether only the first batch is read, for a comparison.
    """

    first: int = 0
    stop: int = 1
    pieces: int = 1
    is_first_batch: bool = False

    def of(self, count: int) -> slice:
        """Return the rows of a batch of `count` rows; never empty, because shapes are needed."""
        start, stop = (count * piece // self.pieces for piece in (self.first, self.stop))
        return slice(start, stop) if stop > start else slice(0, 1)


EVERYTHING = OwnRows()
_reading: ContextVar[OwnRows] = ContextVar("own_rows", default=EVERYTHING)


@contextlib.contextmanager
def reading(rows: OwnRows) -> Iterator[None]:
    """Let readers in this context read these rows of each batch."""
    token = _reading.set(rows)
    try:
        yield
    finally:
        _reading.reset(token)


def own_rows(count: int) -> slice:
    """Return the rows to read of a batch of `count` rows."""
    return _reading.get().of(count)


def reads_first_batch() -> bool:
    """Return whether only the first batch is wanted, so that nothing is read ahead."""
    return _reading.get().is_first_batch


def batches_with(rows: OwnRows, batches: Iterable[Any]) -> Iterator[Any]:
    """Yield batches, each made while readers read these rows.

    The context is entered for each batch anew: a generator would leave it set for its caller.
    """
    rest, end = iter(batches), object()
    while True:
        with reading(rows):
            batch = next(rest, end)
        if batch is end:
            return
        yield batch
