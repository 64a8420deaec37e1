"""Read only those rows of a batch that this process needs, when several processes share a batch.

A benchmark makes global batches, and draws what is random for a whole batch, so that a run does
not depend on the number of processes. Each process then uses the rows of its own devices. While
batches are made within `reading`, the readers of this package (`read_batch` of patches,
`SampleCache.take`) read these rows alone, and so do benchmarks that use `read_own`. All other rows
are copies of the first row that was read: valid values that nobody uses.

A benchmark may read other samples than the rows of its batch, or mix the rows. So the engine makes
some batches a second time, within a `Comparison`, which reads them whole; see
`bench/training/tensorflow_backend.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

# Of a pass that is compared, an eighth of the batches is read whole.
STRIDE = 8
Input = TypeVar("Input")
Output = TypeVar("Output")
Values: TypeAlias = npt.NDArray[Any]


class Rows(Protocol):
    """Says which rows readers read."""

    def of(self, count: int, batch: int = 0) -> slice:
        """Return the rows to read of `count` rows; `batch` is the number of the batch."""


@dataclass(frozen=True)
class OwnRows:
    """The rows of each batch that a process needs: pieces `first` to `stop` of equal pieces.

    Attributes:
        first: number of the first piece.
        stop: number after the last piece.
        pieces: of a batch, one for each device of all processes.
    """

    first: int = 0
    stop: int = 1
    pieces: int = 1

    def of(self, count: int, batch: int = 0) -> slice:  # noqa: ARG002 - all batches are alike
        """Return the rows of a batch of `count` rows; never empty, because shapes are needed."""
        start, stop = (count * piece // self.pieces for piece in (self.first, self.stop))
        return slice(start, stop) if stop > start else slice(0, 1)


@dataclass
class Comparison:
    """Read some batches whole, and a single row of each other batch, which is then not compared.

    Whole are the first batch, every `STRIDE`-th, and each batch that is smaller than an earlier
    one, as the last batch of an epoch is: a benchmark may treat a small batch differently.

    Attributes:
        offset: number of a batch of those that are read whole.
    """

    offset: int
    _largest: int = 0
    _partly: set[int] = field(default_factory=set)  # numbers of batches that are not read whole

    def of(self, count: int, batch: int = 0) -> slice:
        """Return all rows of a batch, or one row."""
        self._largest = max(self._largest, count)
        if batch == 0 or (batch - self.offset) % STRIDE == 0 or count < self._largest:
            return slice(0, count)
        self._partly.add(batch)
        return slice(0, 1)

    def is_whole(self, batch: int) -> bool:
        """Return whether no reader has left out rows of a batch that was made."""
        return batch not in self._partly


EVERYTHING = OwnRows()
_reading: ContextVar[tuple[Rows, int]] = ContextVar("own_rows", default=(EVERYTHING, 0))


@contextlib.contextmanager
def reading(rows: Rows, batch: int = 0) -> Iterator[None]:
    """Let readers in this context read these rows of a batch with this number."""
    token = _reading.set((rows, batch))
    try:
        yield
    finally:
        _reading.reset(token)


def own_rows(count: int) -> slice:
    """Return the rows to read of a batch of `count` rows."""
    rows, batch = _reading.get()
    return rows.of(count, batch)


def read_own(count: int, read: Callable[[slice], tuple[Values, ...]]) -> tuple[Values, ...]:
    """Return arrays of `count` rows, of which the rows to read are made by a function.

    Args:
        count: number of rows of the batch.
        read: returns arrays (row, ...) of a slice of the rows.
    """
    own = own_rows(count)
    arrays = read(own)
    if own == slice(0, count):
        return arrays
    wholes = []
    for values in arrays:
        whole = np.empty((count, *values.shape[1:]), values.dtype)
        whole[:] = values[0]
        whole[own] = values
        wholes.append(whole)
    return tuple(wholes)


def make_batch(number: int, function: Callable[[Input], Output], task: Input) -> Output:
    """Return the result of a function that makes a batch: for threads that make batches ahead."""
    rows, _ = _reading.get()
    with reading(rows, number):
        return function(task)


def batches_with(rows: Rows, batches: Iterable[Any]) -> Iterator[Any]:
    """Yield batches, each made while readers read these rows.

    The context is entered for each batch anew: a generator would leave it set for its caller.
    """
    rest, end, number = iter(batches), object(), 0
    while True:
        with reading(rows, number):
            batch = next(rest, end)
        if batch is end:
            return
        yield batch
        number += 1
