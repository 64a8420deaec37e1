"""A log held against the record it is said to be of: it is made again, and compared key by key."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sciml_data.errors import Problem, SciMLDataError
from sciml_data.results.mlperf_log.events import events_of
from sciml_data.results.mlperf_log.lines import Line, read_lines, to_line
from sciml_data.results.mlperf_log.submitter import Submitter

PLACE = ("file", "lineno")  # of the record's layout, not of the run
SHOWN = 80  # characters of a value
Event = Mapping[str, Any]


def disagreements(
    lines: Sequence[Line], record: Mapping[str, Any], *, is_whole: bool = True
) -> list[Problem]:
    """Return where a log says something else than a record.

    Every key that the record calls for has to be there, as often as it calls for it.

    Args:
        lines: with keys, times and metadata.
        record: of the run.
        is_whole: False where lines are missing that could not be read; none is counted then.
    """
    found = _by_key(lines)
    try:
        made = events_of(record, _submitter(found))
        expected = _by_key(read_lines("\n".join(map(to_line, made)))[0])
    except (SciMLDataError, KeyError, TypeError) as error:
        wrong = error.message if isinstance(error, SciMLDataError) else f"{error!r} is missing"
        return [Problem("record", "record", f"no log can be made of it: {wrong}")]
    problems: list[Problem] = []
    for key in dict.fromkeys([*expected, *found]):
        theirs, ours = found.get(key, []), expected.get(key, [])
        if is_whole or len(ours) == len(theirs):
            problems += _key_problems(key, theirs, ours)
    return [one for one in problems if not _is_of_a_rescore(one, found, expected, record)]


def _by_key(lines: Sequence[Line]) -> dict[str, list[Line]]:
    result = defaultdict(list)
    for line in lines:
        result[line.event["key"]].append(line)
    return dict(result)


def _submitter(found: Mapping[str, Sequence[Line]]) -> Submitter:
    """Return who the log says submits: a record does not know, so that cannot disagree."""

    def said(key: str) -> Any:
        return found[key][0].event["value"] if key in found else None

    platform = (
        found["submission_platform"][0].event["metadata"] if said("submission_platform") else {}
    )
    return Submitter(
        org=said("submission_org") or "not said",
        system=platform.get("system") or "not said",
        status=said("submission_status") or "research",
        platform=said("submission_platform"),
        poc_name=said("submission_poc_name"),
        poc_email=said("submission_poc_email"),
    )


def _key_problems(key: str, found: Sequence[Line], expected: Sequence[Line]) -> Iterator[Problem]:
    if len(found) != len(expected):
        message = f"{len(expected)} expected by the record, {len(found)} found"
        yield Problem("differs", key, message)
        return
    for theirs, ours in zip(found, expected, strict=True):
        for place, message in _differences(_comparable(ours.event), _comparable(theirs.event)):
            yield Problem("differs", f"{theirs.place} {place}", message)


def _comparable(event: Event) -> dict[str, Any]:
    metadata = {key: value for key, value in event["metadata"].items() if key not in PLACE}
    return {"time_ms": event["time_ms"], "value": event["value"], "metadata": metadata}


def _differences(expected: Any, found: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every place where two JSON values differ, with what was expected and found."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys([*expected, *found]):
            inner = f"{place}.{key}" if place else key
            yield from _differences(expected.get(key), found.get(key), inner)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
            yield from _differences(ours, theirs, f"{place}.{number}")
    elif expected != found or isinstance(expected, bool) != isinstance(found, bool):
        yield place, f"{_shown(expected)} by the record, {_shown(found)} found"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _is_of_a_rescore(
    problem: Problem,
    found: Mapping[str, Sequence[Line]],
    expected: Mapping[str, Sequence[Line]],
    record: Mapping[str, Any],
) -> bool:
    """Return whether a digest differs only because the scores were checked since.

    What a check changes is not in `content_digest`.
    """
    if not problem.place.endswith("value.record_digest"):
        return False
    digests = [side["result"][0].event["value"]["content_digest"] for side in (found, expected)]
    is_same = bool(digests[0] == digests[1])
    return is_same and record["verification"]["state"] != "unchecked"
