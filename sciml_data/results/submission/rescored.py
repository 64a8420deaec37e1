"""Compute the scores of a submission again, from its predictions and the data.

A number that was changed in record, log, README and every digest alike is found here, and so are
observations that were changed to please the predictions: what was observed comes from the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sciml_data.bench.run.rescoring import (
    Difference,
    count_scores,
    make_judge,
    score_again,
    sentence,
)
from sciml_data.bench.run.staging import Source
from sciml_data.bench.task.task import Task
from sciml_data.errors import Problem, RecordError
from sciml_data.registry.layout import Registry
from sciml_data.results.submission import names, verification
from sciml_data.results.submission.tree import Tree, read_tree

CHECK = "rescore"


@dataclass(frozen=True)
class Rescored:
    """What computing again found.

    Attributes:
        scores: how many were compared, over all records.
        differences: name of a record's file -> scores that are others.
        problems: observations or sizes that are not the data's.
        states: name of a record's file -> its state now.
    """

    scores: int
    differences: Mapping[str, list[Difference]]
    problems: tuple[Problem, ...]
    states: Mapping[str, str]

    @property
    def is_equal(self) -> bool:
        """Return whether everything was found again."""
        return not self.problems and not any(self.differences.values())


def rescore_packed(root: Path, registry: Registry, *, stage: Callable[[Task], Source]) -> Rescored:
    """Score every run of a submission again, and keep the outcome in `verification.json`.

    Runs of one submission differ in their seeds only, so data and baselines are made once.

    Args:
        root: the submission's folder; `submit check` must find nothing wrong with it.
        registry: where its benchmark is described.
        stage: brings the dataset here (`staging.stage`).

    Raises:
        RecordError: the folder is not sound, was not checked, has no predictions, or the data are
            others.
    """
    tree = _sound_tree(root)
    judge = make_judge(tree.records[1], registry, stage=stage)
    differences: dict[str, list[Difference]] = {}
    problems: list[Problem] = []
    outcomes = {}
    for number, record in sorted(tree.records.items()):
        name = names.record_name(number)
        path = tree.root / names.predictions_name(number)
        differences[name], others = score_again(path, record, judge)
        problems += others
        told = sentence(count_scores(record), differences[name])
        outcomes[name] = (not differences[name] and not others, told)
    states = verification.mark(tree.root, CHECK, outcomes)
    scores = sum(map(count_scores, tree.records.values()))
    return Rescored(scores, differences, tuple(problems), states)


def _sound_tree(root: Path) -> Tree:
    """Return the tree of a folder that `submit check` accepted as it is now.

    Raises:
        RecordError: it did not, or predictions are missing.
    """
    tree = read_tree(root)
    accepted = verification.state_of(tree.root) != verification.STATES[0]
    if tree.problems or not accepted:
        raise RecordError(
            f"{root.name} is no submission that was accepted as it is now",
            problems=tree.problems,
            untouched="nothing was scored",
            hint=f"sciml-data submit check {root.name}",
        )
    missing = [
        Problem("predictions", names.predictions_name(number), "is not here")
        for number in tree.records
        if not (tree.root / names.predictions_name(number)).is_file()
    ]
    if missing:
        raise RecordError(
            "there is nothing to score",
            problems=missing,
            untouched="nothing was scored",
            hint="lay the submitter's files beside the records; `submit check` holds them against "
            "the records' digests",
        )
    return tree
