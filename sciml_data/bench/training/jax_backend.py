"""The JAX backend: one process, one device. Experimental; nothing here imports TensorFlow.

The step is a pure function of the variables' values, compiled by XLA; the values are put back into
Keras' variables after each pass, where checkpoints and predictions find them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.training.backend import (
    Steps,
    check_strategy,
    cluster_workers,
    refuse_keras_distribution,
)
from sciml_data.errors import CallError, RecordError

THREADS_VARIABLE = "NPROC"  # what XLA's CPU client sizes its thread pool by (jaxlib 0.10)
ORDERED = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True)
class OneDevice:
    """The device that JAX puts arrays on."""

    kind: str

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which nothing is different."""
        return contextlib.nullcontext()


def set_threads(threads: int | None) -> None:
    """Limit XLA's thread pool to so many threads; None leaves its choice.

    Raises:
        CallError: JAX is loaded already, with another number.
    """
    if threads is None or os.environ.get(THREADS_VARIABLE) == str(threads):
        return
    if "jax" in sys.modules:
        raise CallError(
            f"JAX is loaded already, with another number of threads than {threads}",
            hint=f"set {THREADS_VARIABLE}={threads} before Keras is imported",
        )
    os.environ[THREADS_VARIABLE] = str(threads)


def make_strategy(name: str = "auto", environment: Mapping[str, str] | None = None) -> OneDevice:
    """Return the first device; several devices or processes are refused.

    Raises:
        CallError: anything but `auto` or `default` is asked for, or TF_CONFIG names workers.
    """
    import jax

    check_strategy(name)
    refuse_keras_distribution()
    workers = cluster_workers(os.environ if environment is None else environment)
    if name not in {"auto", "default"} or workers > 1:
        raise CallError(
            f"the JAX backend runs in one process on one device, not with {name!r}"
            + (f" and {workers} workers" if workers > 1 else ""),
            untouched="nothing was run",
            hint="--backend tensorflow runs on several",
        )
    return OneDevice(jax.devices()[0].platform)


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and Keras' generators.

    Raises:
        CallError: `deterministic` on a GPU, where XLA was not started so.
    """
    import jax
    import keras

    on_gpu = jax.devices()[0].platform == "gpu"
    if deterministic and on_gpu and ORDERED not in os.environ.get("XLA_FLAGS", ""):
        raise CallError("deterministic=true on a GPU", hint=f"set XLA_FLAGS={ORDERED} before")
    keras.utils.set_random_seed(seed)


def is_chief(strategy: OneDevice) -> bool:  # noqa: ARG001 - a backend's function
    """Return True: there is one process."""
    return True


def agree(strategy: OneDevice, value: float) -> float:  # noqa: ARG001 - a backend's function
    """Return the value: there is one process."""
    return value


def describe(strategy: OneDevice) -> dict[str, Any]:
    """Return strategy, replicas, workers and device type, for the record."""
    return {
        "backend": "jax",
        "strategy": "default",
        "replicas": 1,
        "workers": 1,
        "device_type": strategy.kind,
    }


def accelerators() -> dict[str, Any]:
    """Return the accelerators JAX sees and the threads it was limited to."""
    import jax

    found = [device for device in jax.local_devices() if device.platform != "cpu"]
    threads = os.environ.get(THREADS_VARIABLE, "")
    return {
        "accelerators_per_node": len(found),
        "accelerator_model_name": found[0].device_kind if found else None,
        "intra_op_threads": int(threads) if threads.isdigit() else None,
        "inter_op_threads": None,
    }


def lost_errors() -> tuple[type[BaseException], ...]:
    """Return nothing: there is no other process to lose."""
    return ()


def share(
    strategy: OneDevice,  # noqa: ARG001 - a backend's function
    make_batches: Callable[[], Any],
) -> Iterator[tuple[Any, ...]]:
    """Return one epoch of batches (inputs, targets, weights) as NumPy arrays."""
    import jax
    import numpy as np

    for batch in make_batches():
        yield tuple(jax.tree.map(np.asarray, tuple(batch)))


def make_steps(
    problem: Any, model: Any, *, optimizer: Any, strategy: OneDevice, settings: Mapping[str, Any]
) -> Steps:
    """Compile the passes for one model and optimiser, as `tensorflow_backend.make_steps` does."""
    import jax

    del strategy
    learn = jax.jit(_learning(problem, model, optimizer, clip=settings["clip_norm"]))
    judge = jax.jit(_judging(problem, model))

    def train(batches: Iterable[Any]) -> tuple[float, float, int]:
        groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        state = tuple([variable.value for variable in group] for group in groups)
        sums = []
        for batch in batches:
            state, found = learn(state, *batch)
            sums.append(found)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return _total(sums)

    def evaluate(batches: Iterable[Any]) -> tuple[float, float, int]:
        groups = (model.trainable_variables, model.non_trainable_variables)
        state = tuple([variable.value for variable in group] for group in groups)
        return _total([judge(state, *batch) for batch in batches])

    return Steps(train=train, evaluate=evaluate)


def _learning(problem: Any, model: Any, optimizer: Any, *, clip: float) -> Callable[..., Any]:
    """Return (state, inputs, targets, weights) -> (state after the step, sums)."""
    import jax
    import jax.numpy as jnp

    def total(trainable: Any, others: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        outputs, others, losses = model.stateless_call(
            trainable, others, inputs, training=True, return_losses=True
        )
        loss, weight = problem.sample_loss(targets, _as_float32(outputs), weights)
        # A penalty counts once for each unit of weight, so that the mean has it once.
        return loss + sum(losses) * weight, (loss, weight, others)

    differentiate = jax.grad(total, has_aux=True)

    def learn(state: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        trainable, others, moments = state
        gradients, (loss, weight, others) = differentiate(
            trainable, others, inputs, targets, weights
        )
        safe = jnp.where(weight == 0, 1.0, weight)
        means = [jnp.where(weight == 0, 0.0, one / safe).astype(one.dtype) for one in gradients]
        if clip > 0:
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(mean)) for mean in means))
            means = [mean * (clip / jnp.maximum(norm, clip)) for mean in means]
        trainable, moments = optimizer.stateless_apply(moments, means, trainable)
        sums = (loss, weight, jnp.asarray(problem.samples_in(weights)))
        return (trainable, others, moments), sums

    return learn


def _judging(problem: Any, model: Any) -> Callable[..., Any]:
    import jax.numpy as jnp

    def judge(state: Any, inputs: Any, targets: Any, weights: Any) -> Any:
        outputs, _ = model.stateless_call(*state, inputs, training=False)
        loss, weight = problem.sample_loss(targets, _as_float32(outputs), weights)
        return loss, weight, jnp.asarray(problem.samples_in(weights))

    return judge


def _total(sums: list[Any]) -> tuple[float, float, int]:
    """Return float64 sums over steps; only here does the host wait for the device.

    Raises:
        RecordError: there was no batch.
    """
    import jax
    import numpy as np

    if not sums:
        raise RecordError("a part of the split gave no batch")
    loss, weight, samples = np.asarray(jax.device_get(sums), np.float64).sum(axis=0)
    return float(loss), float(weight), int(samples)


def _as_float32(outputs: Any) -> Any:
    """Return model outputs as float32; under mixed precision they may come shorter."""
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda output: output.astype(jnp.float32), outputs)
