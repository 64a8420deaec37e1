"""The TensorFlow backend: strategies of `tf.distribute`, distributed batches, compiled steps.

Every global batch is divided into a piece for each replica, so that all replicas together process
exactly the batches that a single device would process. TensorFlow's own sharding is not used: it
infers the batch axis from the graph, which a runner's dataset may hide, and it can leave a replica
without a row of a small last batch.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from sciml_data.bench.interface import SHARED, Problem
from sciml_data.bench.training.backend import (
    CLUSTER_VARIABLE,
    Pass,
    RowCheck,
    Steps,
    check_keras_distribution,
    check_strategy,
    cluster_workers,
)
from sciml_data.errors import CallError, DescriptorError, RecordError
from sciml_data.ready.own_rows import Comparison, OwnRows, batches_with

Step = Callable[..., tuple[Any, Any, Any]]
PREFETCH = 2  # batches that are made while the device computes
FRACTION_BITS = 0x7FFFFF  # of a float32; they are 0 in powers of two


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and TensorFlow; `deterministic` also selects deterministic kernels.

    TensorFlow cannot disable deterministic kernels again in the same process.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def accelerators() -> dict[str, Any]:
    """Return GPUs and threads, with the keys of the record's `hardware`."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    return {
        "accelerators_per_node": len(gpus),
        "accelerator_model_name": names[0] if names else None,
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads() or None,
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads() or None,
    }


def worker_lost_errors() -> tuple[type[BaseException], ...]:
    """Return the exceptions that a collective operation raises when a worker is gone."""
    import tensorflow as tf

    errors = tf.errors
    return (errors.UnavailableError, errors.AbortedError, errors.CancelledError)


def set_threads(threads: int | None) -> None:
    """Limit the number of TensorFlow's threads; None leaves TensorFlow's choice.

    Raises:
        CallError: TensorFlow is already running with another number of threads.
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
                f"TensorFlow is already running with another number of threads than {threads}",
                untouched="nothing was run",
                hint="set the number of threads before the first run of a process",
            ) from error


def make_strategy(name: str = "auto", environment: Mapping[str, str] | None = None) -> Any:
    """Return the `tf.distribute` strategy of a name.

    Args:
        name: `default` (one device), `mirrored` (all GPUs of this computer), `mirrored:N` (N GPUs,
            or N logical CPUs on a computer without a GPU), `multiworker` (the processes of
            TF_CONFIG) or `auto` (multiworker if TF_CONFIG names several workers, mirrored if there
            are several GPUs, else default).
        environment: variables to read TF_CONFIG from; None means those of the process.

    Raises:
        CallError: no such strategy, or the computer does not have the devices.
    """
    import tensorflow as tf

    kind, count = check_strategy(name)
    check_keras_distribution()
    workers = cluster_workers(os.environ if environment is None else environment)
    if kind == "auto":
        several = len(tf.config.list_physical_devices("GPU")) > 1
        kind = "multiworker" if workers > 1 else "mirrored" if several else "default"
    if kind == "multiworker":
        if workers < 1:
            raise CallError(
                f"strategy multiworker needs the variable {CLUSTER_VARIABLE} with the workers",
                untouched="nothing was run",
                hint="start the run with srun, or set TF_CONFIG in each process",
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        return tf.distribute.MirroredStrategy(_devices(count))
    return tf.distribute.get_strategy()


def is_chief(strategy: Any) -> bool:
    """Return whether this process writes files: the first of a cluster, or the only process."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief


def describe(strategy: Any, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the strategy's name, replicas, workers and device type, for the record."""
    import tensorflow as tf

    workers = cluster_workers(os.environ if environment is None else environment)
    # TensorFlow has two names for its multi-worker strategy.
    names = {
        "MirroredStrategy": "mirrored",
        "CollectiveAllReduceStrategy": "multiworker",
        "MultiWorkerMirroredStrategy": "multiworker",
    }
    name = names.get(type(strategy).__name__.removesuffix("V1"), "default")
    return {
        "backend": "tensorflow",
        "strategy": name,
        "replicas": int(strategy.num_replicas_in_sync),
        "workers": max(workers, 1) if name == "multiworker" else 1,
        "device_type": "gpu" if tf.config.list_physical_devices("GPU") else "cpu",
    }


def distribute_batches(
    strategy: Any, make_batches: Callable[[], Any], check: RowCheck | None = None
) -> Any:
    """Return an iterable that gives each replica its piece of each global batch.

    Of several processes, each reads the rows of its own replicas alone, where the benchmark's
    readers allow it; see `ready/own_rows.py`.

    Its elements are (inputs, targets, weights) for one replica, and (inputs, targets, weights,
    is_real) for several. If a small batch has no row for a replica, the replica gets the first row
    of the batch with weight 0 and `is_real` 0. So every replica takes part in every step, as
    collective operations need, and the sums are not changed.

    Args:
        strategy: returned by `make_strategy`.
        make_batches: makes an epoch of global batches; called once in each process, and again for
            a comparison.
        check: remembers the result of comparisons; None compares in each call.
    """
    import tensorflow as tf

    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return as_dataset(make_batches())

    def pipeline(context: Any) -> Any:
        # Each process makes all global batches, and cuts the pieces of its own replicas from them.
        own = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * own
        pieces = tf.data.Dataset.range(first, first + own)
        rows = OwnRows(first, first + own, replicas)
        return (
            as_dataset(_own_batches(make_batches, rows, check or RowCheck()))
            .flat_map(lambda *batch: pieces.map(lambda piece: _cut(batch, piece, replicas)))
            .prefetch(own)
        )

    return strategy.distribute_datasets_from_function(pipeline)


def _own_batches(make_batches: Callable[[], Any], rows: OwnRows, check: RowCheck) -> Any:
    """Return global batches, in which readers may have read the rows of this process alone."""
    import tensorflow as tf

    batches = make_batches()
    if rows.stop - rows.first == rows.pieces or isinstance(batches, tf.data.Dataset):
        return batches  # of one process, or read by the graph
    check.passes += 1
    if check.holds is False:
        return batches
    if check.compares():
        return _compared_batches(make_batches, rows, check)
    return batches_with(rows, batches)


def _compared_batches(
    make_batches: Callable[[], Any], rows: OwnRows, check: RowCheck
) -> Iterator[Any]:
    """Yield the rows of this process, or whole batches if the first batch shows that they differ.

    Raises:
        DescriptorError: a later batch shows it, when earlier batches may have been wrong already.
    """
    comparison = Comparison(offset=check.passes.bit_length())
    wholes = batches_with(comparison, make_batches())
    # The whole batch first: what a benchmark computes once, such as statistics, is of all rows.
    first = next(wholes, None)
    owns = batches_with(rows, make_batches())
    for number, own in enumerate(owns):
        whole = first if number == 0 else next(wholes, None)
        differs = comparison.is_whole(number) and not _are_equal(own, whole, rows)
        if number == 0:
            # A benchmark that does not read while it trains has nothing to compare.
            check.holds = not differs and not _are_equal(own, whole, OwnRows())
            if not check.holds:
                yield from make_batches()
                return
        elif differs and _differ(make_batches, rows, number):
            check.failure = _mixed(check.part, number)
            raise check.failure
        yield own


def _differ(make_batches: Callable[[], Any], rows: OwnRows, number: int) -> bool:
    """Return whether a batch differs in rows of this process if it is read whole, made anew.

    A comparison knows the numbers of batches only if every task of `read_ahead` makes a batch.
    """
    both = (make_batches(), batches_with(rows, make_batches()))
    whole, own = (next(itertools.islice(batches, number, None), None) for batches in both)
    return not _are_equal(own, whole, rows)


def _mixed(part: str, number: int) -> DescriptorError:
    return DescriptorError(
        f"batch {number + 1} of part {part!r} has other rows if a process reads its own rows "
        "alone than if it reads the whole batch: a row depends on other samples than its own",
        untouched="no result was recorded",
        hint="set READS_OWN_ROWS = False in the class of runner.py, so that each process reads "
        "whole batches, and start a new run: earlier batches may have been wrong too",
    )


def _are_equal(first: Any, second: Any, rows: OwnRows) -> bool:
    """Return whether two batches have equal rows of `rows`, and equal shared inputs.

    A batch is None where there is none, and differs from every other batch.
    """
    import numpy as np
    import tensorflow as tf

    if first is None or second is None:
        return first is second
    own = rows.of(len(tf.nest.flatten(first[1])[0]))

    def parts(batch: tuple[Any, ...]) -> list[Any]:
        inputs, *rest = batch
        named = dict(inputs) if isinstance(inputs, dict) else {"": inputs}
        shared = named.pop(SHARED, ())
        cut = tf.nest.map_structure(lambda array: array[own], (named, rest))
        return [np.asarray(array) for array in tf.nest.flatten((shared, cut))]

    return all(
        np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
        for one, other in zip(parts(first), parts(second), strict=True)
    )


def as_dataset(batches: Any) -> Any:
    """Return batches as a `tf.data.Dataset`; a dataset is returned unchanged.

    Args:
        batches: a dataset, or an iterable of (inputs, targets, weights) that are arrays, or dicts
            or tuples of arrays. An iterable is read once, in a thread of its own. Its first batch
            determines types and shapes; in later batches only the first axis may differ.

    Raises:
        RecordError: there is no batch.
    """
    import tensorflow as tf

    if isinstance(batches, tf.data.Dataset):
        return batches
    rest = iter(batches)
    first = next(rest, None)
    if first is None:
        raise RecordError("a part of the split has no batch")
    return tf.data.Dataset.from_generator(
        lambda: map(tuple, itertools.chain([first], rest)),
        output_signature=tf.nest.map_structure(_spec, tuple(first)),
    ).prefetch(PREFETCH)


def _spec(array: Any) -> Any:
    """Return the type and shape of an array, for any length of the first axis."""
    import numpy as np
    import tensorflow as tf

    return tf.TensorSpec((None, *np.shape(array)[1:]), tf.as_dtype(array.dtype))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of arrays as a graph, made at its first call for any number of rows.

    A graph adds biases and applies ReLU inside of matrix products.

    Args:
        function: of arrays, or dicts of arrays; only the first axis may differ between calls.
    """
    import tensorflow as tf

    graphs: list[Any] = []

    def run(*arguments: Any) -> Any:
        if not graphs:
            signature = tf.nest.map_structure(_spec, arguments)
            graphs.append(tf.function(function, input_signature=signature, autograph=False))
        return graphs[0](*arguments)

    return run


def broadcast_from_chief(strategy: Any, value: float) -> float:
    """Return the chief's value in every process, so that all make the same decisions.

    It is computed as a sum to which all replicas but the first add 0. So it is also a barrier:
    each process waits until all others have called it.
    """
    import tensorflow as tf

    if strategy.num_replicas_in_sync == 1:
        return value

    def contribution(context: Any) -> Any:
        is_first = context.replica_id_in_sync_group == 0
        return tf.constant(value if is_first else 0.0, tf.float64)

    values = strategy.experimental_distribute_values_from_function(contribution)
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))


def _cut(batch: tuple[Any, ...], piece: Any, replicas: int) -> tuple[Any, ...]:
    """Return a replica's piece of a batch, see `distribute_batches`."""
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
            raise CallError(
                f"strategy mirrored:{count} needs {count} GPUs, this computer has {len(gpus)}",
                untouched="nothing was run",
                hint=f"--strategy mirrored:{len(gpus)}",
            )
        return [device.name for device in gpus[:count]]
    if count is None:
        raise CallError(
            "strategy mirrored needs a GPU, and this computer has none",
            untouched="nothing was run",
            hint="--strategy mirrored:2 uses two logical CPUs",
        )
    return _logical_cpus(count)


def _logical_cpus(count: int) -> list[str]:
    """Divide the first CPU into logical CPUs, and return their names.

    Raises:
        CallError: TensorFlow is already running with fewer logical CPUs.
    """
    import tensorflow as tf

    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    try:
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise CallError(
                f"TensorFlow is already running with fewer than {count} logical CPUs",
                untouched="nothing was run",
                hint="choose the strategy before the first run of a process",
            ) from error
    return [f"CPU:{number}" for number in range(count)]


def make_steps(
    problem: Problem, model: Any, *, optimizer: Any, strategy: Any, settings: Mapping[str, Any]
) -> Steps:
    """Compile the training and evaluation passes of a model, an optimiser and a strategy.

    The gradient of a step is the sum of all replicas' gradients divided by the sum of all replicas'
    weights. This is the gradient of the mean loss of the global batch, for any number of replicas
    and any division of the batch. It is clipped after the sum. (Keras clips in each replica before
    the sum, which makes the result depend on the number of devices: Keras 3.15,
    `TFOptimizer._backend_update_step`.)
    """
    import tensorflow as tf

    has_one_replica = strategy.num_replicas_in_sync == 1
    # The sum of weights of all replicas is known too late to scale the loss with it, and XLA
    # divides in the optimiser's pass.
    is_scaled = has_one_replica and not settings["xla"]
    scale = _exact_inverse if is_scaled else _one
    differentiate = _gradients(problem, model, scale)
    apply = partial(
        _apply,
        optimizer=optimizer,
        model=model,
        clip=settings["clip_norm"],
        is_scaled=is_scaled,
    )
    if settings["xla"]:
        differentiate = tf.function(differentiate, jit_compile=True)
        if has_one_replica:  # XLA cannot compile a sum over replicas
            apply = tf.function(apply, jit_compile=True)

    def train_step(
        inputs: Any, targets: Any, weights: Any, is_real: Any = 1.0
    ) -> tuple[Any, Any, Any]:
        gradients, loss, weight = differentiate(inputs, targets, weights)
        apply(gradients, weight * scale(weight))
        return loss, weight, _count(problem, weights, is_real)

    def evaluation_step(
        inputs: Any, targets: Any, weights: Any, is_real: Any = 1.0
    ) -> tuple[Any, Any, Any]:
        outputs = _as_float32(model(inputs, training=False))
        loss, weight = problem.sample_loss(targets, outputs, weights)
        return loss, weight, _count(problem, weights, is_real)

    return Steps(train=_compile(strategy, train_step), evaluate=_compile(strategy, evaluation_step))


def _one(weight: Any) -> Any:
    import tensorflow as tf

    return tf.ones_like(weight)


def _exact_inverse(weight: Any) -> Any:
    """Return 1 / weight if the weight is a power of two, and 1 otherwise.

    The gradient of the loss times this number is a mean without a pass over all gradients, and has
    the same bits: multiplying a float by a power of two does not round it. Batches of 32, 512 and
    4,096 samples of weight 1 are such batches.
    """
    import tensorflow as tf

    weight = tf.cast(weight, tf.float32)
    fraction = tf.bitwise.bitwise_and(tf.bitcast(weight, tf.int32), FRACTION_BITS)
    is_power = tf.logical_and(tf.equal(fraction, 0), weight > 0)
    return tf.where(is_power, 1 / weight, 1.0)


def _gradients(
    problem: Problem, model: Any, scale: Callable[[Any], Any]
) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:
    """Return a function (inputs, targets, weights) -> (gradients, loss, weight).

    The gradients are those of the loss times `scale(weight)`.
    """
    import tensorflow as tf

    def differentiate(inputs: Any, targets: Any, weights: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            outputs = _as_float32(model(inputs, training=True))
            loss, weight = problem.sample_loss(targets, outputs, weights)
            # A penalty of the model's layers is added once for each unit of weight, so that
            # the division by the sum of weights leaves it once.
            penalty = tf.add_n(model.losses) * weight if model.losses else 0.0
            total = (loss + penalty) * tf.cast(scale(weight), loss.dtype)
        variables = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(total, variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients], loss, weight

    return differentiate


def _apply(
    gradients: Any, weight: Any, *, optimizer: Any, model: Any, clip: float, is_scaled: bool
) -> None:
    """Apply the gradients divided by `weight`, summed over replicas, clipped to a global norm.

    `is_scaled`: they may be means already, and the weight 1.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        weight = context.all_reduce(tf.distribute.ReduceOp.SUM, weight)
    divide = partial(_divided, gradients, weight)
    means = tf.cond(tf.equal(weight, 1.0), lambda: gradients, divide) if is_scaled else divide()
    if clip > 0:
        means, _ = tf.clip_by_global_norm(means, clip)
    # The optimiser adds up the gradients of all replicas again, so each gives it an equal share.
    equal_shares = [mean / replicas for mean in means] if replicas > 1 else means
    optimizer.apply(equal_shares, model.trainable_variables)


def _divided(gradients: list[Any], weight: Any) -> list[Any]:
    import tensorflow as tf

    return [tf.math.divide_no_nan(each, tf.cast(weight, each.dtype)) for each in gradients]


def _compile(strategy: Any, function: Step) -> Pass:
    """Return a pass over distributed batches that calls a compiled step for each batch."""
    import tensorflow as tf

    total = tf.distribute.ReduceOp.SUM

    def step(batch: Any) -> tuple[Any, Any, Any]:
        values = strategy.run(function, args=batch)
        sums = [tf.cast(strategy.reduce(total, value, axis=None), tf.float64) for value in values]
        return sums[0], sums[1], sums[2]

    compiled: Step = tf.function(step, reduce_retracing=True)

    def run(batches: Iterable[Any]) -> tuple[float, float, int]:
        loss = weight = samples = 0.0
        # The sums stay on the device until the pass ends: reading one would wait for the device.
        # They are float64, because a float32 sum over an epoch loses digits.
        for batch in batches:
            step_loss, step_weight, step_samples = compiled(batch)
            loss, weight, samples = loss + step_loss, weight + step_weight, samples + step_samples
        return float(loss), float(weight), int(samples)

    return run


def _count(problem: Problem, weights: Any, is_real: Any) -> Any:
    import tensorflow as tf

    return tf.cast(problem.samples_in(weights), tf.float32) * is_real


def _as_float32(outputs: Any) -> Any:
    """Return model outputs as float32, in which losses are computed under mixed precision too."""
    import tensorflow as tf

    return tf.nest.map_structure(lambda output: tf.cast(output, tf.float32), outputs)
