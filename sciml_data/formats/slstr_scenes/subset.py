"""A subset of a level-1 granule of SLSTR that SNAP wrote into one NetCDF file.

All variables are on one grid, which has every n-th pixel of the granule: solar channels of 0.5 km,
thermal ones of 1 km, and angles that SNAP interpolated from tie points. So neighbours in the subset
are not neighbours on the ground. The nadir view is read, and of S4 to S6 stripe A.

SNAP keeps radiance and the distance of the sun, but not the irradiance. That comes from the granule
of 15 March 2017 (`SOLAR_IRRADIANCE`), corrected for the distance:

    reflectance = pi L / (E0 cos(solar zenith angle)),   E0 = E(15 March) (d(15 March) / d)^2
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.formats import slstr_hdf5, slstr_sen3
from sciml_data.formats.slstr_hdf5 import REFLECTIVE, SOLAR_IRRADIANCE, THERMAL
from sciml_data.formats.slstr_scenes.pixels import (
    deviation,
    missing_channels,
    open_subset,
    slstr_surface,
    unpacked,
)

SUFFIX = ".SEN3.nc"
# Mean of solar_path_tn of the granule of 15 March 2017, 11:34, which SOLAR_IRRADIANCE is from.
REFERENCE_DISTANCE_M = 1.4878313e11
PLACES = {"longitude": "longitude_in", "latitude": "latitude_in"}
ANGLES = {
    "solar_azimuth_angle": "solar_azimuth_tn",
    "solar_zenith_angle": "solar_zenith_tn",
    "sensor_azimuth_angle": "sat_azimuth_tn",
    "sensor_zenith_angle": "sat_zenith_tn",
}
RADIANCE = tuple(f"{band}_radiance_an" for band in REFLECTIVE)
TEMPERATURE = tuple(f"{band}_BT_in" for band in THERMAL)
FLAGS = {"confidence": "confidence_in", "cloud_tests": "cloud_in"}
NAMES = (
    *RADIANCE, *TEMPERATURE, *PLACES.values(), *ANGLES.values(), *FLAGS.values(),
    "bayes_in", "solar_path_tn",
)  # fmt: skip


def parse_name(path: str) -> slstr_hdf5.GranuleName | None:
    """Return the parts of a subset's name, None if it has another name."""
    if not path.endswith(SUFFIX):
        return None
    return slstr_hdf5.parse_granule_name(path.removesuffix(".nc"))


def read_scene(path: Path, place: str, options: slstr_hdf5.Options) -> xr.Dataset:
    """Return a subset with attributes and encoding.

    Args:
        path: of the file.
        place: its native path, for messages.
        options: valid pixels, compression.

    Raises:
        NativeFormatError: `.problems` has every deviation.
    """
    with open_subset(path, place, NAMES) as stored:
        granule, irradiance = _granule(stored, place)
        distance_m = float(stored["solar_path_tn"].mean())
    problems = slstr_hdf5.temperature_problems(
        granule.brightness_temperature[..., 1:], f"{place}:S8_BT_in, S9_BT_in"
    )
    if problems:
        raise deviation(place, problems)
    dataset = slstr_hdf5.ready_dataset(granule, options, shape=granule.bayes.shape)
    dataset["solar_irradiance"].values[:] = irradiance
    dataset["solar_irradiance"].attrs["comment"] = (
        f"of 15 March 2017, corrected for the distance of the sun, {distance_m:.6g} m"
    )
    for axis in ("row", "column"):
        dataset[axis].attrs["long_name"] = f"index of the {axis} in the subset, not in the granule"
    dataset.attrs["missing"] = (
        "S7 where the product has no valid radiance; the oblique view, and stripe B, are not read"
    )
    return dataset


def _granule(stored: xr.Dataset, place: str) -> tuple[slstr_hdf5.Granule, NDArray[np.float64]]:
    """Return the pixels, and the irradiance (reflective_band) of the day in mW m-2 nm-1."""
    name = parse_name(place)
    if name is None:
        raise ValueError(place)  # shards() refuses such a file
    temperature = np.stack([unpacked(stored[key]) for key in TEMPERATURE], axis=-1)
    distance = stored["solar_path_tn"].values.astype(np.float64)
    e0 = np.array([SOLAR_IRRADIANCE[band] for band in REFLECTIVE])
    e0_of_day = e0 * (REFERENCE_DISTANCE_M / distance.mean()) ** 2
    zenith = stored["solar_zenith_tn"].values.astype(np.float64)
    up = zenith < slstr_sen3.HORIZON
    cosine = np.where(up, np.cos(np.radians(zenith)), 1.0)[..., np.newaxis]
    radiance = np.stack([unpacked(stored[key]) for key in RADIANCE], axis=-1)
    reflectance = (np.pi * radiance / (e0_of_day * cosine)).astype(np.float32)
    bits = {name: slstr_sen3.flag_bits(stored[key].attrs) for name, key in FLAGS.items()}
    native = {name: slstr_sen3.unsigned(stored[key].values) for name, key in FLAGS.items()}
    confidence = native["confidence"]
    known = {
        flag: confidence & bits["confidence"][word] > 0
        for word, flag in slstr_sen3.CONFIDENCE.items()
    }
    known["unfilled"] |= np.isnan(temperature).all(axis=-1)
    known["unlit"] = ~up
    bayes = slstr_sen3.unsigned(stored["bayes_in"].values)
    extras = {
        name: xr.Variable(
            ("row", "column"),
            unpacked(stored[key]),
            slstr_sen3.described(name),
        )
        for name, key in (PLACES | ANGLES).items()
    }
    extras |= {name: slstr_sen3.flag_variable(name, native[name], bits[name]) for name in FLAGS}
    extras["surface"] = slstr_surface(confidence, bits["confidence"])
    extras["missing_channels"] = missing_channels(reflectance, temperature)
    flags = slstr_hdf5.flagged(reflectance, temperature, bayes, known)
    granule = slstr_hdf5.Granule(name, reflectance, temperature, bayes, flags, extras)
    return granule, e0_of_day
