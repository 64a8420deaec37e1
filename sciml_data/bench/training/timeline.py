"""When the parts of a run began and ended, under the keys of MLPerf's logs.

Times are milliseconds since 1970 (UTC) that never fall within a process: the clock of the computer
is read once, and a monotonic one tells how long ago that was.
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
# What a run that goes on keeps of the process before it: the run began once.
KEPT = (INIT_START, INIT_STOP, RUN_START, STAGING_START, STAGING_STOP)

Mark = dict[str, Any]
_ANCHOR_NS = time.time_ns() - time.perf_counter_ns()


def epoch_ms() -> int:
    """Return the time in whole milliseconds since 1970-01-01 UTC."""
    return (_ANCHOR_NS + time.perf_counter_ns()) // 1_000_000


def mark(key: str, **metadata: Any) -> Mark:
    """Return one entry of a timeline: now."""
    return {"key": key, "time_ms": epoch_ms(), "metadata": metadata}


def begin_run(marks: Iterable[Mark], *, is_shared: bool) -> list[Mark]:
    """Return the marks of a process that prepared data, with the begin of a run among them.

    The measured time begins before staging, as the working group's policy asks ("Data State").
    Where several runs share one staging, that of each begins now, and staging stays where it was.
    """
    found = list(marks)
    if is_shared or not any(one["key"] == STAGING_START for one in found):
        return [*found, mark(RUN_START)]
    place = next(number for number, one in enumerate(found) if one["key"] == STAGING_START)
    return [*found[:place], {**found[place], "key": RUN_START}, *found[place:]]


def go_on(marks: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """Return what the timeline of a run that is gone on with begins with."""
    return [dict(one) for one in marks if one["key"] in KEPT]
