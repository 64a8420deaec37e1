"""Residual networks for patterns: one view at a time with shared weights, or three as channels.

`small` and `base` see one pattern and give logits for it; the views of a stack go through the same
weights, are trained on one by one, and their probabilities are averaged. `reference` takes the
three patterns of a stack as channels, as mlcommons/science's STFC code does, in a ResNet-50.

Logits are (stack, view, class); the reference has one view. Trainable parameters with 20 classes,
and multiply-adds of one view (of all three, in the reference) at 64 and at 128 pixels, on rings as
on squares to 0.1 % (`multiply_adds` counts them):

    small          230,020       15 M       59 M
    base        11,209,684      555 M    2,221 M
    reference   23,981,351      334 M    1,335 M    (231 classes whatever the data)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .harmonics import Harmonics
from .polar import HARMONICS, RINGS

REFERENCE_CLASSES = 231  # mlcommons/science, benchmarks/stemdl/stfc: numbers 0 to 230 as classes
REFERENCE_BLOCKS = (3, 4, 6, 3)  # He et al. 2016, table 1: 50 layers
REFERENCE_WIDTHS = (64, 128, 256, 512)
EXPANSION = 4  # of a bottleneck
GROUP_WIDTH = 8  # channels of a group of group normalisation
HIS = "he_normal"


@keras.saving.register_keras_serializable(package="stemdl_classification")
class EachView(keras.Model):  # type: ignore[misc] # Keras ships no types
    """A network for one pattern, applied to every view: (stack, y, x, view) in, logits out."""

    def __init__(self, body: Any, standard: tuple[float, float], **options: Any) -> None:
        super().__init__(**options)
        self.body, self.standard = body, standard

    def call(self, levels: Any, *, training: bool = False) -> Any:
        """Return (stack, view, class) logits of levels 0 to 255."""
        _, rows, columns, views = ops.shape(levels)
        images = ops.transpose(_standardised(levels, self.standard), (0, 3, 1, 2))
        images = ops.reshape(images, (-1, rows, columns, 1))
        logits = self.body(images, training=training)
        return ops.reshape(logits, (-1, views, logits.shape[-1]))


@keras.saving.register_keras_serializable(package="stemdl_classification")
class AsChannels(EachView):
    """A network for three patterns as channels: (stack, y, x, 3) in, logits (stack, 1, class)."""

    def call(self, levels: Any, *, training: bool = False) -> Any:
        """Return (stack, 1, class) logits of levels 0 to 255."""
        logits = self.body(_standardised(levels, self.standard), training=training)
        return ops.expand_dims(logits, 1)


@keras.saving.register_keras_serializable(package="stemdl_classification")
class GoRound(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Padding of rings: along the angle what comes from the other end, along the radius zeros."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.width = width

    def call(self, values: Any) -> Any:
        """Return (image, ring + 2 width, angle + 2 width, channel)."""
        width = self.width
        values = ops.concatenate([values[:, :, -width:], values, values[:, :, :width]], axis=2)
        return ops.pad(values, ((0, 0), (width, width), (0, 0), (0, 0)))

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="stemdl_classification")
class OverAngles(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Mean over angles, rings one after the other: (image, ring x channel)."""

    def call(self, values: Any) -> Any:
        """Return (image, ring x channel) of (image, ring, angle, channel)."""
        rings, channels = values.shape[1], values.shape[3]
        return ops.reshape(ops.mean(values, axis=2), (-1, rings * channels))


def build_model(
    settings: Mapping[str, Any],
    *,
    shape: tuple[int, int],
    classes: int,
    standard: tuple[float, float],
) -> Any:
    """Return the model that the settings name, built.

    Args:
        settings: `model`, `coordinates`, `head`, `orders`, `widths`, `blocks`, `dropout`,
            `standardise`.
        shape: rows and columns of a pattern, or its rings and angles.
        classes: logits of `small` and `base`; the reference has the published number.
        standard: mean and deviation of levels.
    """
    scaling = standard if settings["standardise"] else (0.0, 1.0)
    if settings["model"] == "reference":
        body = resnet50(shape, REFERENCE_CLASSES)
        model: Any = AsChannels(body, scaling, name="stemdl_reference")
    else:
        body = residual(shape, classes, settings)
        model = EachView(body, scaling, name=f"stemdl_{settings['model']}")
    model(np.zeros((1, *shape, 3), np.float32))
    return model


def residual(shape: tuple[int, int], classes: int, settings: Mapping[str, Any]) -> Any:
    """Return a residual network of basic blocks for one pattern.

    Group normalisation, not batch normalisation: the loss does not depend on how a batch is cut
    between devices, and a stack's views do not meet in it. The second one of a block starts at
    zero, so that a block begins as the identity. On rings convolutions go round, and the mean
    before the head is over angles alone: which ring it was still counts. Where the head takes
    harmonics instead, those of the pattern itself are put beside those of the network, and angles
    are halved once only.
    """
    widths, blocks = settings["widths"], settings["blocks"]
    is_round = settings["coordinates"] == RINGS
    has_harmonics = settings["head"] == HARMONICS
    inputs = keras.Input((*shape, 1))
    values = _conv(inputs, widths[0], 5, strides=(1, 2) if is_round else 2, is_round=is_round)
    values = layers.ReLU()(_normalised(values))
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for number in range(count):
            strides: Any = 1
            if not number and (stage or has_harmonics):
                strides = (2, 1) if has_harmonics else 2
            values = _basic(values, width, strides=strides, is_round=is_round)
    if has_harmonics:
        orders = settings["orders"]
        pooled = layers.Concatenate()([Harmonics(orders)(values), Harmonics(orders)(inputs)])
        pooled = layers.LayerNormalization()(pooled)
        return _headed(inputs, pooled, classes, dropout=settings["dropout"])
    pool = OverAngles() if is_round else layers.GlobalAveragePooling2D()
    return _headed(inputs, pool(values), classes, dropout=settings["dropout"])


def resnet50(shape: tuple[int, int], classes: int) -> Any:
    """Return ResNet-50 (He et al. 2016) with three channels, as torchvision has it.

    The stride of a block is in its 3 x 3 convolution; convolutions have no bias. Without the head
    that is 23,508,032 trainable parameters, and 2,049 for each class.
    """
    inputs = keras.Input((*shape, 3))
    values = layers.ZeroPadding2D(3)(inputs)
    values = layers.Conv2D(64, 7, strides=2, use_bias=False, kernel_initializer=HIS)(values)
    values = layers.ReLU()(_batch_normalised(values))
    values = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(values))
    for stage, (width, count) in enumerate(zip(REFERENCE_WIDTHS, REFERENCE_BLOCKS, strict=True)):
        for number in range(count):
            values = _bottleneck(values, width, strides=2 if stage and not number else 1)
    return _headed(inputs, layers.GlobalAveragePooling2D()(values), classes, dropout=0.0)


def multiply_adds(body: Any) -> int:
    """Return the multiply-adds of the convolutions and of the head for one input."""
    total = 0
    for layer in body.layers:
        if isinstance(layer, layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def _standardised(levels: Any, standard: tuple[float, float]) -> Any:
    mean, deviation = standard
    return (levels - mean) / deviation


def _headed(inputs: Any, pooled: Any, classes: int, *, dropout: float) -> Any:
    """Return the network with dropout before the head, and logits."""
    if dropout:
        pooled = layers.Dropout(dropout)(pooled)
    return keras.Model(inputs, layers.Dense(classes, dtype="float32")(pooled))


def _basic(values: Any, width: int, *, strides: Any, is_round: bool) -> Any:
    inner = _conv(values, width, 3, strides=strides, is_round=is_round)
    inner = layers.ReLU()(_normalised(inner))
    inner = _normalised(_conv(inner, width, 3, is_round=is_round), gamma="zeros")
    if strides != 1 or values.shape[-1] != width:
        values = _normalised(_conv(values, width, 1, strides=strides))
    return layers.ReLU()(layers.Add()([values, inner]))


def _bottleneck(values: Any, width: int, *, strides: int) -> Any:
    inner = layers.ReLU()(_batch_normalised(_conv(values, width, 1)))
    inner = layers.ZeroPadding2D(1)(inner)
    inner = layers.Conv2D(width, 3, strides=strides, use_bias=False, kernel_initializer=HIS)(inner)
    inner = layers.ReLU()(_batch_normalised(inner))
    inner = _batch_normalised(_conv(inner, EXPANSION * width, 1))
    if strides > 1 or values.shape[-1] != EXPANSION * width:
        values = _batch_normalised(_conv(values, EXPANSION * width, 1, strides=strides))
    return layers.ReLU()(layers.Add()([values, inner]))


def _conv(values: Any, width: int, size: int, *, strides: Any = 1, is_round: bool = False) -> Any:
    """Return a convolution whose output is as large as its input, strides aside."""
    if is_round and size > 1:
        values = GoRound(size // 2)(values)
    padding = "valid" if is_round else "same"
    return layers.Conv2D(
        width, size, strides=strides, padding=padding, use_bias=False, kernel_initializer=HIS
    )(values)


def _normalised(values: Any, gamma: str = "ones") -> Any:
    groups = max(1, values.shape[-1] // GROUP_WIDTH)
    return layers.GroupNormalization(groups, gamma_initializer=gamma)(values)


def _batch_normalised(values: Any) -> Any:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(values)


def probabilities(logits: Sequence[Any] | Any) -> np.ndarray[Any, Any]:
    """Return the mean over views of each view's softmax: (stack, class) float32."""
    values = np.asarray(logits, np.float64)
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray((values / values.sum(axis=-1, keepdims=True)).mean(axis=1), np.float32)
