"""A small convolutional problem, which trains alike on every backend and number of devices."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml_data.bench.training import backend
from sciml_data.ready import SampleCache

# ROWS % BATCH is not 0: the last batch of an epoch is smaller.
ROWS, BATCH = 50, 16


class ConvProblem:
    """A U-Net of one level on 8 x 8 pixels: dropout-free, weights made with NumPy, masked.

    `rows_read` counts the samples that this process read, of both parts.
    """

    parts = ("train", "validation")

    def __init__(self) -> None:
        self.rows_read = 0
        random = np.random.default_rng(5)
        images = random.normal(size=(2 * ROWS, 8, 8, 3)).astype("float32")
        masks = (images.sum(axis=-1, keepdims=True) > 0).astype("float32")
        valid = (random.random(masks.shape) > 0.2).astype("float32")
        cuts = {"train": slice(0, ROWS), "validation": slice(ROWS, None)}
        self.arrays = {part: (images[cut], masks[cut], valid[cut]) for part, cut in cuts.items()}
        self.sizes = {part: len(arrays[0]) for part, arrays in self.arrays.items()}

    def build(self) -> Any:
        import keras

        layers = keras.layers
        image = keras.Input((8, 8, 3))
        fine = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
        coarse = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPool2D()(fine))
        joined = layers.Concatenate()([layers.UpSampling2D()(coarse), fine])
        model = keras.Model(
            image, layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(joined)
        )
        random = np.random.default_rng(7)
        model.set_weights(
            [random.normal(0, 0.3, value.shape).astype("float32") for value in model.get_weights()]
        )
        return model

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        def read(numbers: Any) -> Any:
            self.rows_read += len(numbers)
            return tuple(array[numbers] for array in self.arrays[part])

        order = np.random.default_rng(seed).permutation(self.sizes[part])
        for first in range(0, len(order), batch_size):
            yield SampleCache(read, budget_bytes=0).take(order[first : first + batch_size])

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        from keras import ops

        losses = ops.binary_crossentropy(targets, predictions) * weights
        return ops.sum(losses), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        from keras import ops

        return ops.shape(weights)[0]


def conv_losses(
    changed: dict[str, Any], *, strategy: Any = None, problem: ConvProblem | None = None
) -> list[tuple[float, float, int]]:
    """Return (training loss, validation loss, samples) of 3 epochs."""
    from sciml_data.bench.task.settings import LOOP_DEFAULTS
    from sciml_data.bench.training.loop import Training, train

    strategy = strategy or backend.current().make_strategy("default", {})
    settings = {**LOOP_DEFAULTS, "epochs": 3, "batch_size": BATCH, "learning_rate": 0.01, **changed}
    training = Training(settings=settings, seed=1, strategy=strategy)
    curve = train(problem or ConvProblem(), training).progress.curve  # type: ignore[arg-type]
    return [(row["train_loss"], row["validation_loss"], row["samples"]) for row in curve]
