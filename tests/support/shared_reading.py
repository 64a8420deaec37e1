"""Batches of one of several processes, for the tests of runners that read while they train."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml_data.bench.training.backend import RowCheck
from sciml_data.bench.training.tensorflow_backend import _own_batches
from sciml_data.ready.own_rows import OwnRows

PROCESSES = 2


def require_own_rows(problem: Any, part: str, *, batch_size: int) -> None:
    """Check that each of two processes reads its rows alone, and gets those of whole batches."""

    def make() -> Any:
        return problem.batches(part, batch_size=batch_size, seed=3)

    wholes = list(make())
    for process in range(PROCESSES):
        check, rows = RowCheck(part), OwnRows(process, process + 1, PROCESSES)
        batches = list(_own_batches(make, rows, check))
        assert check.holds
        assert len(batches) == len(wholes)
        unread = 0
        for batch, whole in zip(batches, wholes, strict=True):
            own = rows.of(len(whole[0]))
            for made, expected in zip(batch, whole, strict=True):
                np.testing.assert_array_equal(np.asarray(made)[own], np.asarray(expected)[own])
                unread += not np.array_equal(made, expected, equal_nan=True)
        assert unread
