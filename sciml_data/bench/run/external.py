"""Score predictions of another program: the same scores and baselines as a run, and a record.

The record has `training: external`. What only a training engine knows, such as durations and
hardware, is null in it. Boards, submissions and `rescore` accept the record and mark it.
"""

from __future__ import annotations

import datetime
import logging
import shlex
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sciml_data.bench.monitoring import machine
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import EXTERNAL, SCHEMA_VERSION, as_json, digest, write_record
from sciml_data.bench.run.journal import describe_benchmark, describe_data
from sciml_data.bench.run.opening import Opened
from sciml_data.bench.run.staging import unchanged_data
from sciml_data.bench.scoring.external import Expected, read_predictions
from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.bench.scoring.scores import (
    PartScores,
    metric_definition,
    metric_rows,
    sampling_block,
    score_parts,
    target_rows,
)
from sciml_data.errors import CallError
from sciml_data.home import Home

if TYPE_CHECKING:
    from sciml_data.bench.interface import Problem

logger = logging.getLogger(__name__)

Log = Callable[[str], None]
NOT_TRAINED = "external predictions: another program trained and predicted"
UNTOUCHED = "nothing was scored or written"


def expected_of(opened: Opened) -> dict[str, Expected]:
    """Return the targets and ids of each part of a benchmark."""
    import pandas as pd

    problem, expected = opened.problem, {}
    for part in problem.parts:
        targets = problem.scored_targets(part)
        ids = targets[targets.dims[0]].to_index()
        if len(problem.scored(part)) < len(problem.division.parts[part]):
            ids = pd.Index(problem.table.index[problem.division.parts[part]])
        expected[part] = Expected(targets, ids)
    return expected


def align(
    opened: Opened, given: Any, *, units: str | None = None, requires_test: bool = True
) -> dict[str, Predictions]:
    """Return the predictions of another program beside the observations, for each part.

    Args:
        opened: the benchmark.
        given: a path, a table or a mapping, see `scoring.external.read_predictions`.
        units: of the predictions.
        requires_test: whether predictions of the test part have to be there.

    Raises:
        CallError: the file or object has another form.
        RecordError: `.problems` has every problem of ids, values, unit and axes.
    """
    with unchanged_data(opened.source):
        values = read_predictions(
            given,
            expected_of(opened),
            units=units,
            requires_test=requires_test,
            export=_export_command(opened),
        )
        return {part: opened.problem.from_values(part, each) for part, each in values.items()}


def _export_command(opened: Opened) -> str:
    """Return the command that writes the ids of this benchmark, with its options."""
    request, source = opened.request, opened.source
    words = ["sciml-data", "split", "export", opened.task.name]
    named = {"split": request.split, "variant": request.variant, "dataset": request.dataset}
    for option, value in named.items():
        words += [f"--{option}", value] if value else []
    for text in request.overrides:
        words += ["--set", text]
    if source.is_synthetic:
        words.append("--sample")
    if source.sample_seed:
        words += ["--sample-seed", str(source.sample_seed)]
    for text in source.sample_set:
        words += ["--sample-set", text]
    return shlex.join([*words, "--to", "ids.csv"])


def score_table(
    opened: Opened, predictions: Mapping[str, Predictions], *, baselines: bool = True
) -> list[dict[str, Any]]:
    """Return the rows of a record's `metrics`: scores of predictions and of the baselines."""
    with unchanged_data(opened.source):
        scores = _scores(opened, predictions)
        others = _baseline_scores(opened, list(predictions)) if baselines else {}
    return metric_rows(opened.task, scores, others)


def score_external(  # noqa: PLR0913 - keyword-only options of the command line
    opened: Opened,
    predictions: Mapping[str, Predictions],
    *,
    home: Home,
    name: str = EXTERNAL,
    seed: int = 0,
    folder: Path | None = None,
    log: Log = logger.info,
) -> Path:
    """Store predictions of another program, score them, and write the record.

    The folder appears when everything in it is complete.

    Args:
        opened: the benchmark.
        predictions: part -> predictions, see `align`.
        home: the run's folder is created in it.
        name: of the model; letters, digits and ``._-``.
        seed: of the other program's training, by which repeats of a model differ.
        folder: of the run; None makes a new one.
        log: gets a line for each step.

    Returns:
        The run's folder.

    Raises:
        CallError: the name cannot be used.
    """
    if not runs.NAME.fullmatch(name):
        raise CallError(
            f"{name!r} cannot be the name of a model: letters, digits, '.', '_' and '-'",
            untouched=UNTOUCHED,
        )
    began = _now()
    task = opened.task
    variant = (task.variant, task.dataset) if task.variant else ()
    label = "-".join([*variant, name, opened.split.name, f"s{seed}"])
    folder = folder or runs.new_run_folder(home, task.name, label)
    try:
        path = folder / runs.PREDICTIONS_NAME
        save_predictions(path, predictions, synthetic=opened.source.is_synthetic)
        with unchanged_data(opened.source):
            for part, each in predictions.items():
                opened.problem.write_outputs(folder / runs.OUTPUTS_FOLDER, part, each)
            runs.write_outputs_manifest(folder)
            log("scoring the predictions, and computing the baselines")
            # From the file, so that `rescore` reads exactly the same values.
            scores = _scores(opened, load_predictions(path))
            baselines = _baseline_scores(opened, list(predictions))
            facts = as_json(opened.problem.diagnostics())
        record = _record(opened, folder, scores, baselines, name=name, seed=seed)
        times = {"start_time": began, "end_time": _now()}
        write_record(folder, {**record, "facts": facts, "timing": _timing(times)})
    except BaseException:
        shutil.rmtree(folder)
        raise
    return folder


def _scores(opened: Opened, predictions: Mapping[str, Predictions]) -> PartScores:
    problem = cast("Problem", opened.problem)
    return score_parts(problem, opened.task, predictions, resampled=True)


def _baseline_scores(opened: Opened, parts: list[str]) -> dict[str, PartScores]:
    """Return the scores of the baselines, which are computed once for each part.

    The scores are kept and not the predictions or the fitted models, which may have gigabytes.
    """
    kept = opened.baseline_scores
    if missing := [part for part in parts if part not in kept]:
        fitted = opened.problem.baselines()
        of_names = {
            name: _scores(opened, {part: of_parts[part] for part in missing})
            for name, of_parts in fitted.items()
        }
        for part in missing:
            kept[part] = {name: scores[part] for name, scores in of_names.items()}
    names = dict.fromkeys(name for part in parts for name in kept[part])
    return {name: {part: kept[part][name] for part in parts} for name in names}


def _record(
    opened: Opened,
    folder: Path,
    scores: PartScores,
    baselines: Mapping[str, PartScores],
    *,
    name: str,
    seed: int,
) -> dict[str, Any]:
    """Return the record without `facts` and `timing`."""
    task, split = opened.task, opened.split
    rows = metric_rows(task, scores, baselines)
    sampling = sampling_block(scores)
    form = "NetCDF-4, one group for each part"
    outputs = {"predictions": runs.describe_output(folder, runs.PREDICTIONS_NAME, form)}
    if (folder / runs.OUTPUTS_NAME).is_file():
        form = f"manifest of {runs.OUTPUTS_FOLDER}/"
        outputs["files"] = runs.describe_output(folder, runs.OUTPUTS_NAME, form)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": str(uuid.uuid4()),
        "record_digest": "",
        "training": EXTERNAL,
        "status": "success",
        "reason": None,
        **_inputs(
            opened, list(scores), name=name, seed=seed, sha256=outputs["predictions"]["sha256"]
        ),
        "code": machine.code(task.folder),
        "software": machine.software(),
        "timeline": [],
        "curve": [],
        "metric_definitions": [metric_definition(metric) for metric in task.metrics],
        "metrics": rows,
        **({"resampling": sampling} if sampling else {}),
        "targets": target_rows(task, split.name, rows),
        "outputs": outputs,
        "verification": {"state": "unchecked", "checks": []},
        "extensions": {},
        **_unknown(),
    }


def _inputs(
    opened: Opened, parts: list[str], *, name: str, seed: int, sha256: str
) -> dict[str, Any]:
    """Return benchmark, data, split, model, settings and seeds."""
    task, split, source, sizes = opened.task, opened.split, opened.source, opened.problem.sizes
    identity = {
        "training": EXTERNAL,
        "benchmark": task.name,
        "dataset": source.manifest_digest,
        "split": split.digest,
        "model": name,
        "seed": seed,
        "predictions": sha256,
        "settings": dict(opened.settings),
    }
    return {
        "synthetic": source.is_synthetic,
        "benchmark": describe_benchmark(task),
        **describe_data(task, source, split, {part: sizes[part] for part in parts}),
        "model": {
            "name": name,
            "parameters": None,
            "framework": NOT_TRAINED,
            "best_epoch": 0,
            "origin": EXTERNAL,
            "kind": EXTERNAL,
            "source": None,
        },
        "settings": as_json(opened.settings),
        "settings_overridden": [text.partition("=")[0] for text in opened.request.overrides],
        "settings_digest": digest(identity),
        "seeds": {
            "seed": seed,
            "generators": [],
            "data_order": "not known",
            "deterministic_ops": False,
        },
    }


def _unknown() -> dict[str, Any]:
    """Return the groups of a record that only a training engine can fill, without values."""
    hardware = (
        "host_processor_model_name", "host_processor_core_count",
        "host_processor_available_cores", "host_memory_capacity_bytes", "accelerators_per_node",
        "accelerator_model_name", "intra_op_threads", "inter_op_threads",
    )  # fmt: skip
    resources = (
        "peak_host_memory_bytes", "peak_device_memory_bytes", "cpu_s", "disk_read_bytes",
        "disk_write_bytes",
    )  # fmt: skip
    distribution = ("strategy", "replicas", "workers", "global_batch_size")
    energy = dict.fromkeys(("method", "cpu_energy_j", "gpu_energy_j"))
    rates = dict.fromkeys(("train_samples_per_s", "predict_samples_per_s"))
    return {
        "hardware": dict.fromkeys(hardware),
        "distribution": dict.fromkeys(distribution),
        "throughput": {**rates, "reason": NOT_TRAINED},
        "resources": dict.fromkeys(resources),
        "monitor": None,
        "energy": {"measured": False, **energy, "reason": NOT_TRAINED},
    }


def _timing(times: Mapping[str, str]) -> dict[str, Any]:
    """Return when the predictions were scored; no duration is known."""
    durations = (
        "staging_s", "prepare_s", "baselines_s", "first_epoch_s", "steady_epochs_s",
        "steady_epochs", "validation_s", "predict_s", "score_s", "resumed_epochs",
        "time_to_train_s", "time_to_train_excl_staging_s",
    )  # fmt: skip
    return {
        "clock": "monotonic",
        **times,
        **dict.fromkeys(durations),
        "is_staging_shared": False,
        "cache_clear": {
            "done": False,
            "method": None,
            "files": 0,
            "resident_fraction_after": None,
            "reason": NOT_TRAINED,
        },
    }


def _now() -> str:
    time = datetime.datetime.now(datetime.UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
