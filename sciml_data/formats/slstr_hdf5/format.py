"""Granules of the CloudMask datasets: HDF5 files with nine channels of SLSTR and two cloud masks.

The files have five keys and neither attributes nor documentation. Their content is known from the
converter's source and from published readers (research: cloudmask, section 1.3), so everything is
checked:

    bts      row, column, 3   float    kelvin, S7 to S9
    refs     row, column, 6   float    reflectance, S1 to S6; the converter may have put radiance
    rads     row, column, 6   float    radiance of S1 to S6; read only to detect that slip
    bayes    row, column, 1   uint8    bits of the Bayesian mask; 255 where it was not computed
    summary  row, column, 1   integer  0 or 1

Synthetic files also say where land is: `surface` (row, column, 1) uint8, 0 sea, 1 land.

Every deviation is a problem with its file and key; a descriptor may name kinds that it `tolerates`.

Each native file becomes one ready file, so a scene can be converted, fetched or left out by itself.
Neither 1,070 nor 29,300 files are too many for a folder. A file of 40 MB (7 to 22 MB with gzip) is
large enough to read fast and small enough to convert again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.hdf5_files import open_hdf5
from sciml_data.formats.interface import Native, Shard, one_to_one
from sciml_data.formats.slstr_hdf5.granule import (
    BAYES_BITS,
    COLDEST_K,
    HOTTEST_K,
    NOT_COMPUTED,
    REFLECTIVE,
    SOLAR_IRRADIANCE,
    Granule,
    any_channel,
    flagged,
    parse_granule_name,
    solar_irradiance,
)
from sciml_data.formats.slstr_hdf5.ready import Options, ready_dataset
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".hdf", ".h5", ".hdf5")
CROPPED_SPLIT = "training"  # the split that the option training_crop is about
BANDS = {"bts": 3, "refs": 6, "rads": 6, "bayes": 1, "summary": 1}
DTYPES = {
    "bts": ("float32", "float64"),
    "refs": ("float32", "float64"),
    "rads": ("float32", "float64"),
    "bayes": ("uint8",),
    "summary": ("bool", "uint8", "int8", "int16", "int32", "int64"),
}
NOMINAL_SHAPE = (1200, 1500)  # 180 s of 1 km rows, and the nadir swath
# The granule of 15 March 2017, 11:34, has 1198 rows: its tie points step by 3 km after row 104, so
# two rows are missing there. HDF5 files do not say where; the ready form adds rows at the end.
ROWS_SHORT = 2
SURFACE_KEY = "surface"  # of synthetic files: published files do not say where land is
SHAPE_ATTRIBUTE = "nominal_shape"  # of synthetic files, which may be smaller; real ones have none

MIN_FILLED = 0.5  # share of pixels: unfilled columns are 2.7 % of a real granule
MAX_OUT_OF_RANGE = 0.01  # share of values: a few are flagged, more are another quantity
ROWS_COMPARED = 16  # of refs and rads, spread over the granule
MIN_COMPARED = 100  # lit pixels
MIN_LIGHT = 0.1  # mW m-2 sr-1 nm-1: well above the noise of S1 and S6
COLOUR_TOLERANCE = 0.3  # of a logarithm; noise and interpolation move the median by far less
TOLERABLE = ("unexpected", "bits", "range")
NOT_A_NAME = "is not the name of a Sentinel-3 level-1 granule"


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each native file; no native file is opened.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: files have a wrong name, are in no split, or share a name.
    """
    parse_options(Options, options)
    return one_to_one(native, SUFFIXES, lambda path: "" if parse_granule_name(path) else NOT_A_NAME)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one scene, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has every deviation of the file.
    """
    chosen = parse_options(Options, options)
    (place,) = shard.inputs
    path = native.root / place
    granule, problems = read_granule(path, place, chosen.refs, tolerated_kinds(native.block))
    if granule is None or problems:
        raise NativeFormatError(
            f"{place} deviates from the format",
            problems=problems,
            untouched="nothing was converted",
            hint="a descriptor may name harmless kinds: native.tolerates",
        )
    is_cropped = chosen.training_crop == "reference" and shard.split == CROPPED_SPLIT
    return ready_dataset(granule, chosen, shape=nominal_shape(path), is_cropped=is_cropped)


def header_problems(path: Path, place: str, tolerated: frozenset[str]) -> list[Problem]:
    """Return what is wrong with a file's name, keys, shapes and types, without reading values."""
    problems = []
    if parse_granule_name(place) is None:
        problems.append(Problem("name", place, NOT_A_NAME))
    try:
        with open_hdf5(path, place) as file:
            problems += _key_problems(file, place)
    except NativeFormatError as error:
        problems += error.problems
    return [problem for problem in problems if problem.kind not in tolerated]


def nominal_shape(path: Path) -> tuple[int, int]:
    """Return the rows and columns of a whole granule; a synthetic file has its own."""
    with open_hdf5(path) as file:
        return _nominal(file)


def read_granule(
    path: Path, place: str, quantity: str, tolerated: frozenset[str]
) -> tuple[Granule | None, list[Problem]]:
    """Return a granule, None if it cannot be read, and everything that is wrong with it.

    Args:
        path: of the file.
        place: its native path, for messages.
        quantity: "reflectance" or "radiance", of the key `refs`.
        tolerated: kinds of problems to ignore.
    """
    problems = header_problems(path, place, tolerated)
    name = parse_granule_name(place)
    if problems or name is None:
        return None, problems
    try:
        with open_hdf5(path, place) as file:
            temperature = file["bts"][...].astype(np.float32, copy=False)
            reflectance = file["refs"][...].astype(np.float32)
            bayes = file["bayes"][..., 0]
            summary = file["summary"][..., 0]
            extras = _surface(file)
            problems += _quantity_problems(file, place, quantity)
    except NativeFormatError as error:
        return None, [*problems, *error.problems]
    unfilled = _unfilled(temperature)
    temperature[~(temperature > 0)] = np.nan  # S7 alone is missing where it is out of its range
    temperature[unfilled] = np.nan
    reflectance[unfilled] = np.nan
    problems += temperature_problems(temperature, f"{place}:bts")
    problems += _label_problems(bayes, summary, place)
    problems = [problem for problem in problems if problem.kind not in tolerated]
    if quantity == "radiance":
        irradiance = solar_irradiance(name.start)
        reflectance *= np.array([np.pi / irradiance[band] for band in REFLECTIVE], np.float32)
    known = {"unfilled": unfilled, "summary_cloud": summary == 1}
    flags = flagged(reflectance, temperature, bayes, known)
    return Granule(name, reflectance, temperature, bayes, flags, extras), problems


def _surface(file: Any) -> dict[str, xr.Variable]:
    """Return the surface of a synthetic file; published files have none."""
    import xarray as xr

    if not _is_synthetic(file) or SURFACE_KEY not in file:
        return {}
    attributes = {
        "long_name": "true surface of the synthetic scene",
        "flag_values": np.arange(2, dtype=np.uint8),
        "flag_meanings": "sea land",
    }
    return {SURFACE_KEY: xr.Variable(("row", "column"), file[SURFACE_KEY][..., 0], attributes)}


def _key_problems(file: Any, place: str) -> list[Problem]:
    problems = [
        Problem("unexpected", f"{place}:{key}", "the format has no such key")
        for key in sorted(
            set(file) - set(BANDS) - ({SURFACE_KEY} if _is_synthetic(file) else set())
        )
    ]
    rows, columns = _nominal(file)
    for key, bands in BANDS.items():
        at = f"{place}:{key}"
        if not isinstance(file.get(key), h5py.Dataset):
            problems.append(Problem("missing", at, "the file has no such key"))
            continue
        shape, dtype = file[key].shape, str(file[key].dtype)
        if shape not in {(rows, columns, bands), (rows - ROWS_SHORT, columns, bands)}:
            expected = f"{rows} (or {rows - ROWS_SHORT}) x {columns} x {bands}"
            actual = " x ".join(map(str, shape))
            problems.append(Problem("shape", at, f"{expected} expected, {actual} found"))
        if dtype not in DTYPES[key]:
            expected = " or ".join(DTYPES[key])
            problems.append(Problem("dtype", at, f"{expected} expected, {dtype} found"))
    heights = {key: file[key].shape[0] for key in BANDS if _is_array(file.get(key))}
    if len(set(heights.values())) > 1:
        problems.append(Problem("shape", place, f"the keys differ in rows: {heights}"))
    return problems


def _is_array(value: Any) -> bool:
    return isinstance(value, h5py.Dataset) and value.ndim > 0


def _nominal(file: Any) -> tuple[int, int]:
    if not _is_synthetic(file):
        return NOMINAL_SHAPE
    rows, columns = (int(length) for length in file.attrs[SHAPE_ATTRIBUTE])
    return rows, columns


def _is_synthetic(file: Any) -> bool:
    return bool(file.attrs.get("synthetic", False))


def _unfilled(temperature: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the pixels without any measurement, in any of the ways in which files mark them.

    These are not-a-number, zero or below in all three channels, or the granule's lowest value in
    all three, which earlier loaders put in place of not-a-number. Three, since two channels do
    agree to 0.01 K by chance, though rarely, and S7 alone is missing where it is out of its range.
    """
    known = np.isfinite(temperature) & (temperature > 0)
    least = temperature.min(where=known, initial=np.inf)
    return ~any_channel(known) | ~any_channel(temperature != least)


def temperature_problems(temperature: NDArray[np.float32], place: str) -> list[Problem]:
    """Return a problem if temperatures (row, column, 3) are mostly missing, or not in kelvin."""
    known = np.isfinite(temperature)
    share = float(any_channel(known).mean())
    if share < MIN_FILLED:
        message = f"{MIN_FILLED:.0%} of pixels or more should be filled, {share:.1%} are"
        return [Problem("finite", place, message)]
    with np.errstate(invalid="ignore"):
        out = (temperature < np.float32(COLDEST_K)) | (temperature > np.float32(HOTTEST_K))
    if np.count_nonzero(out & known) > MAX_OUT_OF_RANGE * np.count_nonzero(known):
        low, high = np.quantile(temperature[known], [0.01, 0.99])
        message = f"{COLDEST_K:g} to {HOTTEST_K:g} K expected, mostly {low:g} to {high:g} found"
        return [Problem("range", place, message)]
    return []


def _quantity_problems(file: Any, place: str, expected: str) -> list[Problem]:
    """Return a problem if `refs` is not the expected quantity.

    The ratio of S1 to S6, compared with that of `rads`, decides: radiance has the same ratio,
    reflectance that divided by the ratio of the sun's irradiance, which is 24. Magnitudes do not
    help, since reflectance near the horizon may be any. Without light there is no decision.
    """
    at = f"{place}:refs"
    rows = np.unique(np.linspace(0, len(file["refs"]) - 1, ROWS_COMPARED).astype(int))
    refs, rads = (file[key][rows][..., [0, -1]].reshape(-1, 2) for key in ("refs", "rads"))
    with np.errstate(all="ignore"):
        lit = (rads > MIN_LIGHT).all(-1) & np.isfinite(refs).all(-1) & (refs[:, 1] != 0)
        colour = refs[lit, 0] / refs[lit, 1] * rads[lit, 1] / rads[lit, 0]
    if len(colour) < MIN_COMPARED:
        return []
    ratio = float(np.median(colour))
    of_reflectance = SOLAR_IRRADIANCE["S6"] / SOLAR_IRRADIANCE["S1"]
    actual = "neither reflectance nor radiance"
    for quantity, typical in (("reflectance", of_reflectance), ("radiance", 1.0)):
        if abs(np.log(max(ratio, 1e-9) / typical)) < COLOUR_TOLERANCE:
            actual = quantity
    if actual == expected:
        return []
    message = (
        f"{expected} expected, {actual} found: S1 / S6 is {ratio:.3g} times that of rads; "
        f"reflectance has {of_reflectance:.3g} and radiance 1"
    )
    return [Problem("quantity", at, message)]


def _label_problems(bayes: NDArray[np.uint8], summary: NDArray[Any], place: str) -> list[Problem]:
    problems = []
    spare = np.uint8(NOT_COMPUTED - sum(BAYES_BITS.values()))
    odd_bits = np.count_nonzero((bayes & spare > 0) & (bayes != NOT_COMPUTED))
    if odd_bits:
        message = f"{odd_bits} pixels have spare bits (16 to 128) set and are not 255"
        problems.append(Problem("bits", f"{place}:bayes", message))
    odd = (summary != 0) & (summary != 1)
    if odd.any():
        values = ", ".join(map(str, np.unique(summary)[:5].tolist()))
        problems.append(Problem("values", f"{place}:summary", f"0 and 1 expected, {values} found"))
    return problems


def tolerated_kinds(block: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of deviation that a descriptor's native block accepts."""
    return frozenset(block.get("tolerates", ())) & frozenset(TOLERABLE)
