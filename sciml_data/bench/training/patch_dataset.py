"""Read batches of patches as a `tf.data.Dataset`."""

from __future__ import annotations

from typing import Any

from sciml_data.ready.patches import BatchContent, Patches, packing, stream

PREFETCH = 2  # batches that are read while the device computes


def as_tf_dataset(patches: Patches, *, raw: bool = False, **options: Any) -> Any:
    """Return an epoch as a `tf.data.Dataset` of (inputs, labels, weights).

    Each iteration over the dataset returns the same epoch. Make another dataset for another epoch.

    Args:
        patches: to read.
        raw: whether to return channels as the stored 16-bit integers, which are half the bytes to
            copy and to send to a device. The model's first layer then needs the scales and offsets
            of `packing`.
        **options: of `sciml_data.ready.patches.stream`, such as batch_size, seed and epoch.

    Returns:
        inputs (batch, row, column, channel) float32 or int16, labels and weights (batch, row,
        column) uint8; the last batch may be smaller.

    Raises:
        CallError: an option is not valid.
    """
    import tensorflow as tf

    stream(patches, raw=raw, **options)  # checks the options now, not at the first iteration
    variables = options.get("variables", BatchContent().variables)
    channels = len(packing(patches.scenes, variables).scale)
    plane = (None, patches.size, patches.size)
    signature = (
        tf.TensorSpec((*plane, channels), tf.int16 if raw else tf.float32),
        tf.TensorSpec(plane, tf.uint8),
        tf.TensorSpec(plane, tf.uint8),
    )

    def epoch() -> Any:
        for batch in stream(patches, raw=raw, **options):
            yield batch.inputs, batch.labels, batch.weights

    return tf.data.Dataset.from_generator(epoch, output_signature=signature).prefetch(PREFETCH)
