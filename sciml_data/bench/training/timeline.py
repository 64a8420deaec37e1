"""When the sections of a run began and ended, with the keys of MLPerf's logs.

Times are in milliseconds since 1970 (UTC). Within a process they never decrease: the clock of the
computer, which can be set back during a run, is read once; then a monotonic clock is used.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

# https://github.com/mlcommons/logging, mlperf_logging/mllog/constants.py, 4.1.68.
INIT_START, INIT_STOP = "init_start", "init_stop"
RUN_START, RUN_STOP = "run_start", "run_stop"
STAGING_START, STAGING_STOP = "staging_start", "staging_stop"
EVAL_START, EVAL_STOP = "eval_start", "eval_stop"
# Marks that a resumed run inherits from its first process: a run begins only once.
INHERITED = (INIT_START, INIT_STOP, RUN_START, STAGING_START, STAGING_STOP)

Mark = dict[str, Any]
# Time since 1970 at which the monotonic clock was 0.
_ANCHOR_NS = time.time_ns() - time.perf_counter_ns()


def epoch_ms() -> int:
    """Return the time in whole milliseconds since 1970-01-01 UTC."""
    return (_ANCHOR_NS + time.perf_counter_ns()) // 1_000_000


def mark(key: str, **metadata: Any) -> Mark:
    """Return a mark of the present time."""
    return {"key": key, "time_ms": epoch_ms(), "metadata": metadata}


def begin_run(marks: Iterable[Mark], *, is_shared: bool) -> list[Mark]:
    """Return the marks of a new run: those of its preparation, and the start of the run.

    The measured time begins before staging, as the working group's policy demands ("Data State").
    If several runs share a staging, each of them begins now, and the marks of staging keep their
    times.

    Args:
        marks: of the process that prepared the data.
        is_shared: whether several runs share them.
    """
    preparation = list(marks)
    keys = [entry["key"] for entry in preparation]
    if is_shared or STAGING_START not in keys:
        return [*preparation, mark(RUN_START)]
    place = keys.index(STAGING_START)
    start = {**preparation[place], "key": RUN_START}
    return [*preparation[:place], start, *preparation[place:]]


def resume_run(marks: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """Return the marks that a resumed run inherits."""
    return [dict(entry) for entry in marks if entry["key"] in INHERITED]
