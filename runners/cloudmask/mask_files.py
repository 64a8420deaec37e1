"""Write predicted masks as NetCDF files that follow the CF conventions 1.11."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml_data.ready import write_netcdf

from .channels import Floats
from .scenes import Scene

PROBABILITY_STEP = 0.004  # 250 steps from 0 to 1 in one byte
FILL_VALUE = 255  # of pixels that are not valid
PIXELS = ("row", "column")
CHUNK = 256  # pixels along a side
COMPRESSION_LEVEL = 4


def mask_dataset(scene: Scene, probability: Floats, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Return probability, class and validity of a scene's pixels with the encoding of the file.

    Args:
        scene: what was predicted.
        probability: (row, column) float, of cloud; stored for valid pixels only.
        attributes: global attributes of the file: model, source, whether synthetic.
    """
    dataset = xr.Dataset(
        _variables(scene, probability),
        coords={
            "row": _index("row", scene.row, "along"),
            "column": _index("column", scene.column, "across"),
        },
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
        "_FillValue": np.uint8(FILL_VALUE),
    }
    dataset["cloud_mask"].encoding = packed | {"_FillValue": np.uint8(FILL_VALUE)}
    dataset["valid"].encoding = packed | {"_FillValue": None}
    return dataset


def _variables(scene: Scene, probability: Floats) -> dict[str, xr.Variable]:
    valid_only = np.where(scene.valid, probability, np.nan).astype(np.float32)
    cloud = np.where(scene.valid, probability >= 0.5, np.uint8(FILL_VALUE)).astype(np.uint8)
    probability_attributes = {"long_name": "probability of cloud by the model", "units": "1"}
    mask_attributes = {
        "standard_name": "cloud_binary_mask",
        "long_name": "cloud by the model: probability 1/2 or more",
        "units": "1",
        "flag_values": np.array([0, 1], np.uint8),
        "flag_meanings": "clear cloud",
    }
    valid_attributes = {
        "long_name": "whether label and channels of the pixel may be used",
        "flag_values": np.array([0, 1], np.uint8),
        "flag_meanings": "not_valid valid",
    }
    return {
        "cloud_probability": xr.Variable(PIXELS, valid_only, probability_attributes),
        "cloud_mask": xr.Variable(PIXELS, cloud, mask_attributes),
        "valid": xr.Variable(PIXELS, scene.valid.astype(np.uint8), valid_attributes),
    }


def _index(name: str, values: npt.NDArray[np.int32], direction: str) -> xr.Variable:
    return xr.Variable(
        name, values, {"long_name": f"native index, 1 km {direction} track", "units": "1"}
    )


def write_mask(
    folder: Path, scene: Scene, probability: Floats, attributes: Mapping[str, Any]
) -> Path:
    """Write `<folder>/<granule>.nc` and return its path."""
    path = folder / f"{scene.granule}.nc"
    write_netcdf(mask_dataset(scene, probability, attributes), path)
    return path
