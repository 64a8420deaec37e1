"""Whole scenes: reading, prediction in windows, counts for the scores, and masks as files.

Windows have the places of the published code. That code keeps the middle 176 pixels of each
window and pads scenes with reflectance 0.5 and 270 K; here windows fade into each other, and the
scene is mirrored beyond its edges (`sciml_data.ready.patches.windows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml_data.bench.scoring import segmentation
from sciml_data.formats.slstr_hdf5 import FLAGS
from sciml_data.ready import write_netcdf
from sciml_data.ready.patches import (
    BatchContent,
    Scenes,
    blend,
    extract_windows,
    stream_scenes,
    window_grid,
)

from .data import Flags, Floats

REGIONS = (VALID, OTHER) = ("valid", "other")  # pixels of a scene that are counted apart
ILLUMINATION = ("night", "twilight", "day")  # in the order of their numbers in ready files

PROBABILITY_STEP = 0.004  # 250 steps from 0 to 1 in one byte
FILL_VALUE = np.uint8(255)  # of pixels that are not valid
PIXELS = ("row", "column")
CHUNK = 256  # pixels along a side
COMPRESSION_LEVEL = 4


@dataclass(frozen=True)
class Scene:
    """A scene as its ready file has it.

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
    cloud: Flags
    valid: Flags
    native: Flags
    bayes: npt.NDArray[np.uint8]
    summary: Flags
    row: npt.NDArray[np.int32]
    column: npt.NDArray[np.int32]
    granule: str
    time: np.datetime64
    light: int


Mask: TypeAlias = Callable[[Scene], Floats]  # returns the probability of cloud (row, column)


def read_scenes(scenes: Scenes, numbers: npt.NDArray[np.intp]) -> Iterator[Scene]:
    """Yield ready scenes by their numbers, reading one scene ahead.

    Raises:
        ConversionError: a file cannot be read, or has changed.
    """
    content = BatchContent(missing=float("nan"))
    batches = stream_scenes(scenes.select(numbers), content=content, threads=1, prefetch=1)
    for number, batch in zip(numbers, batches, strict=True):
        with scenes.open(number) as file:
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


def predict_scene(model: Any, channels: Floats, settings: Mapping[str, Any]) -> Floats:
    """Return the blended probability of cloud in a scene: (row, column) float32.

    Args:
        model: Keras model, or function, from (window, size, size, 9) to (window, size, size, 1).
        channels: (row, column, 9).
        settings: see task.toml.
    """
    rows, columns = channels.shape[:2]
    grid = window_grid((rows, columns), size=settings["window"], stride=settings["window_step"])
    windows = extract_windows(grid, channels, batch_size=settings["evaluation_batch"])
    predicted = [np.asarray(model(batch, training=False))[..., 0] for batch in windows]
    return blend(grid, np.concatenate(predicted))


def count_pixels(scene: Scene, probability: Floats) -> npt.NDArray[np.int32]:
    """Return (cloudy or all, region, level): pixels at each level of predicted probability.

    Storing the prediction of every pixel would take too much space, and every score follows from
    these counts. The label of a valid pixel is that of the ready file. The other pixels of the
    native file have the label of the published code: cloud if any bit of `bayes` is set, which
    includes 255 (not computed).
    """
    others = ~scene.valid & scene.native
    of_valid = segmentation.tabulate(probability, scene.cloud, scene.valid)
    of_others = segmentation.tabulate(probability, scene.bayes > 0, others)
    return np.stack([of_valid, of_others], axis=1).astype(np.int32)


def write_mask(
    path: Path, scene: Scene, probability: Floats, attributes: Mapping[str, Any]
) -> None:
    """Write probability, class and validity of a scene's pixels as NetCDF (CF conventions 1.11).

    Args:
        path: of the file.
        scene: the scene.
        probability: (row, column) float, of cloud; stored for valid pixels only.
        attributes: global attributes of the file: model, source, whether synthetic.
    """
    dataset = xr.Dataset(
        _variables(scene, probability),
        attrs={
            "Conventions": "CF-1.11",
            "title": "Cloud mask predicted from SLSTR channels",
            "granule": scene.granule,
            "time_coverage_start": f"{np.datetime_as_string(scene.time, 's')}Z",
            **attributes,
        },
    )
    chunks = {"chunksizes": tuple(min(CHUNK, length) for length in probability.shape)}
    packed = {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True, **chunks}
    dataset["cloud_probability"].encoding = packed | {
        "dtype": np.uint8,
        "scale_factor": np.float32(PROBABILITY_STEP),
        "add_offset": np.float32(0.0),
        "_FillValue": FILL_VALUE,
    }
    dataset["cloud_mask"].encoding = packed | {"_FillValue": FILL_VALUE}
    dataset["valid"].encoding = packed | {"_FillValue": None}
    write_netcdf(dataset, path)


def _variables(scene: Scene, probability: Floats) -> dict[str, Any]:
    valid_only = np.where(scene.valid, probability, np.nan).astype(np.float32)
    cloud = np.where(scene.valid, probability >= 0.5, FILL_VALUE).astype(np.uint8)
    flags = {"flag_values": np.array([0, 1], np.uint8)}
    probability_attributes = {"long_name": "probability of cloud by the model", "units": "1"}
    mask_attributes = {
        "standard_name": "cloud_binary_mask",
        "long_name": "cloud by the model: probability 1/2 or more",
        "units": "1",
        **flags,
        "flag_meanings": "clear cloud",
    }
    valid_attributes = {
        "long_name": "whether label and channels of the pixel may be used",
        **flags,
        "flag_meanings": "not_valid valid",
    }
    row, column = (
        {"long_name": f"native index, 1 km {direction} track", "units": "1"}
        for direction in ("along", "across")
    )
    return {
        "cloud_probability": (PIXELS, valid_only, probability_attributes),
        "cloud_mask": (PIXELS, cloud, mask_attributes),
        "valid": (PIXELS, scene.valid.astype(np.uint8), valid_attributes),
        "row": ("row", scene.row, row),
        "column": ("column", scene.column, column),
    }
