"""The lines of an MLPerf log: the table of its keys, and how a line is written and read.

Keys are MLPerf's (mlperf-logging 4.1.68, mllog/constants.py) and the Science working group's
(mlcommons/science, submit.adoc, section 6). Writer and check both use the table `KEYS`, so a log
cannot be written by other rules than it is checked by.

mlperf_logging's own logger is not used. There is only one for the whole process; it appends to an
existing file, prints to stdout as well, puts the caller's absolute path into every line, writes NaN
(which is not JSON) and loses a line that it cannot encode (mlperf_logging/mllog/mllog.py, 4.1.68).
Its form is simple: a token, then JSON on one line with six fields in a fixed order. Lines are read
here more strictly than mlperf_logging reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sciml_data.errors import Problem, RecordError
from sciml_data.results.mlperf_log.submitter import LINE_MARK, STATUSES

START, STOP, POINT = "INTERVAL_START", "INTERVAL_END", "POINT_IN_TIME"
FIELDS = ("namespace", "time_ms", "event_type", "key", "value", "metadata")  # in this order
ONE, SOME, OPTIONAL, ANY = "exactly one", "one or more", "at most one", "any number"
INTERVALS = ("init", "run", "staging", "epoch", "eval")
# Two spellings of one key: the documents and the codes of the working group differ.
TWINS = {
    "submission_version": "submissiom_version",  # the second as submit.adoc spells it
    "submission_github_commit_version": "github_commit_version",  # the second as cloudmesh does
}
DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_TEXT = {"type": "string", "pattern": r"\S"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_POSITIVE = {"type": "integer", "minimum": 1}
_NOTHING = {"type": "null"}
_COMMIT = {"type": "string", "pattern": "^[0-9a-f]{40}$"}


@dataclass(frozen=True)
class Key:
    """Use of a key: its event type, the JSON Schema of its value, how often, required metadata."""

    event_type: str = POINT
    value: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    times: str = ONE
    metadata: tuple[str, ...] = ()


METADATA: Mapping[str, Mapping[str, Any]] = {
    "file": _TEXT,
    "lineno": _POSITIVE,
    "epoch_num": _POSITIVE,
    "samples_count": _COUNT,
    "status": {"const": "success"},
    "benchmark": _TEXT,
    "synthetic": {"type": "boolean"},
    "metric": _TEXT,
    "part": _TEXT,
}
_SCORES = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
RESULT = {
    "type": "object",
    "required": [
        "name",
        "run_id",
        "headline_metric",
        "metrics",
        "targets",
        "synthetic",
        "dataset",
        "split",
        "record_digest",
        "content_digest",
    ],
    "properties": {
        "name": _TEXT,
        "run_id": _TEXT,
        "metrics": {"type": "object", "minProperties": 1, "additionalProperties": _SCORES},
        "targets": {"type": "array", "items": {"type": "object"}},
        "synthetic": {"type": "boolean"},
        "dataset": {"type": "object", "required": ["id", "version", "manifest_digest"]},
        "split": {"type": "object", "required": ["name", "members_digest"]},
        "record_digest": DIGEST,
        "content_digest": DIGEST,
        "predictions_sha256": {"type": ["string", "null"]},
    },
}
_EPOCH = ("epoch_num", "samples_count")
_SCORE = Key(POINT, _NUMBER, ANY, (*_EPOCH, "metric", "part"))
KEYS: Mapping[str, Key] = {
    "submission_benchmark": Key(value=_TEXT, metadata=("benchmark", "synthetic")),
    "submission_org": Key(value=_TEXT),
    "submission_division": Key(value={"const": "open"}),
    "submission_version": Key(value=_TEXT),
    "submissiom_version": Key(value=_TEXT),
    "submission_github_commit_version": Key(value=_COMMIT),
    "github_commit_version": Key(value=_COMMIT),
    "submission_status": Key(value={"enum": list(STATUSES)}),
    "submission_platform": Key(value=_TEXT),
    "submission_poc_name": Key(value=_TEXT, times=OPTIONAL),
    "submission_poc_email": Key(value=_TEXT, times=OPTIONAL),
    "cache_clear": Key(value={"type": "boolean"}),
    "init_start": Key(START),
    "seed": Key(value={"type": "integer"}),
    "config_filename": Key(value=_TEXT),
    "global_batch_size": Key(value=_POSITIVE),
    "gradient_accumulation_steps": Key(value=_POSITIVE, times=OPTIONAL),
    "number_of_ranks": Key(value=_POSITIVE),
    "accelerators_per_node": Key(value=_COUNT),
    "opt_name": Key(value=_TEXT, times=OPTIONAL),
    "opt_base_learning_rate": Key(value=_NUMBER, times=OPTIONAL),
    "opt_weight_decay": Key(value=_NUMBER, times=OPTIONAL),
    "opt_gradient_clip_norm": Key(value=_NUMBER, times=OPTIONAL),
    "opt_learning_rate_warmup_epochs": Key(value=_COUNT, times=OPTIONAL),
    "opt_learning_rate_decay_schedule": Key(value=_TEXT, times=OPTIONAL),
    "opt_learning_rate_decay_factor": Key(value=_NUMBER, times=OPTIONAL),
    "init_stop": Key(STOP),
    "run_start": Key(START),
    "staging_start": Key(START, times=OPTIONAL),
    "staging_stop": Key(STOP, times=OPTIONAL),
    "train_samples": Key(value=_POSITIVE),
    "eval_samples": Key(value=_POSITIVE),
    "epoch_start": Key(START, times=SOME, metadata=_EPOCH),
    "train_loss": Key(value=_NUMBER, times=ANY, metadata=_EPOCH),
    "epoch_stop": Key(STOP, times=SOME, metadata=_EPOCH),
    "eval_start": Key(START, times=SOME, metadata=_EPOCH),
    "eval_loss": Key(value=_NUMBER, times=ANY, metadata=_EPOCH),
    "eval_accuracy": _SCORE,
    "eval_error": _SCORE,
    "eval_stop": Key(STOP, times=SOME, metadata=_EPOCH),
    "target_accuracy_reached": Key(value=_NUMBER, times=ANY, metadata=("epoch_num", "metric")),
    "tracked_stats": Key(value={"type": "object", "required": ["throughput"]}, times=OPTIONAL),
    "run_stop": Key(STOP, metadata=("status",)),
    "result": Key(value=RESULT),
}
# Key -> the interval inside which it must be.
WITHIN = {
    "train_loss": "epoch",
    "eval_loss": "eval",
    "eval_accuracy": "eval",
    "eval_error": "eval",
    "epoch_start": "run",
    "eval_start": "run",
    "train_samples": "run",
    "eval_samples": "run",
    "tracked_stats": "run",
    "target_accuracy_reached": "run",
}


def line_schema(key: Key) -> dict[str, Any]:
    """Return the JSON Schema of a whole line that has a key of the table."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(FIELDS),
        "properties": {
            "namespace": {"const": ""},
            "time_ms": {"type": "integer", "minimum": 1},
            "event_type": {"const": key.event_type},
            "key": {"type": "string"},
            "value": key.value,
            "metadata": {
                "type": "object",
                "required": ["file", "lineno", *key.metadata],
                "properties": METADATA,
            },
        },
    }


@dataclass(frozen=True)
class Event:
    """One line to be written: a key with its value, and the place in a file that states it.

    Attributes:
        key: one of `KEYS`.
        time_ms: milliseconds since 1970-01-01 UTC.
        value: JSON value.
        metadata: further facts; the place is added to them.
        file: relative path of the file that states the fact: the record, or a module of this
            package.
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
    """A line that was read from a log; `number` counts from 1."""

    number: int
    event: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Return the line's number and key, for a problem."""
        return f"line {self.number} {self.event.get('key', '')}".rstrip()


def to_line(event: Event) -> str:
    """Return the text of an event, without the end of the line.

    Raises:
        RecordError: a value cannot be written as JSON: NaN, infinite, or of another type.
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
    """Return the lines that can be read, and a problem for each line that cannot."""
    lines, problems = [], []
    for number, raw in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            lines.append(Line(number, _read(raw)))
        except _UnreadableError as error:
            problems.append(Problem(error.kind, f"line {number}", error.message))
    if not lines and not problems:
        problems.append(Problem("form", "log", "the log is empty"))
    return lines, problems


def parse_lines(text: str) -> list[dict[str, Any]]:
    """Return every line of a log as a dict of its six fields, unchecked.

    Raises:
        RecordError: a line cannot be read; `.problems` lists all of them.
    """
    lines, problems = read_lines(text)
    if problems:
        raise RecordError(
            "this is not an MLPerf log", problems=problems, untouched="it was left as it is"
        )
    return [dict(line.event) for line in lines]


def line_in_json(document: Any, path: Sequence[str | int]) -> int:
    """Return the number of the line of a value in `json.dumps(document, indent=2)`, from 1.

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
    return 2 + sum(_height(item) for item in inner)


class _UnreadableError(ValueError):
    """Why a line cannot be read: `form`, `json` or `nan`, and a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


def _read(raw: str) -> dict[str, Any]:
    if not raw.startswith(LINE_MARK) or raw.count(LINE_MARK) > 1:
        raise _UnreadableError("form", f"one {LINE_MARK.strip()} is expected, at its beginning")
    if "\r" in raw:
        raise _UnreadableError("form", "the line ends with a carriage return, as on Windows")
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
        raise _UnreadableError("json", f"the line is not JSON: {error}") from error
    if not isinstance(event, dict) or tuple(event) != FIELDS:
        raise _UnreadableError("form", f"the fields {', '.join(FIELDS)} are expected, in order")
    return event


def _refuse_constant(word: str) -> NoReturn:
    raise _UnreadableError("nan", f"{word} is not a number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        _refuse_constant(text)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; JSON parsers would silently keep the last of two equal keys."""
    block = dict(pairs)
    if len(block) != len(pairs):
        raise _UnreadableError("form", "a field occurs twice")
    return block
