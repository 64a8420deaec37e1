"""Lines of an MLPerf log: written as mlperf_logging writes them, read more strictly than it reads.

mlperf_logging's own logger is not used. It is one for the whole process, appends where a file is
there already, prints to stdout besides, puts the caller's absolute path into every line, writes NaN
as no JSON and loses a line that it cannot encode (mlperf_logging/mllog/mllog.py, 4.1.68). Only the
form of its lines matters: a token, then JSON on one line, six fields in a fixed order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sciml_data.errors import Problem, RecordError
from sciml_data.results.mlperf_log.submitter import LINE_MARK
from sciml_data.results.mlperf_log.vocabulary import FIELDS, KEYS


@dataclass(frozen=True)
class Event:
    """One line: a key with its value, and where it comes from.

    Attributes:
        key: one of `vocabulary.KEYS`.
        time_ms: milliseconds since 1970-01-01 UTC.
        value: JSON value.
        metadata: besides the place.
        file: what the line tells of, relative: the record, or a module of this package.
        lineno: line of that file.
    """

    key: str
    time_ms: int
    value: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    file: str = "record.json"
    lineno: int = 1


@dataclass(frozen=True)
class Line:
    """A line of a log that could be read, and its number, from 1."""

    number: int
    event: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Return the line's number and key, for a problem."""
        return f"line {self.number} {self.event.get('key', '')}".rstrip()


def to_line(event: Event) -> str:
    """Return the text of an event, without the end of the line.

    Raises:
        RecordError: a value is no JSON value: NaN, infinite, or another type.
    """
    values = (
        "",
        event.time_ms,
        KEYS[event.key].event_type,
        event.key,
        event.value,
        {"file": event.file, "lineno": event.lineno, **event.metadata},
    )
    try:
        return LINE_MARK + json.dumps(dict(zip(FIELDS, values, strict=True)), allow_nan=False)
    except (ValueError, TypeError) as error:
        raise RecordError(f"{event.key} cannot be logged: {error}") from error


def read_lines(text: str) -> tuple[list[Line], list[Problem]]:
    """Return the lines that can be read, and a problem for each that cannot."""
    lines, problems = [], []
    for number, raw in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            lines.append(Line(number, _read(raw)))
        except _UnreadableError as error:
            problems.append(Problem(error.kind, f"line {number}", error.message))
    if not lines and not problems:
        problems.append(Problem("form", "log", "it has no line"))
    return lines, problems


def parse_lines(text: str) -> list[dict[str, Any]]:
    """Return every line of a log as a dict of its six fields, as they stand.

    Raises:
        RecordError: a line cannot be read; `.problems` has each.
    """
    lines, problems = read_lines(text)
    if problems:
        raise RecordError(
            "this is no MLPerf log", problems=problems, untouched="it was left as it is"
        )
    return [dict(line.event) for line in lines]


def line_in_json(document: Any, path: Sequence[str | int]) -> int:
    """Return on which line of `json.dumps(document, indent=2)` a value stands, from 1.

    Args:
        document: the whole document.
        path: keys and indices that lead to the value.
    """
    line = 1
    for step in path:
        items: Iterable[tuple[Any, Any]]
        items = document.items() if isinstance(document, Mapping) else enumerate(document)
        for key, value in items:
            line += 1
            if key == step:
                document = value
                break
            line += _height(value) - 1
    return line


def _height(value: Any) -> int:
    """Return how many lines a value takes."""
    if not isinstance(value, Mapping | list | tuple) or not value:
        return 1
    inner = value.values() if isinstance(value, Mapping) else value
    return 2 + sum(_height(one) for one in inner)


class _UnreadableError(ValueError):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


def _read(raw: str) -> dict[str, Any]:
    if not raw.startswith(LINE_MARK) or raw.count(LINE_MARK) > 1:
        raise _UnreadableError("form", f"one {LINE_MARK.strip()} is expected, at its beginning")
    if "\r" in raw:
        raise _UnreadableError("form", "it ends as on Windows")
    try:
        event = json.loads(
            raw.removeprefix(LINE_MARK),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_once,
        )
    except _UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        raise _UnreadableError("json", f"it is not JSON: {error}") from error
    if not isinstance(event, dict) or tuple(event) != FIELDS:
        raise _UnreadableError("form", f"the fields {', '.join(FIELDS)} are expected, in order")
    return event


def _refuse_constant(word: str) -> NoReturn:
    raise _UnreadableError("nan", f"{word} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        _refuse_constant(text)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _UnreadableError("form", "a field stands twice")
    return found
