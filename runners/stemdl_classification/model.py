"""Residual networks that classify each view of a stack, the published ResNet-50, and the loss.

`small` and `base` take one pattern and return its logits. The views of a stack share the weights,
each has a loss of its own, and their probabilities are averaged. `reference` takes the three
patterns of a stack as channels of a ResNet-50, as in mlcommons/science's STFC code.

Logits are (stack, view, class); the reference has one view. The table has trainable parameters with
20 classes, and multiply-adds of one view (of all three for the reference) at 64 and at 128 pixels.
Polar and square patterns differ by 0.1 %:

    small          230,020       15 M       59 M
    base        11,209,684      555 M    2,221 M
    reference   23,981,351      334 M    1,335 M    (always 231 classes)

Layer classes keep their names: TensorFlow names operations after them and sorts operations by name,
so another name changes the order of sums and with it the last digit of results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from .symmetry import symmetry_features

REFERENCE_CLASSES = 231  # mlcommons/science, benchmarks/stemdl/stfc: numbers 0 to 230 as classes
REFERENCE_BLOCKS = (3, 4, 6, 3)  # He et al. 2016, table 1: 50 layers
REFERENCE_WIDTHS = (64, 128, 256, 512)
EXPANSION = 4  # of a bottleneck
GROUP_WIDTH = 8  # channels in a group of group normalisation
MIN_ABSOLUTE = 1e-4  # added under the root of harmonics, because its slope at 0 is infinite
OFFSET = 1e-2  # added before the logarithm of harmonics: smaller coefficients are noise


@keras.saving.register_keras_serializable(package="stemdl_classification")
class EachView(keras.Model):  # type: ignore[misc] # Keras ships no types
    """A network for one pattern, applied to each view of a stack.

    Attributes:
        body: network from (image, row, column, 1) to logits (image, class).
        mean: of the log intensities.
        deviation: their standard deviation.
    """

    def __init__(self, body: Any, statistics: tuple[float, float], **options: Any) -> None:
        super().__init__(**options)
        self.body, (self.mean, self.deviation) = body, statistics

    def call(self, patterns: Any, *, training: bool = False) -> Any:
        """Return logits (stack, view, class) of patterns (stack, y, x, view), 0 to 255."""
        _, rows, columns, views = ops.shape(patterns)
        standardised = (patterns - self.mean) / self.deviation
        images = ops.transpose(standardised, (0, 3, 1, 2))
        images = ops.reshape(images, (-1, rows, columns, 1))
        logits = self.body(images, training=training)
        return ops.reshape(logits, (-1, views, logits.shape[-1]))


@keras.saving.register_keras_serializable(package="stemdl_classification")
class AsChannels(EachView):
    """A network that takes the three patterns of a stack as channels."""

    def call(self, patterns: Any, *, training: bool = False) -> Any:
        """Return logits (stack, 1, class) of patterns (stack, y, x, 3), 0 to 255."""
        standardised = (patterns - self.mean) / self.deviation
        return ops.expand_dims(self.body(standardised, training=training), 1)


@keras.saving.register_keras_serializable(package="stemdl_classification")
class GoRound(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Padding of polar images: periodic along the angle, zeros along the radius."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.width = width

    def call(self, values: Any) -> Any:
        """Return (image, radius + 2 width, angle + 2 width, channel)."""
        width = self.width
        values = ops.concatenate([values[:, :, -width:], values, values[:, :, :width]], axis=2)
        return ops.pad(values, ((0, 0), (width, width), (0, 0), (0, 0)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, for saving."""
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="stemdl_classification")
class OverAngles(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Mean over angles; radii stay apart."""

    def call(self, values: Any) -> Any:
        """Return (image, radius x channel) from (image, radius, angle, channel)."""
        radii, channels = values.shape[1], values.shape[3]
        return ops.reshape(ops.mean(values, axis=2), (-1, radii * channels))


@keras.saving.register_keras_serializable(package="stemdl_classification")
class Harmonics(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Rotational symmetry: the Fourier transform over the angle, without phase.

    The absolute value of a coefficient does not change when the detector is rotated, and an n-fold
    axis shows as orders that are multiples of n. A mean over angles would keep order 0 alone.
    Returned are logarithms of orders 0 to `orders` - 1.
    """

    def __init__(self, orders: int, **options: Any) -> None:
        super().__init__(**options)
        self.orders = orders

    def build(self, shape: Any) -> None:
        """Prepare cosine and sine (angle, order) of the transform."""
        angles = shape[2]
        phase = 2 * np.pi * np.outer(np.arange(angles), np.arange(self.orders)) / angles
        self.cosine = (np.cos(phase) / angles).astype(np.float32)
        self.sine = (np.sin(phase) / angles).astype(np.float32)
        super().build(shape)

    def call(self, values: Any) -> Any:
        """Return (image, radius x order x channel) from (image, radius, angle, channel)."""
        values = ops.cast(values, "float32")
        parts = [ops.einsum("brac,ao->broc", values, wave) for wave in (self.cosine, self.sine)]
        absolute = ops.sqrt(parts[0] ** 2 + parts[1] ** 2 + MIN_ABSOLUTE**2)
        radii, channels = values.shape[1], values.shape[3]
        return ops.reshape(ops.log(absolute + OFFSET), (-1, radii * self.orders * channels))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, for saving."""
        return {**super().get_config(), "orders": self.orders}


def build_model(
    settings: Mapping[str, Any], *,
    shape: tuple[int, int], classes: int, statistics: tuple[float, float],
) -> Any:  # fmt: skip
    """Return the configured model, built.

    Args:
        settings: `model`, `coordinates`, `head`, `orders`, `widths`, `blocks`, `dropout`,
            `standardise`.
        shape: rows and columns of a pattern, or radii and angles.
        classes: number of logits of `small` and `base`; the reference has the published number.
        statistics: mean and standard deviation of the log intensities.
    """
    scaling = statistics if settings["standardise"] else (0.0, 1.0)
    if settings["model"] != "reference" and settings["head"] == "symmetry":
        body = symmetry_network(shape, classes, dropout=settings["dropout"])
        model: Any = AsChannels(body, scaling, name=f"stemdl_{settings['model']}")
    elif settings["model"] == "reference":
        body = resnet50(shape, REFERENCE_CLASSES)
        model = AsChannels(body, scaling, name="stemdl_reference")
    else:
        body = residual(shape, classes, settings)
        model = EachView(body, scaling, name=f"stemdl_{settings['model']}")
    model(np.zeros((1, *shape, 3), np.float32))
    return model


def symmetry_network(shape: tuple[int, int], classes: int, *, dropout: float) -> Any:
    """Return a linear classifier of the symmetry of all three polar patterns of a stack."""
    inputs = keras.Input((*shape, 3))
    return _with_head(inputs, symmetry_features(inputs), classes, dropout=dropout)


def residual(shape: tuple[int, int], classes: int, settings: Mapping[str, Any]) -> Any:
    """Return a residual network of basic blocks for one pattern.

    Normalisation is over groups of channels and not over the batch, so the loss does not depend on
    how a batch is divided between devices, and the views of a stack do not influence each other.
    The second normalisation of a block starts at zero, so that a block begins as the identity.

    On polar patterns convolutions are periodic along the angle, and the mean before the head is
    over angles alone, because the radius carries information. With the harmonics head, the
    harmonics of the pattern itself are concatenated to those of the network's output, and the
    number of angles is halved only once.

    Args:
        shape: rows and columns of a pattern, or radii and angles.
        classes: number of logits.
        settings: see `build_model`.
    """
    widths, blocks = settings["widths"], settings["blocks"]
    is_polar = settings["coordinates"] == "rings"
    has_harmonics = settings["head"] == "harmonics"
    inputs = keras.Input((*shape, 1))
    values = _conv(inputs, widths[0], 5, strides=(1, 2) if is_polar else 2, is_polar=is_polar)
    values = layers.ReLU()(_normalised(values))
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for number in range(count):
            strides: Any = 1
            if not number and (stage or has_harmonics):
                strides = (2, 1) if has_harmonics else 2
            values = _basic_block(values, width, strides=strides, is_polar=is_polar)
    if has_harmonics:
        orders = settings["orders"]
        pooled = layers.Concatenate()([Harmonics(orders)(values), Harmonics(orders)(inputs)])
        pooled = layers.LayerNormalization()(pooled)
    else:
        pooled = (OverAngles() if is_polar else layers.GlobalAveragePooling2D())(values)
    return _with_head(inputs, pooled, classes, dropout=settings["dropout"])


def resnet50(shape: tuple[int, int], classes: int) -> Any:
    """Return ResNet-50 (He et al. 2016) with three input channels, as in torchvision.

    The stride of a block is in its 3 x 3 convolution, and convolutions have no bias. It has
    23,508,032 trainable parameters without the last layer, and 2,049 more for each class.
    """
    inputs = keras.Input((*shape, 3))
    values = layers.ZeroPadding2D(3)(inputs)
    values = layers.ReLU()(_batch_normalised(_conv(values, 64, 7, strides=2, padding="valid")))
    values = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(values))
    for stage, (width, count) in enumerate(zip(REFERENCE_WIDTHS, REFERENCE_BLOCKS, strict=True)):
        for number in range(count):
            values = _bottleneck_block(values, width, strides=2 if stage and not number else 1)
    return _with_head(inputs, layers.GlobalAveragePooling2D()(values), classes, dropout=0.0)


def probabilities(logits: Any) -> npt.NDArray[np.float32]:
    """Return the mean over views of each view's softmax: (stack, class) float32."""
    from scipy.special import softmax

    of_views = softmax(np.asarray(logits, np.float64), axis=-1)
    return np.asarray(of_views.mean(axis=1), np.float32)


def loss_sums(targets: Any, logits: Any, weights: Any, *, smoothing: float) -> tuple[Any, Any]:
    """Return (sum of weighted losses, sum of weights) over a batch: two scalars.

    The loss of a stack is the mean over its views of the cross-entropy of each view.

    Args:
        targets: (stack,) integer classes.
        logits: (stack, view, class).
        weights: (stack,) float.
        smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
    """
    classes = logits.shape[-1]
    log_probabilities = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
    one_hot = ops.one_hot(targets, classes, dtype=logits.dtype)
    smoothed = ops.expand_dims((1.0 - smoothing) * one_hot + smoothing / classes, 1)
    losses = -ops.mean(ops.sum(smoothed * log_probabilities, axis=-1), axis=1)
    return ops.sum(weights * losses), ops.sum(weights)


def _with_head(inputs: Any, pooled: Any, classes: int, *, dropout: float) -> Any:
    """Return the network from inputs to logits, with dropout before the last layer."""
    if dropout:
        pooled = layers.Dropout(dropout)(pooled)
    return keras.Model(inputs, layers.Dense(classes, dtype="float32")(pooled))


def _basic_block(values: Any, width: int, *, strides: Any, is_polar: bool) -> Any:
    inner = _conv(values, width, 3, strides=strides, is_polar=is_polar)
    inner = layers.ReLU()(_normalised(inner))
    inner = _normalised(_conv(inner, width, 3, is_polar=is_polar), gamma="zeros")
    if strides != 1 or values.shape[-1] != width:
        values = _normalised(_conv(values, width, 1, strides=strides))
    return layers.ReLU()(layers.Add()([values, inner]))


def _bottleneck_block(values: Any, width: int, *, strides: int) -> Any:
    inner = layers.ReLU()(_batch_normalised(_conv(values, width, 1)))
    inner = layers.ZeroPadding2D(1)(inner)
    inner = _conv(inner, width, 3, strides=strides, padding="valid")
    inner = layers.ReLU()(_batch_normalised(inner))
    inner = _batch_normalised(_conv(inner, EXPANSION * width, 1))
    if strides > 1 or values.shape[-1] != EXPANSION * width:
        values = _batch_normalised(_conv(values, EXPANSION * width, 1, strides=strides))
    return layers.ReLU()(layers.Add()([values, inner]))


def _conv(
    values: Any, width: int, size: int, *,
    strides: Any = 1, is_polar: bool = False, padding: str = "same",
) -> Any:  # fmt: skip
    """Return a convolution without bias; polar images are padded around the angle before it."""
    if is_polar and size > 1:
        values = GoRound(size // 2)(values)
    return layers.Conv2D(
        width,
        size,
        strides=strides,
        padding="valid" if is_polar else padding,
        use_bias=False,
        kernel_initializer="he_normal",
    )(values)


def _normalised(values: Any, gamma: str = "ones") -> Any:
    groups = max(1, values.shape[-1] // GROUP_WIDTH)
    return layers.GroupNormalization(groups, gamma_initializer=gamma)(values)


def _batch_normalised(values: Any) -> Any:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(values)
