"""What MLCommons calls our benchmarks, and which of ours a log is of.

The working group writes one benchmark in several ways (STEMDL, stemdl; earthquake, TEvolOp). These
are the spellings of its submission rules (mlcommons/science, submit.adoc, section 6). Two of ours
are one of theirs, so a log carries our name too, as metadata of `submission_benchmark`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sciml_data.errors import CallError

BENCHMARK_KEY = "submission_benchmark"
APPLICATIONS = {
    "cloudmask": "cloudmask",
    "stemdl_classification": "stemdl",
    "stemdl_reconstruction": "stemdl",
    "uno": "uno",
    "tevolop": "earthquake",
}


def application(benchmark: str) -> str:
    """Return MLCommons' name of a benchmark; one that the working group has not keeps its own."""
    return APPLICATIONS.get(benchmark, benchmark)


def benchmark_of(events: Iterable[Mapping[str, Any]]) -> str:
    """Return which of our benchmarks a log is of: as its metadata say, else as its name allows.

    Args:
        events: what `parse_lines` returned.

    Raises:
        CallError: the log does not say, or its name stands for several of ours.
    """
    named = [event for event in events if event.get("key") == BENCHMARK_KEY]
    for event in named:
        said = event["metadata"].get("benchmark") if isinstance(event["metadata"], dict) else None
        if isinstance(said, str):
            return said
    values = [event["value"] for event in named]
    found = [ours for ours, theirs in APPLICATIONS.items() if [theirs] == values[:1]]
    if len(found) == 1:
        return found[0]
    raise CallError(
        f"the log says {BENCHMARK_KEY} {values[0]!r}, which is {' or '.join(found) or 'none'} here"
        if values
        else f"the log has no {BENCHMARK_KEY}",
        hint="--benchmark NAME",
    )
