"""The order of a log's lines: time does not go back, and what starts stops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sciml_data.errors import Problem
from sciml_data.results.mlperf_log.lines import Line
from sciml_data.results.mlperf_log.vocabulary import INTERVALS, WITHIN

# What has to have stopped before something may begin.
AFTER = {"run_start": "init", "result": "run"}


def order_problems(lines: Sequence[Line]) -> list[Problem]:
    """Return where lines stand in an order that cannot be; each has key, time and metadata."""
    return [*_time_problems(lines), *_interval_problems(lines), *_epoch_problems(lines)]


def _time_problems(lines: Sequence[Line]) -> Iterator[Problem]:
    for before, line in pairwise(lines):
        earlier = before.event["time_ms"] - line.event["time_ms"]
        if earlier > 0:
            message = f"{earlier} ms earlier than line {before.number}"
            yield Problem("time", f"{line.place} time_ms", message)


def _interval_problems(lines: Sequence[Line]) -> Iterator[Problem]:
    """Yield intervals that are not paired, and events outside the interval they belong in."""
    running: dict[str, Line] = {}
    over: set[str] = set()
    for line in lines:
        key = line.event["key"]
        yield from _place_problems(line, running, over)
        name, _, edge = key.rpartition("_")
        if name not in INTERVALS or edge not in {"start", "stop"}:
            continue
        if edge == "start":
            if name in running:
                message = f"has not stopped since line {running[name].number}"
                yield Problem("pair", line.place, message)
            running[name] = line
        else:
            yield from _stop_problems(line, running.pop(name, None))
            over.add(name)
    for name, line in running.items():
        yield Problem("pair", line.place, f"no {name}_stop follows")


def _place_problems(line: Line, running: dict[str, Line], over: set[str]) -> Iterator[Problem]:
    key = line.event["key"]
    if key in WITHIN and WITHIN[key] not in running:
        yield Problem("order", line.place, f"stands outside {WITHIN[key]}")
    if key in AFTER and AFTER[key] not in over:
        yield Problem("order", line.place, f"stands before {AFTER[key]}_stop")


def _stop_problems(stop: Line, start: Line | None) -> Iterator[Problem]:
    if start is None:
        yield Problem("pair", stop.place, "nothing has started")
        return
    began, ended = (line.event["metadata"].get("epoch_num") for line in (start, stop))
    if began != ended:
        message = f"of epoch {ended}, but line {start.number} started that of epoch {began}"
        yield Problem("pair", stop.place, message)


def _epoch_problems(lines: Sequence[Line]) -> Iterator[Problem]:
    starts = [line for line in lines if line.event["key"] == "epoch_start"]
    for expected, line in enumerate(starts, start=1):
        if (found := line.event["metadata"].get("epoch_num")) != expected:
            yield Problem("order", line.place, f"epoch {expected} expected, {found} found")
            return
