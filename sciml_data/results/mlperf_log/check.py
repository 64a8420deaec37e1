"""Our own check of a log, line by line: what the official checker does not look at.

The official one passes a start written as a stop, an unknown key, times that go back and NaN
(mlperf-logging 4.1.68, tried). With the record beside it the log has to say what the record says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sciml_data.bench.record.record import ABSOLUTE_PATH
from sciml_data.errors import Problem, nearest
from sciml_data.results.mlperf_log.agree import disagreements
from sciml_data.results.mlperf_log.lines import Line, read_lines
from sciml_data.results.mlperf_log.order import order_problems
from sciml_data.results.mlperf_log.vocabulary import KEYS, ONE, OPTIONAL, SOME, TWINS, line_schema

SHORT = 160  # characters of a message about a value that may be long
JUDGED = ("eval_accuracy", "eval_error")


def check_lines(text: str, record: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return everything that is wrong with a log, each with its line; an empty list is a pass.

    Args:
        text: of the log.
        record: of the run that the log is said to be of; None holds it against nothing.
    """
    lines, problems = read_lines(text)
    is_whole = not problems
    for line in lines:
        problems += _line_problems(line)
    problems += _count_problems(lines)
    problems += _twin_problems(lines)
    placed = [line for line in lines if _has_place(line)]
    problems += order_problems(placed)
    if record is not None:
        problems += disagreements(placed, record, is_whole=is_whole and len(placed) == len(lines))
    return problems


def _has_place(line: Line) -> bool:
    """Return whether a line can be put among the others, whatever else is wrong with it."""
    key, metadata = line.event["key"], line.event["metadata"]
    is_known = isinstance(key, str) and key in KEYS
    return is_known and type(line.event["time_ms"]) is int and isinstance(metadata, dict)


def _line_problems(line: Line) -> list[Problem]:
    key = line.event["key"]
    if not isinstance(key, str) or key not in KEYS:
        message = f"no such key{nearest(key, KEYS) if isinstance(key, str) else ''}"
        return [Problem("unknown", line.place, message)]
    problems = []
    for error in sorted(_validator(key).iter_errors(line.event), key=lambda one: list(one.path)):
        field = ".".join(map(str, error.absolute_path))
        problems.append(Problem("type", f"{line.place} {field}".rstrip(), error.message[:SHORT]))
    if not problems and not _has_place(line):  # 1.0 is an integer for JSON Schema
        problems.append(Problem("type", f"{line.place} time_ms", "a whole number is expected"))
    if not problems:
        problems += _path_problems(line)
    return problems


def _path_problems(line: Line) -> list[Problem]:
    """Return a problem where a text names a place on somebody's computer."""
    file = line.event["metadata"]["file"]
    if file.startswith(("/", "~")) or ".." in file.split("/"):
        return [Problem("path", f"{line.place} metadata.file", f"{file} is no relative path")]
    found = [ABSOLUTE_PATH.search(text) for text in _texts(line.event)]
    return [
        Problem("path", line.place, f"{one.group()} is an absolute path") for one in found if one
    ]


def _texts(value: Any) -> list[str]:
    """Return every text of a JSON value, keys among them."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.items() for one in item for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
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
    if not any(counts[name] for name in JUDGED):
        problems.append(Problem("missing", " or ".join(JUDGED), "one or more expected, none found"))
    return problems


def _twin_problems(lines: Sequence[Line]) -> list[Problem]:
    """Return a problem where one fact has two spellings that say different things."""
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
