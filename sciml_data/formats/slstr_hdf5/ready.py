"""The analysis-ready form of a granule: one scene in one NetCDF file.

Names, units and flags follow the CF conventions 1.11. A chunk is a patch of 256 x 256 pixels with
all bands of a kind, so a patch of a grid that begins at the file's corner is one read per variable.
Channels are packed into 16 bits; `granule.py` has the steps and what they lose. Any library that
knows CF reads missing values as not-a-number. `valid` says which pixels may be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5.granule import (
    BAYES_BITS,
    BRIGHTNESS_TEMPERATURE_OFFSET_K,
    BRIGHTNESS_TEMPERATURE_RANGE,
    BRIGHTNESS_TEMPERATURE_STEP_K,
    CENTRE_UM,
    EXCLUDED_BY_DEFAULT,
    FLAGS,
    NOT_COMPUTED,
    PACKED_FILL,
    REFLECTANCE_OFFSET,
    REFLECTANCE_RANGE,
    REFLECTANCE_STEP,
    REFLECTIVE,
    THERMAL,
    Granule,
    solar_irradiance,
)
from sciml_data.registry.options import option

SCENE = "scene"  # dimension along which ready files follow one another
ILLUMINATION = ("night", "twilight", "day")
MAX_LIT_AT_NIGHT, MIN_LIT_BY_DAY = 0.1, 0.9  # share of filled pixels
PIXEL_DIMS = (SCENE, "row", "column")
PATCH = 256  # rows and columns of a chunk: the benchmark's fixed patch
CROP_BORDER = 80  # at each side; beyond it the reference drops what makes no whole patch
COMPRESSION_LEVEL = 4  # of one day scene, level 1 makes 4 % more bytes and no less time
RARELY_READ = ("flags", "bayes")  # not needed for training: always compressed
NOT_KNOWN = 255  # label of a pixel
SPARE_BIT = 128  # of the Bayesian mask, set in 255 alone
EPOCH = "2000-01-01 00:00:00"  # of the level-1 product's own times
Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """Options of a granule; by default the reference's label, without pixels of unknown label."""

    label: str = option("bayes", "source of the cloud label", choices=("bayes", "summary"))
    bayes_bits: tuple[str, ...] = option(
        tuple(BAYES_BITS),
        "a pixel is cloud where one of these bits is set",
        choices=tuple(BAYES_BITS),
        min_entries=1,
    )
    exclude: tuple[str, ...] = option(
        EXCLUDED_BY_DEFAULT, "a pixel with one of these flags is not valid", choices=tuple(FLAGS)
    )
    training_crop: str = option(
        "none", "the reference's centre crop, of training scenes", choices=("none", "reference")
    )
    compression: str = option(
        "none", "of the ready files; gzip makes them a third smaller", choices=("none", "gzip")
    )
    refs: str = option(
        "reflectance",
        "quantity under the key `refs` of the native files",
        choices=("reflectance", "radiance"),
    )

    @property
    def bayes_mask(self) -> int:
        """Return the chosen bits of the Bayesian mask as one number."""
        return sum(BAYES_BITS[name] for name in self.bayes_bits)

    @property
    def excluded_mask(self) -> int:
        """Return the flags that make a pixel invalid as one number.

        `not_computed` is about the Bayesian mask, so it does not count for the label `summary`.
        """
        unused = {"not_computed"} if self.label == "summary" else set()
        return sum(FLAGS[name] for name in set(self.exclude) - unused)


def ready_dataset(
    granule: Granule, options: Options, *, shape: tuple[int, int], is_cropped: bool = False
) -> xr.Dataset:
    """Return a granule as a dataset to be written, attributes and encoding set.

    Args:
        granule: content of the native files.
        options: label, mask, compression.
        shape: rows and columns of a whole granule; a shorter granule is padded and flagged.
        is_cropped: whether to keep only the reference's centre crop.
    """
    whole = _padded(granule, shape)
    rows, columns = (_crop(length) if is_cropped else slice(0, length) for length in shape)
    cropped = _cut(whole, rows, columns)
    dataset = xr.Dataset(
        {
            **_channel_variables(cropped, options),
            **_label_variables(cropped, options),
            **{name: _with_scene(variable) for name, variable in cropped.extras.items()},
            **_scene_variables(granule, cropped, options),
        },
        coords=_coordinates(granule, rows, columns),
        attrs=_attributes(granule, options),
    )
    for name, variable in dataset.variables.items():
        variable.encoding = _encoding(str(name), variable, options)
    return dataset


def _crop(length: int) -> slice:
    """Return the reference's centre crop of an axis: the whole patches that fit in the border."""
    patches = max((length - 2 * CROP_BORDER) // PATCH, min(length // PATCH, 1))
    size = patches * PATCH or length
    start = (length - size) // 2
    return slice(start, start + size)


def _padded(granule: Granule, shape: tuple[int, int]) -> Granule:
    """Return the granule with missing rows added at its end, as missing values with flags."""
    missing = shape[0] - len(granule.bayes)
    if not missing:
        return granule
    flag = (
        FLAGS["padded"] | FLAGS["unfilled"] | FLAGS["not_computed"] | FLAGS["reflectance_missing"]
    )

    def add(values: NDArray[Any], filler: float) -> NDArray[Any]:
        width = [(0, missing)] + [(0, 0)] * (values.ndim - 1)
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
        "reflectance": ((*PIXEL_DIMS, "reflective_band"), clipped[None], quantity | {"units": "1"}),
        "brightness_temperature": (
            (*PIXEL_DIMS, "thermal_band"),
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
            PIXEL_DIMS,
            cloud_label(granule, options)[None],
            {
                "long_name": f"cloud label: {_policy(options)}",
                "flag_values": np.array([0, 1, NOT_KNOWN], np.uint8),
                "flag_meanings": "clear cloud not_known",
            },
        ),
        "valid": (
            PIXEL_DIMS,
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
    """Return the flags of each pixel, and the Bayesian mask as the native file has it.

    Flags of the mask have CF's pair of `flag_masks` and `flag_values`: a flag is set where the
    value has the bits of `flag_values` among those of `flag_masks`. So 255 reads as not computed
    and not as four kinds of cloud, and a bit reads as set only where the highest one is not.
    """
    bits = list(BAYES_BITS.values())
    return {
        "flags": (
            PIXEL_DIMS,
            granule.flags[None],
            {
                "standard_name": "quality_flag",
                "long_name": "what is known of the pixel",
                "flag_masks": np.array(list(FLAGS.values()), np.uint16),
                "flag_meanings": " ".join(FLAGS),
            },
        ),
        "bayes": (
            PIXEL_DIMS,
            granule.bayes[None],
            {
                "long_name": "Bayesian cloud mask as given, 255 where it was not computed",
                "flag_masks": np.array(
                    [*(bit | SPARE_BIT for bit in bits), NOT_COMPUTED], np.uint8
                ),
                "flag_values": np.array([*bits, NOT_COMPUTED], np.uint8),
                "flag_meanings": " ".join([*BAYES_BITS, "not_computed"]),
                "ancillary_variables": "flags",
            },
        ),
    }


def cloud_label(granule: Granule, options: Options) -> NDArray[np.uint8]:
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
        "source": granule.name.source,
        "time_coverage_start": granule.name.start.isoformat(),
        "time_coverage_end": granule.name.stop.isoformat(),
        "label_policy": _policy(options),
        "packing": (
            f"brightness temperature in steps of {BRIGHTNESS_TEMPERATURE_STEP_K} K, those "
            f"of the level-1 product; reflectance in steps of {REFLECTANCE_STEP}, "
            f"error at most {REFLECTANCE_STEP / 2}"
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
        "reflectance": (REFLECTANCE_STEP, REFLECTANCE_OFFSET),
        "brightness_temperature": (
            BRIGHTNESS_TEMPERATURE_STEP_K,
            BRIGHTNESS_TEMPERATURE_OFFSET_K,
        ),
    }
    if name not in steps:
        return {"_FillValue": np.float32(np.nan)} if variable.dtype.kind == "f" else {}
    step, offset = steps[name]  # float32, since CF unpacks to the type of these two
    return {
        "dtype": np.int16,
        "scale_factor": np.float32(step),
        "add_offset": np.float32(offset),
        "_FillValue": np.int16(PACKED_FILL),
    }


def _scene_variables(granule: Granule, cropped: Granule, options: Options) -> dict[str, Variable]:
    """Return the variables along `scene`, of length one: time, orbit, light.

    Args:
        granule: as the native file has it.
        cropped: the pixels of the ready file.
        options: flags that make a pixel invalid.
    """
    name = granule.name
    filled = (cropped.flags & FLAGS["unfilled"]) == 0
    lit = float(((cropped.flags & FLAGS["unlit"]) == 0)[filled].mean()) if filled.any() else 0.0
    valid = float(((cropped.flags & np.uint16(options.excluded_mask)) == 0).mean())
    illumination = int(lit > MAX_LIT_AT_NIGHT) + int(lit >= MIN_LIT_BY_DAY)

    def scalar(value: Any, dtype: str, long_name: str, **attributes: Any) -> Variable:
        return (SCENE,), np.array([value], dtype), {"long_name": long_name, **attributes}

    return {
        "time": scalar(name.start, "M8[ns]", "start of the granule, UTC", standard_name="time"),
        "time_end": scalar(name.stop, "M8[ns]", "end of the granule, UTC"),
        "granule": scalar(name.stem.encode(), "S", "name of the level-1 granule"),
        "platform": scalar(
            name.platforms.index(name.platform), "i1", "satellite", **_flag_words(name.platforms)
        ),
        "cycle": scalar(name.cycle, "i4", "27-day cycle"),
        "relative_orbit": scalar(name.relative_orbit, "i4", "orbit in the cycle, 1 to 385"),
        "orbit": scalar(
            name.orbit, "i4", "running number of the orbit: (cycle - 1) 385 + relative"
        ),
        "frame": scalar(
            -1 if name.frame is None else name.frame,
            "i4",
            "seconds from the ascending node, -1 where the name does not say",
        ),
        "native_rows": scalar(
            len(granule.bayes), "i4", "rows of the native file; more are padding"
        ),
        "illumination": scalar(
            illumination, "i1", "day or night, by lit_fraction", **_flag_words(ILLUMINATION)
        ),
        "lit_fraction": scalar(lit, "f4", "share of filled pixels in sunlight", units="1"),
        "valid_fraction": scalar(valid, "f4", "share of pixels that are valid", units="1"),
    }


def _flag_words(words: tuple[str, ...]) -> dict[str, Any]:
    return {"flag_values": np.arange(len(words), dtype=np.int8), "flag_meanings": " ".join(words)}


def _coordinates(granule: Granule, rows: slice, columns: slice) -> dict[str, Variable]:
    """Return native row and column of each pixel, and wavelength and irradiance of the bands."""

    def wavelengths(names: tuple[str, ...]) -> Any:
        return np.array([CENTRE_UM[name] for name in names], np.float32)

    wavelength = {
        "standard_name": "sensor_band_central_radiation_wavelength",
        "units": "um",
    }
    return {
        "row": (("row",), np.arange(rows.start, rows.stop, dtype=np.int32), _index("along")),
        "column": (
            ("column",),
            np.arange(columns.start, columns.stop, dtype=np.int32),
            _index("across"),
        ),
        "reflective_band": (
            ("reflective_band",),
            np.array(REFLECTIVE, "S2"),
            {"long_name": "solar channel"},
        ),
        "thermal_band": (
            ("thermal_band",),
            np.array(THERMAL, "S2"),
            {"long_name": "thermal channel"},
        ),
        "reflective_wavelength": (
            ("reflective_band",),
            wavelengths(REFLECTIVE),
            wavelength,
        ),
        "thermal_wavelength": (("thermal_band",), wavelengths(THERMAL), wavelength),
        "solar_irradiance": _irradiance(granule),
    }


def _index(direction: str) -> dict[str, Any]:
    return {"long_name": f"native index, 1 km {direction} track", "units": "1"}


def _irradiance(granule: Granule) -> Variable:
    attributes = {
        "long_name": "solar irradiance of the band, E0",
        "units": "mW m-2 nm-1",
        "comment": "that of 15 March 2017, scaled to the distance of the sun at the scene's start",
    }
    irradiance = solar_irradiance(granule.name.start)
    values = np.array([[irradiance[name] for name in REFLECTIVE]], np.float32)
    return (SCENE, "reflective_band"), values, attributes
