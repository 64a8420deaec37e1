"""The published U-Net and a smaller residual U-Net; both begin by normalising the channels.

All layers are from Keras and `keras.ops`, so a model runs on every backend. A saved model takes
brightness temperatures in kelvin and reflectances without scaling.

For one patch of 256 x 256 pixels (multiply-adds as counted by `multiply_adds`):

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

from .data import CHANNELS, Statistics

REFERENCE_WIDTHS = (32, 64, 128, 256)
MIN_PROBABILITY = 1e-7  # keras.config.epsilon(), at which the published loss is clipped too
MIN_VARIANCE_SHARE = 1e-4  # of the largest: directions with less are noise and not amplified


@keras.saving.register_keras_serializable(package="cloudmask")
class Normalise(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Compute (x - mean) @ matrix in float32; a missing channel counts as its mean.

    Mean and matrix are weights, so they are saved and restored with the model.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dtype": "float32", "trainable": False})

    def build(self, shape: Sequence[int]) -> None:
        """Create the weights; `set_statistics` sets them."""
        channels = shape[-1]
        self.mean = self.add_weight(name="mean", shape=(channels,), initializer="zeros")
        self.matrix = self.add_weight(name="matrix", shape=(channels, channels))

    def set_statistics(self, statistics: Statistics, *, whiten: bool) -> None:
        """Set mean and matrix from the statistics of the training part."""
        matrix = whitening(statistics) if whiten else np.diag(1 / statistics.deviation)
        self.set_weights([statistics.mean.astype(np.float32), matrix.astype(np.float32)])

    def call(self, values: Any) -> Any:
        """Return normalised channels of (..., channel), NaN where missing."""
        is_known = ops.isfinite(values)
        centred = ops.where(is_known, values - self.mean, 0.0)
        return ops.matmul(centred, self.matrix)


def whitening(statistics: Statistics) -> np.ndarray[Any, Any]:
    """Return the matrix (channel, channel) that makes channels uncorrelated, of variance one.

    Channels of one kind are equal to a percent, and thin cloud shows in their difference (11 minus
    12 um). Without whitening this difference has a thousandth of the variance and is learnt last.
    The matrix is symmetric (ZCA whitening), so each output still resembles a channel.
    """
    scale = statistics.deviation
    correlation = statistics.covariance / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(correlation)
    variances = np.maximum(values, MIN_VARIANCE_SHARE * values.max())
    return np.asarray(np.diag(1 / scale) @ (vectors / np.sqrt(variances)) @ vectors.T)


def build_model(settings: Mapping[str, Any], statistics: Statistics) -> Any:
    """Return the configured model: channels (row, column, 9) to probability (row, column, 1).

    Rows and columns have to be multiples of 2^(number of widths - 1), which is 8 by default.
    """
    body = BODIES[settings["model"]](tuple(settings["widths"]))
    inputs = keras.Input((None, None, len(CHANNELS)), name="channels")
    normalise = Normalise(name="normalise")
    model = keras.Model(inputs, body(normalise(inputs)), name=f"cloudmask_{settings['model']}")
    normalise.set_statistics(statistics, whiten=settings["whiten"])
    return model


def reference(widths: Sequence[int] = REFERENCE_WIDTHS) -> Any:
    """Return the published U-Net: 39 layers with its input, 1,948,609 parameters.

    Reimplements mlcommons/science, benchmarks/cloudmask/model.py: pairs of 3 x 3 convolutions
    with ReLU, maximum pooling, nearest-neighbour upsampling, concatenation, sigmoid; He-normal
    weights; no normalisation, no dropout. Weights of a published model fit as they are
    (`set_weights`): layers, shapes and the order of concatenated channels are the same.
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
        values = layers.Concatenate()([values, skip])  # the published order: weights fit
        values = _pair(values, width)
    outputs = layers.Conv2D(
        1, 1, activation="sigmoid", kernel_initializer="he_normal", dtype="float32"
    )(values)
    return keras.Model(inputs, outputs, name="reference")


def residual(widths: Sequence[int]) -> Any:
    """Return a U-Net of residual blocks with learned down- and upsampling.

    Differences from the published network:

    * Blocks are residual and begin as the identity: their second convolution starts at zero (Fixup,
      Zhang et al. 2019). So depth does not hinder the start of training, and no batch
      normalisation is needed. With it the loss would depend on how a batch is divided between
      devices.
    * Skip connections are added and not concatenated, which saves the two most costly convolutions.
    * Convolutions of 2 x 2 with stride 2 go down and up. They do not overlap, so they leave no
      checkerboard pattern.
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


def loss_sums(
    labels: Any, probabilities: Any, weights: Any, *, pos_weight: float = 1.0
) -> tuple[Any, Any]:
    """Return (sum of weighted losses, sum of weights) over the pixels of a batch: two scalars.

    Args:
        labels: any shape; 1 is cloud, 0 clear.
        probabilities: of cloud, in the shape of the labels.
        weights: of pixels, in the shape of the labels; 0 excludes a pixel.
        pos_weight: factor of the loss of cloudy pixels, as in TensorFlow's
            `weighted_cross_entropy_with_logits`. The divisor stays the number of pixels.
    """
    safe = ops.clip(probabilities, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
    cloudy = pos_weight * labels * ops.log(safe)
    clear = (1.0 - labels) * ops.log(1.0 - safe)
    return -ops.sum(weights * (cloudy + clear)), ops.sum(weights)


def multiply_adds(model: Any, size: int) -> int:
    """Return the multiply-adds of all convolutions for one patch of `size` x `size` pixels."""
    fixed = keras.models.clone_model(model, input_tensors=keras.Input((size, size, len(CHANNELS))))
    total = 0
    for layer in fixed.layers:
        if isinstance(layer, layers.Conv2DTranspose):  # each weight, once per input pixel
            total += int(np.prod(layer.input.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
    return total


def _pair(values: Any, width: int) -> Any:
    """Return two 3 x 3 convolutions with ReLU."""
    for _ in range(2):
        values = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(values)
        values = layers.ReLU()(values)
    return values


def _block(values: Any, width: int) -> Any:
    """Return the input plus two pre-activated 3 x 3 convolutions."""
    inner = layers.ReLU()(values)
    inner = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(inner)
    inner = layers.ReLU()(inner)
    inner = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(inner)
    return layers.Add()([values, inner])
