"""Batches of patches as a `tf.data.Dataset`."""

from __future__ import annotations

from typing import Any

from sciml_data.ready.patches import Patches, Wanted, packing, stream

AHEAD = 2  # batches that are on their way to the device


def as_tf_dataset(patches: Patches, *, raw: bool = False, **options: Any) -> Any:
    """Return one epoch as a `tf.data.Dataset` of (inputs, labels, weights).

    Each iteration gives the same epoch anew: for another one, make another dataset.

    Args:
        patches: to read.
        raw: give channels as the 16 bits that are stored; `packing` has what the model's first
            layer needs. Half the bytes to copy and to send to a device.
        **options: of `sciml_data.ready.patches.stream`.

    Returns:
        inputs (batch, row, column, channel) float32 or int16, labels and weights (batch, row,
        column) uint8; the last batch may be smaller.

    Raises:
        CallError: options that cannot be.
    """
    import tensorflow as tf

    stream(patches, raw=raw, **options)  # refuses at once what cannot be
    variables = options.get("variables", Wanted().variables)
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

    return tf.data.Dataset.from_generator(epoch, output_signature=signature).prefetch(AHEAD)
