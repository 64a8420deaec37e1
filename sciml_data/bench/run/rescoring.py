"""Compute a run's scores again from its stored predictions, and compare them with its record.

The baselines are computed again from the data. The observations that are stored beside the
predictions are compared with the data, so that nobody can change both to get a better score.
Intervals are computed again, too. A record without intervals gets them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import Problem as BenchmarkProblem
from sciml_data.bench.interface import check_problem, load_runner
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import is_external, load_record, write_record
from sciml_data.bench.run.staging import Source, unchanged_data
from sciml_data.bench.scoring.intervals import METHOD
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.bench.scoring.predictions import Predictions, load_predictions
from sciml_data.bench.scoring.scores import (
    PartScores,
    metric_rows,
    sampling_block,
    score_parts,
)
from sciml_data.bench.task.split import Split, load_split
from sciml_data.bench.task.splits import TEST
from sciml_data.bench.task.task import Task
from sciml_data.bench.task.variants import task_of
from sciml_data.errors import Problem, RecordError
from sciml_data.registry.layout import Registry

# Machines add float64 values in different orders. 1e-6 is above this rounding, and far below the
# precision of a printed score.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Difference:
    """A score that differs from the record.

    Attributes:
        part: of the split.
        metric: metric key.
        predictor: `model`, or the name of a baseline.
        recorded: the score in the record; None if the record has no score.
        computed: the score from the stored predictions; None if it could not be computed.
    """

    part: str
    metric: str
    predictor: str
    recorded: float | None
    computed: float | None


@dataclass(frozen=True)
class Rescored:
    """The outcome of scoring predictions again.

    Attributes:
        differences: scores and intervals that differ from the record.
        problems: observations and sizes that differ from the data.
        rows: of `metrics`, computed again.
        sampling: how units were resampled; None if they were not.
    """

    differences: list[Difference]
    problems: list[Problem]
    rows: list[dict[str, Any]]
    sampling: dict[str, Any] | None


@dataclass(frozen=True)
class Rescorer:
    """A benchmark's problem and its baselines, made again from the data.

    Attributes:
        task: with the variant and dataset of the record.
        problem: made by the runner.
        predictions: baseline -> part -> predictions.
        scores: baseline -> part -> scores.
    """

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
    """Score a run again, and write the outcome into its record's `verification`.

    Args:
        folder: of the run.
        registry: that describes its benchmark.
        stage: brings the dataset to this computer (see `staging.stage`).

    Returns:
        (number of scores compared, the scores that differ).

    Raises:
        RecordError: the run is not a success, its files were changed, the data or the split differ
            from the record's, or the stored observations differ from the data.
    """
    record = load_record(folder)
    if record["status"] != "success":
        raise RecordError(
            f"the run has the status {record['status']}, so it has no scores to compute again"
        )
    check_outputs(folder, record)
    if record["outputs"].get("predictions", {}).get("path") != runs.PREDICTIONS_NAME:
        raise RecordError(
            f"the record names no {runs.PREDICTIONS_NAME}, so there is nothing to score",
            untouched="nothing was scored",
        )
    rescorer = make_rescorer(record, registry, stage=stage)
    rescored = score_again(folder / runs.PREDICTIONS_NAME, record, rescorer)
    checked = count_scores(record)
    write_verification(folder, rescored, checked)
    if rescored.problems:
        raise RecordError(
            "the stored observations differ from the data",
            problems=rescored.problems,
            done="the failed check was written into the record",
        )
    return checked, rescored.differences


def make_rescorer(
    record: Mapping[str, Any], registry: Registry, *, stage: Callable[[Task], Source]
) -> Rescorer:
    """Make a benchmark's problem and baselines from the data that a record names.

    Args:
        record: of a run.
        registry: that describes its benchmark.
        stage: brings the dataset to this computer (see `staging.stage`).

    Raises:
        RecordError: the data or the split differ from the record's.
    """
    task = task_of(record, registry.runner(record["benchmark"]["name"]))
    task = replace(task, version=record["dataset"]["version"])
    split = load_split(task.folder, record["split"]["name"])
    source = stage(task)
    _check_same_data(record, source, split)
    runner = load_runner(registry, task.name)
    with unchanged_data(source):
        prepared = runner.prepare(source.dataset, split, record["settings"])
        problem = check_problem(prepared, task.name)
        predictions = problem.baselines()
    scores = {
        name: score_parts(problem, task, parts, resampled=True)
        for name, parts in predictions.items()
    }
    return Rescorer(task, problem, predictions, scores)


def score_again(path: Path, record: Mapping[str, Any], rescorer: Rescorer) -> Rescored:
    """Compare stored predictions with a record and with the data.

    Args:
        path: of the stored predictions.
        record: of the run.
        rescorer: made from the data.

    Raises:
        RecordError: there are no stored predictions, or they are not of this split.
    """
    stored = load_predictions(path)
    _check_parts(path.name, stored, rescorer)
    try:
        scores = score_parts(rescorer.problem, rescorer.task, stored, resampled=True)
        problems = _data_problems(path.name, stored, record, rescorer)
    except RecordError:
        raise
    # A benchmark's code may index by coordinates that a stranger wrote.
    except (LookupError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise RecordError(
            f"{path.name} cannot be scored: {type(error).__name__} {error!s:.200}",
            untouched="nothing was scored",
        ) from error
    rows = metric_rows(rescorer.task, scores, rescorer.scores)
    # A record without intervals, or with those of another method, gets new ones.
    is_same = record.get("resampling", {}).get("method") == METHOD
    ends = _ends(record["metrics"]) if is_same else {}
    recorded = _scores(record["metrics"]) | ends
    computed = _scores(rows) | (_ends(rows) if ends else {})
    differences = [
        Difference(*key, recorded.get(key), computed.get(key))
        for key in sorted({**computed, **recorded})
        if not _are_equal(recorded.get(key), computed.get(key))
    ]
    return Rescored(differences, problems, rows, sampling_block(scores))


def count_scores(record: Mapping[str, Any]) -> int:
    """Return the number of scores in a record: those of the model and of every baseline."""
    return len(_scores(record["metrics"]))


def outcome_message(checked: int, differences: Sequence[Difference]) -> str:
    """Return the outcome of rescoring in words, for the record's `verification`."""
    return (
        f"{checked} scores computed again from stored predictions, tolerance {TOLERANCE:g}; "
        f"{len(differences)} differ"
    )


def check_outputs(folder: Path, record: Mapping[str, Any]) -> None:
    """Check a run's files against the hashes in its record.

    Raises:
        RecordError: a file is missing or was changed.
    """
    problems = [
        Problem("output", name, message)
        for name, recorded in record["outputs"].items()
        if (message := _output_problem(folder, recorded))
    ]
    problems += [
        Problem("output", path, "is missing or was changed")
        for path in runs.changed_outputs(folder)
    ]
    if problems:
        raise RecordError(
            "files of the run do not match its record",
            problems=problems,
            untouched="nothing was scored",
        )


def _output_problem(folder: Path, recorded: Mapping[str, Any]) -> str:
    """Return why a file does not match its entry in the record; an empty text if it does."""
    if reason := runs.why_not_output(folder, recorded):
        return reason
    found = runs.describe_output(folder, recorded["path"], recorded["format"])
    return "" if found["sha256"] == recorded["sha256"] else "was changed"


def write_verification(folder: Path, rescored: Rescored, checked: int) -> dict[str, Any]:
    """Write the outcome of rescoring into a record's `verification`, and return the record.

    A record with the right scores gets the intervals, too.

    Args:
        folder: of the run.
        rescored: the outcome.
        checked: number of scores compared.
    """
    record = load_record(folder)
    is_equal = not rescored.differences and not rescored.problems
    if is_equal and rescored.sampling:
        record["metrics"] = _with_intervals(record["metrics"], rescored.rows)
        record["resampling"] = rescored.sampling
    message = "; ".join(
        [outcome_message(checked, rescored.differences), *map(str, rescored.problems)]
    )
    check = {"name": "rescore", "ok": is_equal, "message": message}
    others = [check for check in record["verification"]["checks"] if check["name"] != "rescore"]
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
        Problem("digest", name, f"{recorded} in the record, {present} here")
        for name, (recorded, present) in pairs.items()
        if recorded != present
    ]
    if problems:
        raise RecordError(
            "the data here differ from the data of the run",
            problems=problems,
            untouched="nothing was scored",
        )


def _scores(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], float | None]:
    scores = {}
    for row in rows:
        for name, score in {"model": row["score"], **row["baselines"]}.items():
            scores[(row["part"], row_key(row), name)] = score
    return scores


def _ends(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], float | None]:
    """Return the ends of all intervals of rows, and their replicates, named like scores."""
    ends = {}
    for row in rows:
        of_names = {"model": row.get("interval") or {}}
        of_names |= {f"model - {name}": each for name, each in row.get("comparisons", {}).items()}
        for name, interval in of_names.items():
            for end in ("lower", "upper"):
                if end in interval:
                    ends[row["part"], f"{row_key(row)}, {end} end", name] = interval[end]
        for name, values in row.get("replicates", {}).get("scores", {}).items():
            for number, value in enumerate(values):
                ends[row["part"], f"{row_key(row)}, without group {number}", name] = value
    return ends


def _with_intervals(
    rows: list[dict[str, Any]], computed: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return recorded rows with the intervals that were computed again."""
    fields = ("interval", "comparisons", "replicates")
    of_keys = {
        (row["part"], row_key(row)): {name: row[name] for name in fields if name in row}
        for row in computed
    }
    return [
        {name: value for name, value in row.items() if name not in fields}
        | of_keys.get((row["part"], row_key(row)), {})
        for row in rows
    ]


def _are_equal(recorded: float | None, computed: float | None) -> bool:
    if recorded is None or computed is None:
        return recorded is computed
    return math.isclose(recorded, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _data_problems(
    name: str, stored: Mapping[str, Predictions], record: Mapping[str, Any], rescorer: Rescorer
) -> list[Problem]:
    """Return the parts with observations or sizes that differ from the data."""
    problems = []
    sizes = rescorer.problem.sizes
    if is_external(record) and set(record["dataset"]["n_samples"]) & {TEST, *list(sizes)[-1:]}:
        # Predictions of other programs may be of the test part alone.
        sizes = {part: sizes[part] for part in sizes if part in record["dataset"]["n_samples"]}
    for part, size in sizes.items():
        recorded = record["dataset"]["n_samples"].get(part)
        if recorded != int(size):
            message = f"{recorded} samples in the record, {int(size)} in the data"
            problems.append(Problem("samples", f"{name}/{part}", message))
        if part not in stored:
            problems.append(Problem("part", f"{name}/{part}", "is missing"))
        elif _has_other_observations(stored[part], part, rescorer):
            message = "the stored observations differ from the data"
            problems.append(Problem("observed", f"{name}/{part}", message))
    return problems


def _check_parts(name: str, stored: Mapping[str, Predictions], rescorer: Rescorer) -> None:
    """Check that each part has axes of the same number as the baselines have.

    Raises:
        RecordError: `.problems` has every part.
    """
    problems = []
    for part, values in stored.items():
        shapes = {
            parts[part].observed.shape for parts in rescorer.predictions.values() if part in parts
        }
        if part not in rescorer.problem.sizes:
            problems.append(Problem("part", f"{name}/{part}", "is not a part of the split"))
        elif shapes and values.observed.ndim not in {len(shape) for shape in shapes}:
            message = f"has shape {values.observed.shape}; {sorted(shapes)[0]} is that of the data"
            problems.append(Problem("shape", f"{name}/{part}", message))
    if problems:
        raise RecordError(
            f"{name} is not of this split", problems=problems, untouched="nothing was scored"
        )


def _has_other_observations(stored: Predictions, part: str, rescorer: Rescorer) -> bool:
    """Return whether stored observations differ from those of every baseline.

    The baselines' observations were made from the data just now. Baselines may leave different
    observations out, so it is enough that one of them agrees.
    """
    import numpy as np

    given = getattr(rescorer.problem, "given", lambda predictions: predictions.observed)
    observed = np.asarray(given(stored), dtype="float64")
    of_baselines = [
        np.asarray(given(parts[part]), dtype="float64")
        for parts in rescorer.predictions.values()
        if part in parts
    ]
    return bool(of_baselines) and not any(
        other.shape == observed.shape
        # No absolute tolerance: fluxes and energies may all be far below 1e-6 in their unit.
        and np.allclose(other, observed, rtol=TOLERANCE, atol=0, equal_nan=True)
        for other in of_baselines
    )
