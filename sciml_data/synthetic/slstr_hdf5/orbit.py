"""Position of Sentinel-3A and the sun, and the angles of each pixel.

The orbit is circular, repeats every 27 days, and is tied to a true ascending node. The Earth is a
sphere. Positions are good to some tens of kilometres, which is enough for a synthetic scene:
angles, light and glint are consistent, and file names give the right time and place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import ORBITS_PER_CYCLE

# ANX_time of viscal.nc in S3A_SL_1_RBT____20170315T113420_..._0179_015_237_1439 is 09:29:21.55. It
# is the node of the orbit before that of the granule (237 of cycle 15).
NODE_TIME = datetime(2017, 3, 15, 9, 29, 21, 552_000)  # noqa: DTZ001 - UTC, as in the names
NODE_ORBIT = (15 - 1) * ORBITS_PER_CYCLE + 236
PERIOD_S = 27 * 86_400 / ORBITS_PER_CYCLE
INCLINATION = np.radians(98.65)  # ESA, Sentinel-3 orbit description
ALTITUDE_KM = 814.5
NODE_LOCAL_HOUR = 22.0  # local solar time of the ascending node; the descending is at 10:00
EARTH_KM = 6371.0
GRANULE_S = 180
ROW_S = float(PERIOD_S / (2 * np.pi * EARTH_KM))  # the ground track takes this for a row of 1 km
SWATH_ROWS = 1200  # of 1 km in 180 s, as in the published files
SWATH_COLUMNS = 1500  # of the 1 km nadir grid
TRACK_COLUMN = 998  # track_offset of the same grid
# The oblique swath is 740 km wide (Coppo et al. 2010, doi 10.1117/12.868451).
OBLIQUE_HALF_WIDTH_KM = 370.0


@dataclass(frozen=True)
class Angles:
    """Angles of the pixels of a granule, (row, column) float32; the first five are cosines.

    Attributes:
        view: cosine of the satellite's zenith angle.
        sun: cosine of the sun's zenith angle, negative below the horizon.
        scattering: cosine of the angle between the direction of sunlight and that to the satellite.
        tilt: cosine of the tilt of a wave facet that reflects the sun into the satellite.
        facet: cosine of the angle of incidence of sunlight on that facet.
        latitude: degrees north.
        across_km: (column,) float32, distance from the ground track.
    """

    view: NDArray[np.float32]
    sun: NDArray[np.float32]
    scattering: NDArray[np.float32]
    tilt: NDArray[np.float32]
    facet: NDArray[np.float32]
    latitude: NDArray[np.float32]
    across_km: NDArray[np.float32]


def node_time(orbit: int) -> datetime:
    """Return the UTC time at which an orbit crosses the equator northward."""
    return NODE_TIME + timedelta(seconds=PERIOD_S * (orbit - NODE_ORBIT))


def track(
    orbit: int, seconds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the point below the satellite and the direction of flight: two (time, 3) unit vectors.

    Axes are Earth-fixed.

    Args:
        orbit: running number.
        seconds: (time,) since the ascending node.
    """
    node = node_time(orbit)
    clock = (node.hour * 3600 + node.minute * 60 + node.second) / 3600
    longitude = np.radians((NODE_LOCAL_HOUR - clock) * 15)
    # The orbit is sun-synchronous: seen from the Earth its node drifts by a turn a day.
    node_longitude = longitude - 2 * np.pi * seconds / 86_400
    argument = 2 * np.pi * seconds / PERIOD_S
    along = np.stack([np.cos(argument), np.sin(argument)])
    ahead = np.stack([-np.sin(argument), np.cos(argument)])

    def fixed(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = vector[0], vector[1] * np.cos(INCLINATION)
        cosine, sine = np.cos(node_longitude), np.sin(node_longitude)
        z = vector[1] * np.sin(INCLINATION)
        return np.stack([x * cosine - y * sine, x * sine + y * cosine, z], axis=-1)

    return fixed(along), fixed(ahead)


def sun_direction(time: datetime) -> NDArray[np.float64]:
    """Return the Earth-fixed unit vector to the sun, (3,).

    Low-precision formulae of the Astronomical Almanac (page C5), good to 0.01 degrees.
    """
    days = (time - datetime(2000, 1, 1, 12)) / timedelta(days=1)  # noqa: DTZ001 - UTC
    mean = np.radians((280.460 + 0.9856474 * days) % 360)
    anomaly = np.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic = mean + np.radians(1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    x, y = np.cos(ecliptic), np.cos(obliquity) * np.sin(ecliptic)
    sidereal = np.radians((280.46062 + 360.98564737 * days) % 360)
    cosine, sine = np.cos(sidereal), np.sin(sidereal)
    z = np.sin(obliquity) * np.sin(ecliptic)
    return np.array([x * cosine + y * sine, y * cosine - x * sine, z])


def frame_angles(orbit: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitude and solar zenith angle in degrees at the centre of each frame of an orbit."""
    seconds = np.arange(0, PERIOD_S - GRANULE_S, GRANULE_S) + GRANULE_S / 2
    below, _ = track(orbit, seconds)
    suns = [sun_direction(node_time(orbit) + timedelta(seconds=float(s))) for s in seconds]
    zenith = np.degrees(np.arccos(np.sum(below * np.array(suns), axis=-1)))
    return np.degrees(np.arcsin(below[:, 2])), zenith


def angles(orbit: int, start_s: float, shape: tuple[int, int], first_column: int = 0) -> Angles:
    """Return the angles of a granule.

    Args:
        orbit: running number.
        start_s: seconds from the ascending node to the first row.
        shape: rows and columns of 1 km; columns run eastward on a descending pass.
        first_column: of the swath; a scene may be narrower than the swath.
    """
    rows, columns = shape
    below, ahead = track(orbit, start_s + ROW_S * np.arange(rows, dtype=np.float64))
    aside = np.cross(below, ahead)  # left of flight: east when descending
    across_km = np.arange(columns, dtype=np.float64) + first_column - TRACK_COLUMN
    across = (across_km / EARTH_KM)[None, :, None]  # radians
    place = (below[:, None] * np.cos(across) + aside[:, None] * np.sin(across)).astype(np.float32)
    away = ((EARTH_KM + ALTITUDE_KM) / EARTH_KM * below)[:, None] - place
    to_satellite = _unit(away.astype(np.float32))
    middle = node_time(orbit) + timedelta(seconds=start_s + ROW_S * rows / 2)
    sun = sun_direction(middle).astype(np.float32)
    facet = _unit(to_satellite + sun)
    return Angles(
        view=np.einsum("rck,rck->rc", to_satellite, place),
        sun=place @ sun,
        scattering=-(to_satellite @ sun),
        tilt=np.einsum("rck,rck->rc", facet, place),
        facet=facet @ sun,
        latitude=np.degrees(np.arcsin(np.clip(place[..., 2], -1, 1))),
        across_km=across_km.astype(np.float32),
    )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
