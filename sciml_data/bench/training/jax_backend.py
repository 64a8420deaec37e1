"""The JAX backend, for one process and one device. It is experimental.

A step is a pure function of the values of the variables, which XLA compiles. After each pass the
values are assigned to the variables of Keras, because checkpoints and predictions read them there.
Nothing here imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.training.backend import (
    RowCheck,
    Steps,
    check_keras_distribution,
    check_strategy,
    cluster_workers,
)
from sciml_data.errors import CallError, RecordError

THREADS_VARIABLE = "NPROC"  # determines the size of XLA's thread pool on a CPU (jaxlib 0.10)
DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True)
class OneDevice:
    """The device that JAX puts arrays on."""

    kind: str

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that does nothing."""
        return contextlib.nullcontext()


def set_threads(threads: int | None) -> None:
    """Limit the number of XLA's threads; None leaves XLA's choice.

    Raises:
        CallError: JAX is already loaded with another number of threads.
    """
    if threads is None or os.environ.get(THREADS_VARIABLE) == str(threads):
        return
    if "jax" in sys.modules:
        raise CallError(
            f"JAX is already loaded with another number of threads than {threads}",
            untouched="nothing was run",
            hint=f"set {THREADS_VARIABLE}={threads} before Keras is imported",
        )
    os.environ[THREADS_VARIABLE] = str(threads)


def make_strategy(name: str = "auto", environment: Mapping[str, str] | None = None) -> OneDevice:
    """Return the first device.

    Raises:
        CallError: the name is not `auto` or `default`, or TF_CONFIG has several workers.
    """
    import jax

    check_strategy(name)
    check_keras_distribution()
    workers = cluster_workers(os.environ if environment is None else environment)
    if name not in {"auto", "default"} or workers > 1:
        raise CallError(
            f"the JAX backend runs in one process on one device, not with {name!r}"
            + (f" and {workers} workers" if workers > 1 else ""),
            untouched="nothing was run",
            hint="--backend tensorflow runs on several devices and processes",
        )
    return OneDevice(jax.devices()[0].platform)


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and the generators of Keras.

    Raises:
        CallError: `deterministic` on a GPU, and XLA was not started with deterministic kernels.
    """
    import jax
    import keras

    on_gpu = jax.devices()[0].platform == "gpu"
    if deterministic and on_gpu and DETERMINISTIC_FLAG not in os.environ.get("XLA_FLAGS", ""):
        raise CallError(
            f"deterministic=true needs {DETERMINISTIC_FLAG} in XLA_FLAGS on a GPU",
            untouched="nothing was run",
            hint=f"set XLA_FLAGS={DETERMINISTIC_FLAG} before the process starts",
        )
    keras.utils.set_random_seed(seed)


def is_chief(strategy: OneDevice) -> bool:  # noqa: ARG001 - part of the interface `Backend`
    """Return True, because there is only one process."""
    return True


def broadcast_from_chief(
    strategy: OneDevice,  # noqa: ARG001 - part of the interface `Backend`
    value: float,
) -> float:
    """Return the value, because there is only one process."""
    return value


def describe(strategy: OneDevice) -> dict[str, Any]:
    """Return the strategy's name, replicas, workers and device type, for the record."""
    return {
        "backend": "jax",
        "strategy": "default",
        "replicas": 1,
        "workers": 1,
        "device_type": strategy.kind,
    }


def accelerators() -> dict[str, Any]:
    """Return accelerators and threads, with the keys of the record's `hardware`."""
    import jax

    devices = [device for device in jax.local_devices() if device.platform != "cpu"]
    threads = os.environ.get(THREADS_VARIABLE, "")
    return {
        "accelerators_per_node": len(devices),
        "accelerator_model_name": devices[0].device_kind if devices else None,
        "intra_op_threads": int(threads) if threads.isdecimal() else None,
        "inter_op_threads": None,
    }


def worker_lost_errors() -> tuple[type[BaseException], ...]:
    """Return no exceptions, because there is only one process."""
    return ()


def distribute_batches(
    strategy: OneDevice,  # noqa: ARG001 - part of the interface `Backend`
    make_batches: Callable[[], Any],
    check: RowCheck | None = None,  # noqa: ARG001 - one process reads every row
) -> Iterator[tuple[Any, ...]]:
    """Return an epoch of batches (inputs, targets, weights) as NumPy arrays."""
    import jax
    import numpy as np

    for batch in make_batches():
        yield tuple(jax.tree.map(np.asarray, tuple(batch)))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function: JAX would compile the values of the model's variables into it."""
    return function


def make_steps(
    problem: Any, model: Any, *, optimizer: Any, strategy: OneDevice, settings: Mapping[str, Any]
) -> Steps:
    """Compile the training and evaluation passes of a model and an optimiser.

    The gradient of a step is that of `tensorflow_backend.make_steps` with one replica.
    """
    import jax

    del strategy
    train_step = jax.jit(_train_step(problem, model, optimizer, clip=settings["clip_norm"]))
    evaluation_step = jax.jit(_evaluation_step(problem, model))

    def train(batches: Iterable[Any]) -> tuple[float, float, int]:
        groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        state = tuple([variable.value for variable in group] for group in groups)
        sums = []
        for batch in batches:
            state, step_sums = train_step(state, *batch)
            sums.append(step_sums)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return _total(sums)

    def evaluate(batches: Iterable[Any]) -> tuple[float, float, int]:
        groups = (model.trainable_variables, model.non_trainable_variables)
        state = tuple([variable.value for variable in group] for group in groups)
        return _total([evaluation_step(state, *batch) for batch in batches])

    return Steps(train=train, evaluate=evaluate)


def _train_step(problem: Any, model: Any, optimizer: Any, *, clip: float) -> Callable[..., Any]:
    """Return a function (state, inputs, targets, weights) -> (state after the step, sums)."""
    import jax
    import jax.numpy as jnp

    def total(trainable: Any, others: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        outputs, others, losses = model.stateless_call(
            trainable, others, inputs, training=True, return_losses=True
        )
        loss, weight = problem.sample_loss(targets, _as_float32(outputs), weights)
        # A penalty of the model's layers is added once for each unit of weight, so that the
        # division by the sum of weights leaves it once.
        return loss + sum(losses) * weight, (loss, weight, others)

    differentiate = jax.grad(total, has_aux=True)

    def train_step(state: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        trainable, others, moments = state
        gradients, (loss, weight, others) = differentiate(
            trainable, others, inputs, targets, weights
        )
        # A batch without weight has the gradient 0; 0 / 0 would be NaN.
        safe = jnp.where(weight == 0, 1.0, weight)
        means = [
            jnp.where(weight == 0, 0.0, gradient / safe).astype(gradient.dtype)
            for gradient in gradients
        ]
        if clip > 0:
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(mean)) for mean in means))
            means = [mean * (clip / jnp.maximum(norm, clip)) for mean in means]
        trainable, moments = optimizer.stateless_apply(moments, means, trainable)
        sums = (loss, weight, jnp.asarray(problem.samples_in(weights)))
        return (trainable, others, moments), sums

    return train_step


def _evaluation_step(problem: Any, model: Any) -> Callable[..., Any]:
    """Return a function (state, inputs, targets, weights) -> sums."""
    import jax.numpy as jnp

    def evaluation_step(state: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        outputs, _ = model.stateless_call(*state, inputs, training=False)
        loss, weight = problem.sample_loss(targets, _as_float32(outputs), weights)
        return loss, weight, jnp.asarray(problem.samples_in(weights))

    return evaluation_step


def _total(sums: list[Any]) -> tuple[float, float, int]:
    """Return the sums over all steps in float64.

    The values are fetched here all at once, so that the host waits for the device only once in a
    pass.

    Raises:
        RecordError: there was no batch.
    """
    import jax
    import numpy as np

    if not sums:
        raise RecordError("a part of the split has no batch")
    loss, weight, samples = np.asarray(jax.device_get(sums), np.float64).sum(axis=0)
    return float(loss), float(weight), int(samples)


def _as_float32(outputs: Any) -> Any:
    """Return model outputs as float32, in which losses are computed under mixed precision too."""
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda output: output.astype(jnp.float32), outputs)
