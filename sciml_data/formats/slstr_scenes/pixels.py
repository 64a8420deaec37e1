"""Variables of a subset that SNAP wrote, and what is derived from them for every product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.hdf5_files import report_damage
from sciml_data.formats.netcdf import open_native
from sciml_data.formats.slstr_hdf5 import REFLECTIVE, THERMAL

CHANNELS = (*REFLECTIVE, *THERMAL)
SURFACES = ("sea", "land", "mixed")
IMAGE_RANK = 2  # rows and columns


@contextmanager
def open_subset(path: Path, place: str, names: Iterable[str]) -> Iterator[xr.Dataset]:
    """Open a NetCDF file with its stored numbers, after a check that it has the named images.

    Args:
        path: of the file.
        place: its native path, for messages.
        names: variables with rows and columns.

    Raises:
        NativeFormatError: the file is damaged, or a variable is missing or has no rows and columns.
    """
    with open_native(path, place) as stored, report_damage(place):
        problems = [
            Problem("missing", f"{place}:{name}", "there is no such variable with rows and columns")
            for name in names
            if name not in stored.variables or stored[name].ndim != IMAGE_RANK
        ]
        if problems:
            raise deviation(place, problems)
        yield stored


def deviation(place: str, problems: list[Problem]) -> NativeFormatError:
    """Return the error for a file that differs from its product's format."""
    return NativeFormatError(
        f"{place} deviates from the format",
        problems=problems,
        untouched="nothing was converted",
        hint="`sciml-data verify` compares the files with the published ones",
    )


def unpacked(variable: xr.DataArray, *, least: int | None = None) -> NDArray[np.float32]:
    """Return packed values as float32, NaN where they are missing.

    Args:
        variable: stored numbers, with `scale_factor`, `add_offset` and `_FillValue`.
        least: stored numbers below this are missing, too.
    """
    stored, about = variable.values, variable.attrs
    values = stored * float(about.get("scale_factor", 1.0)) + float(about.get("add_offset", 0.0))
    missing = stored == about["_FillValue"] if "_FillValue" in about else np.isnan(values)
    if least is not None:
        missing = missing | (stored < least)
    return np.where(missing, np.nan, values).astype(np.float32)


def missing_channels(
    reflectance: NDArray[np.float32], temperature: NDArray[np.float32]
) -> xr.Variable:
    """Return which channels each pixel lacks: (row, column) uint16, a bit for each channel.

    Args:
        reflectance: (row, column, 6), NaN where missing.
        temperature: (row, column, 3), NaN where missing.
    """
    masks = np.array([1 << place for place in range(len(CHANNELS))], np.uint16)
    lacking = np.isnan(np.concatenate([reflectance, temperature], axis=-1))
    attributes = {
        "long_name": "channels without a value",
        "flag_masks": masks,
        "flag_meanings": " ".join(CHANNELS),
    }
    return xr.Variable(
        ("row", "column"), (lacking * masks).sum(axis=-1, dtype=np.uint16), attributes
    )


def slstr_surface(confidence: NDArray[Any], bits: Mapping[str, int]) -> xr.Variable:
    """Return the surface by SLSTR's confidence flags; a coast or a lake is mixed."""
    land, ocean, coast, tide, lake = (
        confidence & bits[word] > 0
        for word in ("land", "ocean", "coastline", "tidal", "inland_water")
    )
    return surface(land=land & ~ocean, mixed=coast | tide | lake | (land == ocean))


def surface(*, land: NDArray[np.bool_], mixed: NDArray[np.bool_]) -> xr.Variable:
    """Return the surface of each pixel: (row, column) uint8, 0 sea, 1 land, 2 mixed."""
    attributes = {
        "long_name": "surface by the flags of the product",
        "flag_values": np.arange(len(SURFACES), dtype=np.uint8),
        "flag_meanings": " ".join(SURFACES),
    }
    values = np.where(mixed, 2, land).astype(np.uint8)
    return xr.Variable(("row", "column"), values, attributes)
