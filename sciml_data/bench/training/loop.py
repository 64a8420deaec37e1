"""The training loop: one source for one device, several, several processes, and each backend.

It is ours because `fit` of Keras 3 fails under MultiWorkerMirroredStrategy (keras-team/keras#20585,
open; TensorFlow 2.20 and 2.21 with Keras 3.15), and because the moments between which time is taken
must be exact. Only public API is used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import VALIDATION, Problem
from sciml_data.bench.task.settings import LOSS
from sciml_data.bench.training import backend
from sciml_data.bench.training.backend import Backend, Pass, Steps, refuse_keras_distribution
from sciml_data.bench.training.checkpoint import State, load_state, restore, save_state, values_of
from sciml_data.bench.training.schedule import Progress, advance, is_finished, learning_rate
from sciml_data.bench.training.timeline import epoch_ms
from sciml_data.errors import CallError, RecordError

SEED_STRIDE = 10_000  # epochs that fit between the batch orders of two neighbouring run seeds
Row = dict[str, Any]


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        settings: resolved settings of the run.
        seed: of the initial weights, of dropout and of the order of batches.
        strategy: what `make_strategy` returned.
        lower_is_better: of the monitored value.
        folder: where the state is kept, and gone on from; None keeps none.
        settings_digest: marks the state as this run's.
    """

    settings: Mapping[str, Any]
    seed: int
    strategy: Any
    lower_is_better: bool = True
    folder: Path | None = None
    settings_digest: str = ""


@dataclass(frozen=True)
class Trained:
    """A model with its best weights, and how it came to them."""

    model: Any
    progress: Progress
    resumed_epochs: int


@dataclass
class _Machine:
    """The moving parts of a run."""

    problem: Problem
    training: Training
    model: Any
    optimizer: Any
    backend: Backend
    steps: Steps
    best: list[Any]


def train(
    problem: Problem,
    training: Training,
    *,
    on_epoch: Callable[[Progress], None] = lambda _progress: None,
) -> Trained:
    """Train, and return the model with the weights that were best by validation.

    Args:
        problem: what to learn.
        training: how.
        on_epoch: called in every process after each epoch; its row is the last of the curve.

    Raises:
        RecordError: the loss is no finite number, or the stored state is another run's.
        CallError: the monitored metric is not among those of the problem.
    """
    machine = _build(problem, training)
    progress = _resume(machine)
    resumed = progress.epochs
    while not is_finished(progress, training.settings):
        row = _epoch(machine, progress, is_first=progress.epochs == resumed)
        progress = advance(
            progress, row, training.settings, lower_is_better=training.lower_is_better
        )
        _keep(machine, progress)
        on_epoch(progress)
    if machine.best:
        restore(machine.model.weights, machine.best)
    return Trained(machine.model, progress, resumed)


def _build(problem: Problem, training: Training) -> _Machine:
    import keras

    used, settings = backend.current(), training.settings
    refuse_keras_distribution()
    used.seed_everything(training.seed, deterministic=settings["deterministic"])
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings["precision"])
    try:
        with training.strategy.scope():
            model = problem.build()
            optimizer = keras.optimizers.get(settings["optimizer"])
            optimizer.learning_rate = settings["learning_rate"]
            optimizer.weight_decay = settings["weight_decay"] or None
            optimizer.build(model.trainable_variables)
    finally:
        keras.config.set_dtype_policy(policy)
    steps = used.make_steps(
        problem, model, optimizer=optimizer, strategy=training.strategy, settings=settings
    )
    return _Machine(problem, training, model, optimizer, used, steps, best=[])


def _resume(machine: _Machine) -> Progress:
    """Go on from the state in the training's folder, in every process from the same.

    Raises:
        RecordError: the state is another run's, or this process found another than the chief.
    """
    training = machine.training
    state = None
    if training.folder is not None:
        state = load_state(training.folder, training.settings_digest)
    progress = Progress() if state is None else Progress.from_json(state.progress)
    if (of_chief := int(machine.backend.agree(training.strategy, progress.epochs))) != (
        progress.epochs
    ):
        raise RecordError(
            f"this process found the state after epoch {progress.epochs}, the chief that after "
            f"epoch {of_chief}",
            hint="all processes need the same home, on storage that they share",
        )
    if state is not None:
        restore(machine.model.variables, state.model)
        restore(machine.optimizer.variables, state.optimizer)
        machine.best = list(state.best)
    return progress


def _epoch(machine: _Machine, progress: Progress, *, is_first: bool) -> Row:
    """Run one epoch and return its row of the curve; durations in seconds."""
    training = machine.training
    rate = learning_rate(training.settings, progress)
    machine.optimizer.learning_rate.assign(rate)
    started, started_ms = time.perf_counter(), epoch_ms()
    loss, samples = _pass(machine, machine.steps.train, machine.problem.parts[0], progress.epochs)
    trained, trained_ms = time.perf_counter(), epoch_ms()
    _check_finite(loss, "training loss", progress.epochs + 1)
    validation, monitored = _validate(machine, progress.epochs + 1)
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
    }


def _pass(machine: _Machine, run: Pass, part: str, epoch: int) -> tuple[float, int]:
    """Return the mean loss and the samples of one pass over a part."""
    training = machine.training
    size = training.settings["batch_size"]
    seed = training.seed * SEED_STRIDE + epoch
    batches = machine.backend.share(
        training.strategy, lambda: machine.problem.batches(part, batch_size=size, seed=seed)
    )
    loss, weight, samples = run(batches)
    if not weight:
        raise RecordError(f"part {part!r} of the split has nothing to train on or to judge by")
    return loss / weight, samples


def _validate(machine: _Machine, epoch: int) -> tuple[float | None, float | None]:
    """Return the validation loss and the monitored value, the same in every process."""
    problem, training = machine.problem, machine.training
    if VALIDATION not in problem.parts:
        return None, None
    loss, _ = _pass(machine, machine.steps.evaluate, VALIDATION, 0)
    _check_finite(loss, "validation loss", epoch)
    key = training.settings["monitor"]
    if key == LOSS:
        return loss, loss
    scores = problem.score(problem.predict(machine.model, VALIDATION))
    if key not in scores:
        raise CallError(
            f"monitor is {key!r}, which the benchmark does not score",
            hint=f"monitor=loss, or one of {', '.join(scores)}",
        )
    value = machine.backend.agree(training.strategy, float(scores[key]))
    _check_finite(value, key, epoch)
    return loss, value


def _keep(machine: _Machine, progress: Progress) -> None:
    training = machine.training
    if progress.best_epoch == progress.epochs:
        machine.best = values_of(machine.model.weights)
    if training.folder is None or not machine.backend.is_chief(training.strategy):
        return
    save_state(
        training.folder,
        State(
            model=values_of(machine.model.variables),
            optimizer=values_of(machine.optimizer.variables),
            best=machine.best,
            progress=progress.to_json(),
            settings_digest=training.settings_digest,
        ),
    )


def _check_finite(value: float, what: str, epoch: int) -> None:
    if not math.isfinite(value):
        raise RecordError(
            f"the {what} is {value} after epoch {epoch}: the run diverged",
            untouched="the state after the epoch before it was kept",
            hint="--set learning_rate=... smaller, or --set clip_norm=1",
        )
