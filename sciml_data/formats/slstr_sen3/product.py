"""Read one `.SEN3` folder: 1 km nadir brightness temperatures, flags and geometry.

Names, packing and flag bits are taken from the files themselves; what they must have is checked
here. (Format: S3IPF PDS 005, Product Data Format Specification - SLSTR. Checked with the granule
S3A_SL_1_RBT____20170315T113420, processor IPF-SL-1 06.08.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.slstr_hdf5.channels import REFLECTIVE, THERMAL
from sciml_data.formats.slstr_hdf5.granule import Granule, flagged
from sciml_data.formats.slstr_hdf5.granule_name import parse_granule_name
from sciml_data.formats.slstr_hdf5.native import temperature_problems
from sciml_data.formats.slstr_sen3.tie_points import (
    Places,
    pixel_angles,
    pixel_places,
    tie_position,
)

# file -> the variables that are read from it
VARIABLES = {
    **{f"{name}_BT_in.nc": (f"{name}_BT_in",) for name in THERMAL},
    "flags_in.nc": ("confidence_in", "cloud_in", "bayes_in"),
    "geodetic_tx.nc": ("longitude_tx", "latitude_tx"),
    "geometry_tn.nc": (
        "solar_azimuth_tn",
        "solar_zenith_tn",
        "sat_azimuth_tn",
        "sat_zenith_tn",
    ),
}
GRID = "_in"  # ending of variables on the pixels' grid; the others are on the ties'
# Words of confidence_in that become flags of the ready form, and those flags.
CONFIDENCE = {
    "unfilled": "unfilled",
    "cosmetic": "cosmetic",
    "duplicate": "duplicate",
    "summary_cloud": "summary_cloud",
}
HORIZON = 90.0  # degrees from the zenith


def read_product(root: Path, folder: str) -> tuple[Granule | None, list[Problem]]:
    """Return a granule and everything that is wrong with it; None where it cannot be read."""
    files: dict[str, h5py.File] = {}
    problems: list[Problem] = []
    try:
        for name in VARIABLES:
            try:
                files[name] = h5py.File(root / folder / name, "r")
            except OSError as error:
                problems.append(Problem("unreadable", f"{folder}/{name}", str(error)))
        problems += _layout_problems(files, folder)
        if problems:
            return None, problems
        granule = _granule(files, folder)
        kelvin = granule.brightness_temperature
        return granule, temperature_problems(kelvin, f"{folder}/S7_BT_in.nc to S9_BT_in.nc")
    finally:
        for file in files.values():
            file.close()


def _layout_problems(files: Mapping[str, h5py.File], folder: str) -> list[Problem]:
    problems: list[Problem] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for name, file in files.items():
        problems += [
            Problem("missing", f"{folder}/{name}:{key}", f"the {what} is not there")
            for what, keys, there in (
                ("variable", VARIABLES[name], file),
                ("attribute", ("track_offset", "resolution"), file.attrs),
            )
            for key in keys
            if key not in there
        ]
        shapes |= {f"{name}:{key}": file[key].shape for key in VARIABLES[name] if key in file}
    for is_grid in (True, False):
        kind = {place: shape for place, shape in shapes.items() if place.endswith(GRID) == is_grid}
        if len(set(kind.values())) > 1:
            problems.append(Problem("shape", folder, f"one shape expected, several found: {kind}"))
    if len({shape[0] for shape in shapes.values()}) > 1:
        problems.append(Problem("shape", folder, "pixels and ties differ in their number of rows"))
    flags = files.get("flags_in.nc")
    if flags is not None and "confidence_in" in flags:
        known = _bits(flags["confidence_in"])
        place = f"{folder}/flags_in.nc:confidence_in"
        problems += [
            Problem("flags", place, f"{word!r} is not among flag_meanings")
            for word in CONFIDENCE
            if word not in known
        ]
    return problems


def _granule(files: Mapping[str, h5py.File], folder: str) -> Granule:
    name = parse_granule_name(folder)
    if name is None:
        raise ValueError(folder)  # shards() lets no such folder pass
    temperature = np.stack(
        [_unpacked(files[f"{band}_BT_in.nc"][f"{band}_BT_in"]) for band in THERMAL], axis=-1
    )
    variable = files["flags_in.nc"]["confidence_in"]
    confidence, bits = variable[...], _bits(variable)
    said = {flag: confidence & bits[word] > 0 for word, flag in CONFIDENCE.items()}
    said["unfilled"] |= np.isnan(temperature).any(-1)
    extras = _geometry(files, temperature.shape[1]) | _flag_variables(files["flags_in.nc"])
    said["unlit"] = ~(extras["solar_zenith_angle"].values < HORIZON)
    bayes = files["flags_in.nc"]["bayes_in"][...]
    reflectance = np.full((*bayes.shape, len(REFLECTIVE)), np.nan, np.float32)
    flags = flagged(reflectance, temperature, bayes, said)
    return Granule(name, reflectance, temperature, bayes, flags, extras)


def _unpacked(variable: Any) -> NDArray[np.float32]:
    packed, attributes = variable[...], variable.attrs
    values = packed * float(attributes["scale_factor"][0]) + float(attributes["add_offset"][0])
    values[packed == attributes["_FillValue"][0]] = np.nan
    unpacked: NDArray[np.float32] = values.astype(np.float32)
    return unpacked


def _geometry(files: Mapping[str, h5py.File], columns: int) -> dict[str, xr.Variable]:
    """Return place and angles of every pixel: (row, column) float32, degrees."""
    places, angles = files["geodetic_tx.nc"], files["geometry_tn.nc"]
    position = tie_position(columns, _grid(files["flags_in.nc"]), _grid(places))
    ties = Places(places["longitude_tx"][...], places["latitude_tx"][...])
    pixels = pixel_places(ties, position)
    found = {"longitude": pixels.longitude, "latitude": pixels.latitude}
    for native, name in (("solar", "solar"), ("sat", "sensor")):
        azimuth, zenith = (angles[f"{native}_{kind}_tn"][...] for kind in ("azimuth", "zenith"))
        turned, raised = pixel_angles(azimuth, zenith, ties, pixels, position)
        found |= {f"{name}_azimuth_angle": turned, f"{name}_zenith_angle": raised}
    return {
        name: xr.Variable(("row", "column"), values.astype(np.float32), _described(name))
        for name, values in found.items()
    }


def _described(name: str) -> dict[str, str]:
    units = {"longitude": "degrees_east", "latitude": "degrees_north"}.get(name, "degree")
    return {
        "standard_name": name,
        "long_name": f"{name.replace('_', ' ')}, from tie points",
        "units": units,
    }


def _grid(file: h5py.File) -> dict[str, Any]:
    resolution = file.attrs["resolution"]
    text = resolution.decode() if isinstance(resolution, bytes) else str(resolution)
    return {
        "track_offset": float(file.attrs["track_offset"][0]),
        "step_m": float(re.findall(r"[\d.]+", text)[0]),
    }


def _flag_variables(file: h5py.File) -> dict[str, xr.Variable]:
    """Return the product's own words on surface and cloud, bits as they are."""
    found = {}
    for native, name, meaning in (
        ("confidence_in", "confidence", "surface, light and state of the pixel"),
        ("cloud_in", "cloud_tests", "which threshold tests call the pixel cloud"),
    ):
        bits = {word: bit for word, bit in _bits(file[native]).items() if word != "spare"}
        attributes = {
            "long_name": meaning,
            "flag_masks": np.array(list(bits.values()), file[native].dtype),
            "flag_meanings": " ".join(bits),
        }
        found[name] = xr.Variable(("row", "column"), file[native][...], attributes)
    return found


def _bits(variable: Any) -> dict[str, int]:
    meanings = variable.attrs["flag_meanings"]
    words = (meanings.decode() if isinstance(meanings, bytes) else str(meanings)).split()
    return dict(zip(words, (int(mask) for mask in variable.attrs["flag_masks"]), strict=False))
