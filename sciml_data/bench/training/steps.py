"""The compiled training and evaluation steps on TensorFlow.

The gradient of a step is the sum of all replicas' gradients over the sum of all replicas' weights:
the gradient of the mean loss of the global batch, whatever the number of replicas and whatever
share of a ragged batch each got. It is clipped after that sum. (Keras clips in each replica before
the sum, which makes the result depend on the number of devices: Keras 3.15,
`TFOptimizer._backend_update_step`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from sciml_data.bench.interface import Problem
from sciml_data.bench.training.backend import Pass, Steps

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
