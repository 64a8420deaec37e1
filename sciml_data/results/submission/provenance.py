"""Hold a record against the registry and the code's history: whether what it names is there.

A record can be changed and its digest computed anew. What it says of the dataset, the split, the
benchmark and its metrics can then still be held against the registry of whoever checks.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.monitoring.machine import runner_digest
from sciml_data.bench.scoring.scores import ROUNDING, metric_definition, target_rows
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task
from sciml_data.bench.task.variants import datasets_of, task_of
from sciml_data.errors import Problem, SciMLDataError
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry

Record = Mapping[str, Any]
GIT_TIMEOUT_S = 30
RATE_TOLERANCE = 1e-6  # of a ratio of two numbers in one record


def registry_problems(record: Record, registry: Registry, place: str) -> Iterator[Problem]:
    """Yield where a record does not say what the registry says.

    Args:
        record: sound by its schema.
        registry: of whoever checks.
        place: name of the record's file.
    """
    name = record["benchmark"]["name"]
    try:
        runner = registry.runner(name)
        task = task_of(record, runner)
    except SciMLDataError as error:
        yield Problem("benchmark", f"{place}/benchmark", error.message)
        return
    if (found := runner_digest(runner)) != record["code"]["runner_digest"]:
        message = (
            f"{record['code']['runner_digest']} in the record, {found} here: another version of "
            f"the benchmark than that of sciml-data {record['code']['version']}"
        )
        yield Problem("runner", f"{place}/code/runner_digest", message)
    yield from _dataset_problems(record, task, registry, place)
    yield from _split_problems(record, runner, place)
    yield from _definition_problems(record, task, place)


def score_problems(record: Record, place: str) -> Iterator[Problem]:
    """Yield scores outside the metric's bounds, and a throughput that the curve does not give."""
    bounds = {block["metric_id"]: block for block in record["metric_definitions"]}
    for number, row in enumerate(record["metrics"]):
        where = f"{place}/metrics/{number}"
        block, score = bounds.get(row["metric_id"]), row["score"]
        if block is None:
            yield Problem("score", where, f"metric {row['metric_id']!r} is not defined")
        elif (score is None) != (row["status"] == "failed"):
            yield Problem("score", where, f"is {row['status']} with score {score}")
        elif score is not None and not _is_between(score, block["min_score"], block["max_score"]):
            bound = f"{block['min_score']} to {block['max_score']}"
            yield Problem("score", where, f"{score} lies outside {bound}")
    steady = [row for row in record["curve"] if not row["is_first_of_process"]]
    seconds = sum(row["train_s"] for row in steady)
    stated = record["throughput"]["train_samples_per_s"]
    rate = sum(row["samples"] for row in steady) / seconds if seconds else None
    if (rate is None) != (stated is None) or not math.isclose(
        rate or 0, stated or 0, rel_tol=RATE_TOLERANCE
    ):
        message = f"{stated} stated, {rate} by the curve"
        yield Problem("throughput", f"{place}/throughput/train_samples_per_s", message)


def commit_problem(record: Record, repository: Path | None, place: str) -> Problem | None:
    """Return that a git history has no such commit; None where it has, or none can be asked."""
    commit = record["code"]["commit"]
    if commit is None or repository is None or not (repository / ".git").exists():
        return None
    if _git(repository, "cat-file", "-e", f"{commit}^{{commit}}") == 0:
        return None
    return Problem("commit", f"{place}/code/commit", f"{commit} is not known in the code's history")


def has_whole_history(repository: Path | None) -> bool:
    """Return whether a checkout is there that knows every commit of its history."""
    if repository is None or not (repository / ".git").exists():
        return False
    return not (repository / ".git" / "shallow").exists()


def _dataset_problems(
    record: Record, task: Task, registry: Registry, place: str
) -> Iterator[Problem]:
    data, where = record["dataset"], f"{place}/dataset"
    known = datasets_of(task)
    if data["id"] not in known:
        message = f"{data['id']!r} is none of the benchmark's: {', '.join(known)}"
        yield Problem("dataset", f"{where}/id", message)
        return
    if data["version"] != task.version and len(known) == 1:
        message = f"{data['version']} in the record, {task.version} is the benchmark's"
        yield Problem("dataset", f"{where}/version", message)
    if record["synthetic"] != (data["scale"] == "synthetic") or record["synthetic"] != (
        data["sample_seed"] is not None
    ):
        yield Problem("dataset", f"{place}/synthetic", "scale and sample seed say otherwise")
    if record["synthetic"]:
        return  # a sample's digest follows from its seed and size: `rescore` makes it again
    try:
        manifest = load_descriptor(registry, data["id"], data["version"]).manifest
    except SciMLDataError as error:
        yield Problem("dataset", where, error.message)
        return
    if manifest is not None and f"sha256:{manifest.digest}" != data["manifest_digest"]:
        message = f"{data['manifest_digest']} in the record, sha256:{manifest.digest} is published"
        yield Problem("dataset", f"{where}/manifest_digest", message)


def is_pinned(record: Record, registry: Registry) -> bool:
    """Return whether the registry holds a manifest of a record's dataset."""
    data = record["dataset"]
    try:
        return load_descriptor(registry, data["id"], data["version"]).manifest is not None
    except SciMLDataError:
        return True  # said as a problem already


def _split_problems(record: Record, runner: Path, place: str) -> Iterator[Problem]:
    stated = record["split"]
    try:
        split = load_split(runner, stated["name"])
    except SciMLDataError as error:
        yield Problem("split", f"{place}/split/name", error.message)
        return
    if split.digest != stated["members_digest"]:
        message = f"{stated['members_digest']} in the record, {split.digest} in the registry"
        yield Problem("split", f"{place}/split/members_digest", message)


def _definition_problems(record: Record, task: Task, place: str) -> Iterator[Problem]:
    """Yield where metrics, headline and targets are not the task's: direction, bounds, formula."""
    split = record["split"]["name"]
    pairs = {
        "metric_definitions": [metric_definition(metric) for metric in task.metrics],
        "targets": target_rows(task, split, record["metrics"]),
        "benchmark/headline_metric": task.headline_metric,
        "benchmark/title": task.title,
        "split/is_headline": split == task.headline_split,
    }
    for field, expected in pairs.items():
        found: Any = record
        for key in field.split("/"):
            found = found[key]
        if found != expected:
            yield Problem("metric_definition", f"{place}/{field}", "is not what the registry says")


def _is_between(score: float, low: float | None, high: float | None) -> bool:
    return (low is None or score >= low - ROUNDING) and (high is None or score <= high + ROUNDING)


def _git(repository: Path, *words: str) -> int:
    """Return the exit code of a git command; one that cannot be run found nothing."""
    try:
        return subprocess.run(  # noqa: S603 - fixed words and a commit of 40 hexadecimal digits
            ["git", "-C", str(repository), *words],  # noqa: S607 - whichever git the user has
            check=False,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).returncode
    except (OSError, subprocess.SubprocessError):
        return 1
