"""Interpolate places and angles from tie points, one in sixteen columns, to all pixels.

Places and directions are interpolated as vectors fixed to the Earth. So there is no seam at 180
degrees, and north may turn by any angle between two ties, as it does near the pole, which level-1
granules cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Angles = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Places on the ground: (row, column) float64, degrees east and north, NaN where unknown."""

    longitude: Angles
    latitude: Angles

    def axes(self) -> tuple[Angles, Angles, Angles]:
        """Return the unit vectors up, east and north: (row, column, 3) each."""
        east, north = np.radians(self.longitude), np.radians(self.latitude)
        cosine, sine, flat = np.cos(east), np.sin(east), np.cos(north)
        up = np.stack([flat * cosine, flat * sine, np.sin(north)], axis=-1)
        eastward = np.stack([-sine, cosine, np.zeros_like(sine)], axis=-1)
        return up, eastward, np.cross(up, eastward)


def pixel_places(ties: Places, position: NDArray[np.float64]) -> Places:
    """Return the place of each pixel.

    Args:
        ties: places of the tie points.
        position: (column) position of each pixel between the ties, in ties from the first one.
    """
    x, y, z = np.moveaxis(_between(ties.axes()[0], position), -1, 0)
    return Places(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))))


def pixel_angles(
    azimuth: Angles, zenith: Angles, ties: Places, pixels: Places, position: NDArray[np.float64]
) -> tuple[Angles, Angles]:
    """Return azimuth and zenith angle of each pixel in degrees, azimuth from north by east.

    The zenith angle is smooth and is interpolated directly, since within 20 km of the pole the
    azimuths of the product do not agree with its places.

    Args:
        azimuth: (row, tie) degrees.
        zenith: (row, tie) degrees.
        ties: places of the tie points.
        pixels: places of the pixels.
        position: as for `pixel_places`.
    """
    up, east, north = ties.axes()
    azimuth_rad, zenith_rad = np.radians(azimuth)[..., None], np.radians(zenith)[..., None]
    horizontal = east * np.sin(azimuth_rad) + north * np.cos(azimuth_rad)
    towards = up * np.cos(zenith_rad) + np.sin(zenith_rad) * horizontal
    towards = _between(towards, position)
    _, east, north = pixels.axes()
    eastward, northward = (np.einsum("rck,rck->rc", towards, axis) for axis in (east, north))
    azimuths = np.degrees(np.arctan2(eastward, northward)) % 360
    return azimuths, _between(zenith[..., None], position)[..., 0]


def tie_position(columns: int, of_pixels: dict[str, Any], of_ties: dict[str, Any]) -> Angles:
    """Return the position of each pixel's column between the ties.

    Both grids count from the satellite's track (`track_offset`) in steps across it (the first
    number of `resolution`, in metres). Both are attributes of the product.
    """
    metres = (np.arange(columns) - of_pixels["track_offset"]) * of_pixels["step_m"]
    position: Angles = metres / of_ties["step_m"] + of_ties["track_offset"]
    return position


def _between(values: Angles, position: NDArray[np.float64]) -> Angles:
    ties = values.shape[1]
    left = np.clip(np.floor(position).astype(int), 0, ties - 2)
    share = (position - left)[:, None]
    between: Angles = values[:, left] * (1 - share) + values[:, left + 1] * share
    between[:, (position < 0) | (position > ties - 1)] = np.nan
    return between
