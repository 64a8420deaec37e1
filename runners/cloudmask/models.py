"""The published U-Net and one of ours; both begin with a layer that normalises the channels.

Everything is Keras layers and `keras.ops`, so a model runs on every backend, and a saved model
takes brightness temperatures in kelvin and reflectances as they are.

For one patch of 256 x 256 (multiply-adds: `benchmarks` count them as `multiply_adds` does):

    reference   1,948,609 parameters   10.74 G multiply-adds
    residual    1,720,769 parameters    8.84 G
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .channels import CHANNELS, Statistics

REFERENCE_WIDTHS = (32, 64, 128, 256)
LEAST_SHARE = 1e-4  # of the standardised variance: directions below it are noise, not whitened up


@keras.saving.register_keras_serializable(package="cloudmask")
class Normalise(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """(x - mean) @ matrix, and 0 where a channel is missing; computed in float32.

    Mean and matrix are weights, so they are saved, and restored, with the model.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dtype": "float32", "trainable": False})

    def build(self, shape: Sequence[int]) -> None:
        """Make the weights; `set_statistics` fills them."""
        channels = shape[-1]
        self.mean = self.add_weight(name="mean", shape=(channels,), initializer="zeros")
        self.matrix = self.add_weight(name="matrix", shape=(channels, channels))

    def set_statistics(self, statistics: Statistics, *, whiten: bool) -> None:
        """Take mean and matrix from the channels of the training part."""
        matrix = whitening(statistics) if whiten else np.diag(1 / statistics.deviation)
        self.set_weights([statistics.mean.astype(np.float32), matrix.astype(np.float32)])

    def call(self, values: Any) -> Any:
        """Return normalised channels: what is missing is as the mean."""
        known = ops.isfinite(values)
        centred = ops.where(known, values - self.mean, 0.0)
        return ops.matmul(centred, self.matrix)


def whitening(statistics: Statistics) -> np.ndarray[Any, Any]:
    """Return the matrix that makes standardised channels uncorrelated, of variance one.

    Channels of one kind are alike to a per cent, and what tells thin cloud is how they differ
    (11 less 12 um); left as it is, that has a thousandth of the variance and is learnt last.
    The matrix is symmetric (ZCA), so each output still resembles a channel.
    """
    scale = statistics.deviation
    correlation = statistics.covariance / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(correlation)
    least = np.maximum(values, LEAST_SHARE * values.max())
    return np.asarray(np.diag(1 / scale) @ (vectors / np.sqrt(least)) @ vectors.T)


def build_model(settings: Mapping[str, Any], statistics: Statistics) -> Any:
    """Return the model that the settings name: channels (row, column, 9) to probability of cloud.

    Rows and columns may be any multiple of 8 (2 to the number of widths less one).
    """
    body = BODIES[settings["model"]](tuple(settings["widths"]))
    inputs = keras.Input((None, None, len(CHANNELS)), name="channels")
    normalise = Normalise(name="normalise")
    model = keras.Model(inputs, body(normalise(inputs)), name=f"cloudmask_{settings['model']}")
    normalise.set_statistics(statistics, whiten=settings["whiten"])
    return model


def reference(widths: Sequence[int] = REFERENCE_WIDTHS) -> Any:
    """Return the published U-Net: 39 layers with its input, 1,948,609 parameters.

    From mlcommons/science, benchmarks/cloudmask/model.py, restated: pairs of 3 x 3 convolutions
    with ReLU, maximum pooling, nearest-neighbour upsampling, concatenation, sigmoid; He-normal
    weights; no normalisation, no dropout.
    """
    inputs = values = keras.Input((None, None, len(CHANNELS)))
    skips = []
    for width in widths[:-1]:
        values = _pair(values, width)
        skips.append(values)
        values = layers.MaxPooling2D()(values)
    values = _pair(values, widths[-1])
    for width, skip in zip(widths[-2::-1], skips[::-1], strict=True):
        values = layers.UpSampling2D()(values)
        values = layers.Concatenate()([skip, values])
        values = _pair(values, width)
    outputs = layers.Conv2D(
        1, 1, activation="sigmoid", kernel_initializer="he_normal", dtype="float32"
    )(values)
    return keras.Model(inputs, outputs, name="reference")


def residual(widths: Sequence[int]) -> Any:
    """Return a U-Net of residual blocks with learned down- and upsampling.

    Against the published one: a block adds to what it was given, and begins as the identity (its
    second convolution starts at zero, as in Fixup, Zhang et al. 2019), so depth costs nothing at
    the start and no batch normalisation is needed, which would make the loss depend on how a
    batch is cut between devices; skips are added, not concatenated, which saves the two most
    costly convolutions; 2 x 2 convolutions with step 2 go down and up, without a checkerboard as
    they do not overlap.
    """
    inputs = keras.Input((None, None, len(CHANNELS)))
    values = layers.Conv2D(widths[0], 3, padding="same", kernel_initializer="he_normal")(inputs)
    skips = []
    for width, wider in pairwise(widths):
        values = _block(values, width)
        skips.append(values)
        values = layers.Conv2D(wider, 2, strides=2, kernel_initializer="he_normal")(values)
    values = _block(values, widths[-1])
    for width, skip in zip(widths[-2::-1], skips[::-1], strict=True):
        values = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(values)
        values = _block(layers.Add()([skip, values]), width)
    values = layers.ReLU()(values)
    outputs = layers.Conv2D(
        1, 1, activation="sigmoid", kernel_initializer="zeros", dtype="float32"
    )(values)
    return keras.Model(inputs, outputs, name="residual")


BODIES = {"reference": reference, "residual": residual}


def multiply_adds(model: Any, size: int) -> int:
    """Return the multiply-adds of all convolutions for one patch of `size` x `size` pixels."""
    fixed = keras.models.clone_model(model, input_tensors=keras.Input((size, size, len(CHANNELS))))
    total = 0
    for layer in fixed.layers:
        if isinstance(layer, layers.Conv2DTranspose):  # each pixel of the input, once per weight
            total += int(np.prod(layer.input.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
    return total


def _pair(values: Any, width: int) -> Any:
    for _ in range(2):
        values = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(values)
        values = layers.ReLU()(values)
    return values


def _block(values: Any, width: int) -> Any:
    inner = layers.ReLU()(values)
    inner = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(inner)
    inner = layers.ReLU()(inner)
    inner = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(inner)
    return layers.Add()([values, inner])
