"""Our check of an MLPerf log: its lines, their order, and their agreement with a record.

The official checker (`official.py`) accepts a start written as a stop, an unknown key, times that
go backwards, and NaN (mlperf-logging 4.1.68, tested). This check finds them. With a record, the log
must also say what the record says: the log is made again from the record and compared key by key.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from sciml_data.bench.record.record import ABSOLUTE_PATH
from sciml_data.errors import Problem, SciMLDataError, nearest
from sciml_data.registry.schema import schema_problems
from sciml_data.results.mlperf_log.events import events_of
from sciml_data.results.mlperf_log.lines import (
    INTERVALS,
    KEYS,
    ONE,
    OPTIONAL,
    SOME,
    TWINS,
    WITHIN,
    Line,
    line_schema,
    read_lines,
    to_line,
)
from sciml_data.results.mlperf_log.submitter import Submitter

MAX_VALUE = 80  # characters of a value in a message
SCORES = ("eval_accuracy", "eval_error")
# Key -> the interval that must have stopped before it.
AFTER = {"run_start": "init", "result": "run"}
PLACE = ("file", "lineno")  # metadata about the layout of the record, not about the run


def check_lines(text: str, record: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return everything that is wrong with a log, each with its line; an empty list is a pass.

    Args:
        text: of the log.
        record: record of the run that the log claims to be of; None skips the comparison.
    """
    lines, problems = read_lines(text)
    is_complete = not problems
    for line in lines:
        problems += _line_problems(line)
    problems += _count_problems(lines)
    problems += _twin_problems(lines)
    placed = [line for line in lines if _has_place(line)]
    problems += _order_problems(placed)
    if record is not None:
        problems += _disagreements(
            placed, record, is_complete=is_complete and len(placed) == len(lines)
        )
    return problems


def _has_place(line: Line) -> bool:
    """Return whether key, time and metadata are valid, so that the line's order can be checked."""
    key, metadata = line.event["key"], line.event["metadata"]
    is_known = isinstance(key, str) and key in KEYS
    return is_known and type(line.event["time_ms"]) is int and isinstance(metadata, dict)


def _line_problems(line: Line) -> list[Problem]:
    key = line.event["key"]
    if not isinstance(key, str) or key not in KEYS:
        message = f"unknown key{nearest(key, KEYS) if isinstance(key, str) else ''}"
        return [Problem("unknown", line.place, message)]
    problems = [
        Problem("type", f"{line.place} {problem.place}".rstrip(), problem.message)
        for problem in schema_problems(_validator(key).iter_errors(line.event))
    ]
    if not problems and not _has_place(line):  # 1.0 is an integer for JSON Schema
        problems.append(Problem("type", f"{line.place} time_ms", "a whole number is expected"))
    if not problems:
        problems += _path_problems(line)
    return problems


def _path_problems(line: Line) -> list[Problem]:
    """Return a problem if a text contains a path on somebody's computer."""
    file = line.event["metadata"]["file"]
    if file.startswith(("/", "~")) or ".." in file.split("/"):
        return [Problem("path", f"{line.place} metadata.file", f"{file} is not a relative path")]
    matches = [ABSOLUTE_PATH.search(text) for text in _texts(line.event)]
    return [
        Problem("path", line.place, f"{match.group()} is an absolute path")
        for match in matches
        if match
    ]


def _texts(value: Any) -> list[str]:
    """Return every text in a JSON value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return []


def _count_problems(lines: Sequence[Line]) -> list[Problem]:
    counts = Counter(line.event["key"] for line in lines if isinstance(line.event["key"], str))
    problems = []
    for name, key in KEYS.items():
        count = counts[name]
        if key.times in {ONE, SOME} and not count:
            problems.append(Problem("missing", name, f"{key.times} expected, none found"))
        elif key.times in {ONE, OPTIONAL} and count > 1:
            problems.append(Problem("duplicate", name, f"{key.times} expected, {count} found"))
    if not any(counts[name] for name in SCORES):
        problems.append(Problem("missing", " or ".join(SCORES), "one or more expected, none found"))
    return problems


def _twin_problems(lines: Sequence[Line]) -> list[Problem]:
    """Return a problem for each key whose two spellings have different values."""
    values = {line.event["key"]: line for line in lines if isinstance(line.event["key"], str)}
    return [
        Problem(
            "differs",
            values[second].place,
            f"{values[second].event['value']!r}, and {first} says {values[first].event['value']!r}",
        )
        for first, second in TWINS.items()
        if first in values
        and second in values
        and values[first].event["value"] != values[second].event["value"]
    ]


@cache
def _validator(key: str) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(line_schema(KEYS[key]))


# Order


def _order_problems(lines: Sequence[Line]) -> list[Problem]:
    """Return lines in an impossible order; each line has a valid key, time and metadata."""
    return [*_time_problems(lines), *_interval_problems(lines), *_epoch_problems(lines)]


def _time_problems(lines: Sequence[Line]) -> Iterator[Problem]:
    for before, line in pairwise(lines):
        earlier = before.event["time_ms"] - line.event["time_ms"]
        if earlier > 0:
            message = f"{earlier} ms earlier than line {before.number}"
            yield Problem("time", f"{line.place} time_ms", message)


def _interval_problems(lines: Sequence[Line]) -> Iterator[Problem]:
    """Yield starts and stops without a partner, and events outside their interval."""
    running: dict[str, Line] = {}
    stopped: set[str] = set()
    for line in lines:
        key = line.event["key"]
        yield from _place_problems(line, running, stopped)
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
            stopped.add(name)
    for name, line in running.items():
        yield Problem("pair", line.place, f"no {name}_stop follows")


def _place_problems(line: Line, running: dict[str, Line], stopped: set[str]) -> Iterator[Problem]:
    key = line.event["key"]
    if key in WITHIN and WITHIN[key] not in running:
        yield Problem("order", line.place, f"is outside {WITHIN[key]}")
    if key in AFTER and AFTER[key] not in stopped:
        yield Problem("order", line.place, f"is before {AFTER[key]}_stop")


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
        if (actual := line.event["metadata"].get("epoch_num")) != expected:
            yield Problem("order", line.place, f"epoch {expected} expected, {actual} found")
            return


# Agreement with a record


def _disagreements(
    lines: Sequence[Line], record: Mapping[str, Any], *, is_complete: bool = True
) -> list[Problem]:
    """Return where a log differs from a record.

    Every key that follows from the record must occur, as often as it follows.

    Args:
        lines: with valid keys, times and metadata.
        record: of the run.
        is_complete: False if some lines could not be read; keys are not counted then.
    """
    actual = _by_key(lines)
    try:
        made = events_of(record, _submitter(actual))
        expected = _by_key(read_lines("\n".join(map(to_line, made)))[0])
    except (SciMLDataError, KeyError, TypeError) as error:
        wrong = error.message if isinstance(error, SciMLDataError) else f"{error!r} is missing"
        return [Problem("record", "record", f"no log can be made from it: {wrong}")]
    problems: list[Problem] = []
    for key in dict.fromkeys([*expected, *actual]):
        logged, wanted = actual.get(key, []), expected.get(key, [])
        if is_complete or len(wanted) == len(logged):
            problems += _key_problems(key, logged, wanted)
    return [
        problem
        for problem in problems
        if not _is_caused_by_rescore(problem, actual, expected, record)
    ]


def _by_key(lines: Sequence[Line]) -> dict[str, list[Line]]:
    groups = defaultdict(list)
    for line in lines:
        groups[line.event["key"]].append(line)
    return dict(groups)


def _submitter(actual: Mapping[str, Sequence[Line]]) -> Submitter:
    """Return the submitter that the log names: a record has none to compare with."""

    def stated(key: str) -> Any:
        return actual[key][0].event["value"] if key in actual else None

    platform = (
        actual["submission_platform"][0].event["metadata"] if stated("submission_platform") else {}
    )
    return Submitter(
        org=stated("submission_org") or "not stated",
        system=platform.get("system") or "not stated",
        status=stated("submission_status") or "research",
        platform=stated("submission_platform"),
        poc_name=stated("submission_poc_name"),
        poc_email=stated("submission_poc_email"),
    )


def _key_problems(key: str, actual: Sequence[Line], expected: Sequence[Line]) -> Iterator[Problem]:
    if len(actual) != len(expected):
        message = f"{len(expected)} expected by the record, {len(actual)} found"
        yield Problem("differs", key, message)
        return
    for line, wanted in zip(actual, expected, strict=True):
        for place, message in _differences(_comparable(wanted.event), _comparable(line.event)):
            yield Problem("differs", f"{line.place} {place}", message)


def _comparable(event: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in event["metadata"].items() if key not in PLACE}
    return {"time_ms": event["time_ms"], "value": event["value"], "metadata": metadata}


def _differences(expected: Any, actual: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every place where two JSON values differ, with the expected and the found value."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in dict.fromkeys([*expected, *actual]):
            inner = f"{place}.{key}" if place else key
            yield from _differences(expected.get(key), actual.get(key), inner)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (wanted, item) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(wanted, item, f"{place}.{number}")
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield place, f"{_short(expected)} by the record, {_short(actual)} found"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "..."


def _is_caused_by_rescore(
    problem: Problem,
    actual: Mapping[str, Sequence[Line]],
    expected: Mapping[str, Sequence[Line]],
    record: Mapping[str, Any],
) -> bool:
    """Return whether a digest differs only because the scores were checked after logging.

    Such a check leaves `content_digest` as it was.
    """
    if not problem.place.endswith("value.record_digest"):
        return False
    digests = [side["result"][0].event["value"]["content_digest"] for side in (actual, expected)]
    is_same = bool(digests[0] == digests[1])
    return is_same and record["verification"]["state"] != "unchecked"
