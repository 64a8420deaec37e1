"""SLSTR level-1 granules as ESA and EUMETSAT publish them: `.SEN3` folders of NetCDF files.

The CloudMask files were made from the same product, so the ready form is the same
(`slstr_hdf5/ready.py`). It has what those files leave out, too: place, sun and satellite angles,
the kind of surface, every cloud test, and which pixels are cosmetic or duplicates. The 1 km nadir
grid is read: brightness temperatures, flags, geometry. The solar channels have a 0.5 km grid of
their own and are not read: reflectance is missing, and an attribute names the unread files.

Names, packing and flag bits are taken from the files themselves; what they must have is checked
here. (Format: S3IPF PDS 005, Product Data Format Specification - SLSTR. Checked with the granule
S3A_SL_1_RBT____20170315T113420, processor IPF-SL-1 06.08.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats import slstr_hdf5
from sciml_data.formats.hdf5_files import open_hdf5, report_damage
from sciml_data.formats.interface import (
    Native,
    Shard,
    missing_files,
    no_split,
    raise_if_any,
    same_name_problems,
)
from sciml_data.formats.slstr_sen3.tie_points import (
    Places,
    pixel_angles,
    pixel_places,
    tie_position,
)
from sciml_data.formats.slstr_sen3.variables import (
    CONFIDENCE,
    HORIZON,
    described,
    flag_bits,
    flag_variable,
)
from sciml_data.registry.options import parse_options

# By file, the variables that are read from it.
VARIABLES = {
    **{f"{name}_BT_in.nc": (f"{name}_BT_in",) for name in slstr_hdf5.THERMAL},
    "flags_in.nc": ("confidence_in", "cloud_in", "bayes_in"),
    "geodetic_tx.nc": ("longitude_tx", "latitude_tx"),
    "geometry_tn.nc": (
        "solar_azimuth_tn",
        "solar_zenith_tn",
        "sat_azimuth_tn",
        "sat_zenith_tn",
    ),
}
PIXEL_SUFFIX = "_in"  # of variables on the grid of pixels; the others are on the tie points
IMAGE_RANK = 2  # rows and columns
FILES = tuple(VARIABLES)


@dataclass(frozen=True)
class Options(slstr_hdf5.Options):
    """Options of a level-1 granule: those of the CloudMask files but for two, which are fixed."""

    # The scenes are in no training split, and reflectance is not read.
    training_crop: str = field(default="none", init=False)
    refs: str = field(default="reflectance", init=False)


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each `.SEN3` folder; no native file is opened.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: folders have a wrong name, lack a file, are in no split, or share a name.
    """
    parse_options(Options, options)
    granules: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for path in native.paths:
        folder, _, _ = path.rpartition("/")
        if folder.endswith(".SEN3"):
            granules.setdefault(folder, []).append(path)
        else:
            problems.append(Problem("unexpected", path, "is not in a .SEN3 folder"))
    for folder, paths in granules.items():
        if slstr_hdf5.parse_granule_name(folder) is None:
            message = "is not the name of a Sentinel-3 level-1 granule"
            problems.append(Problem("name", folder, message))
        problems += missing_files(native, [f"{folder}/{name}" for name in FILES])
        if native.split_of(paths[0]) is None:
            problems.append(no_split(native, folder))
    made = [_shard(native, folder, paths) for folder, paths in sorted(granules.items())]
    raise_if_any([*problems, *same_name_problems(made)], native)
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one scene on the 1 km nadir grid, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has every deviation of the granule's files.
    """
    chosen = parse_options(Options, options)
    folder = shard.inputs[0].rpartition("/")[0]
    granule, problems = _read_product(native.root, folder)
    if granule is None or problems:
        raise NativeFormatError(
            f"{folder} deviates from the format",
            problems=problems,
            untouched="nothing was converted",
            hint="`sciml-data verify` compares the files with the published ones",
        )
    rows, columns = granule.bayes.shape
    if rows == slstr_hdf5.NOMINAL_SHAPE[0] - slstr_hdf5.ROWS_SHORT:
        rows = slstr_hdf5.NOMINAL_SHAPE[0]  # as the other granules of the day have
    dataset = slstr_hdf5.ready_dataset(granule, chosen, shape=(rows, columns))
    not_read = [path for path in shard.inputs if path.rpartition("/")[2] not in FILES]
    dataset.attrs["native_files_not_read"] = " ".join(path.rpartition("/")[2] for path in not_read)
    return dataset


def _shard(native: Native, folder: str, paths: list[str]) -> Shard:
    split, name = str(native.split_of(paths[0])), PurePosixPath(folder).stem
    return Shard(f"{split}-{name}.nc", split, tuple(sorted(paths)))


def _read_product(root: Path, folder: str) -> tuple[slstr_hdf5.Granule | None, list[Problem]]:
    """Return a granule, None if it cannot be read, and everything that is wrong with it."""
    files: dict[str, h5py.File] = {}
    problems: list[Problem] = []
    granule: slstr_hdf5.Granule | None = None
    with ExitStack() as stack:
        for name in VARIABLES:
            try:
                opened = open_hdf5(root / folder / name, f"{folder}/{name}")
                files[name] = stack.enter_context(opened)
            except NativeFormatError as error:
                problems += error.problems
        problems += _layout_problems(files, folder)
        if not problems:
            with report_damage(folder):
                granule = _granule(files, folder)
        if granule is not None:
            kelvin = granule.brightness_temperature
            place = f"{folder}/S7_BT_in.nc to S9_BT_in.nc"
            problems += slstr_hdf5.temperature_problems(kelvin, place)
    return granule, problems


def _layout_problems(files: Mapping[str, h5py.File], folder: str) -> list[Problem]:
    problems: list[Problem] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for name, file in files.items():
        problems += [
            Problem("missing", f"{folder}/{name}:{key}", f"there is no such {what}")
            for what, keys, present in (
                ("variable", VARIABLES[name], file),
                ("attribute", ("track_offset", "resolution"), file.attrs),
            )
            for key in keys
            if key not in present
        ]
        images = {key: file[key] for key in VARIABLES[name] if _is_image(file.get(key))}
        shapes |= {f"{name}:{key}": image.shape for key, image in images.items()}
        problems += [
            Problem("layout", f"{folder}/{name}:{key}", "rows and columns of numbers expected")
            for key in VARIABLES[name]
            if key in file and key not in images
        ]
    return problems + _shape_problems(shapes, folder) + _flag_problems(files, folder)


def _shape_problems(shapes: Mapping[str, tuple[int, ...]], folder: str) -> list[Problem]:
    """Return which variables differ in shape from the others of their grid."""
    problems: list[Problem] = []
    for of_pixels in (True, False):
        group = {
            place: shape
            for place, shape in shapes.items()
            if place.endswith(PIXEL_SUFFIX) == of_pixels
        }
        if len(set(group.values())) > 1:
            message = f"one shape expected, several found: {group}"
            problems.append(Problem("shape", folder, message))
    if len({shape[0] for shape in shapes.values()}) > 1:
        problems.append(
            Problem("shape", folder, "pixels and tie points differ in their number of rows")
        )
    return problems


def _flag_problems(files: Mapping[str, h5py.File], folder: str) -> list[Problem]:
    """Return which flags the product does not have."""
    flags = files.get("flags_in.nc")
    if flags is None or not _is_image(flags.get("confidence_in")):
        return []
    meanings: Mapping[str, int] = {}
    with report_damage(f"{folder}/flags_in.nc"):
        meanings = flag_bits(flags["confidence_in"].attrs)
    place = f"{folder}/flags_in.nc:confidence_in"
    return [
        Problem("flags", place, f"{word!r} is not among flag_meanings")
        for word in CONFIDENCE
        if word not in meanings
    ]


def _is_image(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and item.ndim == IMAGE_RANK and item.dtype.kind in "iuf"


def _granule(files: Mapping[str, h5py.File], folder: str) -> slstr_hdf5.Granule:
    name = slstr_hdf5.parse_granule_name(folder)
    if name is None:
        raise ValueError(folder)  # shards() refuses such a folder
    temperature = np.stack(
        [_unpacked(files[f"{band}_BT_in.nc"][f"{band}_BT_in"]) for band in slstr_hdf5.THERMAL],
        axis=-1,
    )
    variable = files["flags_in.nc"]["confidence_in"]
    confidence, bits = variable[...], flag_bits(variable.attrs)
    known = {flag: confidence & bits[word] > 0 for word, flag in CONFIDENCE.items()}
    known["unfilled"] |= np.isnan(temperature).all(-1)  # S7 alone may be out of its range
    extras = _geometry(files, temperature.shape[1]) | _flag_variables(files["flags_in.nc"])
    known["unlit"] = ~(extras["solar_zenith_angle"].values < HORIZON)
    bayes = files["flags_in.nc"]["bayes_in"][...]
    reflectance = np.full((*bayes.shape, len(slstr_hdf5.REFLECTIVE)), np.nan, np.float32)
    flags = slstr_hdf5.flagged(reflectance, temperature, bayes, known)
    return slstr_hdf5.Granule(name, reflectance, temperature, bayes, flags, extras)


def _unpacked(variable: Any) -> NDArray[np.float32]:
    packed, attributes = variable[...], variable.attrs
    values = packed * float(attributes["scale_factor"][0]) + float(attributes["add_offset"][0])
    values[packed == attributes["_FillValue"][0]] = np.nan
    unpacked: NDArray[np.float32] = values.astype(np.float32)
    return unpacked


def _geometry(files: Mapping[str, h5py.File], columns: int) -> dict[str, xr.Variable]:
    """Return places and angles of all pixels: (row, column) float32, degrees."""
    places, angles = files["geodetic_tx.nc"], files["geometry_tn.nc"]
    position = tie_position(columns, _grid(files["flags_in.nc"]), _grid(places))
    ties = Places(places["longitude_tx"][...], places["latitude_tx"][...])
    pixels = pixel_places(ties, position)
    geometry = {"longitude": pixels.longitude, "latitude": pixels.latitude}
    for native, name in (("solar", "solar"), ("sat", "sensor")):
        azimuth, zenith = (angles[f"{native}_{kind}_tn"][...] for kind in ("azimuth", "zenith"))
        azimuths, zeniths = pixel_angles(azimuth, zenith, ties, pixels, position)
        geometry |= {f"{name}_azimuth_angle": azimuths, f"{name}_zenith_angle": zeniths}
    return {
        name: xr.Variable(("row", "column"), values.astype(np.float32), described(name))
        for name, values in geometry.items()
    }


def _grid(file: h5py.File) -> dict[str, Any]:
    resolution = file.attrs["resolution"]
    text = resolution.decode() if isinstance(resolution, bytes) else str(resolution)
    return {
        "track_offset": float(file.attrs["track_offset"][0]),
        "step_m": float(re.findall(r"[\d.]+", text)[0]),
    }


def _flag_variables(file: h5py.File) -> dict[str, xr.Variable]:
    """Return the product's own flags of surface and cloud, with their native bits."""
    natives = {"confidence": file["confidence_in"], "cloud_tests": file["cloud_in"]}
    return {
        name: flag_variable(name, native[...], flag_bits(native.attrs))
        for name, native in natives.items()
    }
