"""One SLSTR granule in memory, from any native format: name, channels, cloud mask, flags.

A missing value is not-a-number here and a flag says why. No fill value of a native file gets past
this form.

Names follow Sentinel-3's file naming (GMES-S3GS-EOPG-TN-09-0009; ESA, SLSTR user guide, "Naming
Convention") for the type `SL_1_RBT___` in frames. The CloudMask files have the same names, with the
extension `.hdf` instead of `.SEN3`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

# The nine channels, nadir view.
REFLECTIVE = ("S1", "S2", "S3", "S4", "S5", "S6")
THERMAL = ("S7", "S8", "S9")

# Band centres in micrometres (ESA, SLSTR user guide, "Radiometric Resolution", table 1).
CENTRE_UM = {
    "S1": 0.555,
    "S2": 0.659,
    "S3": 0.865,
    "S4": 1.375,
    "S5": 1.61,
    "S6": 2.25,
    "S7": 3.74,
    "S8": 10.85,
    "S9": 12.0,
}

# Solar irradiance in the band, mW m-2 nm-1, at 15 March 2017: viscal.nc of the level-1 granule
# S3A_SL_1_RBT____20170315T113420 (variables S1_solar_irradiances to S6_, mean of the detectors).
# `solar_irradiance` scales it to other days.
SOLAR_IRRADIANCE = {
    "S1": 1859.03,
    "S2": 1538.28,
    "S3": 968.238,
    "S4": 370.099,
    "S5": 248.224,
    "S6": 78.3506,
}
SOLAR_IRRADIANCE_TIME = datetime(2017, 3, 15, 11, 34, 20)  # noqa: DTZ001 - UTC, as in the names

# How the level-1 product itself stores brightness temperature (S7_BT_in of the same granule):
# packing with these loses nothing. The reflectance's step has no such origin: the native values
# were interpolated from 0.5 km. 5e-5 is a fifth of the noise at 0.5 % albedo and signal-to-noise
# 20, which is what was required of the instrument (Coppo et al. 2010, J. Mod. Opt. 57, 1815, doi
# 10.1080/09500340.2010.503010), and the range reaches from -0.138 to 3.138.
BRIGHTNESS_TEMPERATURE_STEP_K = 0.01
BRIGHTNESS_TEMPERATURE_OFFSET_K = 283.73
REFLECTANCE_STEP = 5e-5
REFLECTANCE_OFFSET = 1.5
PACKED_FILL = -32768
PACKED_MAX = 32767

# Colder than any cloud top, hotter than any ground a thermal channel can follow (they saturate
# near 320 K: ESA, SLSTR user guide, "Radiometric Resolution").
COLDEST_K, HOTTEST_K = 150.0, 350.0
# The ranges that the packing holds in 16 bits.
BRIGHTNESS_TEMPERATURE_RANGE = (
    BRIGHTNESS_TEMPERATURE_OFFSET_K - PACKED_MAX * BRIGHTNESS_TEMPERATURE_STEP_K,
    BRIGHTNESS_TEMPERATURE_OFFSET_K + PACKED_MAX * BRIGHTNESS_TEMPERATURE_STEP_K,
)
REFLECTANCE_RANGE = (
    REFLECTANCE_OFFSET - PACKED_MAX * REFLECTANCE_STEP,
    REFLECTANCE_OFFSET + PACKED_MAX * REFLECTANCE_STEP,
)
# Air alone scatters 3 % and more of green light under any sun (Rayleigh optical depth 0.094 at 555
# nm, Hansen and Travis 1974, Space Sci. Rev. 16, 527, eq. 2.30): a pixel with less in S1 is
# not lit.
MIN_LIT_S1 = 0.02

# Bits of bayes_in, as the level-1 product names them (flag_meanings of flags_in.nc); 16 to 128 are
# spare.
BAYES_BITS = {"single_low": 1, "single_moderate": 2, "dual_low": 4, "dual_moderate": 8}
NOT_COMPUTED = 255  # bayes_in of a pixel without a mask; the files declare no _FillValue

# Flags of a pixel, with their bits; by default the last three do not exclude it.
FLAGS = {
    "not_computed": 1,
    "unfilled": 2,
    "padded": 4,
    "cosmetic": 8,
    "duplicate": 16,
    "beyond_range": 32,
    "reflectance_missing": 64,
    "unlit": 128,
    "summary_cloud": 256,
}
EXCLUDED_BY_DEFAULT = (
    "not_computed",
    "unfilled",
    "padded",
    "cosmetic",
    "duplicate",
    "beyond_range",
)

PLATFORMS = ("S3A", "S3B", "S3C", "S3D")
ORBITS_PER_CYCLE = 385  # of 27 days: Sentinel-3's repeat cycle (ESA, SLSTR user guide, "Coverage")
TIME = "%Y%m%dT%H%M%S"
NAME = re.compile(
    r"(?P<platform>S3[A-D])_SL_1_RBT____"
    r"(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<created>\d{8}T\d{6})_"
    r"(?P<duration>\d{4})_(?P<cycle>\d{3})_(?P<relative_orbit>\d{3})_(?P<frame>\d{4}|____)_"
    r"(?P<centre>[A-Z0-9]{3})_(?P<mode>[A-Z])_(?P<timeliness>N[RT]|ST)_(?P<baseline>\d{3})"
)


@dataclass(frozen=True)
class GranuleName:
    """The parts of a granule's name.

    Attributes:
        platform: "S3A" or one of its sisters.
        start: of the granule, UTC, whole seconds; so are `stop` and `created`.
        stop: end of the granule.
        created: time of processing.
        duration_s: length of the granule.
        cycle: number of the 27-day cycle.
        relative_orbit: orbit in the cycle, 1 to 385.
        frame: seconds from the ascending node to the start, None if the name has none. Checked
            with one granule: it starts at 11:34:20, its node is at 11:10:21, its frame is 1439.
        origin: centre, mode, timeliness and processing baseline, as in the name.
    """

    platform: str
    start: datetime
    stop: datetime
    created: datetime
    duration_s: int
    cycle: int
    relative_orbit: int
    frame: int | None
    origin: str

    @property
    def platforms(self) -> tuple[str, ...]:
        """Return the satellites that the ready form numbers, in order."""
        return PLATFORMS

    @property
    def source(self) -> str:
        """Return instrument and product in words."""
        return f"Sentinel-3 SLSTR level 1, {self.stem}"

    @property
    def orbit(self) -> int:
        """Return the running number of the orbit; granules of one orbit and platform share it."""
        return (self.cycle - 1) * ORBITS_PER_CYCLE + self.relative_orbit

    @property
    def stem(self) -> str:
        """Return the name without its extension."""
        frame = "____" if self.frame is None else f"{self.frame:04d}"
        times = "_".join(f"{time:{TIME}}" for time in (self.start, self.stop, self.created))
        orbit = f"{self.duration_s:04d}_{self.cycle:03d}_{self.relative_orbit:03d}_{frame}"
        return f"{self.platform}_SL_1_RBT____{times}_{orbit}_{self.origin}"


@dataclass(frozen=True)
class Granule:
    """One granule.

    Attributes:
        name: the parts of its file name.
        reflectance: (row, column, reflective_band=6) float32, 1, NaN where missing.
        brightness_temperature: (row, column, thermal_band=3) float32, kelvin, NaN where missing.
        bayes: (row, column) uint8, bits of the Bayesian mask, 255 where not computed.
        flags: (row, column) uint16, see `FLAGS`.
        extras: further variables of the format on (row, column), with attributes.
    """

    name: GranuleName
    reflectance: NDArray[np.float32]
    brightness_temperature: NDArray[np.float32]
    bayes: NDArray[np.uint8]
    flags: NDArray[np.uint16]
    extras: Mapping[str, xr.Variable] = field(default_factory=dict)


def sun_distance(time: datetime) -> float:
    """Return the distance of the sun in astronomical units.

    Low-precision formula of the Astronomical Almanac (page C5), good to 0.0001.

    Args:
        time: UTC.
    """
    days = (time - datetime(2000, 1, 1, 12)) / timedelta(days=1)  # noqa: DTZ001 - UTC
    anomaly = math.radians(357.528 + 0.9856003 * days)
    return 1.00014 - 0.01671 * math.cos(anomaly) - 0.00014 * math.cos(2 * anomaly)


def solar_irradiance(time: datetime) -> dict[str, float]:
    """Return the solar irradiance of S1 to S6 at the distance of a day, mW m-2 nm-1.

    Over a year it varies from -4.3 % (July) to +2.3 % (January) of `SOLAR_IRRADIANCE`.

    Args:
        time: UTC.
    """
    scale = (sun_distance(SOLAR_IRRADIANCE_TIME) / sun_distance(time)) ** 2
    return {channel: value * scale for channel, value in SOLAR_IRRADIANCE.items()}


def parse_granule_name(path: str) -> GranuleName | None:
    """Return the parts of the name at the end of a path, None if it is not a granule's name."""
    match = NAME.fullmatch(PurePosixPath(path).stem)
    if match is None:
        return None
    try:
        start, stop, created = (_time(match[key]) for key in ("start", "stop", "created"))
    except ValueError:
        return None
    origin = "_".join(match[key] for key in ("centre", "mode", "timeliness", "baseline"))
    return GranuleName(
        platform=match["platform"],
        start=start,
        stop=stop,
        created=created,
        duration_s=int(match["duration"]),
        cycle=int(match["cycle"]),
        relative_orbit=int(match["relative_orbit"]),
        frame=None if match["frame"] == "____" else int(match["frame"]),
        origin=origin,
    )


def flagged(
    reflectance: NDArray[np.float32],
    brightness_temperature: NDArray[np.float32],
    bayes: NDArray[np.uint8],
    known: Mapping[str, NDArray[np.bool_]],
) -> NDArray[np.uint16]:
    """Return the flags of each pixel: (row, column) uint16, bits of `FLAGS`.

    Args:
        reflectance: as in `Granule`.
        brightness_temperature: as in `Granule`.
        bayes: as in `Granule`.
        known: (row, column) bool, what the file says, by the name of the flag; it overrides what
            the values show.
    """
    first = reflectance[..., 0]
    with np.errstate(invalid="ignore"):
        observed = {
            "not_computed": bayes == NOT_COMPUTED,
            "unfilled": ~any_channel(np.isfinite(brightness_temperature)),
            "beyond_range": _beyond(brightness_temperature, COLDEST_K, HOTTEST_K)
            | _beyond(reflectance, *REFLECTANCE_RANGE),
            "reflectance_missing": any_channel(np.isnan(reflectance)),
            "unlit": ~(first > MIN_LIT_S1),
        }
    flags = np.zeros(bayes.shape, np.uint16)
    for name, where in {**observed, **known}.items():
        flags |= where * np.uint16(FLAGS[name])
    return flags


def any_channel(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels with any channel true: (row, column, channel) to (row, column).

    One channel after the other is three times as fast as `any` along so short an axis.
    """
    any_true = where[..., 0].copy()
    for channel in range(1, where.shape[-1]):
        any_true |= where[..., channel]
    return any_true


def _beyond(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.bool_]:
    """Return the pixels with a channel beyond its range; missing values are not beyond."""
    return any_channel((values < np.float32(low)) | (values > np.float32(high)))


def _time(text: str) -> datetime:
    return datetime.strptime(text, TIME)  # noqa: DTZ007 - UTC by the convention, and kept plain
