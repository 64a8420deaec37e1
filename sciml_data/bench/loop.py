"""The training loop: one source for one device, several, and several processes.

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

from sciml_data.bench.checkpoint import State, load_state, restore, save_state, values_of
from sciml_data.bench.distribute import agree, is_chief, share
from sciml_data.bench.runner import VALIDATION, Problem
from sciml_data.bench.schedule import Progress, advance, is_finished, learning_rate
from sciml_data.bench.settings import LOSS
from sciml_data.bench.steps import Step, Steps, make_steps
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
    seed_everything(training.seed, deterministic=training.settings["deterministic"])
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


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and TensorFlow; `deterministic` also forbids unordered kernels.

    The latter cannot be taken back in the same process (TensorFlow offers no way).
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _build(problem: Problem, training: Training) -> _Machine:
    import keras

    settings = training.settings
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings["precision"])
    try:
        with training.strategy.scope():
            model = problem.build()
            optimizer = keras.optimizers.Adam(
                settings["learning_rate"], weight_decay=settings["weight_decay"] or None
            )
            optimizer.build(model.trainable_variables)
    finally:
        keras.config.set_dtype_policy(policy)
    steps = make_steps(
        problem, model, optimizer=optimizer, strategy=training.strategy, settings=settings
    )
    return _Machine(problem, training, model, optimizer, steps, best=[])


def _resume(machine: _Machine) -> Progress:
    training = machine.training
    if training.folder is None:
        return Progress()
    state = load_state(training.folder, training.settings_digest)
    if state is None:
        return Progress()
    restore(machine.model.variables, state.model)
    restore(machine.optimizer.variables, state.optimizer)
    machine.best = list(state.best)
    return Progress.from_json(state.progress)


def _epoch(machine: _Machine, progress: Progress, *, is_first: bool) -> Row:
    """Run one epoch and return its row of the curve; durations in seconds."""
    training = machine.training
    rate = learning_rate(training.settings, progress)
    machine.optimizer.learning_rate.assign(rate)
    started = time.perf_counter()
    loss, samples = _pass(machine, machine.steps.train, machine.problem.parts[0], progress.epochs)
    trained = time.perf_counter()
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
    }


def _pass(machine: _Machine, step: Step, part: str, epoch: int) -> tuple[float, int]:
    """Return the mean loss and the samples of one pass over a part."""
    training = machine.training
    size = training.settings["batch_size"]
    seed = training.seed * SEED_STRIDE + epoch
    batches = share(
        training.strategy, lambda: machine.problem.batches(part, batch_size=size, seed=seed)
    )
    loss = weight = samples = 0.0
    for batch in batches:  # the sums stay on the device until the pass is over
        step_loss, step_weight, step_samples = step(batch)
        loss, weight, samples = loss + step_loss, weight + step_weight, samples + step_samples
    if not float(weight):
        raise RecordError(f"part {part!r} of the split has nothing to train on or to judge by")
    return float(loss) / float(weight), int(samples)


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
    value = agree(training.strategy, float(scores[key]))
    _check_finite(value, key, epoch)
    return loss, value


def _keep(machine: _Machine, progress: Progress) -> None:
    training = machine.training
    if progress.best_epoch == progress.epochs:
        machine.best = values_of(machine.model.weights)
    if training.folder is None or not is_chief(training.strategy):
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
