"""A synthetic earthquake catalogue, in the layout of the yearly SCEDC files.

Epidemic-type aftershocks (ETAS; Ogata 1988, J. Am. Stat. Assoc. 83, 9-27; in space Ogata 1998, Ann.
Inst. Stat. Math. 50, 379-402): a steady background on lines that lie roughly where the great faults
do, and every earthquake has its own aftershocks, which have theirs. Simulated as the branching
process it is, one generation after the other. Nothing in it is an observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_DAY, END_DAY = np.datetime64("1950-01-01"), np.datetime64("2026-08-08")
WARM_UP_DAYS = 3650  # aftershocks of what came before 1950 are there from the first day on
REGION = (32.0, 37.0, -122.0, -114.0)  # degrees; what SCEDC's files cover

# Gutenberg and Richter (1944): b = 1. The least magnitude keeps the sample small; the greatest is
# near the region's largest known earthquake (1857, about 7.9).
B_VALUE, LEAST_MAGNITUDE, GREATEST_MAGNITUDE = 1.0, 2.3, 7.8
# Aftershock rate PRODUCTIVITY * 10^(m - least) * (t + C_DAYS)^-P per day, with the generic
# Californian values that Felzer et al. (2002, JGR 107, 2190) and Hardebeck et al. (2008, JGR 113,
# B08310) use.
PRODUCTIVITY, C_DAYS, P = 0.008, 0.095, 1.34
# Aftershocks thin out as r^-1.37 between 0.2 and 50 km (Felzer and Brodsky 2006, Nature 441,
# 735-738), from a place on the rupture, of length 10^(0.59 m - 2.44) km (Wells and Coppersmith
# 1994, BSSA 84).
DECAY, NEAREST_KM, FARTHEST_KM = 1.37, 0.2, 50.0
LENGTH_SLOPE, LENGTH_OFFSET = 0.59, -2.44
# Chosen for a number of M >= 3.29 like that of the real catalogue, 118 a year (seeds 0-7: 123).
BACKGROUND_PER_YEAR = 450.0
FAULT_SCATTER_KM = 4.0
DEPTH_KM, DEPTH_SCATTER_KM, DEEPEST_KM = 8.0, 3.0, 20.0
KM_PER_DEGREE = 111.2
FIRST_NUMBER = 90_000_001  # beyond the network's own numbers

# Longitude and latitude of points along each line, drawn by hand, and its share of the background.
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
    """Simulated events as columns of float64.

    Attributes:
        day: days since FIRST_DAY.
        latitude, longitude: degrees.
        depth: km.
        magnitude: as simulated, not rounded.
        strike: radians from east, of the fault line; aftershocks have their parent's.
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
        """Return the events at these places."""
        return Quakes(*(getattr(self, field.name)[index] for field in fields(self)))


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:  # noqa: ARG001 - every format's generator takes a block
    """Write `scedc/YYYY.catalog` for 1950 to 2026-08-07: the same seed, the same bytes."""
    quakes = simulate(seed)
    folder = root / "scedc"
    folder.mkdir(parents=True, exist_ok=True)
    time = FIRST_DAY.astype("M8[ms]") + (quakes.day * 8_640_000).astype(np.int64) * 10
    years = time.astype("M8[Y]").astype(np.int64) + 1970
    lines = _lines(quakes, time, np.random.default_rng([seed, 1]))
    for year in np.unique(years).tolist():
        first, last = np.searchsorted(years, [year, year + 1])
        rows = lines[first:last]
        text = HEADER.format(seed=seed, year=year) + "".join(rows)
        text += f"\n### Number of rows returned:{len(rows)} \n"
        (folder / f"{year}.catalog").write_text(text, encoding="ascii", newline="\n")


def simulate(seed: int) -> Quakes:
    """Return a catalogue in the order of time, within region and period."""
    random = np.random.default_rng(seed)
    period = float((END_DAY - FIRST_DAY).astype(np.int64))
    generation = _background(random, period)
    generations = []
    while len(generation):
        generations.append(generation)
        generation = _aftershocks(random, generation, period)
    names = [field.name for field in fields(Quakes)]
    together = Quakes(
        *(np.concatenate([getattr(one, name) for one in generations]) for name in names)
    )
    south, north, west, east = REGION
    kept = together.day >= 0
    kept &= (together.latitude >= south) & (together.latitude < north)
    kept &= (together.longitude >= west) & (together.longitude < east)
    together = together.take(kept)
    return together.take(np.argsort(together.day, kind="stable"))


def _background(random: np.random.Generator, period: float) -> Quakes:
    """Return the independent events: uniform in time, along the lines in space."""
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
    """Return (segment, end, longitude and latitude), and each segment's share of the background."""
    segments, shares = [], []
    for share, points in FAULTS:
        pairs = np.array(list(pairwise(points)))
        lengths = np.hypot(*(pairs[:, 1] - pairs[:, 0]).T)
        segments.append(pairs)
        shares.append(share * lengths / lengths.sum())
    together = np.concatenate(shares)
    return np.concatenate(segments), together / together.sum()


def _aftershocks(random: np.random.Generator, parents: Quakes, period: float) -> Quakes:
    """Return the direct aftershocks of all parents before the end of the period."""
    rate = PRODUCTIVITY * 10 ** (parents.magnitude - LEAST_MAGNITUDE)
    parent = np.repeat(np.arange(len(parents)), random.poisson(rate * C_DAYS ** (1 - P) / (P - 1)))
    number = len(parent)
    # inverse of the Omori-Utsu law's share of aftershocks up to a time
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
    found = Quakes(
        day=parents.day[parent] + wait,
        latitude=latitude + north / KM_PER_DEGREE,
        longitude=parents.longitude[parent] + east / KM_PER_DEGREE / np.cos(np.radians(latitude)),
        depth=(parents.depth[parent] + deeper).clip(0.1, DEEPEST_KM),
        magnitude=_magnitudes(random, number),
        strike=strike,
    )
    return found.take(found.day < period)


def _magnitudes(random: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Return Gutenberg-Richter magnitudes between the least and the greatest."""
    beyond = 10 ** (-B_VALUE * (GREATEST_MAGNITUDE - LEAST_MAGNITUDE))
    share = random.uniform(size=number) * (1 - beyond)
    return LEAST_MAGNITUDE - np.log10(1 - share) / B_VALUE


def _distances(random: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Return distances in km whose density falls as r^-1.37."""
    near, far = NEAREST_KM ** (1 - DECAY), FARTHEST_KM ** (1 - DECAY)
    return np.asarray((near + random.uniform(size=number) * (far - near)) ** (1 / (1 - DECAY)))


def _lines(quakes: Quakes, time: NDArray[np.datetime64], random: np.random.Generator) -> list[str]:
    """Return one line of the SCEDC format for each event."""
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
