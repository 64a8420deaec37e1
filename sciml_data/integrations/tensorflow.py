"""Read samples as a `tf.data.Dataset`."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml_data.errors import CallError
from sciml_data.ready import Samples, numpy_batches

PREFETCH = 2  # batches that are read while the device computes


def as_tf_dataset(samples: Samples, **options: Any) -> Any:
    """Return an epoch as a `tf.data.Dataset` of tuples, such as (x, y).

    Each iteration over the dataset returns the same epoch. Make another dataset for another epoch.

    Args:
        samples: returned by `sciml_data.ready.select_samples`, or `sciml_data.ready.PatchSamples`.
        **options: of `sciml_data.ready.numpy_batches`, such as batch_size, seed and epoch.

    Returns:
        Batches of the same values and order as `numpy_batches`; the last batch may be smaller.

    Raises:
        CallError: an option is not valid, or TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise CallError(
            "TensorFlow is not installed",
            untouched="nothing was read",
            hint="pip install 'sciml-data[train]'",
        ) from error
    numpy_batches(samples, **options)  # checks the options now, not at the first iteration
    empty = samples.read(np.arange(0))
    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in empty)

    def epoch() -> Any:
        yield from numpy_batches(samples, **options)

    return tf.data.Dataset.from_generator(epoch, output_signature=signature).prefetch(PREFETCH)
