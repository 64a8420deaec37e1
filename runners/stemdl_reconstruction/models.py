"""Networks from a scan of patterns to images of the view: ours in two sizes, and the published one.

A pattern is in reciprocal space, an image in real space; only where the probe stood ties one to
the other. So ours reads each pattern by itself, all with the same weights, into a few numbers: a
bank of detectors that is learnt. Laid on the grid of probe positions they are an image already,
coarse and of many channels, and from there a network of residual blocks makes it finer, twofold
each time. The published one takes the probes for channels of an image whose pixels are those of
the pattern.

Everything is Keras layers and `keras.ops`, so a model runs on every backend. A saved model gives
targets in their own units: scale and offset of the training part are its last weights.
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

PUBLISHED_BLOCKS = (
    1,
    2,
    4,
    3,
)  # convolutions of each dense block going down, the last at the bottom
PUBLISHED_GROWTH = 256  # channels that each of them adds, and of the first layer
PUBLISHED_KERNEL = 5
OUTPUT_START = 0.1  # of the He-normal weights of the last layer: a new network says about the mean
Shape = tuple[int, int, int]


@keras.saving.register_keras_serializable(package="stemdl_reconstruction")
class Regroup(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """Cuts the batch anew: all values in their order, as many samples of `shape` as there are."""

    def __init__(self, shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.shape = tuple(shape)

    def call(self, values: Any) -> Any:
        """Return (n, *shape)."""
        return ops.reshape(values, (-1, *self.shape))

    def compute_output_shape(self, _given: Sequence[int]) -> tuple[int | None, ...]:
        """Return the shape, its first length not known."""
        return (None, *self.shape)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made from."""
        return {**super().get_config(), "shape": self.shape}


@keras.saving.register_keras_serializable(package="stemdl_reconstruction")
class ToUnits(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """values x scale + offset by channel, in float32: from training units to those of the data."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dtype": "float32", "trainable": False})

    def build(self, shape: Sequence[int]) -> None:
        """Make the weights; `set_scale` fills them."""
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")
        self.offset = self.add_weight(name="offset", shape=(shape[-1],), initializer="zeros")

    def set_scale(self, scale: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> None:
        """Take standard deviation and mean of the training part's channels."""
        self.set_weights([scale.astype(np.float32), offset.astype(np.float32)])

    def call(self, values: Any) -> Any:
        """Return values in the units of the data."""
        return values * self.scale + self.offset


def build_model(
    settings: Mapping[str, Any],
    shape: Shape,
    view: tuple[int, int],
    *,
    scale: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
) -> Any:
    """Return the model that the settings name: (probe, y, x) to (row, column, channel).

    Args:
        settings: `model`, and those of its widths.
        shape: probes, rows and columns of a scan.
        view: rows and columns of the images.
        scale: (channel,) standard deviation of the targets.
        offset: (channel,) their mean.

    Raises:
        CallError: the model does not go with these shapes.
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
    """Return our network: detectors, blocks on the grid of probes, and twofold refinement.

    `detector_widths` are of the strided convolutions over a pattern, `detectors` the numbers that
    come of it; `widths` of the residual blocks at the grid and after each refinement (the last
    stands for those that it has none for), `blocks` how many at the grid.

    Raises:
        CallError: the probes are no square grid, or the view is not 2^n times as fine.
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
        values = _finer(values, width)
        values = _block(values, width)
    values = layers.Activation("silu")(values)
    outputs = layers.Conv2D(
        channels,
        1,
        kernel_initializer=keras.initializers.VarianceScaling(OUTPUT_START),
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
    (FCDenseNet) and `json_files/network_FCDenseNet_pool_avg.json`, restated: a 5 x 5 convolution;
    dense blocks (ReLU, 5 x 5 convolution without bias, dropout, concatenation) of 1, 2, 4, 3, 4, 2
    and 1; going down batch normalisation, ReLU, a 1 x 1 convolution that keeps the width, dropout
    and average pooling; going up a 1 x 1 transposed convolution with step 2 of what the block
    before it added, beside the block of that size on the way down; a 1 x 1 convolution. Weights
    are He-normal. Dropout is 0.5: the configured 0.2 was a flag only.

    Raises:
        CallError: pattern and view differ in size, or have no three halvings.
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
        finer = layers.Conv2DTranspose(
            added.shape[-1], 1, strides=2, use_bias=False, kernel_initializer="he_normal"
        )(added)
        values = layers.Concatenate()([finer, skip])
        values, added = _dense_block(values, count, growth, dropout)
    outputs = layers.Conv2D(
        channels, 1, use_bias=False, kernel_initializer="he_normal", dtype="float32"
    )(values)
    return keras.Model(inputs, outputs, name="reference")


def _geometry(shape: Shape, view: tuple[int, int]) -> tuple[int, int]:
    """Return the side of the grid of probes, and how often it is doubled to be the view."""
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
    """Return (b, probe, detector) of scans (b, probe, y, x), each pattern by itself."""
    probes, rows, columns = inputs.shape[1:]
    values = Regroup((rows, columns, 1), name="each_pattern")(inputs)
    flat = layers.Flatten()(values)
    for width in widths:
        values = layers.Conv2D(
            width, 3, strides=2, padding="same", activation="silu", kernel_initializer="he_normal"
        )(values)
    if widths:
        flat = layers.Concatenate()([flat, layers.Flatten()(values)])
    found = layers.Dense(detectors, kernel_initializer="he_normal")(flat)
    return Regroup((probes, detectors), name="each_scan")(found)


def _with_mean(values: Any) -> Any:
    """Return (b, y, x, 2 c): beside each value the mean over the grid, what the whole scan is."""
    mean = layers.GlobalAveragePooling2D(keepdims=True)(values)
    rows, columns = values.shape[1:3]
    spread = layers.UpSampling2D((rows, columns))(mean)
    return layers.Concatenate()([values, spread])


def _block(values: Any, width: int) -> Any:
    """Return values and what two 3 x 3 convolutions add; it begins as the identity."""
    inner = values
    for initial in ("he_normal", "zeros"):
        inner = layers.Activation("silu")(inner)
        inner = layers.Conv2D(width, 3, padding="same", kernel_initializer=initial)(inner)
    return layers.Add()([values, inner])


def _finer(values: Any, width: int) -> Any:
    """Return values on a grid twice as fine: each pixel becomes 2 x 2, by weights of their own."""
    return layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(values)


def _dense_block(values: Any, count: int, growth: int, dropout: float) -> tuple[Any, Any]:
    """Return all channels, and those that the block added."""
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
