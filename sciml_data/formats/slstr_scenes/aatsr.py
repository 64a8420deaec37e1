"""A subset of an AATSR scene that SNAP wrote into one NetCDF file.

AATSR on Envisat had seven of SLSTR's nine channels, at the same wavelengths: S4 (1.375 um) and S6
(2.25 um) are missing. The nadir view is read. The mask is `CLOUDY` of the product's cloud flags,
the union of its threshold tests.

The product has reflectance in per cent that is not corrected for the height of the sun (AATSR
Products User Guide, "1.6 micron forward view MDS"), so it is divided by the cosine of the solar
zenith angle here. Neither the drift of the visible channels nor the nonlinearity of 1.6 um, which
this processing lacks, is corrected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats import slstr_hdf5, slstr_sen3
from sciml_data.formats.slstr_hdf5 import REFLECTIVE, THERMAL
from sciml_data.formats.slstr_scenes.pixels import (
    deviation,
    missing_channels,
    open_subset,
    surface,
    unpacked,
)

REFLECTANCE = {
    "S1": "reflec_nadir_0550",
    "S2": "reflec_nadir_0670",
    "S3": "reflec_nadir_0870",
    "S5": "reflec_nadir_1600",
}
TEMPERATURE = {"S7": "btemp_nadir_0370", "S8": "btemp_nadir_1100", "S9": "btemp_nadir_1200"}
PLACES = {"longitude": "lon", "latitude": "lat"}
FLAGS = {"confidence": "confid_flags_nadir", "cloud_tests": "cloud_flags_nadir"}
ANGLES = ("sun_elev_nadir", "sun_azimuth_nadir", "view_elev_nadir", "view_azimuth_nadir")
WORDS = {"confidence": ("COSMETIC", "UNFILLED"), "cloud_tests": ("LAND", "CLOUDY")}
PER_CENT = 100.0
PIXEL_CENTRE = 0.5  # pixels: SNAP counts tie points from the corner of the first pixel
MISSING_BELOW = 0  # AATSR's exceptions, as saturation, are negative numbers
NAME = re.compile(
    r"ATS_TOA_1[A-Z]{4,5}(?P<date>\d{8})_(?P<time>\d{6})_\d{8}\d(?P<cycle>\d{3})_"
    r"(?P<relative_orbit>\d{5})_(?P<orbit>\d{5})_\d{4}"
)
TIMES = ("start_date", "stop_date")
TIME = "%d-%b-%Y %H:%M:%S.%f"


@dataclass(frozen=True)
class SceneName(slstr_hdf5.GranuleName):
    """The parts of a scene's name; Envisat counts orbits without a break.

    Attributes:
        product: the name of the scene.
        absolute_orbit: number of the orbit since launch.
    """

    product: str = ""
    absolute_orbit: int = 0

    @property
    def platforms(self) -> tuple[str, ...]:
        """Return the Sentinels and Envisat."""
        return (*super().platforms, "Envisat")

    @property
    def source(self) -> str:
        """Return instrument and product in words."""
        return f"Envisat AATSR level 1, {self.product}"

    @property
    def orbit(self) -> int:
        """Return the number of the orbit since launch."""
        return self.absolute_orbit

    @property
    def stem(self) -> str:
        """Return the name of the scene."""
        return self.product


def parse_name(path: str) -> re.Match[str] | None:
    """Return the parts of a scene's name, None if it has another name."""
    name = PurePosixPath(path)
    return NAME.fullmatch(name.stem) if name.suffix == ".nc" else None


def read_scene(path: Path, place: str, options: slstr_hdf5.Options) -> xr.Dataset:
    """Return a scene with attributes and encoding.

    Args:
        path: of the file.
        place: its native path, for messages.
        options: valid pixels, compression.

    Raises:
        NativeFormatError: `.problems` has every deviation.
    """
    names = (
        *REFLECTANCE.values(), *TEMPERATURE.values(), *PLACES.values(), *FLAGS.values(), *ANGLES,
    )  # fmt: skip
    with open_subset(path, place, names) as stored:
        granule = _granule(stored, place)
    problems = slstr_hdf5.temperature_problems(
        granule.brightness_temperature[..., 1:], f"{place}:btemp_nadir_1100, btemp_nadir_1200"
    )
    if problems:
        raise deviation(place, problems)
    dataset = slstr_hdf5.ready_dataset(granule, options, shape=granule.bayes.shape)
    dataset["solar_irradiance"].values[:] = np.nan
    dataset["solar_irradiance"].attrs["comment"] = "not needed: the product has reflectance"
    policy = "CLOUDY of AATSR's cloud flags, nadir view: any of its threshold tests"
    dataset["cloud"].attrs["long_name"] = f"cloud label: {policy}"
    dataset.attrs["label_policy"] = policy
    dataset["cycle"].attrs["long_name"] = "35-day cycle"
    dataset["relative_orbit"].attrs["long_name"] = "orbit in the cycle, 1 to 501"
    dataset["orbit"].attrs["long_name"] = "number of the orbit since launch"
    for axis in ("row", "column"):
        dataset[axis].attrs["long_name"] = f"index of the {axis} in the subset, 1 km"
    dataset.attrs["missing"] = (
        "S4 and S6: AATSR did not have them; S7 where it is saturated, over hot land; "
        "the Bayesian mask; the forward view is not read"
    )
    return dataset


def _granule(stored: xr.Dataset, place: str) -> slstr_hdf5.Granule:
    bits = {name: slstr_sen3.flag_bits(stored[key].attrs) for name, key in FLAGS.items()}
    problems = [
        Problem("flags", f"{place}:{FLAGS[name]}", f"{word!r} is not among flag_meanings")
        for name, words in WORDS.items()
        for word in words
        if word not in bits[name]
    ]
    if problems:
        raise deviation(place, problems)
    native = {name: slstr_sen3.unsigned(stored[key].values) for name, key in FLAGS.items()}
    shape = native["confidence"].shape
    extras = {
        name: xr.Variable(
            ("row", "column"), stored[key].values.astype(np.float32), slstr_sen3.described(name)
        )
        for name, key in PLACES.items()
    }
    for name, angle in _angles(stored, shape).items():
        extras[name] = xr.Variable(("row", "column"), angle, slstr_sen3.described(name))
    extras |= {name: slstr_sen3.flag_variable(name, native[name], bits[name]) for name in FLAGS}
    temperature = np.stack(
        [unpacked(stored[TEMPERATURE[band]], least=MISSING_BELOW) for band in THERMAL], axis=-1
    )
    zenith = extras["solar_zenith_angle"].values
    reflectance = _reflectance(stored, zenith)
    where = {
        word: native[name] & bits[name][word] > 0 for name, words in WORDS.items() for word in words
    }
    known = {
        "unfilled": where["UNFILLED"] | np.isnan(temperature).all(axis=-1),
        "cosmetic": where["COSMETIC"],
        "summary_cloud": where["CLOUDY"],
        "unlit": ~(zenith < slstr_sen3.HORIZON),
    }
    extras["surface"] = surface(land=where["LAND"], mixed=np.zeros(shape, bool))
    extras["missing_channels"] = missing_channels(reflectance, temperature)
    bayes = np.full(shape, slstr_hdf5.NOT_COMPUTED, np.uint8)
    flags = slstr_hdf5.flagged(reflectance, temperature, bayes, known)
    scene = _scene_name(stored, place)
    return slstr_hdf5.Granule(scene, reflectance, temperature, bayes, flags, extras)


def _reflectance(stored: xr.Dataset, zenith: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return reflectance (row, column, 6), NaN in the channels that AATSR lacks."""
    cosine = np.where(zenith < slstr_sen3.HORIZON, np.cos(np.radians(zenith)), 1.0)
    reflectance = np.full((*zenith.shape, len(REFLECTIVE)), np.nan, np.float32)
    for band, key in REFLECTANCE.items():
        per_cent = unpacked(stored[key], least=MISSING_BELOW)
        reflectance[..., REFLECTIVE.index(band)] = per_cent / PER_CENT / cosine
    return reflectance


def _scene_name(stored: xr.Dataset, place: str) -> SceneName:
    parts = parse_name(place)
    if parts is None:
        raise ValueError(place)  # shards() refuses such a file
    start, stop = (
        datetime.strptime(str(stored.attrs[key]), TIME).replace(microsecond=0)  # noqa: DTZ007 - UTC
        for key in TIMES
    )
    return SceneName(
        platform="Envisat",
        start=start,
        stop=stop + timedelta(seconds=1),  # it ends within the next second
        created=start,
        duration_s=int((stop - start).total_seconds()) + 1,
        cycle=int(parts["cycle"]),
        relative_orbit=int(parts["relative_orbit"]),
        frame=None,
        origin="",
        product=parts[0],
        absolute_orbit=int(parts["orbit"]),
    )


def _angles(stored: xr.Dataset, shape: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
    """Return azimuth and zenith angles of all pixels: (row, column) float32, degrees.

    Directions are interpolated as vectors, since the azimuth of the satellite turns by half a
    circle at its track.
    """
    angles = {}
    for native, name in (("sun", "solar"), ("view", "sensor")):
        elevation, azimuth = (stored[f"{native}_{kind}_nadir"] for kind in ("elev", "azimuth"))
        up, east = np.radians(elevation.values), np.radians(azimuth.values)
        vectors = (np.cos(up) * np.sin(east), np.cos(up) * np.cos(east), np.sin(up))
        x, y, z = (_between(each, elevation.attrs, shape) for each in vectors)
        angles[f"{name}_azimuth_angle"] = np.degrees(np.arctan2(x, y)) % 360
        angles[f"{name}_zenith_angle"] = np.degrees(np.arctan2(np.hypot(x, y), z))
    return {name: values.astype(np.float32) for name, values in angles.items()}


def _between(ties: NDArray[Any], about: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return values of tie points (tie row, tie column) at the centres of all pixels."""
    rows, columns = (
        (np.arange(length) + PIXEL_CENTRE - float(about[f"offset_{axis}"]))
        / float(about[f"subsampling_{axis}"])
        for axis, length in zip("yx", shape, strict=True)
    )
    places = [np.arange(length) for length in ties.shape]
    along = np.array([np.interp(columns, places[1], row) for row in ties])
    return np.array([np.interp(rows, places[0], column) for column in along.T]).T
