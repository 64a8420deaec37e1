"""Synthetic earthquake catalogue: yearly files of SCEDC, an ANSS list, or a ComCat event list.

The model is ETAS, epidemic-type aftershock sequences (Ogata 1988, J. Am. Stat. Assoc. 83, 9-27; in
space Ogata 1998, Ann. Inst. Stat. Math. 50, 379-402). There is a steady background on lines near
the large faults. Each earthquake triggers aftershocks, which trigger their own. The simulation is a
branching process, generation by generation. No event is an observation. There are no settings.

For a dataset of ANSS lists, the same earthquakes are stretched to the grid of the dataset. Their
magnitudes grow with it: by the scaling law below, ruptures of an earthquake 1.7 magnitudes larger
are ten times as long, and those pixels are five times as wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.earthquake import SOUTHERN_CALIFORNIA, Grid

FIRST_DAY, END_DAY = np.datetime64("1950-01-01"), np.datetime64("2026-08-08")
WARM_UP_DAYS = 3650  # simulated before 1950, so that its aftershocks are in the first years
REGION = (32.0, 37.0, -122.0, -114.0)  # degrees: south, north, west, east of SCEDC's files

# Gutenberg and Richter (1944): b = 1. The minimum keeps the sample small; the maximum is near the
# largest known earthquake of the region (1857, about 7.9).
B_VALUE, MIN_MAGNITUDE, MAX_MAGNITUDE = 1.0, 2.3, 7.8
# Aftershock rate PRODUCTIVITY * 10^(m - minimum) * (t + C_DAYS)^-P per day, with the generic
# Californian values that Felzer et al. (2002, JGR 107, 2190) and Hardebeck et al. (2008, JGR 113,
# B08310) use.
PRODUCTIVITY, C_DAYS, P = 0.008, 0.095, 1.34
# The density of aftershocks falls as r^-1.37 between 0.2 and 50 km (Felzer and Brodsky 2006, Nature
# 441, 735-738) from a random place on the rupture, which is 10^(0.59 m - 2.44) km long (Wells and
# Coppersmith 1994, BSSA 84).
DECAY, NEAREST_KM, FARTHEST_KM = 1.37, 0.2, 50.0
LENGTH_SLOPE, LENGTH_OFFSET = 0.59, -2.44
# Chosen so that M >= 3.29 is as frequent as in the real catalogue: 118 a year (seeds 0-7: 123).
BACKGROUND_PER_YEAR = 450.0
FAULT_SCATTER_KM = 4.0
DEPTH_KM, DEPTH_SCATTER_KM, DEEPEST_KM = 8.0, 3.0, 20.0
KM_PER_DEGREE = 111.2
# Of the ANSS list of tevolop_japan: its period, and what is added to the smallest magnitude to get
# that of the list, 4.0.
ANSS_DAYS = np.datetime64("1961-02-12"), np.datetime64("2016-11-07")
ANSS_LARGER = 1.7
FIRST_NUMBER = 90_000_001  # larger than any number of the network

# Share of the background of each line, and longitude and latitude of points on it (drawn by hand).
FAULTS: tuple[tuple[float, tuple[tuple[float, float], ...]], ...] = (
    (0.18, ((-120.4, 35.9), (-119.4, 34.9), (-118.0, 34.5), (-116.9, 34.0), (-115.7, 33.3))),
    (0.22, ((-117.5, 34.2), (-116.7, 33.6), (-116.0, 33.0), (-115.6, 32.6))),
    (0.10, ((-117.6, 33.9), (-116.8, 33.2), (-116.0, 32.7))),
    (0.16, ((-115.8, 33.3), (-115.4, 32.7), (-115.1, 32.2))),
    (0.14, ((-116.4, 34.0), (-116.5, 34.6), (-116.9, 35.2))),
    (0.12, ((-117.7, 35.5), (-117.9, 36.1), (-118.1, 36.8))),
    (0.05, ((-118.9, 34.9), (-117.8, 35.4), (-116.6, 35.6))),
    (0.03, ((-119.8, 34.4), (-118.6, 34.3), (-118.0, 34.0))),
)

COMCAT_HEADER = "time,latitude,longitude,depth,mag,magType,net,id,updated,place,type,status\n"
HEADER = """\
###############################################################################
# SYNTHETIC: an ETAS simulation made by sciml-data (seed {seed}), year {year}.
# No line of this file is an observation. It has the layout of the yearly
# SCEDC-format files of the Southern California Earthquake Data Center.
###############################################################################
#YYY/MM/DD HH:mm:SS.ss ET GT MAG  M    LAT     LON     DEPTH Q  EVID     NPH NGRM
"""


@dataclass(frozen=True)
class Quakes:
    """Simulated events as columns, each (event,) float64.

    Attributes:
        day: days since FIRST_DAY.
        latitude: degrees north.
        longitude: degrees east.
        depth: km.
        magnitude: not rounded.
        strike: direction of the fault in radians from east; aftershocks have that of their parent.
    """

    day: NDArray[np.float64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    depth: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    strike: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.day)

    def take(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> Quakes:
        """Return a selection of the events, by mask or indices."""
        return Quakes(*(getattr(self, field.name)[index] for field in fields(self)))


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write native files; the same seed gives the same bytes.

    Args:
        root: folder of the native files.
        block: `sciml.native`. If its first part has the format `anss` or `comcat`, the list of
            that part is written, else `scedc/YYYY.catalog` for 1950 to 2026-08-07.
        seed: of the simulation.
    """
    quakes = simulate(seed)
    time = FIRST_DAY.astype("M8[ms]") + (quakes.day * 8_640_000).astype(np.int64) * 10
    part: Mapping[str, Any] = next(iter(block.get("parts", ())), {})
    if part.get("format") == "anss":
        path = root / part["files"]
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _anss_text(quakes, time, Grid(**block.get("grid", {})))
        path.write_text(text, encoding="ascii", newline="\n")
        return
    if part.get("format") == "comcat":
        path = root / part["files"].replace("*", f"{FIRST_DAY}_{END_DAY}")
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _comcat_text(quakes, time)
        path.write_text(text, encoding="ascii", newline="\n")
        return
    folder = root / "scedc"
    folder.mkdir(parents=True, exist_ok=True)
    years = time.astype("M8[Y]").astype(np.int64) + 1970
    lines = _lines(quakes, time, np.random.default_rng([seed, 1]))
    for year in np.unique(years).tolist():
        first, last = np.searchsorted(years, [year, year + 1])
        rows = lines[first:last]
        text = HEADER.format(seed=seed, year=year) + "".join(rows)
        text += f"\n### Number of rows returned:{len(rows)} \n"
        (folder / f"{year}.catalog").write_text(text, encoding="ascii", newline="\n")


def simulate(seed: int) -> Quakes:
    """Return the catalogue of a seed within region and period, ordered by time."""
    random = np.random.default_rng(seed)
    period = float((END_DAY - FIRST_DAY).astype(np.int64))
    generation = _background(random, period)
    generations = []
    while len(generation):
        generations.append(generation)
        generation = _aftershocks(random, generation, period)
    names = [field.name for field in fields(Quakes)]
    together = Quakes(
        *(np.concatenate([getattr(events, name) for events in generations]) for name in names)
    )
    south, north, west, east = REGION
    inside = together.day >= 0
    inside &= (together.latitude >= south) & (together.latitude < north)
    inside &= (together.longitude >= west) & (together.longitude < east)
    together = together.take(inside)
    return together.take(np.argsort(together.day, kind="stable"))


def _background(random: np.random.Generator, period: float) -> Quakes:
    """Return the background events, uniform in time and along the lines, with some scatter."""
    days = period + WARM_UP_DAYS
    number = int(random.poisson(BACKGROUND_PER_YEAR * days / 365.25))
    segments, shares = _segments()
    chosen = segments[random.choice(len(segments), number, p=shares)]
    place = chosen[:, 0] + random.uniform(size=(number, 1)) * (chosen[:, 1] - chosen[:, 0])
    north, east = random.normal(0, FAULT_SCATTER_KM, (2, number))
    along = chosen[:, 1] - chosen[:, 0]
    cosine = np.cos(np.radians(place[:, 1]))
    return Quakes(
        day=random.uniform(-WARM_UP_DAYS, period, number),
        latitude=place[:, 1] + north / KM_PER_DEGREE,
        longitude=place[:, 0] + east / KM_PER_DEGREE / cosine,
        depth=random.normal(DEPTH_KM, DEPTH_SCATTER_KM, number).clip(0.1, DEEPEST_KM),
        magnitude=_magnitudes(random, number),
        strike=np.arctan2(along[:, 1], along[:, 0] * cosine),
    )


def _segments() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return all segments of the lines, and the share of the background of each.

    Returns:
        (segment, end, longitude and latitude) in degrees, and (segment,).
    """
    segments, shares = [], []
    for share, points in FAULTS:
        pairs = np.array(list(pairwise(points)))
        lengths = np.hypot(*(pairs[:, 1] - pairs[:, 0]).T)
        segments.append(pairs)
        shares.append(share * lengths / lengths.sum())
    together = np.concatenate(shares)
    return np.concatenate(segments), together / together.sum()


def _aftershocks(random: np.random.Generator, parents: Quakes, period: float) -> Quakes:
    """Return the direct aftershocks of events before the end of the period.

    Args:
        random: source of all numbers.
        parents: events.
        period: days from FIRST_DAY to the end.
    """
    rate = PRODUCTIVITY * 10 ** (parents.magnitude - MIN_MAGNITUDE)
    parent = np.repeat(np.arange(len(parents)), random.poisson(rate * C_DAYS ** (1 - P) / (P - 1)))
    number = len(parent)
    # Inverse of the cumulative Omori-Utsu law.
    wait = C_DAYS * (random.uniform(size=number) ** (1 / (1 - P)) - 1)
    distance = _distances(random, number)
    length = 10 ** (LENGTH_SLOPE * parents.magnitude + LENGTH_OFFSET)
    along = random.uniform(-0.5, 0.5, number) * length[parent]
    angle = random.uniform(0, 2 * np.pi, number)
    strike = parents.strike[parent]
    north = along * np.sin(strike) + distance * np.sin(angle)
    east = along * np.cos(strike) + distance * np.cos(angle)
    latitude = parents.latitude[parent]
    deeper = random.normal(0, 1.5, number)
    aftershocks = Quakes(
        day=parents.day[parent] + wait,
        latitude=latitude + north / KM_PER_DEGREE,
        longitude=parents.longitude[parent] + east / KM_PER_DEGREE / np.cos(np.radians(latitude)),
        depth=(parents.depth[parent] + deeper).clip(0.1, DEEPEST_KM),
        magnitude=_magnitudes(random, number),
        strike=strike,
    )
    return aftershocks.take(aftershocks.day < period)


def _magnitudes(random: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Return random magnitudes of the Gutenberg-Richter law between minimum and maximum."""
    beyond = 10 ** (-B_VALUE * (MAX_MAGNITUDE - MIN_MAGNITUDE))
    share = random.uniform(size=number) * (1 - beyond)
    return MIN_MAGNITUDE - np.log10(1 - share) / B_VALUE


def _distances(random: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Return random distances in km with a density that falls as r^-1.37."""
    near, far = NEAREST_KM ** (1 - DECAY), FARTHEST_KM ** (1 - DECAY)
    return np.asarray((near + random.uniform(size=number) * (far - near)) ** (1 / (1 - DECAY)))


def _lines(quakes: Quakes, time: NDArray[np.datetime64], random: np.random.Generator) -> list[str]:
    """Return a line of the SCEDC format for each event."""
    number = len(quakes)
    quality = random.choice(list("ABCD"), number, p=[0.7, 0.15, 0.12, 0.03]).tolist()
    phases = random.integers(8, 120, number).tolist()
    stamps = np.char.replace(np.char.replace(time.astype(str), "-", "/"), "T", " ")
    columns = (quakes.magnitude, quakes.latitude, quakes.longitude, quakes.depth)
    rows = zip(
        stamps.tolist(), *(column.tolist() for column in columns), quality, phases, strict=True
    )
    return [
        f"{stamp[:22]} eq  l {magnitude:4.2f} {'w' if magnitude >= 5.5 else 'l'}  "
        f"{latitude:8.3f} {longitude:8.3f} {depth:5.1f} {letter} {FIRST_NUMBER + row:8d} "
        f"{count:4d} {count * 9:4d}\n"
        for row, (stamp, magnitude, latitude, longitude, depth, letter, count) in enumerate(rows)
    ]


def _anss_text(quakes: Quakes, time: NDArray[np.datetime64], grid: Grid) -> str:
    """Return the lines of an ANSS list, with the places that the quakes have in another grid."""
    home = SOUTHERN_CALIFORNIA
    stretch = home.pixels_per_degree / grid.pixels_per_degree
    latitude = grid.north - (home.north - quakes.latitude) * stretch
    longitude = grid.west + (quakes.longitude - home.west) * stretch
    stamps = np.char.replace(np.char.replace(time.astype(str), "-", "/"), "T", "\t")
    years = time.astype("M8[Y]").astype(np.int64) + 1970
    days = (time.astype("M8[D]") - time.astype("M8[Y]")).astype(np.int64) + 1
    columns = (years + days / 366, longitude, latitude, quakes.magnitude + ANSS_LARGER)
    rows = zip(
        stamps.tolist(), *(column.tolist() for column in (*columns, quakes.depth)), strict=True
    )
    listed = (time >= ANSS_DAYS[0]) & (time < ANSS_DAYS[1])
    return "".join(
        f"{stamp[:22]}\t{year:.6f}\t{east:.4f}\t{north:.4f}\t{magnitude:.2f}\t{depth:.2f}\n"
        for (stamp, year, east, north, magnitude, depth), is_listed in zip(
            rows, listed, strict=True
        )
        if is_listed
    )


def _comcat_text(quakes: Quakes, time: NDArray[np.datetime64]) -> str:
    """Return a ComCat event list with the columns that the format reads, marked as synthetic."""
    columns = (quakes.latitude, quakes.longitude, quakes.depth, quakes.magnitude)
    rows = zip(time.astype(str).tolist(), *(column.tolist() for column in columns), strict=True)
    return COMCAT_HEADER + "".join(
        f"{stamp[:23]}Z,{north:.3f},{east:.3f},{depth:.1f},{magnitude:.2f},"
        f"{'mw' if magnitude >= 5.5 else 'ml'},ci,"
        f"ci{FIRST_NUMBER + row},{stamp[:23]}Z,SYNTHETIC,earthquake,reviewed\n"
        for row, (stamp, north, east, depth, magnitude) in enumerate(rows)
    )
