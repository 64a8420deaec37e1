"""Networks from a scan of patterns to images of the view: a new one, and the published one.

A pattern is in reciprocal space, an image in real space, and only the position of the probe links
them. So the new network (`scan_network`, in two sizes) reduces each pattern by itself to a few
numbers, with the same weights for all: these are learned detectors. On the grid of probe positions
the numbers form a coarse image with many channels. Residual blocks refine it by a factor of two at
a time. The published network (`reference`) uses the probes as channels of an image whose pixels are
those of the pattern.

All layers are from Keras and `keras.ops`, so a model runs on every backend. A saved model returns
targets in physical units: scale and offset of the training part are its last weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from sciml_data.errors import CallError

# Convolutions of each dense block on the way down; the last block is at the bottom.
PUBLISHED_BLOCKS = (1, 2, 4, 3)
PUBLISHED_GROWTH = 256  # channels that each convolution adds, and of the first layer
PUBLISHED_KERNEL = 5
# Variance of the last layer's initial weights, relative to LeCun's: a new network predicts about
# the mean of the training part.
OUTPUT_VARIANCE = 0.1
Shape = tuple[int, int, int]


@keras.saving.register_keras_serializable(package="stemdl_reconstruction")
class Regroup(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Reshape (batch, ...) to (n, *shape): all values in their order, divided into n samples."""

    def __init__(self, shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.shape = tuple(shape)

    def call(self, values: Any) -> Any:
        """Return (n, *shape)."""
        return ops.reshape(values, (-1, *self.shape))

    def compute_output_shape(self, _given: Sequence[int]) -> tuple[int | None, ...]:
        """Return the shape, whose first length is unknown."""
        return (None, *self.shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, for saving."""
        return {**super().get_config(), "shape": self.shape}


@keras.saving.register_keras_serializable(package="stemdl_reconstruction")
class ToUnits(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Compute values x scale + offset by channel in float32: from standard to physical units."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dtype": "float32", "trainable": False})

    def build(self, shape: Sequence[int]) -> None:
        """Create the weights; `set_scale` sets them."""
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")
        self.offset = self.add_weight(name="offset", shape=(shape[-1],), initializer="zeros")

    def set_scale(self, scale: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> None:
        """Set standard deviation and mean (channel,) of the training part."""
        self.set_weights([scale.astype(np.float32), offset.astype(np.float32)])

    def call(self, values: Any) -> Any:
        """Return values (..., channel) in physical units."""
        return values * self.scale + self.offset


def build_model(
    settings: Mapping[str, Any],
    shape: Shape,
    view: tuple[int, int],
    *,
    scale: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
) -> Any:
    """Return the configured model: (probe, y, x) to (row, column, channel).

    Args:
        settings: `model` and its sizes; see task.toml.
        shape: probes, rows and columns of a scan.
        view: rows and columns of the images.
        scale: (channel,) standard deviation of the targets.
        offset: (channel,) mean of the targets.

    Raises:
        CallError: the model cannot take these shapes.
    """
    channels = len(scale)
    if settings["model"] == "reference":
        body = reference(
            shape, view, channels=channels, growth=settings["growth"], dropout=settings["dropout"]
        )
    else:
        body = scan_network(shape, view, channels=channels, settings=settings)
    inputs = keras.Input(shape, name="scan")
    to_units = ToUnits(name="units")
    model = keras.Model(inputs, to_units(body(inputs)), name=f"reconstruction_{settings['model']}")
    to_units.set_scale(scale, offset)
    return model


def scan_network(
    shape: Shape, view: tuple[int, int], *, channels: int, settings: Mapping[str, Any]
) -> Any:
    """Return a network of learned detectors, blocks on the grid of probes, and refinement.

    Args:
        shape: probes, rows and columns of a scan.
        view: rows and columns of the images.
        channels: number of targets.
        settings: `detector_widths`, channels of the strided convolutions over a pattern;
            `detectors`, numbers that each pattern is reduced to; `widths`, channels of the residual
            blocks on the grid and after each refinement (the last one is repeated if there are too
            few); `blocks`, number of residual blocks on the grid.

    Raises:
        CallError: the probes are not a square grid, or the view is not 2^n times as fine.
    """
    side, doublings = _geometry(shape, view)
    widths = tuple(settings["widths"])
    widths += widths[-1:] * (doublings + 1 - len(widths))
    inputs = keras.Input(shape)
    values = _detect(inputs, settings["detector_widths"], settings["detectors"])
    values = layers.Reshape((side, side, settings["detectors"]))(values)
    values = _with_mean(values)
    values = layers.Conv2D(widths[0], 1, kernel_initializer="he_normal")(values)
    for _ in range(settings["blocks"]):
        values = _block(values, widths[0])
    for width in widths[1 : doublings + 1]:
        values = _refine(values, width)
        values = _block(values, width)
    values = layers.Activation("silu")(values)
    outputs = layers.Conv2D(
        channels,
        1,
        kernel_initializer=keras.initializers.VarianceScaling(OUTPUT_VARIANCE),
        dtype="float32",
    )(values)
    return keras.Model(inputs, outputs, name="scan_network")


def reference(
    shape: Shape,
    view: tuple[int, int],
    *,
    channels: int,
    growth: int = PUBLISHED_GROWTH,
    dropout: float = 0.5,
) -> Any:
    """Return the published FC-DenseNet, probes as channels; `growth` 256 is the published width.

    From stfc-sciml/sciml-bench at 79a5650, .../stemdl_reconstruction: `stemdl/network.py`
    (FCDenseNet) and `json_files/network_FCDenseNet_pool_avg.json`, reimplemented:

    * a 5 x 5 convolution;
    * dense blocks (ReLU, 5 x 5 convolution without bias, dropout, concatenation) of 1, 2, 4, 3, 4,
      2 and 1 convolutions;
    * on the way down: batch normalisation, ReLU, a 1 x 1 convolution that keeps the width, dropout
      and average pooling;
    * on the way up: a 1 x 1 transposed convolution with stride 2 of the channels that the previous
      block added, concatenated with the block of that size on the way down;
    * a 1 x 1 convolution.

    Weights are He-normal. Dropout is 0.5, because the configured 0.2 was used as a flag only.

    Raises:
        CallError: pattern and view differ in size, or 8 does not divide their size.
    """
    if shape[1:] != view or any(length % 8 for length in view):
        raise CallError(
            f"the reference gives images as large as patterns, and 8 has to divide both: patterns "
            f"are {shape[1]} x {shape[2]}, the view {view[0]} x {view[1]}",
            untouched="nothing was trained",
            hint="--set thinning=..., or another model",
        )
    inputs = keras.Input(shape)
    values = layers.Permute((2, 3, 1))(inputs)
    values = layers.Conv2D(
        growth, PUBLISHED_KERNEL, padding="same", activation="relu", kernel_initializer="he_normal"
    )(values)
    skips = []
    for count in PUBLISHED_BLOCKS[:-1]:
        values, _ = _dense_block(values, count, growth, dropout)
        skips.append(values)
        values = _down(values, dropout)
    _, added = _dense_block(values, PUBLISHED_BLOCKS[-1], growth, dropout)
    for count, skip in zip(PUBLISHED_BLOCKS[-2::-1], skips[::-1], strict=True):
        upsampled = layers.Conv2DTranspose(
            added.shape[-1], 1, strides=2, use_bias=False, kernel_initializer="he_normal"
        )(added)
        values = layers.Concatenate()([upsampled, skip])
        values, added = _dense_block(values, count, growth, dropout)
    outputs = layers.Conv2D(
        channels, 1, use_bias=False, kernel_initializer="he_normal", dtype="float32"
    )(values)
    return keras.Model(inputs, outputs, name="reference")


def _geometry(shape: Shape, view: tuple[int, int]) -> tuple[int, int]:
    """Return the side of the grid of probes, and the number of doublings up to the view."""
    side = math.isqrt(shape[0])
    doublings = round(math.log2(max(view[0] / side, 1)))
    if side * side != shape[0] or view != (side << doublings, side << doublings):
        raise CallError(
            f"{shape[0]} probes and a view of {view[0]} x {view[1]} pixels: a square grid of "
            "probes and a view 2, 4, 8 ... times as fine are expected",
            untouched="nothing was trained",
        )
    return side, doublings


def _detect(inputs: Any, widths: Sequence[int], detectors: int) -> Any:
    """Return (batch, probe, detector) from scans (batch, probe, y, x), each pattern by itself."""
    probes, rows, columns = inputs.shape[1:]
    values = Regroup((rows, columns, 1), name="each_pattern")(inputs)
    flat = layers.Flatten()(values)
    for width in widths:
        values = layers.Conv2D(
            width, 3, strides=2, padding="same", activation="silu", kernel_initializer="he_normal"
        )(values)
    if widths:
        flat = layers.Concatenate()([flat, layers.Flatten()(values)])
    signals = layers.Dense(detectors, kernel_initializer="he_normal")(flat)
    return Regroup((probes, detectors), name="each_scan")(signals)


def _with_mean(values: Any) -> Any:
    """Return (batch, y, x, 2 c): the values, and their mean over the scan as a global context."""
    mean = layers.GlobalAveragePooling2D(keepdims=True)(values)
    rows, columns = values.shape[1:3]
    repeated = layers.UpSampling2D((rows, columns))(mean)
    return layers.Concatenate()([values, repeated])


def _block(values: Any, width: int) -> Any:
    """Return the input plus two 3 x 3 convolutions; initially the identity."""
    inner = values
    for initial in ("he_normal", "zeros"):
        inner = layers.Activation("silu")(inner)
        inner = layers.Conv2D(width, 3, padding="same", kernel_initializer=initial)(inner)
    return layers.Add()([values, inner])


def _refine(values: Any, width: int) -> Any:
    """Return values on a grid twice as fine: a 2 x 2 transposed convolution with stride 2."""
    return layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(values)


def _dense_block(values: Any, count: int, growth: int, dropout: float) -> tuple[Any, Any]:
    """Return all channels of a dense block, and those that it added."""
    added = []
    for _ in range(count):
        new = layers.ReLU()(values)
        new = layers.Conv2D(
            growth,
            PUBLISHED_KERNEL,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
        )(new)
        new = layers.Dropout(dropout)(new)
        added.append(new)
        values = layers.Concatenate()([values, new])
    return values, layers.Concatenate()(added) if count > 1 else added[0]


def _down(values: Any, dropout: float) -> Any:
    values = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(values)
    values = layers.ReLU()(values)
    values = layers.Conv2D(values.shape[-1], 1, use_bias=False, kernel_initializer="he_normal")(
        values
    )
    values = layers.Dropout(dropout)(values)
    return layers.AveragePooling2D(2)(values)
