"""One run, from a benchmark's name to its record.

    stage -> prepare -> baselines -> train -> predict -> score -> record

What several seeds share (data, problem, baselines) is made once, by `prepare`; `run_once` trains
with one seed. A run that fails or is stopped leaves a record that says so.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import Problem, check_problem, load_runner
from sciml_data.bench.record import record as records
from sciml_data.bench.record import runs
from sciml_data.bench.run.interruptions import (
    chief_missed,
    losses_told,
    recorded,
    terminable,
    watched,
)
from sciml_data.bench.run.journal import (
    Baselines,
    Journal,
    Outcome,
    Prepared,
    assemble,
    settings_digest,
)
from sciml_data.bench.run.request import (
    Request,
    changed_names,
    check_backend,
    check_request,
    resolve,
)
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.bench.scoring.scores import PartScores, score_parts
from sciml_data.bench.task.settings import LOSS
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task
from sciml_data.bench.training import backend, timeline
from sciml_data.bench.training.loop import Trained, Training, train
from sciml_data.bench.training.schedule import Progress
from sciml_data.home import DatasetFolder, Home, write_atomically

Log = Callable[[str], None]


def prepare(
    request: Request, stage: Callable[[Task], Source], *, log: Log = lambda _text: None
) -> Prepared:
    """Return everything that runs with different seeds share.

    Args:
        request: what is asked for.
        stage: brings the task's dataset here (`staging.stage`).
        log: told what is being done.

    Raises:
        SciMLDataError: whatever is wrong with the call, the data or the runner.
    """
    marks = [timeline.mark(timeline.INIT_START)]
    task = check_request(request)
    used = backend.current()
    used.set_threads(request.threads)
    runner = load_runner(request.registry, request.benchmark)
    check_backend(runner, task.name)
    strategy = used.make_strategy(request.strategy)
    split = load_split(task.folder, request.split or task.headline_split)
    settings = resolve(task, request)
    marks += [timeline.mark(timeline.INIT_STOP), timeline.mark(timeline.STAGING_START)]
    clock = _Clock()
    source = stage(task)
    staging_s = clock.lap()
    marks.append(timeline.mark(timeline.STAGING_STOP))
    log(f"preparing {task.name}, split {split.name}")
    problem = check_problem(runner.prepare(source.dataset, split, settings), task.name)
    prepare_s = clock.lap()
    for line in getattr(problem, "messages", ()):
        log(line)
    return Prepared(
        task=task,
        split=split,
        settings=settings,
        overridden=changed_names(request),
        source=source,
        problem=problem,
        baselines=Baselines(
            lambda: {
                name: score_parts(problem, task, parts)
                for name, parts in problem.baselines().items()
            }
        ),
        strategy=strategy,
        durations={"staging_s": staging_s, "prepare_s": prepare_s},
        marks=tuple(marks),
    )


def run_once(  # noqa: PLR0913 - the first two say what, the rest are keywords
    prepared: Prepared,
    seed: int,
    *,
    home: Home,
    resume: Path | None = None,
    is_shared: bool = False,
    monitor_s: float = 1.0,
    log: Log = lambda _text: None,
) -> Path | None:
    """Train with one seed, score, and write the record.

    Args:
        prepared: see `prepare`.
        seed: of weights, dropout and batch order.
        home: the run's folder is made in it.
        resume: folder of a run to go on with, or to begin: where processes share a run, each has
            to be told the same, and it has to lie where all can read.
        is_shared: whether `prepared` serves several runs.
        monitor_s: seconds between samples of processor, memory and energy; 0 takes none.
        log: told one line for each epoch.

    Returns:
        The run's folder; None in a worker process that is not the chief.

    Raises:
        SciMLDataError: the run failed; its record has status `failed`.
        KeyboardInterrupt: the run was stopped; its record has status `aborted`.
    """
    if not backend.current().is_chief(prepared.strategy):
        with terminable(), chief_missed(resume), losses_told(prepared.task.name, resume):
            train(prepared.problem, _training(prepared, seed, resume))
            _meet(prepared)
        return None
    folder = resume or runs.new_run_folder(home, prepared.task.name, _label(prepared, seed))
    journal = Journal.begin(prepared, seed=seed, folder=folder, is_shared=is_shared)
    with terminable(), DatasetFolder(folder).lock("run"), recorded(journal, _write, log):
        outcome = _trained(journal, monitor_s, log)
        log("computing the baselines")
        _write(journal, replace(outcome, baselines=prepared.baselines.scores()))
        with contextlib.suppress(*backend.current().lost_errors()):  # nothing is left to lose
            _meet(prepared)
    return folder


def _trained(journal: Journal, monitor_s: float, log: Log) -> Outcome:
    """Train, predict and score: what the measured time is of."""
    prepared, folder = journal.prepared, journal.folder
    with watched(journal, monitor_s):
        _write(journal, Outcome("running", "the run has not ended"))
        with losses_told(prepared.task.name, folder):
            trained = train(
                prepared.problem,
                _training(prepared, journal.seed, folder),
                on_epoch=lambda progress: _note(journal, progress, log),
            )
        journal.progress = trained.progress
        return _finish(journal, trained, log)


def _label(prepared: Prepared, seed: int) -> str:
    """Return what a run's folder is named after, its time aside."""
    task = prepared.task
    variant = (task.variant, task.dataset) if task.variant else ()
    return "-".join([*variant, prepared.settings["model"], prepared.split.name, f"s{seed}"])


def _meet(prepared: Prepared) -> None:
    """Wait for all processes: one that leaves early would look like a lost one."""
    backend.current().agree(prepared.strategy, 0.0)


def _training(prepared: Prepared, seed: int, folder: Path | None) -> Training:
    monitor = prepared.settings["monitor"]
    return Training(
        settings=prepared.settings,
        seed=seed,
        strategy=prepared.strategy,
        lower_is_better=monitor == LOSS or prepared.task.metric(monitor).lower_is_better,
        folder=None if folder is None else folder / runs.STATE_FOLDER,
        settings_digest=settings_digest(prepared, seed),
    )


def _finish(journal: Journal, trained: Trained, log: Log) -> Outcome:
    """Predict, store the predictions, and score what was stored."""
    prepared, folder = journal.prepared, journal.folder
    problem, clock = prepared.problem, _Clock()
    log("predicting and scoring every part")
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
    trained.model.save_weights(folder / runs.STATE_FOLDER / runs.WEIGHTS_NAME)
    _write_curve(journal)
    return Outcome(
        "success",
        None,
        scores=scores,
        parameters=sum(int(weight.numpy().size) for weight in trained.model.trainable_weights),
        predict_s=predict_s,
        score_s=score_s,
        resumed_epochs=trained.resumed_epochs,
    )


def _predict(problem: Problem, model: Any, part: str, folder: Path) -> Predictions:
    """Return the predictions; a problem that offers `predict_into` writes files of its own."""
    into = getattr(problem, "predict_into", None)
    if into is None:
        return problem.predict(model, part)
    predictions: Predictions = into(model, part, folder / runs.OUTPUTS_FOLDER)
    return predictions


def _note(journal: Journal, progress: Progress, log: Log) -> None:
    journal.progress = progress
    row = progress.curve[-1]
    rate = row["samples"] / row["train_s"]
    validation = "" if row["monitored"] is None else f"  validation {row['monitored']:.6g}"
    line = (
        f"epoch {row['epoch']}/{journal.prepared.settings['epochs']}  "
        f"loss {row['train_loss']:.6g}{validation}  best {progress.best_epoch}  "
        f"lr {row['learning_rate']:.3g}  {rate:,.0f} samples/s"
    )
    with (journal.folder / runs.LOG_NAME).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    _write_curve(journal)
    log(line)


def _write_curve(journal: Journal) -> None:
    lines = [records.canonical(dict(row)) for row in journal.progress.curve]
    write_atomically(journal.folder / runs.CURVE_NAME, "".join(f"{line}\n" for line in lines))


def _write(journal: Journal, outcome: Outcome) -> None:
    """Write the record; of a run that ended otherwise than well it says when."""
    if outcome.status not in {"running", "success"}:
        journal.marks.append(timeline.mark(timeline.RUN_STOP, status="aborted"))
    records.write_record(journal.folder, assemble(journal, outcome))


class _Clock:
    """Seconds since the last lap, by a clock that is never set back."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last call, or since the clock was made."""
        before, self._last = self._last, time.perf_counter()
        return self._last - before
