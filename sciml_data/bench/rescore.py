"""Compute a run's scores again from its stored predictions, and hold them against its record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench import runs
from sciml_data.bench.predictions import load_predictions
from sciml_data.bench.record import load_record, write_record
from sciml_data.bench.runner import Problem as BenchmarkProblem
from sciml_data.bench.runner import check_problem, load_runner
from sciml_data.bench.scores import PartScores, metric_rows, row_key, score_parts
from sciml_data.bench.split import Split, load_split
from sciml_data.bench.staging import Source
from sciml_data.bench.task import Task, load_task
from sciml_data.bench.variants import choose
from sciml_data.errors import Problem, RecordError
from sciml_data.registry import Registry

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
        RecordError: the run is no success, its files were changed, or the data are others.
    """
    record = load_record(folder)
    if record["status"] != "success":
        raise RecordError(f"the run is {record['status']}: it has no scores to compute again")
    check_outputs(folder, record)
    task = _task_of(record, registry)
    split = load_split(task.folder, record["split"]["name"])
    source = stage(task)
    _check_same_data(record, source, split)
    runner = load_runner(registry, task.name)
    problem = check_problem(runner.prepare(source.dataset, split, record["settings"]), task.name)
    baselines = {
        name: score_parts(problem, task, parts) for name, parts in problem.baselines().items()
    }
    differences = compare(record, problem, task, folder=folder, baselines=baselines)
    checked = len(_scores(record["metrics"]))
    mark(folder, differences, checked)
    return checked, differences


def _task_of(record: Mapping[str, Any], registry: Registry) -> Task:
    """Return the task of a run, of its variant and dataset where there are several."""
    task = load_task(registry.runner(record["benchmark"]["name"]))
    variant = record["benchmark"].get("variant")
    return choose(task, variant, record["dataset"]["id"]) if variant else task


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
        elif runs.output(folder, stated["path"], stated["format"])["sha256"] != stated["sha256"]:
            changed.append(f"{name} was changed")
    changed += [f"{path} is missing or was changed" for path in runs.changed_outputs(folder)]
    if changed:
        raise RecordError(
            f"files of the run differ from its record: {'; '.join(changed)}",
            untouched="nothing was scored",
        )


def compare(
    record: Mapping[str, Any],
    problem: BenchmarkProblem,
    task: Task,
    *,
    folder: Path,
    baselines: Mapping[str, PartScores],
) -> list[Difference]:
    """Return every score of model and baselines that differs from the record.

    Args:
        record: of the run.
        problem: prepared anew from the dataset.
        task: of the benchmark.
        folder: of the run.
        baselines: their scores, computed anew.

    Raises:
        RecordError: the run stored no predictions.
    """
    stored = load_predictions(folder / runs.PREDICTIONS_NAME)
    rows = metric_rows(task, score_parts(problem, task, stored), baselines)
    found, stated = _scores(rows), _scores(record["metrics"])
    return [
        Difference(*key, stated.get(key), found.get(key))
        for key in sorted({**found, **stated})
        if not _are_equal(stated.get(key), found.get(key))
    ]


def mark(folder: Path, differences: list[Difference], checked: int) -> dict[str, Any]:
    """Write the outcome into the record's `verification`, and return the record."""
    record = load_record(folder)
    message = (
        f"{checked} scores computed again from stored predictions, tolerance {TOLERANCE:g}; "
        f"{len(differences)} differ"
    )
    check = {"name": "rescore", "ok": not differences, "message": message}
    others = [found for found in record["verification"]["checks"] if found["name"] != "rescore"]
    record["verification"] = {
        "state": "unchecked" if differences else "rescored",
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
