"""The training loop, for one device or several, one process or several, and for each backend.

Why not `model.fit` of Keras: it fails under MultiWorkerMirroredStrategy (keras-team/keras#20585,
open; TensorFlow 2.20 and 2.21 with Keras 3.15). It clips gradients in each replica before their
sum, so that the result depends on the number of devices (see `tensorflow_backend.make_steps`). And
a benchmark has to take the time at exact points between training, validation and checkpoints. The
loop uses only the public API of Keras.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import Problem
from sciml_data.bench.task.settings import LOSS
from sciml_data.bench.task.splits import VALIDATION
from sciml_data.bench.training import backend
from sciml_data.bench.training.backend import (
    Backend,
    Pass,
    RowCheck,
    Steps,
    check_keras_distribution,
)
from sciml_data.bench.training.budget import TimeLimit, is_partial
from sciml_data.bench.training.checkpoint import State, load_state, restore, save_state, values_of
from sciml_data.bench.training.schedule import Progress, advance, is_finished, learning_rate
from sciml_data.bench.training.timeline import epoch_ms
from sciml_data.errors import CallError, RecordError

# The seed of an epoch's batches is seed * SEED_STRIDE + epoch. So runs with different seeds have no
# order of batches in common up to this number of epochs.
SEED_STRIDE = 10_000
Row = dict[str, Any]


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        settings: resolved settings of the run.
        seed: of the initial weights, of dropout and of the order of batches.
        strategy: returned by `make_strategy`.
        lower_is_better: whether a lower monitored value is better.
        folder: of the checkpoint, which is resumed if it exists; None writes no checkpoint.
        settings_digest: identifies the checkpoint as this run's.
        build: returns the model; None means the problem's `build`.
        budget_s: limit on the seconds of training and validation; None sets no limit.
    """

    settings: Mapping[str, Any]
    seed: int
    strategy: Any
    lower_is_better: bool = True
    folder: Path | None = None
    settings_digest: str = ""
    build: Callable[[], Any] | None = None
    budget_s: float | None = None


@dataclass(frozen=True)
class Trained:
    """The result of training.

    Attributes:
        model: with the weights of the best validation value.
        progress: with the curve.
        resumed_epochs: epochs that an earlier process had done.
    """

    model: Any
    progress: Progress
    resumed_epochs: int


@dataclass
class _Session:
    """The mutable objects of a training; `best` has the best weights so far."""

    problem: Problem
    training: Training
    model: Any
    optimizer: Any
    backend: Backend
    steps: Steps
    best: list[Any]
    limit: TimeLimit | None = None
    checks: dict[str, RowCheck] = field(default_factory=dict)  # by part


def train(
    problem: Problem,
    training: Training,
    *,
    on_epoch: Callable[[Progress], None] = lambda _progress: None,
) -> Trained:
    """Train a model, and return it with the weights of the best validation value.

    Args:
        problem: to train on.
        training: how to train.
        on_epoch: called in every process after each epoch, whose row is the last of the curve.

    Raises:
        RecordError: the loss is NaN or infinite, or the checkpoint is another run's.
        CallError: the problem has no score of the monitored metric.
    """
    session = _build(problem, training)
    progress = _resume(session)
    resumed = progress.epochs
    session.limit = limit = _time_limit(session, progress)
    while not is_finished(progress, training.settings):
        # At least one step is made, so that a run has something to score.
        if limit and progress.epochs and limit.is_over():
            break
        row = _epoch(session, progress, is_first=progress.epochs == resumed)
        progress = advance(
            progress, row, training.settings, lower_is_better=training.lower_is_better
        )
        _keep_best(session, progress)
        if not is_partial(row):
            _save_checkpoint(session, progress)
        on_epoch(progress)
    if session.best:
        restore(session.model.weights, session.best)
    return Trained(session.model, progress, resumed)


def _build(problem: Problem, training: Training) -> _Session:
    import keras

    used, settings = backend.current(), training.settings
    check_keras_distribution()
    # Seed before the model is built, so that the initial weights follow from the seed.
    used.seed_everything(training.seed, deterministic=settings["deterministic"])
    # The policy is global in Keras. It is restored, so that a later run in this process is not
    # affected.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings["precision"])
    try:
        with training.strategy.scope():
            model = (training.build or problem.build)()
            optimizer = keras.optimizers.get(settings["optimizer"])
            optimizer.learning_rate = settings["learning_rate"]
            optimizer.weight_decay = settings["weight_decay"] or None
            # Create the moments now, inside the scope, so that a checkpoint can restore them.
            optimizer.build(model.trainable_variables)
    finally:
        keras.config.set_dtype_policy(policy)
    steps = used.make_steps(
        problem, model, optimizer=optimizer, strategy=training.strategy, settings=settings
    )
    return _Session(problem, training, model, optimizer, used, steps, best=[])


def _resume(session: _Session) -> Progress:
    """Restore the checkpoint in the training's folder, and return its progress.

    Raises:
        RecordError: the checkpoint is another run's, or is not the chief's checkpoint.
    """
    training = session.training
    state = None
    if training.folder is not None:
        state = load_state(training.folder, training.settings_digest)
    progress = Progress() if state is None else Progress.from_json(state.progress)
    # Processes with different states would train different models without an error.
    chief_epochs = int(session.backend.broadcast_from_chief(training.strategy, progress.epochs))
    if chief_epochs != progress.epochs:
        raise RecordError(
            f"this process has the checkpoint of epoch {progress.epochs}, the chief that of epoch "
            f"{chief_epochs}",
            untouched="nothing was trained",
            hint="all processes need the same --home, on storage that they share",
        )
    if state is not None:
        restore(session.model.variables, state.model)
        restore(session.optimizer.variables, state.optimizer)
        session.best = list(state.best)
    return progress


def _time_limit(session: _Session, progress: Progress) -> TimeLimit | None:
    training, used = session.training, session.backend
    if training.budget_s is None:
        return None
    # Processes that stopped at different steps would wait for each other forever.
    has_others = used.describe(training.strategy)["workers"] > 1
    agree = partial(used.broadcast_from_chief, training.strategy) if has_others else None
    return TimeLimit(training.budget_s, progress, agree)


def _epoch(session: _Session, progress: Progress, *, is_first: bool) -> Row:
    """Train and validate for an epoch, and return its row of the curve; durations in seconds."""
    training = session.training
    rate = learning_rate(training.settings, progress)
    session.optimizer.learning_rate.assign(rate)
    started, started_ms = time.perf_counter(), epoch_ms()
    loss, samples = _pass(
        session, session.steps.train, session.problem.parts[0], progress.epochs, session.limit
    )
    trained, trained_ms = time.perf_counter(), epoch_ms()
    _check_finite(loss, "training loss", progress.epochs + 1)
    validation, monitored = _validate(session, progress.epochs + 1)
    return {
        "epoch": progress.epochs + 1,
        "samples": samples,
        "learning_rate": rate,
        "train_loss": loss,
        "validation_loss": validation,
        "monitored": monitored,
        "train_s": trained - started,
        "evaluation_s": time.perf_counter() - trained,
        "is_first_of_process": is_first,
        "start_time_ms": started_ms,
        "train_stop_time_ms": trained_ms,
        "stop_time_ms": epoch_ms(),
        **(session.limit.row() if session.limit else {}),
    }


def _pass(
    session: _Session, run: Pass, part: str, epoch: int, limit: TimeLimit | None = None
) -> tuple[float, int]:
    """Return (mean loss, number of samples) of a pass over a part, until the limit is reached."""
    training = session.training
    size = training.settings["batch_size"]
    seed = training.seed * SEED_STRIDE + epoch
    # A problem that mixes rows of a batch says so; without a statement, batches are compared.
    shares = None if getattr(session.problem, "READS_OWN_ROWS", True) else False
    check = session.checks.setdefault(part, RowCheck(part, shares))
    batches = session.backend.distribute_batches(
        training.strategy,
        lambda: session.problem.batches(part, batch_size=size, seed=seed),
        check,
    )
    try:
        loss, weight, samples = run(batches if limit is None else limit.cut(batches))
    except Exception as error:
        if check.failure is not None:
            raise check.failure from error
        raise
    if not weight:
        raise RecordError(f"part {part!r} of the split has no sample with a weight above 0")
    return loss / weight, samples


def _validate(session: _Session, epoch: int) -> tuple[float | None, float | None]:
    """Return (validation loss, monitored value), the same in every process."""
    problem, training = session.problem, session.training
    if VALIDATION not in problem.parts:
        return None, None
    # Always the order of epoch 0, so that the rounding of the sums is the same in each epoch.
    loss, _ = _pass(session, session.steps.evaluate, VALIDATION, 0)
    _check_finite(loss, "validation loss", epoch)
    key = training.settings["monitor"]
    if key == LOSS:
        return loss, loss
    # The chief alone reads the whole part and predicts it. Others wait for its value, so that all
    # processes choose the same epoch as the best and stop at the same epoch.
    is_chief = session.backend.is_chief(training.strategy)
    own = _monitored(session, key) if is_chief else math.nan
    value = session.backend.broadcast_from_chief(training.strategy, own)
    _check_finite(value, key, epoch)
    return loss, value


def _monitored(session: _Session, key: str) -> float:
    """Return a score of the validation part."""
    scores = session.problem.score(session.problem.predict(session.model, VALIDATION))
    if key not in scores:
        raise CallError(
            f"the setting monitor is {key!r}, which is not a score of the benchmark",
            hint=f"--set monitor=loss, or one of {', '.join(scores)}",
        )
    return float(scores[key])


def _keep_best(session: _Session, progress: Progress) -> None:
    if progress.best_epoch == progress.epochs:
        session.best = values_of(session.model.weights)


def _save_checkpoint(session: _Session, progress: Progress) -> None:
    """Let the chief write the checkpoint."""
    training = session.training
    if training.folder is None or not session.backend.is_chief(training.strategy):
        return
    save_state(
        training.folder,
        State(
            model=values_of(session.model.variables),
            optimizer=values_of(session.optimizer.variables),
            best=session.best,
            progress=progress.to_json(),
            settings_digest=training.settings_digest,
        ),
    )


def _check_finite(value: float, what: str, epoch: int) -> None:
    if not math.isfinite(value):
        raise RecordError(
            f"the {what} is {value} after epoch {epoch}: the run diverged",
            untouched="the checkpoint of the epoch before was kept",
            hint="set a smaller learning_rate, or --set clip_norm=1",
        )
