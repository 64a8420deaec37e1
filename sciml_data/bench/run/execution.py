"""A run, from a request to its record.

    stage -> prepare -> train -> predict -> score -> baselines -> record

`prepare` does what runs with different seeds have in common: data, problem and baselines. Then
`run_once` trains with a seed. A run that fails or is stopped leaves a record with the reason.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.bench.interface import Problem, check_problem, load_runner
from sciml_data.bench.record import record as records
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import KERAS
from sciml_data.bench.run.interruptions import (
    lost_workers_raise,
    monitoring,
    recording_failures,
    recording_lost_chief,
    sigterm_as_interrupt,
)
from sciml_data.bench.run.journal import (
    Baselines,
    Journal,
    Outcome,
    Prepared,
    assemble_record,
    budget_of,
    settings_digest,
)
from sciml_data.bench.run.model_folder import (
    SavedModel,
    save_model,
    weights_digest,
    write_card,
)
from sciml_data.bench.run.request import (
    Request,
    check_backend,
    check_request,
    overridden_names,
    settings_of,
)
from sciml_data.bench.run.staging import Source, unchanged_data
from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.bench.scoring.scores import PartScores, sampling_block, score_parts
from sciml_data.bench.task.settings import LOSS
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task
from sciml_data.bench.training import backend, timeline
from sciml_data.bench.training.checkpoint import (
    drop_previous,
    remove_leftovers,
    replace_damaged,
)
from sciml_data.bench.training.loop import Trained, Training, train
from sciml_data.bench.training.own_model import FIT_PREDICT
from sciml_data.bench.training.schedule import Progress
from sciml_data.errors import CallError
from sciml_data.home import DatasetFolder, Home, write_atomically
from sciml_data.progress import counted, minute_lines

if TYPE_CHECKING:
    from sciml_data.bench.training.adapted import OwnTraining  # it imports Keras

logger = logging.getLogger(__name__)

Log = Callable[[str], None]


def prepare(
    request: Request, stage: Callable[[Task], Source], *, log: Log = logger.info
) -> Prepared:
    """Check a request, bring its data here, and make its problem and baselines.

    Args:
        request: what to run.
        stage: brings the task's dataset to this computer (see `staging.stage`).
        log: gets a line for each step.

    Returns:
        Everything that runs with different seeds have in common.

    Raises:
        SciMLDataError: the request, the data or the runner is not valid.
    """
    marks = [timeline.mark(timeline.INIT_START)]
    task = check_request(request)
    used = backend.current()
    used.set_threads(request.threads)
    runner = load_runner(request.registry, request.benchmark)
    check_backend(runner, task.name)
    strategy = used.make_strategy(request.strategy)
    split = load_split(task.folder, request.split or task.headline_split)
    settings = settings_of(request, task)
    marks += [timeline.mark(timeline.INIT_STOP), timeline.mark(timeline.STAGING_START)]
    clock = _Clock()
    source = stage(task)
    staging_s = clock.lap()
    marks.append(timeline.mark(timeline.STAGING_STOP))
    activity = f"preparing {task.name}, split {split.name}"
    log(activity)
    with unchanged_data(source), minute_lines(log, lambda: activity):
        problem = check_problem(runner.prepare(source.dataset, split, settings), task.name)
        own, kind = _own_training(request, problem, settings, strategy)
    prepare_s = clock.lap()
    for message in getattr(problem, "messages", ()):
        log(message)
    return Prepared(
        task=task,
        split=split,
        settings=settings,
        overridden=overridden_names(request),
        source=source,
        problem=problem,
        baselines=_baselines(problem, task),
        strategy=strategy,
        durations={"staging_s": staging_s, "prepare_s": prepare_s},
        marks=tuple(marks),
        own=own,
        kind=kind,
        budget_s=request.budget_s,
    )


def _baselines(problem: Problem, task: Task) -> Baselines:
    """Return the baselines of a problem, which are computed when they are needed."""
    return Baselines(
        lambda: {
            name: score_parts(problem, task, parts, resampled=True)
            for name, parts in problem.baselines().items()
        }
    )


def _own_training(
    request: Request, problem: Problem, settings: Mapping[str, Any], strategy: Any
) -> tuple[OwnTraining | None, str]:
    """Return the user's own model, checked, and its kind; None for a model of the registry."""
    if request.own is None:
        return None, KERAS
    from sciml_data.bench.training.adapted import OwnTraining

    own = OwnTraining(request.own, problem, settings)
    kind = own.check()
    if kind == FIT_PREDICT:
        from sciml_data.bench.training.fit_predict import check_rows

        if request.budget_s is not None:
            raise CallError(
                f"{request.own.file}: a model with fit and predict cannot have a budget: its `fit` "
                "has no steps at which the run could stop",
                untouched="nothing was trained",
                hint="run without --budget, and limit the time in your model",
            )
        check_rows(own, backend.current().describe(strategy)["replicas"])
    return own, kind


def run_once(  # noqa: PLR0913 - keyword-only options of the command line
    prepared: Prepared,
    seed: int,
    *,
    home: Home,
    resume: Path | None = None,
    is_shared: bool = False,
    monitor_s: float = 1.0,
    log: Log = logger.info,
) -> Path | None:
    """Train with one seed, score, and write the record.

    Args:
        prepared: returned by `prepare`.
        seed: of the initial weights, of dropout and of the order of batches.
        home: the run's folder is created in it.
        resume: folder of a run to resume, or of a new run with a chosen name. If several processes
            share a run, each needs the same folder, on storage that all can read.
        is_shared: whether `prepared` is used for several runs.
        monitor_s: seconds between samples of processor, memory and energy; 0 disables sampling.
        log: gets a line for each epoch and each step.

    Returns:
        The run's folder; None in a worker process that is not the chief.

    Raises:
        SciMLDataError: the run failed; its record has the status `failed` and the reason.
        KeyboardInterrupt: the run was stopped; its record has the status `aborted`.
    """
    if not backend.current().is_chief(prepared.strategy):
        with (
            sigterm_as_interrupt(),
            recording_lost_chief(resume),
            lost_workers_raise(prepared.task.name, resume),
            unchanged_data(prepared.source),
        ):
            train(prepared.problem, _training(prepared, seed, resume))
            _wait_for_all(prepared)
        return None
    folder = resume or runs.new_run_folder(home, prepared.task.name, _label(prepared, seed))
    journal = Journal.begin(prepared, seed=seed, folder=folder, is_shared=is_shared)
    with (
        sigterm_as_interrupt(),
        # Two processes that resume the same run would overwrite each other's state.
        DatasetFolder(folder).lock("run", waits=False),
        recording_failures(journal, _write, log),
        minute_lines(log, lambda: journal.activity) as lines,
    ):
        _clean_up(journal, lines)
        with unchanged_data(prepared.source):
            outcome, model = _timed_section(journal, monitor_s, lines)
            _begin(journal, "computing the baselines and intervals", lines)
            baselines = prepared.baselines.scores()
            outcome = replace(outcome, scores=_with_intervals(journal, lines))
            saved = _save_model(journal, model, lines)
        _write(journal, replace(outcome, baselines=baselines), saved)
        # The record is complete, so a worker that is lost now does no harm.
        with contextlib.suppress(*backend.current().worker_lost_errors()):
            _wait_for_all(prepared)
    return folder


def _clean_up(journal: Journal, log: Log) -> None:
    """Remove what a killed process left, and a state that cannot be read."""
    remove_leftovers(journal.folder)
    if journal.damage:
        log(f"{journal.damage}; resumed after epoch {journal.progress.epochs} instead")
        replace_damaged(journal.folder / runs.STATE_FOLDER)


def _timed_section(journal: Journal, monitor_s: float, log: Log) -> tuple[Outcome, Any]:
    """Train, predict and score, the timed and monitored section; return the model, too."""
    prepared, folder = journal.prepared, journal.folder
    with monitoring(journal, monitor_s):
        if prepared.own is not None:
            (folder / runs.MODEL_NAME).write_bytes(prepared.own.own.source)
        _write(journal, Outcome("running", "the run has not ended"))
        _begin(journal, f"training {prepared.settings['model']}, run {folder.name}", log)
        with lost_workers_raise(prepared.task.name, folder):
            if prepared.own is not None and prepared.kind == FIT_PREDICT:
                trained = _fitted(prepared.own, journal, log)
            else:
                trained = train(
                    prepared.problem,
                    _training(prepared, journal.seed, folder),
                    on_epoch=lambda progress: _log_epoch(journal, progress, log),
                )
        journal.progress = trained.progress
        if remark := records.budget_remark(budget_of(journal, has_ended=True)):
            _log(journal, remark, log)
        return _finish(journal, trained, log), trained.model


def _save_model(journal: Journal, model: Any, log: Log) -> SavedModel | None:
    """Save the portable form of a Keras model; None for other models."""
    prepared = journal.prepared
    if prepared.kind != KERAS:
        return None
    is_own = prepared.own is not None
    saved = save_model(prepared.problem, model, journal.folder, is_own=is_own)
    if saved.reason:
        log(f"the model is not saved for stock Keras: {saved.reason}")
    return saved


def _fitted(own: OwnTraining, journal: Journal, log: Log) -> Trained:
    """Return the user's model after its own `fit`, which has no epochs."""
    from sciml_data.bench.training.fit_predict import FitPredict

    model = FitPredict(own, journal.seed)
    _log(
        journal,
        f"fitted to {counted(model.rows, 'row')} of {counted(model.features, 'feature')}",
        log,
    )
    return Trained(model, Progress(), resumed_epochs=0)


def _label(prepared: Prepared, seed: int) -> str:
    """Return the end of a new folder's name: variant, model, split and seed."""
    task = prepared.task
    variant = (task.variant, task.dataset) if task.variant else ()
    return "-".join([*variant, prepared.settings["model"], prepared.split.name, f"s{seed}"])


def _wait_for_all(prepared: Prepared) -> None:
    """Wait for all processes of the run (a barrier).

    A process that ended earlier would look like a lost worker to the others.
    """
    backend.current().broadcast_from_chief(prepared.strategy, 0.0)


def _training(prepared: Prepared, seed: int, folder: Path | None) -> Training:
    return Training(
        settings=prepared.settings,
        seed=seed,
        strategy=prepared.strategy,
        lower_is_better=_is_lower_better(prepared),
        folder=None if folder is None else folder / runs.STATE_FOLDER,
        settings_digest=settings_digest(prepared, seed),
        build=None if prepared.own is None else partial(prepared.own.build, seed),
        budget_s=prepared.budget_s,
    )


def _is_lower_better(prepared: Prepared) -> bool:
    """Return whether lower values of the monitored metric are better."""
    monitor = prepared.settings["monitor"]
    return monitor == LOSS or prepared.task.metric(monitor).lower_is_better


def _finish(journal: Journal, trained: Trained, log: Log) -> Outcome:
    """Predict, store the predictions, and score the stored predictions.

    The scores are computed from the file, so that `rescore` reads exactly the same values.
    """
    prepared, folder = journal.prepared, journal.folder
    problem, clock = prepared.problem, _Clock()
    _begin(journal, "predicting and scoring every part", log)
    journal.marks.append(timeline.mark(timeline.EVAL_START, epoch_num=trained.progress.best_epoch))
    predictions = {part: _predict(problem, trained.model, part, folder) for part in problem.parts}
    runs.write_outputs_manifest(folder)
    predict_s = clock.lap()
    save_predictions(
        folder / runs.PREDICTIONS_NAME, predictions, synthetic=prepared.source.is_synthetic
    )
    stored = load_predictions(folder / runs.PREDICTIONS_NAME)
    clock.lap()
    scores: PartScores = score_parts(problem, prepared.task, stored)
    score_s = clock.lap()
    journal.marks += [
        timeline.mark(timeline.EVAL_STOP, epoch_num=trained.progress.best_epoch),
        timeline.mark(timeline.RUN_STOP, status="success"),
    ]
    parameters = digest = None
    if prepared.kind == KERAS:
        digest = weights_digest(trained.model)
        parameters = sum(int(weight.numpy().size) for weight in trained.model.trainable_weights)
        # A run that stopped within its first epoch has no checkpoint.
        (folder / runs.STATE_FOLDER).mkdir(exist_ok=True)
        trained.model.save_weights(folder / runs.STATE_FOLDER / runs.WEIGHTS_NAME)
    drop_previous(folder / runs.STATE_FOLDER)
    _write_curve(journal)
    return Outcome(
        "success",
        None,
        scores=scores,
        parameters=parameters,
        weights_digest=digest,
        predict_s=predict_s,
        score_s=score_s,
        resumed_epochs=trained.resumed_epochs,
    )


def _with_intervals(journal: Journal, log: Log) -> PartScores:
    """Return the model's scores with replicates; this work does not count in the time to train."""
    prepared = journal.prepared
    stored = load_predictions(journal.folder / runs.PREDICTIONS_NAME)
    scores = score_parts(prepared.problem, prepared.task, stored, resampled=True)
    block = sampling_block(scores) or {"parts": {}}
    for part, sampling in block["parts"].items():
        if sampling["reason"]:
            _log(journal, f"{part}: {sampling['reason']}", log)
    return scores


def _predict(problem: Problem, model: Any, part: str, folder: Path) -> Predictions:
    """Return the predictions, by the problem's `predict_into` if it has this method."""
    predict_into = getattr(problem, "predict_into", None)
    if predict_into is None:
        return problem.predict(model, part)
    predictions: Predictions = predict_into(model, part, folder / runs.OUTPUTS_FOLDER)
    return predictions


def _log_epoch(journal: Journal, progress: Progress, log: Log) -> None:
    """Write the last epoch to the log file, the curve and the callback."""
    journal.progress = progress
    row = progress.curve[-1]
    rate = row["samples"] / row["train_s"]
    settings = journal.prepared.settings
    direction = "lower" if _is_lower_better(journal.prepared) else "higher"
    validation = (
        ""
        if row["monitored"] is None
        else f"  validation {settings['monitor']} {row['monitored']:.6g} ({direction} is better)"
    )
    cut = f" (stopped after {counted(row['steps'], 'step')})" if row.get("is_partial") else ""
    line = (
        f"epoch {row['epoch']}/{settings['epochs']}{cut}  loss {row['train_loss']:.6g}"
        f"{validation}  best epoch {progress.best_epoch}  {rate:,.0f} samples/s"
    )
    journal.activity = f"training, epoch {progress.epochs + 1} of {settings['epochs']}"
    _write_curve(journal)
    _log(journal, line, log)


def _begin(journal: Journal, activity: str, log: Log) -> None:
    """Log what is done next; it is repeated while it takes long."""
    journal.activity = activity
    log(activity)


def _log(journal: Journal, line: str, log: Log) -> None:
    """Write a line to the log file and the callback."""
    with (journal.folder / runs.LOG_NAME).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    log(line)


def _write_curve(journal: Journal) -> None:
    lines = [records.canonical(dict(row)) for row in journal.progress.curve]
    write_atomically(journal.folder / runs.CURVE_NAME, "".join(f"{line}\n" for line in lines))


def _write(journal: Journal, outcome: Outcome, saved: SavedModel | None = None) -> None:
    """Write the record; add the end of the run to its timeline if it failed or was aborted.

    Args:
        journal: of the run.
        outcome: status and scores.
        saved: of the trained Keras model, whose card is written first.
    """
    if outcome.status not in {"running", "success"}:
        journal.marks.append(timeline.mark(timeline.RUN_STOP, status="aborted"))
    if saved is not None:
        record, prepared = assemble_record(journal, outcome), journal.prepared
        write_card(journal.folder, record, prepared.task, prepared.source, saved)
    records.write_record(journal.folder, assemble_record(journal, outcome))


class _Clock:
    """A stopwatch that uses a monotonic clock, which is never set back."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last call, or since the start."""
        before, self._last = self._last, time.perf_counter()
        return self._last - before
