"""Hold an HDF5 granule of the CloudMask datasets against its schema, and read it.

The files have five keys and neither attributes nor documentation; what they hold is known from the
converter's source and from readers (research: cloudmask, section 1.3), so everything is checked:

    bts      row, column, 3   float    kelvin, S7 to S9
    refs     row, column, 6   float    reflectance, S1 to S6; the converter may have put radiance
    rads     row, column, 6   float    radiance of S1 to S6; not read but to tell that slip
    bayes    row, column, 1   uint8    bits of the Bayesian mask; 255 where it was not computed
    summary  row, column, 1   integer  0 or 1

Every deviation is a problem with its file and key. A descriptor may name kinds it `tolerates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.slstr_hdf5.channels import REFLECTIVE, SOLAR_IRRADIANCE
from sciml_data.formats.slstr_hdf5.granule import (
    COLDEST_K,
    HOTTEST_K,
    Granule,
    any_channel,
    flagged,
)
from sciml_data.formats.slstr_hdf5.granule_name import parse_granule_name
from sciml_data.formats.slstr_hdf5.options import BAYES_BITS, NOT_COMPUTED, Options

BANDS = {"bts": 3, "refs": 6, "rads": 6, "bayes": 1, "summary": 1}
DTYPES = {
    "bts": ("float32", "float64"),
    "refs": ("float32", "float64"),
    "rads": ("float32", "float64"),
    "bayes": ("uint8",),
    "summary": ("bool", "uint8", "int8", "int16", "int32", "int64"),
}
NOMINAL_SHAPE = (1200, 1500)  # 180 s of 1 km rows, and the nadir swath
# The granule of 15 March 2017, 11:34, has 1198 rows: its ties step by 3 km after row 104, where two
# are missing. The HDF5 files do not say where; the ready form adds them at the end.
ROWS_SHORT = 2
SHAPE_ATTRIBUTE = "nominal_shape"  # of synthetic files, which may be smaller; real ones have none

LEAST_FILLED = 0.5  # of pixels in range: unfilled columns are 2.7 % in a real granule
MOST_OUT_OF_RANGE = 0.01  # of known values: single ones are flagged, more is another quantity
ROWS_COMPARED = 16  # of refs and rads, spread over the granule
LEAST_COMPARED = 100  # lit pixels
LEAST_LIGHT = 0.1  # mW m-2 sr-1 nm-1: well above the noise of S1 and S6
COLOUR_TOLERANCE = 0.3  # of a logarithm; noise and interpolation move the median by far less
TOLERABLE = ("unexpected", "bits", "range")


def header_problems(path: Path, place: str, tolerated: frozenset[str]) -> list[Problem]:
    """Return what is wrong with a file's name, keys, shapes and types, without reading values."""
    problems = []
    if parse_granule_name(place) is None:
        problems.append(Problem("name", place, "is no name of a Sentinel-3 level-1 granule"))
    try:
        with h5py.File(path, "r") as file:
            problems += _key_problems(file, place)
    except OSError as error:
        problems.append(Problem("unreadable", place, f"cannot be opened as HDF5: {error}"))
    return [problem for problem in problems if problem.kind not in tolerated]


def nominal_shape(path: Path) -> tuple[int, int]:
    """Return the rows and columns that a whole granule has; a synthetic file says its own."""
    with h5py.File(path, "r") as file:
        return _nominal(file)


def read_granule(
    path: Path, place: str, options: Options, tolerated: frozenset[str]
) -> tuple[Granule | None, list[Problem]]:
    """Return a granule, None where it cannot be read, and everything that is wrong with it."""
    problems = header_problems(path, place, tolerated)
    name = parse_granule_name(place)
    if problems or name is None:
        return None, problems
    with h5py.File(path, "r") as file:
        temperature = file["bts"][...].astype(np.float32, copy=False)
        reflectance = file["refs"][...].astype(np.float32)
        bayes = file["bayes"][..., 0]
        summary = file["summary"][..., 0]
        problems += _quantity_problems(file, place, options)
    unfilled = _unfilled(temperature)
    temperature[unfilled] = np.nan
    reflectance[unfilled] = np.nan
    problems += temperature_problems(temperature, f"{place}:bts")
    problems += _label_problems(bayes, summary, place)
    problems = [problem for problem in problems if problem.kind not in tolerated]
    if options.refs == "radiance":
        reflectance *= np.array([np.pi / SOLAR_IRRADIANCE[b] for b in REFLECTIVE], np.float32)
    said = {"unfilled": unfilled, "summary_cloud": summary == 1}
    flags = flagged(reflectance, temperature, bayes, said)
    return Granule(name, reflectance, temperature, bayes, flags), problems


def _key_problems(file: Any, place: str) -> list[Problem]:
    problems = [
        Problem("unexpected", f"{place}:{key}", "the format has no such key")
        for key in sorted(set(file) - set(BANDS))
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
            found = " x ".join(map(str, shape))
            problems.append(Problem("shape", at, f"{expected} expected, {found} found"))
        if dtype not in DTYPES[key]:
            expected = " or ".join(DTYPES[key])
            problems.append(Problem("dtype", at, f"{expected} expected, {dtype} found"))
    heights = {key: file[key].shape[0] for key in BANDS if _is_array(file.get(key))}
    if len(set(heights.values())) > 1:
        problems.append(Problem("shape", place, f"the keys differ in rows: {heights}"))
    return problems


def _is_array(found: Any) -> bool:
    return isinstance(found, h5py.Dataset) and found.ndim > 0


def _nominal(file: Any) -> tuple[int, int]:
    if not file.attrs.get("synthetic", False):
        return NOMINAL_SHAPE
    rows, columns = (int(length) for length in file.attrs[SHAPE_ATTRIBUTE])
    return rows, columns


def _unfilled(temperature: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the pixels that no measurement fell on, under any of the ways they may be written.

    Not a number, zero or below, or the granule's least value in all three channels at once (what
    earlier loaders put in place of not-a-number): two channels alone rarely agree to 0.01 K.
    """
    known = np.isfinite(temperature) & (temperature > 0)
    least = temperature.min(where=known, initial=np.inf)
    return any_channel(~known) | ~any_channel(temperature != least)


def temperature_problems(temperature: NDArray[np.float32], place: str) -> list[Problem]:
    """Return a problem where temperatures (row, column, 3) are mostly missing or no kelvin."""
    known = np.isfinite(temperature)
    share = 1 - float(any_channel(~known).mean())
    if share < LEAST_FILLED:
        message = f"{LEAST_FILLED:.0%} of pixels or more should be filled, {share:.1%} are"
        return [Problem("finite", place, message)]
    with np.errstate(invalid="ignore"):
        out = (temperature < np.float32(COLDEST_K)) | (temperature > np.float32(HOTTEST_K))
    if np.count_nonzero(out & known) > MOST_OUT_OF_RANGE * np.count_nonzero(known):
        low, high = np.quantile(temperature[known], [0.01, 0.99])
        message = f"{COLDEST_K:g} to {HOTTEST_K:g} K expected, mostly {low:g} to {high:g} found"
        return [Problem("range", place, message)]
    return []


def _quantity_problems(file: Any, place: str, options: Options) -> list[Problem]:
    """Return a problem where `refs` is not the quantity that the options say.

    `rads` tells, by the colour of light: reflectance has radiance's ratio of S1 to S6 but for that
    of the sun's irradiance, 24; radiance has the same ratio. No size is looked at, for near the
    horizon reflectance has none. Where there is no light nothing is told.
    """
    at = f"{place}:refs"
    rows = np.unique(np.linspace(0, len(file["refs"]) - 1, ROWS_COMPARED).astype(int))
    refs, rads = (file[key][rows][..., [0, -1]].reshape(-1, 2) for key in ("refs", "rads"))
    with np.errstate(all="ignore"):
        lit = (rads > LEAST_LIGHT).all(-1) & np.isfinite(refs).all(-1) & (refs[:, 1] != 0)
        colour = refs[lit, 0] / refs[lit, 1] * rads[lit, 1] / rads[lit, 0]
    if len(colour) < LEAST_COMPARED:
        return []
    ratio = float(np.median(colour))
    of_reflectance = SOLAR_IRRADIANCE["S6"] / SOLAR_IRRADIANCE["S1"]
    found = "neither reflectance nor radiance"
    for quantity, expected in (("reflectance", of_reflectance), ("radiance", 1.0)):
        if abs(np.log(max(ratio, 1e-9) / expected)) < COLOUR_TOLERANCE:
            found = quantity
    if found == options.refs:
        return []
    message = (
        f"{options.refs} expected, {found} found: S1 / S6 is {ratio:.3g} times that of rads, where "
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
        found = ", ".join(map(str, np.unique(summary)[:5].tolist()))
        problems.append(Problem("values", f"{place}:summary", f"0 and 1 expected, {found} found"))
    return problems


def tolerated_kinds(block: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of deviation that a descriptor's native block accepts."""
    return frozenset(block.get("tolerates", ())) & frozenset(TOLERABLE)
