"""Read whole scenes, and predict them in overlapping windows that are blended.

Windows have the places of the published code. That code keeps the middle 176 pixels of each
window and pads scenes with reflectance 0.5 and 270 K; here windows fade into each other, and the
scene is mirrored beyond its edges (`sciml_data.ready.patches.windows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import ConversionError
from sciml_data.formats import open_hdf5
from sciml_data.formats.slstr_hdf5 import FLAGS
from sciml_data.ready.patches import (
    BatchContent,
    Scenes,
    blend,
    extract_windows,
    stream_scenes,
    window_grid,
)

from .channels import Floats

Flags2D = npt.NDArray[np.bool_]
Predict = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        channels: (row, column, 9) float32, reflectance and brightness temperature in K, NaN where
            missing.
        cloud: (row, column) the label.
        valid: (row, column) whether label and channels may be used.
        native: (row, column) whether the pixel is in the native file and not padding.
        bayes: (row, column) the Bayesian mask as stored in the native file, bits.
        summary: (row, column) the product's own mask `summary_cloud`.
        row: (row,) index in the native file.
        column: (column,) index in the native file.
        granule: name of the granule.
        time: start, UTC.
        light: 0 night, 1 twilight, 2 day.
    """

    channels: Floats
    cloud: Flags2D
    valid: Flags2D
    native: Flags2D
    bayes: npt.NDArray[np.uint8]
    summary: Flags2D
    row: npt.NDArray[np.int32]
    column: npt.NDArray[np.int32]
    granule: str
    time: np.datetime64
    light: int


def read_scenes(scenes: Scenes, numbers: Sequence[int]) -> Iterator[Scene]:
    """Yield ready scenes by their numbers, reading one scene ahead.

    Raises:
        ConversionError: a file cannot be read, or has changed.
    """
    content = BatchContent(missing=float("nan"))
    batches = stream_scenes(scenes.select(list(numbers)), content=content, threads=1, prefetch=1)
    for number, batch in zip(numbers, batches, strict=True):
        with open_hdf5(scenes.paths[number], error=ConversionError, is_verified=True) as file:
            flags, bayes = file["flags"][0], file["bayes"][0]
            row, column = file["row"][:], file["column"][:]
        yield Scene(
            channels=batch.inputs[0],
            cloud=batch.labels[0] == 1,
            valid=batch.weights[0] > 0,
            native=(flags & FLAGS["padded"]) == 0,
            bayes=bayes,
            summary=(flags & FLAGS["summary_cloud"]) > 0,
            row=row,
            column=column,
            granule=str(scenes.granule[number]),
            time=scenes.time[number],
            light=int(scenes.illumination[number]),
        )


def predict_scene(
    predict: Predict, channels: Floats, *, size: int, step: int, batch_size: int
) -> Floats:
    """Return the blended prediction of a scene: (row, column) float32.

    Args:
        predict: function from (window, size, size, channel) to (window, size, size).
        channels: (row, column, channel).
        size: rows and columns of a window, in pixels.
        step: distance between windows in pixels, at most `size`.
        batch_size: number of windows in one call of `predict`.
    """
    rows, columns = channels.shape[:2]
    grid = window_grid((rows, columns), size=size, stride=step)
    windows = extract_windows(grid, channels, batch_size=batch_size)
    batches = [predict(batch) for batch in windows]
    return blend(grid, np.concatenate(batches))


def predictor(model: Any) -> Predict:
    """Return a function of NumPy arrays that calls a Keras model."""

    def predict(batch: Floats) -> Floats:
        return np.asarray(model(batch, training=False))[..., 0]

    return predict
