"""The TensorFlow backend: `tf.distribute` over devices and processes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from sciml_data.bench.interface import SHARED, Problem
from sciml_data.bench.training.backend import (
    CLUSTER_VARIABLE,
    Pass,
    Steps,
    check_strategy,
    cluster_workers,
    refuse_keras_distribution,
)
from sciml_data.errors import CallError, RecordError


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and TensorFlow; `deterministic` also forbids unordered kernels.

    The latter cannot be taken back in the same process (TensorFlow offers no way).
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def accelerators() -> dict[str, Any]:
    """Return the GPUs and TensorFlow's threads."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    return {
        "accelerators_per_node": len(gpus),
        "accelerator_model_name": names[0] if names else None,
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads() or None,
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads() or None,
    }


def lost_errors() -> tuple[type[BaseException], ...]:
    """Return what a collective raises where a worker is gone."""
    import tensorflow as tf

    errors = tf.errors
    return (errors.UnavailableError, errors.AbortedError, errors.CancelledError)


AHEAD = 2  # batches that are made while the device works


def set_threads(threads: int | None) -> None:
    """Limit TensorFlow to so many threads; None leaves its choice.

    Raises:
        CallError: TensorFlow is running already with another number.
    """
    import tensorflow as tf

    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            raise CallError(
                f"TensorFlow is running already, with another number of threads than {threads}",
                hint="choose the number of threads before the first run of a process",
            ) from error


def make_strategy(name: str = "auto", environment: Mapping[str, str] | None = None) -> Any:
    """Return the `tf.distribute` strategy of a name.

    Args:
        name: `default` (one device), `mirrored` (all GPUs of this computer), `mirrored:N` (N
            devices; N logical CPUs where there is no GPU), `multiworker` (the processes of
            TF_CONFIG) or `auto`, which takes what TF_CONFIG and the GPUs ask for.
        environment: variables to read TF_CONFIG from; the process's own by default.

    Raises:
        CallError: no such strategy, or the computer does not offer what it needs.
    """
    import tensorflow as tf

    word, count = check_strategy(name)
    refuse_keras_distribution()
    workers = cluster_workers(os.environ if environment is None else environment)
    if word == "auto":
        several = len(tf.config.list_physical_devices("GPU")) > 1
        word = "multiworker" if workers > 1 else "mirrored" if several else "default"
    if word == "multiworker":
        if workers < 1:
            raise CallError(f"strategy multiworker needs {CLUSTER_VARIABLE} to name the workers")
        return tf.distribute.MultiWorkerMirroredStrategy()
    if word == "mirrored":
        return tf.distribute.MirroredStrategy(_devices(count))
    return tf.distribute.get_strategy()


def is_chief(strategy: Any) -> bool:
    """Return whether this process writes: the first of a cluster, or the only one."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief


def describe(strategy: Any, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the strategy's name, replicas, processes and device type, for the record."""
    import tensorflow as tf

    workers = cluster_workers(os.environ if environment is None else environment)
    words = {"MirroredStrategy": "mirrored", "CollectiveAllReduceStrategy": "multiworker"}
    name = type(strategy).__name__.removesuffix("V1")
    name = "multiworker" if name == "MultiWorkerMirroredStrategy" else words.get(name, "default")
    return {
        "backend": "tensorflow",
        "strategy": name,
        "replicas": int(strategy.num_replicas_in_sync),
        "workers": max(workers, 1) if name == "multiworker" else 1,
        "device_type": "gpu" if tf.config.list_physical_devices("GPU") else "cpu",
    }


def share(strategy: Any, make_batches: Callable[[], Any]) -> Any:
    """Return an iterable that hands each replica its piece of each global batch.

    Elements are (inputs, targets, weights, is_real). A replica for which a small batch has no row
    gets the batch's first row with weight 0 and `is_real` 0: every replica takes part in every
    step, and the sums are unchanged.

    Args:
        strategy: what `make_strategy` returned.
        make_batches: makes one epoch of global batches; called once in each process.
    """
    import tensorflow as tf

    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return as_dataset(make_batches()).map(lambda *batch: (*batch, tf.constant(1.0)))

    def pipeline(context: Any) -> Any:
        own = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * own
        pieces = tf.data.Dataset.range(first, first + own)
        return (
            as_dataset(make_batches())
            .flat_map(lambda *batch: pieces.map(lambda piece: _cut(batch, piece, replicas)))
            .prefetch(own)
        )

    return strategy.distribute_datasets_from_function(pipeline)


def as_dataset(batches: Any) -> Any:
    """Return batches as a `tf.data.Dataset`; one is returned as it is.

    Others are read once, in a thread of their own: any iterable of (inputs, targets, weights) that
    are arrays, or dicts or tuples of arrays. The first batch tells shapes and types; all but
    the first axis must stay the same.

    Raises:
        RecordError: there is no batch.
    """
    import numpy as np
    import tensorflow as tf

    if isinstance(batches, tf.data.Dataset):
        return batches
    rest = iter(batches)
    first = next(rest, None)
    if first is None:
        raise RecordError("a part of the split gave no batch")

    def any_rows(value: Any) -> Any:
        return tf.TensorSpec((None, *np.shape(value)[1:]), tf.as_dtype(value.dtype))

    return tf.data.Dataset.from_generator(
        lambda: map(tuple, itertools.chain([first], rest)),
        output_signature=tf.nest.map_structure(any_rows, tuple(first)),
    ).prefetch(AHEAD)


def agree(strategy: Any, value: float) -> float:
    """Return the chief's value in every process, so that all decide alike."""
    import tensorflow as tf

    if strategy.num_replicas_in_sync == 1:
        return value

    def said(context: Any) -> Any:
        is_first = context.replica_id_in_sync_group == 0
        return tf.constant(value if is_first else 0.0, tf.float64)

    values = strategy.experimental_distribute_values_from_function(said)
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))


def _cut(batch: tuple[Any, ...], piece: Any, replicas: int) -> tuple[Any, ...]:
    import tensorflow as tf

    inputs, targets, weights = batch
    rows = tf.shape(tf.nest.flatten(targets)[0], out_type=tf.int64)[0]
    start, stop = rows * piece // replicas, rows * (piece + 1) // replicas
    is_real = tf.cast(stop > start, tf.float32)
    start, stop = (
        tf.where(is_real > 0, bound, default) for bound, default in ((start, 0), (stop, 1))
    )
    whole = {key: inputs[key] for key in (SHARED,) if isinstance(inputs, dict) and key in inputs}
    inputs, targets, weights = tf.nest.map_structure(lambda tensor: tensor[start:stop], batch)
    inputs = {**inputs, **whole} if whole else inputs
    weights = tf.nest.map_structure(lambda weight: weight * tf.cast(is_real, weight.dtype), weights)
    return inputs, targets, weights, is_real


def _devices(count: int | None) -> list[str] | None:
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus:
        if count is not None and count > len(gpus):
            raise CallError(f"{count} devices were asked for; this computer has {len(gpus)} GPUs")
        return [device.name for device in gpus[:count]]
    if count is None:
        raise CallError(
            "strategy mirrored found no GPU", hint="--strategy mirrored:2 takes two logical CPUs"
        )
    return _logical_cpus(count)


def _logical_cpus(count: int) -> list[str]:
    """Return the names of that many logical CPUs, splitting the first CPU if need be.

    Raises:
        CallError: TensorFlow is running already with fewer.
    """
    import tensorflow as tf

    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    try:
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise CallError(
                f"TensorFlow is running already, with fewer than {count} logical CPUs",
                hint="choose the strategy before the first run of a process",
            ) from error
    return [f"CPU:{number}" for number in range(count)]


Step = Callable[..., tuple[Any, Any, Any]]


def make_steps(
    problem: Problem, model: Any, *, optimizer: Any, strategy: Any, settings: Mapping[str, Any]
) -> Steps:
    """Compile the passes for one model, optimiser and strategy."""
    import tensorflow as tf

    differentiate = _gradients(problem, model)
    apply = partial(_apply, optimizer=optimizer, model=model, clip=settings["clip_norm"])
    if settings["xla"]:
        differentiate = tf.function(differentiate, jit_compile=True)
        if strategy.num_replicas_in_sync == 1:  # a sum over replicas cannot be compiled
            apply = tf.function(apply, jit_compile=True)

    def learn(inputs: Any, targets: Any, weights: Any, is_real: Any) -> tuple[Any, Any, Any]:
        gradients, loss, weight = differentiate(inputs, targets, weights)
        apply(gradients, weight)
        return loss, weight, _count(problem, weights, is_real)

    def judge(inputs: Any, targets: Any, weights: Any, is_real: Any) -> tuple[Any, Any, Any]:
        outputs = _as_float32(model(inputs, training=False))
        loss, weight = problem.sample_loss(targets, outputs, weights)
        return loss, weight, _count(problem, weights, is_real)

    return Steps(train=_compile(strategy, learn), evaluate=_compile(strategy, judge))


def _gradients(problem: Problem, model: Any) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:
    import tensorflow as tf

    def differentiate(inputs: Any, targets: Any, weights: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            outputs = _as_float32(model(inputs, training=True))
            loss, weight = problem.sample_loss(targets, outputs, weights)
            # A penalty counts once for each unit of weight, so that the mean has it once.
            penalty = tf.add_n(model.losses) * weight if model.losses else 0.0
            total = loss + penalty
        variables = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(total, variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients], loss, weight

    return differentiate


def _apply(gradients: Any, weight: Any, *, optimizer: Any, model: Any, clip: float) -> None:
    """Apply the mean gradient of all replicas, clipped by its global norm."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        weight = context.all_reduce(tf.distribute.ReduceOp.SUM, weight)
    means = [
        tf.math.divide_no_nan(gradient, tf.cast(weight, gradient.dtype)) for gradient in gradients
    ]
    if clip > 0:
        means, _ = tf.clip_by_global_norm(means, clip)
    # The optimiser sums over the replicas once more, so each hands it an equal share.
    shares = [mean / replicas for mean in means] if replicas > 1 else means
    optimizer.apply(shares, model.trainable_variables)


def _compile(strategy: Any, function: Step) -> Pass:
    """Return a pass over shared batches that calls a compiled step for each."""
    import tensorflow as tf

    total = tf.distribute.ReduceOp.SUM

    def step(batch: Any) -> tuple[Any, Any, Any]:
        values = strategy.run(function, args=batch)
        sums = [tf.cast(strategy.reduce(total, value, axis=None), tf.float64) for value in values]
        return sums[0], sums[1], sums[2]

    compiled: Step = tf.function(step, reduce_retracing=True)

    def run(batches: Iterable[Any]) -> tuple[float, float, int]:
        loss = weight = samples = 0.0
        for batch in batches:  # the float64 sums stay on the device until the pass is over
            step_loss, step_weight, step_samples = compiled(batch)
            loss, weight, samples = loss + step_loss, weight + step_weight, samples + step_samples
        return float(loss), float(weight), int(samples)

    return run


def _count(problem: Problem, weights: Any, is_real: Any) -> Any:
    import tensorflow as tf

    return tf.cast(problem.samples_in(weights), tf.float32) * is_real


def _as_float32(outputs: Any) -> Any:
    """Return model outputs as float32; under mixed precision they may come shorter."""
    import tensorflow as tf

    return tf.nest.map_structure(lambda output: tf.cast(output, tf.float32), outputs)
