"""What is said once for a scene, not pixel by pixel: time, orbit, light, bands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import channels
from sciml_data.formats.slstr_hdf5.granule import Granule
from sciml_data.formats.slstr_hdf5.options import FLAGS, Options

SCENE = "scene"  # dimension along which ready files follow one another
PLATFORMS = ("S3A", "S3B", "S3C", "S3D")
ILLUMINATION = ("night", "twilight", "day")
MOST_LIT_AT_NIGHT, LEAST_LIT_BY_DAY = 0.1, 0.9  # share of filled pixels
Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]


def scene_variables(granule: Granule, kept: Granule, options: Options) -> dict[str, Variable]:
    """Return the variables along `scene`, of length one.

    Args:
        granule: as the native file has it.
        kept: the pixels of the ready file.
        options: say what is valid.
    """
    name = granule.name
    filled = (kept.flags & FLAGS["unfilled"]) == 0
    lit = float(((kept.flags & FLAGS["unlit"]) == 0)[filled].mean()) if filled.any() else 0.0
    valid = float(((kept.flags & np.uint16(options.excluded_mask)) == 0).mean())
    illumination = int(lit > MOST_LIT_AT_NIGHT) + int(lit >= LEAST_LIT_BY_DAY)

    def one(value: Any, dtype: str, long_name: str, **attributes: Any) -> Variable:
        return (SCENE,), np.array([value], dtype), {"long_name": long_name, **attributes}

    return {
        "time": one(name.start, "M8[ns]", "start of the granule, UTC", standard_name="time"),
        "time_end": one(name.stop, "M8[ns]", "end of the granule, UTC"),
        "granule": one(name.stem.encode(), "S", "name of the level-1 granule"),
        "platform": one(
            PLATFORMS.index(name.platform), "i1", "satellite", **_flag_words(PLATFORMS)
        ),
        "cycle": one(name.cycle, "i4", "27-day cycle"),
        "relative_orbit": one(name.relative_orbit, "i4", "orbit in the cycle, 1 to 385"),
        "orbit": one(name.orbit, "i4", "running number of the orbit: (cycle - 1) 385 + relative"),
        "frame": one(
            -1 if name.frame is None else name.frame,
            "i4",
            "seconds from the ascending node, -1 where the name does not say",
        ),
        "native_rows": one(len(granule.bayes), "i4", "rows of the native file; more are padding"),
        "illumination": one(
            illumination, "i1", "day or night, by lit_fraction", **_flag_words(ILLUMINATION)
        ),
        "lit_fraction": one(lit, "f4", "share of filled pixels in sunlight", units="1"),
        "valid_fraction": one(valid, "f4", "share of pixels that are valid", units="1"),
    }


def _flag_words(words: tuple[str, ...]) -> dict[str, Any]:
    return {"flag_values": np.arange(len(words), dtype=np.int8), "flag_meanings": " ".join(words)}


def coordinates(rows: slice, columns: slice) -> dict[str, Variable]:
    """Return native row and column of each pixel, and the bands with wavelength and sunlight."""

    def wavelengths(names: tuple[str, ...]) -> Any:
        return np.array([channels.CENTRE_UM[name] for name in names], np.float32)

    wavelength = {
        "standard_name": "sensor_band_central_radiation_wavelength",
        "units": "um",
    }
    irradiance = [channels.SOLAR_IRRADIANCE[name] for name in channels.REFLECTIVE]
    return {
        "row": (("row",), np.arange(rows.start, rows.stop, dtype=np.int32), _index("along")),
        "column": (
            ("column",),
            np.arange(columns.start, columns.stop, dtype=np.int32),
            _index("across"),
        ),
        "reflective_band": (
            ("reflective_band",),
            np.array(channels.REFLECTIVE, "S2"),
            {"long_name": "solar channel"},
        ),
        "thermal_band": (
            ("thermal_band",),
            np.array(channels.THERMAL, "S2"),
            {"long_name": "thermal channel"},
        ),
        "reflective_wavelength": (
            ("reflective_band",),
            wavelengths(channels.REFLECTIVE),
            wavelength,
        ),
        "thermal_wavelength": (("thermal_band",), wavelengths(channels.THERMAL), wavelength),
        "solar_irradiance": (
            ("reflective_band",),
            np.array(irradiance, np.float32),
            {"long_name": "solar irradiance of the band, E0", "units": "mW m-2 nm-1"},
        ),
    }


def _index(direction: str) -> dict[str, Any]:
    return {"long_name": f"native index, 1 km {direction} track", "units": "1"}
