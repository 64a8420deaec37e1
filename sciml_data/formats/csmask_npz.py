"""Chips of optical satellites with reference masks of cloud and shadow: an npz file each.

These are the test images of DLR's ukis-csmask:

    img   row, column, 6   float32   reflectance at the top of the atmosphere: blue, green, red,
                                     near infrared, 1.6 um, 2.2 um; about 30 m
    msk   row, column, 1   uint8     0 cloud shadow, 4 cloud, 1 to 3 neither

Upstream's test makes cloud, shadow and the rest of these numbers (`tests/test_mask.py`:
`reclassify` of 0 to 4 into 2, 0, 0, 0, 1), and so does `cloud` of the ready form. Upstream does not
name 1 to 3.

An npz file comes from the network: the type and size of an array are checked before it is made, and
nothing is unpickled.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.cbed_npz import BROKEN, HEADER_READERS
from sciml_data.formats.interface import Native, Shard, max_content_bytes, one_to_one
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".npz",)
BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
CLASSES = ("shadow", "class_1", "class_2", "class_3", "cloud")
CLOUD = np.array([2, 0, 0, 0, 1], np.uint8)  # by class: 0 clear, 1 cloud, 2 shadow
ARRAYS = {"img": ("float32", len(BANDS)), "msk": ("uint8", 1)}  # type, and length of the last axis
IMAGE_RANK = 3
PATCH = 256  # rows and columns of a chunk
PIXELS = ("chip", "row", "column")
COMPRESSION_LEVEL = 4


@dataclass(frozen=True)
class Options:
    """Options of the conversion of chips."""

    compression: str = option(
        "none", "of the ready files; gzip makes them smaller", choices=("none", "gzip")
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each chip; no native file is opened.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: files have another suffix, are in no split, or share a name.
    """
    parse_options(Options, options)
    return one_to_one(native, SUFFIXES)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one chip, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` says what is wrong with the file.
    """
    chosen = parse_options(Options, options)
    (place,) = shard.inputs
    image, mask = _read_chip(native.root / place, place)
    return _dataset(image, mask[..., 0], PurePosixPath(place).stem, chosen)


def _dataset(
    image: NDArray[np.float32], mask: NDArray[np.uint8], sensor: str, options: Options
) -> xr.Dataset:
    """Return a chip: image (row, column, band), mask (row, column)."""
    import xarray as xr

    reflectance = {"long_name": "reflectance at the top of the atmosphere", "units": "1"}
    dataset = xr.Dataset(
        {
            "reflectance": ((*PIXELS, "band"), image[np.newaxis], reflectance),
            "cloud": (PIXELS, CLOUD[mask][np.newaxis], _flags("clear cloud shadow", "label")),
            "mask": (PIXELS, mask[np.newaxis], _flags(" ".join(CLASSES), "mask as published")),
            "sensor": (("chip",), np.array([sensor], "S"), {"long_name": "satellite"}),
        },
        coords={"band": (("band",), np.array(BANDS, "S"), {"long_name": "spectral band"})},
        attrs={"Conventions": "CF-1.11", "shard_dimension": "chip"},
    )
    for variable in dataset.variables.values():
        variable.encoding = {"_FillValue": None}
        if variable.dims[:3] == PIXELS:
            patch = [min(PATCH, length) for length in mask.shape]
            variable.encoding["chunksizes"] = (1, *patch, *variable.shape[3:])
            if options.compression == "gzip":
                variable.encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return dataset


def _flags(words: str, long_name: str) -> dict[str, Any]:
    values = np.arange(len(words.split()), dtype=np.uint8)
    return {"long_name": long_name, "flag_values": values, "flag_meanings": words}


def _read_chip(path: Path, place: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return image (row, column, 6) and mask (row, column, 1) of a file."""
    limit = max_content_bytes(path.stat().st_size)
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {key: _array(archive, key, limit, place) for key in ARRAYS}
    except (*BROKEN, NotImplementedError) as error:
        arrays = {"file": Problem("unreadable", place, f"cannot be read as npz: {error}")}
    problems = [value for value in arrays.values() if isinstance(value, Problem)]
    if not problems:
        problems = _value_problems(arrays["img"], arrays["msk"], place)
    if problems:
        raise NativeFormatError(
            f"{place} deviates from the format",
            problems=problems,
            untouched="nothing was converted",
            hint="`sciml-data verify` compares the files with the published ones",
        )
    return arrays["img"], arrays["msk"]


def _value_problems(image: Any, mask: Any, place: str) -> list[Problem]:
    problems = []
    if image.shape[:2] != mask.shape[:2]:
        message = f"img has {image.shape[:2]} pixels, msk {mask.shape[:2]}"
        problems.append(Problem("shape", place, message))
    if mask.size and mask.max() >= len(CLASSES):
        message = f"msk: 0 to {len(CLASSES) - 1} expected, {mask.max()} found"
        problems.append(Problem("values", place, message))
    if not np.isfinite(image).all():
        problems.append(Problem("finite", place, "img has values that are not numbers"))
    return problems


def _array(archive: zipfile.ZipFile, key: str, limit: int, place: str) -> Any:
    """Return an array, or the problem with it; its header is checked before anything is made."""
    name = f"{key}.npy"
    if archive.namelist().count(name) != 1:
        message = f"one array {key!r} expected; the file has {', '.join(archive.namelist()[:5])}"
        return Problem("missing", place, message)
    size_bytes = archive.getinfo(name).file_size
    if size_bytes > limit:
        return Problem(
            "size", place, f"{key} declares {size_bytes} bytes, {limit} at most are read"
        )
    with archive.open(name) as member:
        content = member.read(size_bytes)  # a number: no more than that is inflated
        member.read(1)  # at the end of a member zipfile compares its checksum
    stream = io.BytesIO(content)
    read_header = HEADER_READERS.get(np.lib.format.read_magic(stream))
    if read_header is None:
        return Problem("unreadable", place, f"{key} is of an unknown version of npy")
    shape, is_fortran, dtype = read_header(stream)
    wanted, bands = ARRAYS[key]
    if str(dtype) != wanted or len(shape) != IMAGE_RANK or shape[-1] != bands:
        expected = f"rows x columns x {bands} of {wanted}"
        return Problem("shape", place, f"{key}: {expected} expected, {shape} of {dtype} found")
    values = content[stream.tell() :]
    if len(values) != int(np.prod(shape)) * dtype.itemsize:
        return Problem("unreadable", place, f"{key} has {len(values)} bytes for {shape} of {dtype}")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if is_fortran else "C")
