"""The TensorFlow backend: `tf.distribute` over devices and processes."""

from __future__ import annotations

from typing import Any

from sciml_data.bench.training.distribute import (
    agree,
    describe,
    is_chief,
    make_strategy,
    set_threads,
    share,
)
from sciml_data.bench.training.steps import make_steps

__all__ = [
    "accelerators",
    "agree",
    "describe",
    "is_chief",
    "lost_errors",
    "make_steps",
    "make_strategy",
    "seed_everything",
    "set_threads",
    "share",
]


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
