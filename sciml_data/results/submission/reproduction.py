"""Compute the scores of a submission again, or compare it with a run of somebody else.

`rescore_packed` computes every score from the stored predictions and the data. It finds a number
that was changed in record, log, README and every digest alike, and observations that were changed
to match the predictions, because observations are read from the data.

`compare_run` compares a submission with a run that is not part of it. `reproduced` means only
this: the other run has the same benchmark, data, split, model and settings (except the seed), and
its headline metric is, on every part, within the range of the submitted runs, widened by a share
of their median. A record cannot prove who made a run; the stored message names the run's id, commit
and processor.
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import load_record
from sciml_data.bench.run.rescoring import (
    Difference,
    count_scores,
    make_rescorer,
    outcome_message,
    score_again,
)
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.bench.task.task import Task
from sciml_data.errors import CallError, Problem, RecordError
from sciml_data.home import why_not_plain
from sciml_data.progress import counted
from sciml_data.registry.layout import Registry
from sciml_data.results.board.summary import STATES
from sciml_data.results.submission import layout, verification

TOLERANCE = 0.05  # of the median; chosen for other processors and library versions, not measured
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


@dataclass(frozen=True)
class Rescored:
    """The result of computing the scores of a submission again.

    Attributes:
        scores: number of scores that were compared, over all records.
        differences: name of a record's file -> scores that differ.
        problems: observations or sizes that differ from the data.
        states: name of a record's file -> its new state.
    """

    scores: int
    differences: Mapping[str, list[Difference]]
    problems: tuple[Problem, ...]
    states: Mapping[str, str]

    @property
    def is_equal(self) -> bool:
        """Return whether nothing differs."""
        return not self.problems and not any(self.differences.values())


def rescore_packed(root: Path, registry: Registry, *, stage: Callable[[Task], Source]) -> Rescored:
    """Score every run of a submission again, and store the results in `verification.json`.

    Runs of one submission differ only in their seeds, so data and baselines are made once.

    Args:
        root: the submission's folder; `submit check` must have accepted it.
        registry: describes its benchmark.
        stage: fetches and opens the dataset (`staging.stage`).

    Raises:
        RecordError: the folder is invalid, was not checked, has no predictions, or the data differ.
    """
    tree = _checked_tree(root)
    rescorer = make_rescorer(tree.records[1], registry, stage=stage)
    differences: dict[str, list[Difference]] = {}
    problems: list[Problem] = []
    outcomes = {}
    for number, record in sorted(tree.records.items()):
        name = layout.record_name(number)
        path = tree.root / layout.predictions_name(number)
        rescored = score_again(path, record, rescorer)
        differences[name], data_problems = rescored.differences, rescored.problems
        problems += data_problems
        message = outcome_message(count_scores(record), differences[name])
        outcomes[name] = (not differences[name] and not data_problems, message)
    states = verification.mark(tree.root, "rescore", outcomes)
    scores = sum(map(count_scores, tree.records.values()))
    return Rescored(scores, differences, tuple(problems), states)


def _checked_tree(root: Path) -> layout.Tree:
    """Return the tree of a folder that `submit check` accepted and that has not changed since.

    Raises:
        RecordError: it was not accepted, or predictions are missing.
    """
    tree = layout.read_tree(root)
    accepted = verification.state_of(tree.root) != STATES[0]
    if tree.problems or not accepted:
        raise RecordError(
            f"{root.name} was not accepted by `submit check`, or has changed since",
            problems=tree.problems,
            untouched="nothing was scored",
            hint=f"sciml-data submit check {shlex.quote(str(root))}",
        )
    missing = [
        Problem("predictions", layout.predictions_name(number), reason)
        for number in tree.records
        if (reason := why_not_plain(tree.root / layout.predictions_name(number)))
    ]
    if missing:
        raise RecordError(
            "predictions are missing, so there is nothing to score",
            problems=missing,
            untouched="nothing was scored",
            hint="put the submitter's files beside the records; `submit check` compares them with "
            "the records' digests",
        )
    return tree


def compare_run(root: Path, run: Path, *, tolerance: float = TOLERANCE) -> list[Problem]:
    """Compare a run with a submission, and store the result in `verification.json`.

    Args:
        root: the submission's folder; it must have been rescored.
        run: folder of the other run.
        tolerance: share of the median by which the range of the submitted runs is widened.

    Returns:
        why the run does not reproduce the submission; an empty list if it does.

    Raises:
        CallError: the run is part of the submission, or is not a success.
        RecordError: submission or run is invalid, or the submission was not rescored.
    """
    tree = layout.read_tree(root)
    state = verification.state_of(tree.root)
    if tree.problems or STATES.index(state) < STATES.index("rescored"):
        place = shlex.quote(str(root))
        raise RecordError(
            f"{root.name} is {state}: only rescored runs can be reproduced",
            problems=tree.problems,
            untouched="nothing was compared",
            hint=f"sciml-data submit check {place}, then sciml-data rescore {place}",
        )
    other = load_record(run)
    submitted = list(tree.named_records.values())
    _check_other_run(other, submitted)
    problems = [
        *_fields_that_differ(submitted[0], other),
        *_scores_out_of_range(submitted, other, tolerance),
    ]
    message = (
        f"run {other['run_id']}, seed {other['seeds']['seed']}, commit {other['code']['commit']}, "
        f"{other['hardware']['host_processor_model_name']}; tolerance {tolerance:g}; "
        f"{counted(len(problems), 'problem')}"
    )
    records = [layout.record_name(number) for number in tree.records]
    verification.mark(tree.root, "submit compare", dict.fromkeys(records, (not problems, message)))
    return problems


def _check_other_run(other: Record, submitted: Sequence[Record]) -> None:
    if other["run_id"] in {record["run_id"] for record in submitted}:
        raise CallError("this run is part of the submission", untouched="nothing was compared")
    if other["status"] != "success":
        raise CallError(
            f"this run is {other['status']}, not a success", untouched="nothing was compared"
        )


def _fields_that_differ(submitted: Record, other: Record) -> Iterator[Problem]:
    for name, value in SAME.items():
        if value(submitted) != value(other):
            yield Problem("other", name, "differs from the submitted runs")


def _scores_out_of_range(
    submitted: Sequence[Record], other: Record, tolerance: float
) -> Iterator[Problem]:
    """Yield each part whose headline metric is outside the widened range."""
    key = other["benchmark"]["headline_metric"]
    for place, score in _headline_scores(other, key).items():
        known = [_headline_scores(record, key).get(place) for record in submitted]
        scores = [value for value in known if value is not None]
        if score is None or len(scores) != len(known):
            if score is not None or scores:
                yield Problem("score", f"{place}/{key}", "is null in some runs and not in others")
            continue
        margin = tolerance * abs(statistics.median(scores))
        low, high = min(scores) - margin, max(scores) + margin
        if not low <= score <= high:
            yield Problem(
                "score", f"{place}/{key}", f"{score:.6g} is outside {low:.6g} to {high:.6g}"
            )


def _headline_scores(record: Record, key: str | None) -> dict[str, float | None]:
    return {row["part"]: row["score"] for row in record["metrics"] if row_key(row) == key}
