"""Compute a run's scores again from its stored predictions, and hold them against its record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import Problem as BenchmarkProblem
from sciml_data.bench.interface import check_problem, load_runner
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import load_record, write_record
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.predictions import Predictions, load_predictions
from sciml_data.bench.scoring.scores import PartScores, metric_rows, row_key, score_parts
from sciml_data.bench.task.split import Split, load_split
from sciml_data.bench.task.task import Task
from sciml_data.bench.task.variants import task_of
from sciml_data.errors import Problem, RecordError
from sciml_data.registry.layout import Registry

# Between machines float64 sums differ in their order; 1e-6 is far below what a table prints.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Difference:
    """A score that is not what the record says; None where there is none."""

    part: str
    metric: str
    predictor: str
    recorded: float | None
    computed: float | None


@dataclass(frozen=True)
class Judge:
    """A benchmark's problem, made anew from the data, and what its baselines predict and score."""

    task: Task
    problem: BenchmarkProblem
    predictions: Mapping[str, Mapping[str, Predictions]]
    scores: Mapping[str, PartScores]


def rescore(
    folder: Path,
    registry: Registry,
    *,
    stage: Callable[[Task], Source],
) -> tuple[int, list[Difference]]:
    """Score a run again, bring its record's `verification` up to date, and say what differs.

    Args:
        folder: of the run.
        registry: where its benchmark is described.
        stage: brings the dataset here (`staging.stage`).

    Returns:
        The number of scores compared, and those that differ.

    Raises:
        RecordError: the run is no success, its files were changed, the data are others, or what it
            says was observed is not what the data say.
    """
    record = load_record(folder)
    if record["status"] != "success":
        raise RecordError(f"the run is {record['status']}: it has no scores to compute again")
    check_outputs(folder, record)
    judge = make_judge(record, registry, stage=stage)
    differences, problems = score_again(folder / runs.PREDICTIONS_NAME, record, judge)
    checked = count_scores(record)
    mark(folder, differences, checked, problems)
    if problems:
        raise RecordError(
            "the run's observations are not those of the data",
            problems=problems,
            untouched="the record says that the check failed",
        )
    return checked, differences


def make_judge(
    record: Mapping[str, Any], registry: Registry, *, stage: Callable[[Task], Source]
) -> Judge:
    """Return what scores a run, from the data that its record names.

    Raises:
        RecordError: the data here, or the split, are others.
    """
    task = task_of(record, registry.runner(record["benchmark"]["name"]))
    split = load_split(task.folder, record["split"]["name"])
    source = stage(task)
    _check_same_data(record, source, split)
    runner = load_runner(registry, task.name)
    problem = check_problem(runner.prepare(source.dataset, split, record["settings"]), task.name)
    predictions = problem.baselines()
    scores = {name: score_parts(problem, task, parts) for name, parts in predictions.items()}
    return Judge(task, problem, predictions, scores)


def score_again(
    path: Path, record: Mapping[str, Any], judge: Judge
) -> tuple[list[Difference], list[Problem]]:
    """Return the scores that differ from a record, and what is not the data's.

    Args:
        path: stored predictions of the run.
        record: of the run.
        judge: made from the data.

    Raises:
        RecordError: the run stored no predictions.
    """
    stored = load_predictions(path)
    rows = metric_rows(judge.task, score_parts(judge.problem, judge.task, stored), judge.scores)
    found, stated = _scores(rows), _scores(record["metrics"])
    differences = [
        Difference(*key, stated.get(key), found.get(key))
        for key in sorted({**found, **stated})
        if not _are_equal(stated.get(key), found.get(key))
    ]
    return differences, _data_problems(path.name, stored, record, judge)


def count_scores(record: Mapping[str, Any]) -> int:
    """Return how many scores a record holds: the model's and every baseline's."""
    return len(_scores(record["metrics"]))


def sentence(checked: int, differences: Sequence[Difference]) -> str:
    """Return what came of scoring again."""
    return (
        f"{checked} scores computed again from stored predictions, tolerance {TOLERANCE:g}; "
        f"{len(differences)} differ"
    )


def check_outputs(folder: Path, record: Mapping[str, Any]) -> None:
    """Hold the files beside a record against the hashes in it.

    Raises:
        RecordError: a file is missing or was changed since.
    """
    changed = []
    for name, stated in record["outputs"].items():
        path = folder / stated["path"]
        if not path.is_file():
            changed.append(f"{name} is missing")
        elif (
            runs.describe_output(folder, stated["path"], stated["format"])["sha256"]
            != stated["sha256"]
        ):
            changed.append(f"{name} was changed")
    changed += [f"{path} is missing or was changed" for path in runs.changed_outputs(folder)]
    if changed:
        raise RecordError(
            f"files of the run differ from its record: {'; '.join(changed)}",
            untouched="nothing was scored",
        )


def mark(
    folder: Path,
    differences: Sequence[Difference],
    checked: int,
    problems: Sequence[Problem] = (),
) -> dict[str, Any]:
    """Write the outcome into the record's `verification`, and return the record."""
    record = load_record(folder)
    is_equal = not differences and not problems
    message = "; ".join([sentence(checked, differences), *map(str, problems)])
    check = {"name": "rescore", "ok": is_equal, "message": message}
    others = [found for found in record["verification"]["checks"] if found["name"] != "rescore"]
    record["verification"] = {
        "state": "rescored" if is_equal else "unchecked",
        "checks": [*others, check],
    }
    return write_record(folder, record)


def _check_same_data(record: Mapping[str, Any], source: Source, split: Split) -> None:
    pairs = {
        "dataset": (record["dataset"]["manifest_digest"], source.manifest_digest),
        "split": (record["split"]["members_digest"], split.digest),
    }
    problems = [
        Problem("digest", name, f"{stated} in the record, {found} here")
        for name, (stated, found) in pairs.items()
        if stated != found
    ]
    if problems:
        raise RecordError(
            "the run was made with other data than these",
            problems=problems,
            untouched="nothing was scored",
        )


def _scores(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], float | None]:
    scores = {}
    for row in rows:
        for name, score in {"model": row["score"], **row["baselines"]}.items():
            scores[(row["part"], row_key(row), name)] = score
    return scores


def _are_equal(recorded: float | None, computed: float | None) -> bool:
    if recorded is None or computed is None:
        return recorded is computed
    return math.isclose(recorded, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _data_problems(
    name: str, stored: Mapping[str, Predictions], record: Mapping[str, Any], judge: Judge
) -> list[Problem]:
    """Return where stored observations, or the sizes of parts, are not the data's."""
    problems = []
    for part, size in judge.problem.sizes.items():
        stated = record["dataset"]["n_samples"].get(part)
        if stated != int(size):
            message = f"{stated} samples in the record, {int(size)} in the data"
            problems.append(Problem("samples", f"{name}/{part}", message))
        if part not in stored:
            problems.append(Problem("part", f"{name}/{part}", "is missing"))
        elif _has_other_observations(stored[part], part, judge):
            message = "what was observed is not what the data say"
            problems.append(Problem("observed", f"{name}/{part}", message))
    return problems


def _has_other_observations(stored: Predictions, part: str, judge: Judge) -> bool:
    """Return whether every baseline, made from the data, observed something else."""
    import numpy as np

    given = getattr(judge.problem, "given", lambda predictions: predictions.observed)
    found = np.asarray(given(stored), dtype="float64")
    made = [given(parts[part]) for parts in judge.predictions.values() if part in parts]
    return bool(made) and not any(
        one.shape == found.shape
        and np.allclose(
            np.asarray(one, dtype="float64"),
            found,
            rtol=TOLERANCE,
            atol=0,
            equal_nan=True,
        )
        for one in made
    )
