"""Who submits: the facts of a log that no record knows, and MLCommons' names of our benchmarks.

The working group writes one benchmark in several ways (STEMDL, stemdl; earthquake, TEvolOp). Logs
use the spellings of its submission rules (mlcommons/science, submit.adoc, section 6). Two of our
benchmarks are one of theirs, so a log carries our name too, as metadata of
`submission_benchmark`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sciml_data.errors import CallError, Problem

# Of the rule sets that check it: hpc 1.0.0 to 3.0.0, training 0.7.0 to 3.1.0 (mlperf-logging
# 4.1.68). The Science documents name the key and no values.
STATUSES = ("cloud", "onprem", "preview", "research")
MAX_CHARACTERS = 200  # of a field: a name, not a text
LINE_MARK = ":::MLLOG "  # begins a line; the official parser cuts a line at its last mark
BENCHMARK_KEY = "submission_benchmark"
APPLICATIONS = {
    "cloudmask": "cloudmask",
    "stemdl_classification": "stemdl",
    "stemdl_reconstruction": "stemdl",
    "uno": "uno",
    "tevolop": "earthquake",
}


@dataclass(frozen=True)
class Submitter:
    """Organisation, system and status of a submission, and the point of contact.

    Attributes:
        org: the organisation.
        system: the system's name, as in the submission's folders.
        status: one of `STATUSES`.
        platform: MLPerf's platform key; None takes the system's name.
        poc_name: point of contact; None names nobody.
        poc_email: its address; None gives none.
    """

    org: str
    system: str
    status: str = "research"
    platform: str | None = None
    poc_name: str | None = None
    poc_email: str | None = None

    def __post_init__(self) -> None:
        """Refuse fields that a log cannot hold.

        Raises:
            CallError: a field is empty, too long or has several lines, or the status is unknown;
                `.problems` lists everything.
        """
        problems = [
            Problem("submitter", item.name, message)
            for item in fields(self)
            if (message := _problem_of_field(item.name, getattr(self, item.name)))
        ]
        if problems:
            raise CallError(
                "the submitter cannot be logged", problems=problems, untouched="nothing was written"
            )


def _problem_of_field(name: str, value: object) -> str:
    """Return why a field cannot be logged; an empty text if it can."""
    if value is None and name not in {"org", "system", "status"}:
        return ""
    if not isinstance(value, str) or not value.strip():
        return "a text is expected that is not empty"
    if len(value) > MAX_CHARACTERS or not value.isprintable() or LINE_MARK in value:
        return f"one line of at most {MAX_CHARACTERS} printable characters is expected"
    if name == "status" and value not in STATUSES:
        return f"{value!r} is not one of {', '.join(STATUSES)}"
    if name == "poc_email" and "@" not in value:
        return f"{value!r} is not an e-mail address"
    return ""


def application(benchmark: str) -> str:
    """Return MLCommons' name of a benchmark; a benchmark unknown there keeps its own name."""
    return APPLICATIONS.get(benchmark, benchmark)


def benchmark_of(events: Iterable[Mapping[str, Any]]) -> str:
    """Return our name of the benchmark that a log belongs to.

    The metadata of `submission_benchmark` state it. Without them, MLCommons' name is used if only
    one of our benchmarks has it.

    Args:
        events: as returned by `parse_lines`.

    Raises:
        CallError: the log does not name a benchmark, or the name stands for several of ours.
    """
    named = [event for event in events if event.get("key") == BENCHMARK_KEY]
    for event in named:
        metadata = event["metadata"]
        stated = metadata.get("benchmark") if isinstance(metadata, dict) else None
        if isinstance(stated, str):
            return stated
    values = [event["value"] for event in named]
    candidates = [ours for ours, theirs in APPLICATIONS.items() if [theirs] == values[:1]]
    if len(candidates) == 1:
        return candidates[0]
    raise CallError(
        f"the log says {BENCHMARK_KEY} {values[0]!r}, "
        f"which is {' or '.join(candidates) or 'no benchmark'} here"
        if values
        else f"the log has no {BENCHMARK_KEY}",
        hint="--benchmark NAME",
    )
