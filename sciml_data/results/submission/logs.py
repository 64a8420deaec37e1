"""What a submission asks of MLPerf logs: to be made of a record, and to agree with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sciml_data.errors import Problem, RecordError
from sciml_data.registry.layout import Registry
from sciml_data.results import mlperf_log as mllog
from sciml_data.results.submission.names import Terms


def make_log(record: Mapping[str, Any], terms: Terms) -> str:
    """Return the log of a run."""
    return mllog.log_text(record, submitter(terms))


def submitter(terms: Terms) -> mllog.Submitter:
    """Return the submitter that a log names."""
    return mllog.Submitter(
        terms.org,
        terms.system,
        status=terms.status,
        platform=terms.platform,
        poc_name=terms.poc_name,
        poc_email=terms.poc_email,
    )


def version_line(record: Mapping[str, Any], terms: Terms) -> str:
    """Return the line of VERSION.txt: what the log says as `submission_version`."""
    events = mllog.events_of(record, submitter(terms))
    return next(str(event.value) for event in events if event.key == "submission_version")


def log_problems(
    path: Path, text: str, record: Mapping[str, Any], registry: Registry
) -> Iterator[Problem]:
    """Yield what is wrong with a log by the strict checker, its record, and the official checker.

    Raises:
        CallError: the official checker is not installed.
    """
    found = mllog.check_lines(text, record)
    benchmark = record["benchmark"]["name"]
    if benchmark in registry.benchmarks():  # else said of the record
        found += mllog.check_official(path, benchmark, registry=registry)
    for problem in found:
        yield Problem("log", f"{path.name} {problem.place}", f"{problem.kind}: {problem.message}")


def submitter_problems(name: str, text: str, terms: Terms) -> Iterator[Problem]:
    """Yield keys of the log that name somebody else than the terms do."""
    expected = {
        "submission_org": terms.org,
        "submission_status": terms.status,
        "submission_platform": terms.platform or terms.system,
        "submission_poc_name": terms.poc_name,
        "submission_poc_email": terms.poc_email,
    }
    try:
        lines = mllog.parse_lines(text)
    except RecordError:
        return  # said by the strict check
    stated = {str(line["key"]): line["value"] for line in lines}
    for key, value in expected.items():
        if stated.get(key) != value:
            message = f"{value!r} expected, {stated.get(key)!r:.80} found"
            yield Problem("log", f"{name} {key}", message)
