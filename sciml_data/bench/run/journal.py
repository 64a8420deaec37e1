"""What is known of a run while it proceeds, and the record that is assembled from it.

    Prepared  what runs with different seeds have in common
    Journal   the course of a run: timeline, progress, monitor
    Outcome   status, reason, and the scores of a success

`assemble_record` arranges all of it as a record. It computes sums and ratios only.
"""

from __future__ import annotations

import datetime
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.bench.interface import Problem
from sciml_data.bench.monitoring import Monitor, machine
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import (
    KERAS,
    RECORD_NAME,
    SCHEMA_VERSION,
    SUCCESS,
    as_json,
    digest,
    load_record,
)
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.scores import (
    PartScores,
    metric_definition,
    metric_rows,
    sampling_block,
    target_rows,
)
from sciml_data.bench.task.split import Split
from sciml_data.bench.task.task import Task
from sciml_data.bench.training import backend, timeline
from sciml_data.bench.training.budget import budget_block
from sciml_data.bench.training.checkpoint import FILE, load_state
from sciml_data.bench.training.own_model import require_same_model
from sciml_data.bench.training.schedule import Progress
from sciml_data.bench.training.timeline import Mark
from sciml_data.errors import RecordError

if TYPE_CHECKING:
    from sciml_data.bench.training.adapted import OwnTraining  # it imports Keras

FRAMEWORKS = {"tensorflow": "TensorFlow", "jax": "JAX (experimental)"}
NO_STEADY_EPOCH = "no epoch after the first of a process"
NO_EPOCHS = "the model was trained by its own `fit`, without epochs"
BaselineScores = Mapping[str, PartScores]


class Baselines:
    """The scores of the baselines, computed on the first call of `scores`.

    The first call comes after the timed section of the first run, so that baselines do not count
    in the time of a run.
    """

    def __init__(self, compute: Callable[[], BaselineScores]) -> None:
        self._compute = compute
        self._scores: BaselineScores | None = None
        self.seconds: float | None = None

    def scores(self) -> BaselineScores:
        """Return the scores of each baseline."""
        if self._scores is None:
            began = time.perf_counter()
            self._scores = self._compute()
            self.seconds = time.perf_counter() - began
        return self._scores


@dataclass(frozen=True)
class Prepared:
    """What runs with different seeds have in common.

    Attributes:
        task: with the chosen variant.
        split: of the dataset.
        settings: resolved.
        overridden: names of the settings that the caller has overridden.
        source: the dataset.
        problem: made by the runner.
        baselines: of the problem.
        strategy: returned by the backend's `make_strategy`.
        durations: `staging_s` and `prepare_s` in seconds.
        marks: the timeline so far.
        own: training of the user's own model; None trains a model of the registry.
        kind: of the model, `KERAS` or `FIT_PREDICT`.
        budget_s: limit on the seconds of training; None sets no limit.
    """

    task: Task
    split: Split
    settings: Mapping[str, Any]
    overridden: tuple[str, ...]
    source: Source
    problem: Problem
    baselines: Baselines
    strategy: Any
    durations: Mapping[str, float]
    marks: tuple[Mark, ...] = ()
    own: OwnTraining | None = None
    kind: str = KERAS
    budget_s: float | None = None

    @property
    def source_of_model(self) -> dict[str, str] | None:
        """Return file, function and digest of the user's own model; None for the registry's."""
        return None if self.own is None else self.own.own.origin


def settings_digest(prepared: Prepared, seed: int) -> str:
    """Return the digest of everything that determines a run's result except code and devices."""
    variant = {"variant": prepared.task.variant} if prepared.task.variant else {}
    source = prepared.source_of_model
    return digest(
        {
            **variant,
            **({} if source is None else {"model_sha256": source["sha256"]}),
            "benchmark": prepared.task.name,
            "dataset": prepared.source.manifest_digest,
            "split": prepared.split.digest,
            "seed": seed,
            "settings": dict(prepared.settings),
        }
    )


@dataclass
class Journal:
    """The course of a run.

    Attributes:
        prepared: what it has in common with runs of other seeds.
        seed: of the run.
        folder: of the run.
        run_id: a UUID; a resumed run keeps it.
        start_time: ISO 8601, UTC.
        is_shared: whether `prepared` is used for several runs.
        marks: the timeline so far.
        monitor: of the machine; None if there is no monitor.
        progress: epochs done.
        damage: why the last state of a resumed run could not be read; empty if it could.
        activity: what is being done, for a reader who waits.
    """

    prepared: Prepared
    seed: int
    folder: Path
    run_id: str
    start_time: str
    is_shared: bool
    marks: list[timeline.Mark] = field(default_factory=list)
    monitor: Monitor | None = None
    progress: Progress = field(default_factory=Progress)
    damage: str = ""
    activity: str = ""

    @classmethod
    def begin(cls, prepared: Prepared, *, seed: int, folder: Path, is_shared: bool) -> Journal:
        """Return the journal of a new run, or of a resumed run, which keeps its id.

        Raises:
            RecordError: the folder's record or state is not valid, or belongs to another run.
        """
        if os.path.lexists(folder / RECORD_NAME):
            record = load_record(folder)
            require_same_model(record, prepared.source_of_model)
            run_id, marks = record["run_id"], timeline.resume_run(record["timeline"])
        else:
            run_id = str(uuid.uuid4())
            marks = timeline.begin_run(prepared.marks, is_shared=is_shared)
        starts = [mark["time_ms"] for mark in marks if mark["key"] == timeline.RUN_START]
        if not starts:
            raise RecordError(
                f"the record of {folder.name} does not say when the run began",
                untouched="the run was not changed",
                hint="start a new run, without --resume",
            )
        journal = cls(prepared, seed, folder, run_id, _utc(starts[0]), is_shared, marks)
        state = load_state(folder / runs.STATE_FOLDER, settings_digest(prepared, seed))
        if state is not None:
            journal.progress, journal.damage = Progress.from_json(state.progress), state.damage
        return journal


@dataclass(frozen=True)
class Outcome:
    """The status of a run, the reason if it is not a success, and its results if it is.

    Attributes:
        status: `running`, `success`, `failed` or `aborted`.
        reason: why the run is not a success.
        scores: of the model.
        baselines: scores of each baseline.
        parameters: number of trainable parameters.
        weights_digest: of the scored weights of a Keras model.
        predict_s: duration of the prediction in seconds.
        score_s: duration of the scoring in seconds.
        resumed_epochs: epochs that an earlier process had done.
    """

    status: str
    reason: str | None
    scores: PartScores = field(default_factory=dict)
    baselines: BaselineScores = field(default_factory=dict)
    parameters: int | None = None
    weights_digest: str | None = None
    predict_s: float | None = None
    score_s: float | None = None
    resumed_epochs: int = 0


def assemble_record(journal: Journal, outcome: Outcome) -> dict[str, Any]:
    """Return the record of a run in its present state, with an empty digest."""
    prepared = journal.prepared
    rows = metric_rows(prepared.task, outcome.scores, outcome.baselines)
    sampling = sampling_block(outcome.scores)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": journal.run_id,
        "record_digest": "",
        "status": outcome.status,
        "reason": outcome.reason,
        "synthetic": prepared.source.is_synthetic,
        "benchmark": describe_benchmark(prepared.task),
        **_inputs(journal, outcome),
        "code": machine.code(prepared.task.folder),
        "software": machine.software(),
        "hardware": machine.hardware(),
        "distribution": {
            **backend.current().describe(prepared.strategy),
            "global_batch_size": prepared.settings["batch_size"],
        },
        "timing": _timing(journal, outcome),
        "timeline": [dict(mark) for mark in journal.marks],
        "curve": [dict(row) for row in journal.progress.curve],
        "metric_definitions": [metric_definition(metric) for metric in prepared.task.metrics],
        "metrics": rows,
        **({"resampling": sampling} if sampling else {}),
        **budget_of(journal, has_ended=outcome.status == SUCCESS),
        "targets": target_rows(prepared.task, prepared.split.name, rows),
        "throughput": _throughput(journal, outcome),
        **(journal.monitor.summary() if journal.monitor else machine.not_monitored()),
        "facts": as_json(prepared.problem.diagnostics()),
        "outputs": _outputs(journal.folder),
        "verification": {"state": "unchecked", "checks": []},
        "extensions": {},
    }


def budget_of(journal: Journal, *, has_ended: bool) -> dict[str, Any]:
    """Return the group `budget` of a run with a limit on its time, else nothing.

    Args:
        journal: of the run.
        has_ended: whether the training has ended by itself.
    """
    prepared = journal.prepared
    if prepared.budget_s is None:
        return {}
    sizes = prepared.problem.sizes
    samples = int(sizes[prepared.problem.parts[0]])
    block = budget_block(
        prepared.budget_s, journal.progress, prepared.settings, samples, has_ended=has_ended
    )
    return {"budget": block}


def describe_benchmark(task: Task) -> dict[str, Any]:
    """Return the group `benchmark` of a record."""
    return {
        "name": task.name,
        "variant": task.variant,
        "title": task.title,
        "division": "open",
        "headline_metric": task.headline_metric,
    }


def describe_data(
    task: Task, source: Source, split: Split, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Return the groups `dataset` and `split` of a record.

    Args:
        task: has the headline split.
        source: the dataset.
        split: of the dataset.
        sizes: number of samples in each part.
    """
    return {
        "dataset": {
            "id": source.dataset_id,
            "version": source.version,
            "manifest_digest": source.manifest_digest,
            "ready_digest": source.ready_digest,
            "scale": "synthetic" if source.is_synthetic else "full",
            "sample_seed": source.sample_seed,
            "sample_set": list(source.sample_set),
            "n_samples": {part: int(size) for part, size in sizes.items()},
        },
        "split": {
            "name": split.name,
            "strategy": split.strategy,
            "seed": split.seed,
            "members_digest": split.digest,
            "is_headline": split.name == task.headline_split,
        },
    }


def _inputs(journal: Journal, outcome: Outcome) -> dict[str, Any]:
    """Return data, split, model, settings and seeds."""
    prepared, source = journal.prepared, journal.prepared.source
    return {
        **describe_data(prepared.task, source, prepared.split, prepared.problem.sizes),
        "model": _model(journal, outcome),
        "settings": as_json(prepared.settings),
        "settings_overridden": list(prepared.overridden),
        "settings_digest": settings_digest(prepared, journal.seed),
        "seeds": {
            "seed": journal.seed,
            "generators": ["python", "numpy", backend.name()],
            "data_order": "a function of seed and epoch",
            "deterministic_ops": prepared.settings["deterministic"],
        },
    }


def _model(journal: Journal, outcome: Outcome) -> dict[str, Any]:
    prepared = journal.prepared
    framework = f"Keras 3 on {FRAMEWORKS[backend.name()]}"
    return {
        "name": prepared.settings["model"],
        "parameters": outcome.parameters,
        "weights_digest": outcome.weights_digest,
        "framework": framework if prepared.kind == KERAS else f"object with {prepared.kind}",
        "best_epoch": journal.progress.best_epoch,
        "origin": "registry" if prepared.own is None else "own",
        "kind": prepared.kind,
        "source": prepared.source_of_model,
    }


def _timing(journal: Journal, outcome: Outcome) -> dict[str, Any]:
    first, steady = _epochs(journal.progress.curve)
    total = _time_to_train(journal, outcome)
    staging = journal.prepared.durations["staging_s"]
    return {
        "clock": "monotonic",
        "start_time": journal.start_time,
        "end_time": _utc(timeline.epoch_ms()),
        "cache_clear": journal.prepared.source.cache_clear.to_json(),
        "time_to_train_s": total,
        "time_to_train_excl_staging_s": None if total is None else total - staging,
        **journal.prepared.durations,
        "baselines_s": journal.prepared.baselines.seconds if outcome.baselines else None,
        "is_staging_shared": journal.is_shared,
        "first_epoch_s": first[0]["train_s"] if first else None,
        "steady_epochs_s": sum(row["train_s"] for row in steady),
        "steady_epochs": len(steady),
        "validation_s": sum(row["evaluation_s"] for row in journal.progress.curve),
        "predict_s": outcome.predict_s,
        "score_s": outcome.score_s,
        "resumed_epochs": outcome.resumed_epochs,
    }


def _time_to_train(journal: Journal, outcome: Outcome) -> float | None:
    """Return the seconds from staging to the last score; None if the run was not continuous.

    The interval is that of the run's timeline. Shared staging and preparation happened before it,
    and are added.
    """
    if outcome.status != "success" or outcome.resumed_epochs:
        return None
    times = {mark["key"]: mark["time_ms"] for mark in journal.marks}
    interval_s = (times[timeline.RUN_STOP] - times[timeline.RUN_START]) / 1000
    durations = journal.prepared.durations
    before_s = durations["staging_s"] + durations["prepare_s"] if journal.is_shared else 0.0
    return float(interval_s + before_s)


def _throughput(journal: Journal, outcome: Outcome) -> dict[str, Any]:
    """Return samples per second of the steady epochs.

    The first epoch of a process is left out, because it includes compilation.
    """
    _, steady = _epochs(journal.progress.curve)
    seconds = sum(row["train_s"] for row in steady)
    samples = sum(row["samples"] for row in steady)
    reason = NO_STEADY_EPOCH if journal.prepared.kind == KERAS else NO_EPOCHS
    predicted = sum(int(size) for size in journal.prepared.problem.sizes.values())
    return {
        "train_samples_per_s": samples / seconds if seconds else None,
        "predict_samples_per_s": predicted / outcome.predict_s if outcome.predict_s else None,
        "reason": None if seconds else reason,
    }


def _epochs(
    curve: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return (epochs that included compilation, the steady epochs)."""
    first = [row for row in curve if row["is_first_of_process"]]
    return first, [row for row in curve if not row["is_first_of_process"]]


def _outputs(folder: Path) -> dict[str, Any]:
    files = {
        "predictions": (runs.PREDICTIONS_NAME, "NetCDF-4, one group for each part"),
        "weights": (f"{runs.STATE_FOLDER}/{runs.WEIGHTS_NAME}", "Keras weights"),
        "state": (f"{runs.STATE_FOLDER}/{FILE}", "NumPy archive"),
        "curve": (runs.CURVE_NAME, "JSON lines"),
        "monitor": (runs.MONITOR_NAME, "CSV, a line for each sample"),
        "files": (runs.OUTPUTS_NAME, f"manifest of {runs.OUTPUTS_FOLDER}/"),
        "model": (runs.MODEL_NAME, "Python, the user's own model"),
        "keras": (runs.KERAS_NAME, "Keras model, for stock Keras"),
        "card": (runs.CARD_NAME, "Markdown, about the model"),
    }
    return {
        name: runs.describe_output(folder, path, form)
        for name, (path, form) in files.items()
        if (folder / path).is_file()
    }


def _utc(time_ms: int) -> str:
    """Return milliseconds since 1970 as ISO 8601 in UTC."""
    time = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
