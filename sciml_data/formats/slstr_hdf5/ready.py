"""The analysis-ready form of a granule: one scene in one NetCDF file.

Names, units and flags follow the CF conventions 1.11. Chunks are patches of 256 x 256 with all
bands of a kind, so a patch of a grid that begins at the file's corner is one read per variable.
Channels are packed into 16 bits (`channels.py` says what is lost); missing is not-a-number when
read by any library that knows CF, and `valid` says where a pixel may be used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import channels
from sciml_data.formats.slstr_hdf5.granule import (
    BRIGHTNESS_TEMPERATURE_RANGE,
    REFLECTANCE_RANGE,
    Granule,
)
from sciml_data.formats.slstr_hdf5.options import BAYES_BITS, FLAGS, NOT_COMPUTED, Options
from sciml_data.formats.slstr_hdf5.scene_variables import (
    SCENE,
    Variable,
    coordinates,
    scene_variables,
)

PIXELS = (SCENE, "row", "column")
PATCH = 256  # rows and columns of a chunk: the benchmark's fixed patch
CROP_BORDER = 80  # the reference leaves this much at each side, and then what makes no whole patch
COMPRESSION_LEVEL = 4  # of one day scene, level 1 makes 4 % more bytes and no less time
RARELY_READ = ("flags", "bayes")  # not needed for training: always compressed
NOT_KNOWN = 255  # label
EPOCH = "2000-01-01 00:00:00"  # of the level-1 product's own times


def ready_dataset(
    granule: Granule, options: Options, *, shape: tuple[int, int], is_cropped: bool = False
) -> xr.Dataset:
    """Return a granule as a dataset to be written, attributes and encoding set.

    Args:
        granule: what the native file holds.
        options: label, mask, compression.
        shape: rows and columns of a whole granule; a shorter one is padded, flagged as such.
        is_cropped: keep only the reference's centre crop.
    """
    whole = _padded(granule, shape)
    rows, columns = (_crop(length) if is_cropped else slice(0, length) for length in shape)
    kept = _cut(whole, rows, columns)
    dataset = xr.Dataset(
        {
            **_channel_variables(kept, options),
            **_label_variables(kept, options),
            **{name: _with_scene(variable) for name, variable in kept.extras.items()},
            **scene_variables(granule, kept, options),
        },
        coords=coordinates(rows, columns),
        attrs=_attributes(granule, options),
    )
    for name, variable in dataset.variables.items():
        variable.encoding = _encoding(str(name), variable, options)
    return dataset


def _crop(length: int) -> slice:
    """Return the reference's centre crop: as many whole patches as fit within the border."""
    patches = max((length - 2 * CROP_BORDER) // PATCH, min(length // PATCH, 1))
    kept = patches * PATCH or length
    start = (length - kept) // 2
    return slice(start, start + kept)


def _padded(granule: Granule, shape: tuple[int, int]) -> Granule:
    """Return the granule with the rows that lack added at its end, missing and flagged."""
    lacking = shape[0] - len(granule.bayes)
    if not lacking:
        return granule
    flag = (
        FLAGS["padded"] | FLAGS["unfilled"] | FLAGS["not_computed"] | FLAGS["reflectance_missing"]
    )

    def add(values: NDArray[Any], filler: float) -> NDArray[Any]:
        width = [(0, lacking)] + [(0, 0)] * (values.ndim - 1)
        return np.pad(values, width, constant_values=filler)

    return Granule(
        granule.name,
        add(granule.reflectance, np.nan),
        add(granule.brightness_temperature, np.nan),
        add(granule.bayes, NOT_COMPUTED),
        add(granule.flags, flag | FLAGS["unlit"]),
        {
            name: xr.Variable(
                variable.dims,
                add(variable.values, np.nan if variable.dtype.kind == "f" else 0),
                variable.attrs,
            )
            for name, variable in granule.extras.items()
        },
    )


def _cut(granule: Granule, rows: slice, columns: slice) -> Granule:
    return Granule(
        granule.name,
        granule.reflectance[rows, columns],
        granule.brightness_temperature[rows, columns],
        granule.bayes[rows, columns],
        granule.flags[rows, columns],
        {name: variable[rows, columns] for name, variable in granule.extras.items()},
    )


def _channel_variables(granule: Granule, options: Options) -> dict[str, Variable]:
    if options.refs == "reflectance":
        quantity = {
            "standard_name": "toa_bidirectional_reflectance",
            "long_name": "nominal reflectance, pi L / (E0 cos(solar zenith angle))",
            "comment": "where the sun is below the horizon the cosine was replaced by 1",
        }
    else:
        quantity = {
            "long_name": "pi L / E0, not divided by the cosine of the solar zenith angle",
            "comment": "the native files hold radiance L; E0 is solar_irradiance",
        }
    clipped = np.clip(granule.reflectance, *REFLECTANCE_RANGE)  # flagged: beyond_range
    kelvin = np.clip(granule.brightness_temperature, *BRIGHTNESS_TEMPERATURE_RANGE)
    return {
        "reflectance": ((*PIXELS, "reflective_band"), clipped[None], quantity | {"units": "1"}),
        "brightness_temperature": (
            (*PIXELS, "thermal_band"),
            kelvin[None],
            {
                "standard_name": "toa_brightness_temperature",
                "long_name": "brightness temperature at the top of the atmosphere, nadir view",
                "units": "K",
            },
        ),
    }


def _label_variables(granule: Granule, options: Options) -> dict[str, Variable]:
    valid = (granule.flags & np.uint16(options.excluded_mask)) == 0
    return {
        "cloud": (
            PIXELS,
            label(granule, options)[None],
            {
                "long_name": f"cloud label: {_policy(options)}",
                "flag_values": np.array([0, 1, NOT_KNOWN], np.uint8),
                "flag_meanings": "clear cloud not_known",
            },
        ),
        "valid": (
            PIXELS,
            valid.astype(np.uint8)[None],
            {
                "long_name": "whether label and channels of the pixel may be used",
                "flag_values": np.array([0, 1], np.uint8),
                "flag_meanings": "not_valid valid",
                "comment": f"not valid: {' '.join(options.exclude)}",
            },
        ),
        **_mask_variables(granule),
    }


def _mask_variables(granule: Granule) -> dict[str, Variable]:
    return {
        "flags": (
            PIXELS,
            granule.flags[None],
            {
                "standard_name": "quality_flag",
                "long_name": "what is known of the pixel",
                "flag_masks": np.array(list(FLAGS.values()), np.uint16),
                "flag_meanings": " ".join(FLAGS),
            },
        ),
        "bayes": (
            PIXELS,
            granule.bayes[None],
            {
                "long_name": "Bayesian cloud mask as given, 255 where it was not computed",
                "flag_masks": np.array(list(BAYES_BITS.values()), np.uint8),
                "flag_meanings": " ".join(BAYES_BITS),
            },
        ),
    }


def label(granule: Granule, options: Options) -> NDArray[np.uint8]:
    """Return the cloud label: (row, column) uint8, 0 clear, 1 cloud, 255 not known."""
    if options.label == "bayes":
        cloud = (granule.bayes & np.uint8(options.bayes_mask)) > 0
        known = granule.bayes != NOT_COMPUTED
    else:
        cloud = (granule.flags & FLAGS["summary_cloud"]) > 0
        known = (granule.flags & FLAGS["unfilled"]) == 0
    return np.where(known, cloud, np.uint8(NOT_KNOWN)).astype(np.uint8)


def _policy(options: Options) -> str:
    if options.label == "summary":
        return "the level-1 product's summary_cloud"
    return f"any of the Bayesian bits {' '.join(options.bayes_bits)}"


def _with_scene(variable: xr.Variable) -> xr.Variable:
    return xr.Variable((SCENE, *variable.dims), variable.values[None], variable.attrs)


def _attributes(granule: Granule, options: Options) -> dict[str, Any]:
    return {
        "Conventions": "CF-1.11",
        "shard_dimension": SCENE,
        "source": f"Sentinel-3 SLSTR level 1, {granule.name.stem}",
        "time_coverage_start": granule.name.start.isoformat(),
        "time_coverage_end": granule.name.stop.isoformat(),
        "label_policy": _policy(options),
        "packing": (
            f"brightness temperature in steps of {channels.BRIGHTNESS_TEMPERATURE_STEP_K} K, those "
            f"of the level-1 product; reflectance in steps of {channels.REFLECTANCE_STEP}, "
            f"error at most {channels.REFLECTANCE_STEP / 2}"
        ),
    }


def _encoding(name: str, variable: xr.Variable, options: Options) -> dict[str, Any]:
    encoding: dict[str, Any] = {"_FillValue": None}
    if variable.dtype.kind == "M":
        return encoding | {
            "units": f"seconds since {EPOCH}",
            "calendar": "proleptic_gregorian",
            "dtype": np.int64,
        }
    if "row" not in variable.dims or variable.ndim == 1:
        return encoding
    encoding |= _packing(name, variable)
    patch = [min(PATCH, length) for length in variable.shape[1:3]]
    encoding["chunksizes"] = (1, *patch, *variable.shape[3:])
    if options.compression == "gzip" or name in RARELY_READ:
        encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return encoding


def _packing(name: str, variable: xr.Variable) -> dict[str, Any]:
    steps = {
        "reflectance": (channels.REFLECTANCE_STEP, channels.REFLECTANCE_OFFSET),
        "brightness_temperature": (
            channels.BRIGHTNESS_TEMPERATURE_STEP_K,
            channels.BRIGHTNESS_TEMPERATURE_OFFSET_K,
        ),
    }
    if name not in steps:
        return {"_FillValue": np.float32(np.nan)} if variable.dtype.kind == "f" else {}
    step, offset = steps[name]  # as float32: CF unpacks to the type of these
    return {
        "dtype": np.int16,
        "scale_factor": np.float32(step),
        "add_offset": np.float32(offset),
        "_FillValue": np.int16(channels.PACKED_FILL),
    }
