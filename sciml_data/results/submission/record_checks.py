"""Check the records of a submission: by themselves, against one another, and against others.

A record can be changed and its digest computed again. What it says about dataset, split, benchmark
and metrics can still be compared with the registry of whoever checks, and its commit with the
code's history. The runs of one submission must be finished repeats of one run on known code, and
each run counts once, whoever submits it again.
"""

from __future__ import annotations

import math
import os
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data.bench.monitoring.machine import runner_digest
from sciml_data.bench.record.record import SUCCESS, budget_remark, check_repeats, has_epochs
from sciml_data.bench.scoring.scores import ROUNDING, metric_definition, target_rows
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task, datasets_of
from sciml_data.bench.task.variants import task_of
from sciml_data.bench.training.schedule import Progress, is_finished
from sciml_data.errors import CallError, JsonError, Problem, SciMLDataError
from sciml_data.home import read_json, why_not_plain
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.extensions import METRICS_NAME
from sciml_data.registry.layout import Registry
from sciml_data.results.submission.collection import find_submissions

Record = Mapping[str, Any]
GIT_TIMEOUT_S = 120  # a merge base of a large repository on a slow disk takes a while
RATE_TOLERANCE = 1e-6  # relative; rate and curve are sums of the same float64 numbers
KnownRuns = Mapping[str, Sequence[Path]]  # run id or digest of predictions -> folders
# The runs of one submission share these, in addition to what `check_repeats` compares: one version
# of everything, and one system.
SAME: Mapping[str, Callable[[Record], object]] = {
    "schema_version": lambda record: record["schema_version"],
    "dataset/ready_digest": lambda record: record["dataset"]["ready_digest"],
    "code/version": lambda record: record["code"]["version"],
    "code/commit": lambda record: record["code"]["commit"],
    "software/libraries": lambda record: record["software"]["libraries"],
    "hardware/host_processor_model_name": lambda record: record["hardware"][
        "host_processor_model_name"
    ],
    "hardware/accelerator_model_name": lambda record: record["hardware"]["accelerator_model_name"],
    "hardware/accelerators_per_node": lambda record: record["hardware"]["accelerators_per_node"],
}


# Each record by itself


def registry_problems(
    record: Record, registry: Registry, place: str, repository: Path | None = None
) -> Iterator[Problem]:
    """Yield where a record contradicts the registry.

    An earlier version of the benchmark's code is accepted if it is that of the record's commit.

    Args:
        record: valid by its schema.
        registry: registry of whoever checks.
        place: name of the record's file.
        repository: checkout of the code, to look the commit up.
    """
    name = record["benchmark"]["name"]
    try:
        runner = registry.runner(name)
        task = task_of(record, runner)
    except SciMLDataError as error:
        yield Problem("benchmark", f"{place}/benchmark", error.message)
        return
    actual, stated = runner_digest(runner), record["code"]["runner_digest"]
    if stated not in {actual, _earlier_digest(record, repository)}:
        message = (
            f"{stated} in the record, {actual} here: another version of "
            f"the benchmark than that of sciml-data {record['code']['version']}"
        )
        yield Problem("runner", f"{place}/code/runner_digest", message)
    yield from _dataset_problems(record, task, registry, place)
    yield from _split_problems(record, runner, place)
    yield from _definition_problems(record, task, place)


def score_problems(record: Record, place: str) -> Iterator[Problem]:
    """Yield scores outside their metric's bounds, and a throughput that contradicts the curve."""
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
            yield Problem("score", where, f"{score} is outside {bound}")
    steady = [row for row in record["curve"] if not row["is_first_of_process"]]
    seconds = sum(row["train_s"] for row in steady)
    stated = record["throughput"]["train_samples_per_s"]
    rate = sum(row["samples"] for row in steady) / seconds if seconds else None
    if (rate is None) != (stated is None) or not math.isclose(
        rate or 0, stated or 0, rel_tol=RATE_TOLERANCE
    ):
        message = f"{stated} stated, {rate} by the curve"
        yield Problem("throughput", f"{place}/throughput/train_samples_per_s", message)
    yield from _curve_problems(record, place)


def _curve_problems(record: Record, place: str) -> Iterator[Problem]:
    """Yield a problem if a run has too few epochs, and does not say that it stopped at a budget.

    It would be compared with whole runs.
    """
    if record["status"] != SUCCESS or not has_epochs(record) or budget_remark(record):
        return
    curve, settings = record["curve"], record["settings"]
    epochs = sum(not row.get("is_partial", False) for row in curve)
    progress = Progress(epochs=epochs, best_epoch=record["model"]["best_epoch"])
    if not is_finished(progress, settings):
        message = (
            f"{epochs} of {settings['epochs']} epochs, neither stopped early nor at a budget "
            "that the record states"
        )
        yield Problem("curve", f"{place}/curve", message)


def commit_problem(record: Record, repository: Path | None, place: str) -> Problem | None:
    """Return a problem if the git history lacks the record's commit; None if it cannot be read."""
    commit = record["code"]["commit"]
    if commit is None or repository is None or not (repository / ".git").exists():
        return None
    try:
        run_git(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    except CallError:
        message = f"{commit} is not known in the code's history"
        return Problem("commit", f"{place}/code/commit", message)
    return None


def earlier_code_remark(record: Record, registry: Registry, repository: Path | None) -> str:
    """Return that a run has an earlier version of its benchmark; an empty text if it has not.

    Args:
        record: valid by its schema.
        registry: registry of whoever checks.
        repository: checkout of the code.
    """
    name, code = record["benchmark"]["name"], record["code"]
    try:
        is_here = runner_digest(registry.runner(name)) == code["runner_digest"]
    except SciMLDataError:  # `registry_problems` reports it
        return ""
    if is_here or _earlier_digest(record, repository) != code["runner_digest"]:
        return ""
    return (
        f"the code of the benchmark is not the one here. A branch under review may have any code "
        f"in its history: compare `git diff {code['commit']} HEAD -- runners/{name} {METRICS_NAME}`"
    )


def _earlier_digest(record: Record, repository: Path | None) -> str | None:
    """Return the digest of a record's benchmark at its commit, if HEAD has this commit behind it.

    A commit outside the history of HEAD does not count: it may have any code. So may a commit of a
    branch that is checked out for review, about which `earlier_code_remark` warns.
    """
    commit, name = record["code"]["commit"], str(record["benchmark"]["name"])
    if commit is None or repository is None or not (repository / ".git").exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "code.tar")
        try:
            run_git(repository, "merge-base", "--is-ancestor", commit, "HEAD")
            listed = run_git(repository, "ls-tree", "--name-only", commit).split()
            paths = [f"runners/{name}", *(path for path in listed if path == METRICS_NAME)]
            run_git(repository, "archive", f"--output={archive}", commit, "--", *paths)
            with tarfile.open(archive) as files:
                files.extractall(folder, filter="data")
        except (CallError, tarfile.TarError):
            return None
        return runner_digest(Path(folder, "runners", name))


def has_whole_history(repository: Path | None) -> bool:
    """Return whether a folder is a git checkout with its whole history (not a shallow clone)."""
    if repository is None or not (repository / ".git").exists():
        return False
    return not (repository / ".git" / "shallow").exists()


def _dataset_problems(
    record: Record, task: Task, registry: Registry, place: str
) -> Iterator[Problem]:
    data, where = record["dataset"], f"{place}/dataset"
    known = datasets_of(task)
    if data["id"] not in known:
        message = f"{data['id']!r} is not a dataset of the benchmark: {', '.join(known)}"
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
        return  # no manifest is published; `rescore` makes the sample again from seed and size
    try:
        manifest = load_descriptor(registry, data["id"], data["version"]).manifest
    except SciMLDataError as error:
        yield Problem("dataset", where, error.message)
        return
    if manifest is not None and f"sha256:{manifest.digest}" != data["manifest_digest"]:
        message = f"{data['manifest_digest']} in the record, sha256:{manifest.digest} is published"
        yield Problem("dataset", f"{where}/manifest_digest", message)


def is_pinned(record: Record, registry: Registry) -> bool:
    """Return whether the registry has a manifest of a record's dataset."""
    data = record["dataset"]
    try:
        return load_descriptor(registry, data["id"], data["version"]).manifest is not None
    except SciMLDataError:
        return True  # `registry_problems` reports it


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
    """Yield where metrics (direction, bounds, formula), headline and targets are not the task's."""
    split = record["split"]["name"]
    pairs = {
        "metric_definitions": [metric_definition(metric) for metric in task.metrics],
        "targets": target_rows(task, split, record["metrics"]),
        "benchmark/headline_metric": task.headline_metric,
        "benchmark/title": task.title,
        "split/is_headline": split == task.headline_split,
    }
    for field, expected in pairs.items():
        actual: Any = record
        for key in field.split("/"):
            actual = actual[key]
        if actual != expected:
            yield Problem("definition", f"{place}/{field}", "is not what the registry says")


def _is_between(score: float, low: float | None, high: float | None) -> bool:
    return (low is None or score >= low - ROUNDING) and (high is None or score <= high + ROUNDING)


# Records of one submission


def together_problems(records: Mapping[str, Record]) -> list[Problem]:
    """Return why these runs cannot be in one submission.

    Args:
        records: name of the file or of the run's folder -> record.
    """
    return [
        *_repeat_problems(list(records.values())),
        *_mixed_problems(records),
        *_duplicate_problems(records),
    ]


def code_problems(records: Mapping[str, Record], *, allow_dirty: bool) -> list[Problem]:
    """Return the runs of code that nobody else can get.

    `allow_dirty` accepts uncommitted changes, but never a missing commit: the rules require one in
    every log.
    """
    return [
        Problem("commit", f"{name}/code", reason)
        for name, record in records.items()
        if (reason := unknown_code(record))
        and not (allow_dirty and record["code"]["commit"] is not None)
    ]


def unknown_code(record: Record) -> str:
    """Return why the code of a run is unknown; an empty text if it is known."""
    code = record["code"]
    if code["commit"] is None:
        return f"no commit: {code['reason'] or 'the record does not say why'}"
    # The digest of a runner of another registry is compared with the registry of whoever checks.
    if code.get("checkout_is_dirty", code["is_dirty"]) is not False:
        return f"the checkout at {code['commit'][:12]} had changes of its own"
    return ""


def _repeat_problems(records: Sequence[Record]) -> list[Problem]:
    try:
        check_repeats(records)
    except CallError as error:
        kinds = {"status": "status", "seed": "duplicate"}
        return [
            Problem(
                kinds.get(problem.kind, "mixed"),
                f"run {problem.place}",
                f"{problem.kind} {problem.message}",
            )
            for problem in error.problems
        ]
    return []


def _mixed_problems(records: Mapping[str, Record]) -> list[Problem]:
    (first_name, first), *others = records.items()
    return [
        Problem("mixed", f"{name}/{field}", f"{value(record)} here, {value(first)} in {first_name}")
        for name, record in others
        for field, value in SAME.items()
        if value(record) != value(first)
    ]


def _duplicate_problems(records: Mapping[str, Record]) -> list[Problem]:
    """Return runs that occur twice: by id, or with the same predictions under another id."""
    problems = []
    for field in ("run_id", "predictions"):
        names: dict[str, str] = {}  # id or digest -> name of the first record that has it
        for name, record in records.items():
            value = _identifiers(record)[field]
            if value is None:
                continue
            if value in names:
                message = f"the same as in {names[value]}: one run counts once"
                problems.append(Problem("duplicate", f"{name}/{field}", message))
            names.setdefault(value, name)
    return problems


def _identifiers(record: Record) -> dict[str, str | None]:
    """Return what a run is recognised by: its id and the digest of its predictions, if any."""
    predictions = record["outputs"].get("predictions", {}).get("sha256")
    return {
        "run_id": str(record["run_id"]),
        "predictions": None if predictions is None else str(predictions),
    }


# Records of other submissions


def runs_below(folder: Path) -> KnownRuns:
    """Return the runs of all submissions below a folder.

    Returns:
        run id, and digest of the predictions -> folders of the submissions that have the run.
    """
    known: dict[str, list[Path]] = defaultdict(list)
    for root in find_submissions(folder):
        for path in sorted(root.glob("record-*.json")):
            for identifier in _identifiers_in(path):
                known[identifier].append(root.resolve())
    return known


def elsewhere_problems(
    records: Mapping[str, Record], root: Path, known: KnownRuns
) -> Iterator[Problem]:
    """Yield each record whose run another submission has.

    Args:
        records: name of the file -> record.
        root: folder of this submission, resolved.
        known: as returned by `runs_below`.
    """
    for name, record in records.items():
        identifiers = filter(None, _identifiers(record).values())
        folders = {path for identifier in identifiers for path in known.get(identifier, [])}
        for other in sorted(folders - {root}):
            place = "/".join(other.parts[-4:])
            yield Problem("duplicate", name, f"{place} has this run, or its predictions")


def _identifiers_in(path: Path) -> list[str]:
    """Return the identifiers of an unchecked record; an empty list if it is invalid."""
    if why_not_plain(path):
        return []
    try:
        identifiers = _identifiers(read_json(path))
    except (JsonError, LookupError, TypeError, AttributeError):
        return []
    return [identifier for identifier in identifiers.values() if identifier]


# History of the code


def run_git(
    folder: Path, *words: str, environment: Mapping[str, str] | None = None, untouched: str = ""
) -> str:
    """Run git in a folder and return its output.

    Args:
        folder: of the checkout.
        words: git's command and arguments; texts of strangers only after `--`.
        environment: variables to add.
        untouched: what an error says was left as it was.

    Raises:
        CallError: git cannot be run, or the command fails.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["git", "-C", str(folder), *words],  # noqa: S607 - whichever git the user has
            check=True,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            # Reading commands then never write the index, which others may have locked.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", **(environment or {})},
        )
    except subprocess.CalledProcessError as error:
        message = f"git {words[0]}: {error.stderr.strip()}"
        raise CallError(message, untouched=untouched) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise CallError(f"git could not be run: {error}", untouched=untouched) from error
    return done.stdout
