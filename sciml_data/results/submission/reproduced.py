"""Hold a run of somebody else against a submission: whether its scores were found again.

`reproduced` means no more than this: another run, not one of those submitted, of the same
benchmark, data, split, model and settings (seed aside), whose headline metric lies, on every part,
within the submitted runs' range widened by a share of its median. Who made the run cannot be
proved from its record; the sentence that is kept names its id, commit and processor.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import load_record
from sciml_data.bench.scoring.scores import row_key
from sciml_data.errors import CallError, Problem, RecordError
from sciml_data.results.submission import names, verification
from sciml_data.results.submission.tree import read_tree

CHECK = "submit compare"
# Of the median: a choice, to allow for other processors and library versions; no measurement.
TOLERANCE = 0.05
Record = Mapping[str, Any]
SAME: Mapping[str, Callable[[Record], object]] = {
    "benchmark": lambda record: record["benchmark"]["name"],
    "variant": lambda record: record["benchmark"].get("variant"),
    "dataset": lambda record: (record["dataset"]["id"], record["dataset"]["version"]),
    "data": lambda record: record["dataset"]["manifest_digest"],
    "split": lambda record: record["split"]["members_digest"],
    "runner": lambda record: record["code"]["runner_digest"],
    "settings": lambda record: dict(record["settings"]),
}


def compare_run(root: Path, run: Path, *, tolerance: float = TOLERANCE) -> list[Problem]:
    """Return why a run does not reproduce a submission; keep the outcome in `verification.json`.

    Args:
        root: the submission's folder, rescored.
        run: folder of the other run.
        tolerance: share of the median by which the submitted range is widened.

    Raises:
        CallError: the run is one of those submitted, or no success.
        RecordError: submission or run is not sound, or the submission was not rescored.
    """
    tree = read_tree(root)
    state = verification.state_of(tree.root)
    if tree.problems or verification.STATES.index(state) < verification.STATES.index("rescored"):
        raise RecordError(
            f"{root.name} is {state}: only rescored runs can be reproduced",
            problems=tree.problems,
            untouched="nothing was compared",
            hint="sciml-data submit check DIR, then sciml-data rescore DIR",
        )
    other = load_record(run)
    submitted = list(tree.named_records.values())
    _refuse(other, submitted)
    problems = [*_other_things(submitted[0], other), *_other_scores(submitted, other, tolerance)]
    told = (
        f"run {other['run_id']}, seed {other['seeds']['seed']}, commit {other['code']['commit']}, "
        f"{other['hardware']['host_processor_model_name']}; tolerance {tolerance:g}; "
        f"{len(problems)} problems"
    )
    records = [names.record_name(number) for number in tree.records]
    verification.mark(tree.root, CHECK, dict.fromkeys(records, (not problems, told)))
    return problems


def _refuse(other: Record, submitted: Sequence[Record]) -> None:
    if other["run_id"] in {record["run_id"] for record in submitted}:
        raise CallError("that run is one of those submitted", untouched="nothing was compared")
    if other["status"] != "success":
        raise CallError(f"that run is {other['status']}", untouched="nothing was compared")


def _other_things(submitted: Record, other: Record) -> Iterator[Problem]:
    for name, value in SAME.items():
        if value(submitted) != value(other):
            yield Problem("other", name, "is not the submitted runs'")


def _other_scores(
    submitted: Sequence[Record], other: Record, tolerance: float
) -> Iterator[Problem]:
    """Yield each part whose headline metric lies outside the widened range."""
    key = other["benchmark"]["headline_metric"]
    for place, score in _headline(other, key).items():
        known = [_headline(record, key).get(place) for record in submitted]
        scores = [one for one in known if one is not None]
        if score is None or len(scores) != len(known):
            if score is not None or scores:
                yield Problem("score", f"{place}/{key}", "is null in one of them")
            continue
        margin = tolerance * abs(statistics.median(scores))
        low, high = min(scores) - margin, max(scores) + margin
        if not low <= score <= high:
            yield Problem(
                "score", f"{place}/{key}", f"{score:.6g} lies outside {low:.6g} to {high:.6g}"
            )


def _headline(record: Record, key: str | None) -> dict[str, float | None]:
    return {row["part"]: row["score"] for row in record["metrics"] if row_key(row) == key}
