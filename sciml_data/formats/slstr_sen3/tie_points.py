"""From tie points, one in sixteen columns, to every pixel.

Places and directions are interpolated as vectors fixed to the Earth: there is no seam at 180
degrees, and north may turn about between two ties, as it does at the pole, where level-1 granules
do go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Angles = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Places on the ground, (row, column) degrees east and north, NaN where not known."""

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
        position: (column) where each pixel lies between the ties, in ties from the first.
    """
    x, y, z = np.moveaxis(_between(ties.axes()[0], position), -1, 0)
    return Places(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))))


def pixel_angles(
    azimuth: Angles, zenith: Angles, ties: Places, pixels: Places, position: NDArray[np.float64]
) -> tuple[Angles, Angles]:
    """Return azimuth and zenith angle at each pixel, degrees, azimuth from north by east.

    The zenith angle is smooth and is interpolated by itself: within 20 km of the pole the product's
    azimuths do not agree with its places.

    Args:
        azimuth: (row, tie) degrees.
        zenith: (row, tie) degrees.
        ties: where the ties are.
        pixels: where the pixels are.
        position: as for `pixel_places`.
    """
    up, east, north = ties.axes()
    turned, raised = np.radians(azimuth)[..., None], np.radians(zenith)[..., None]
    flat = np.sin(raised)
    towards = up * np.cos(raised) + flat * (east * np.sin(turned) + north * np.cos(turned))
    towards = _between(towards, position)
    _, east, north = pixels.axes()
    eastward, northward = (np.einsum("rck,rck->rc", towards, axis) for axis in (east, north))
    turned = np.degrees(np.arctan2(eastward, northward)) % 360
    return turned, _between(zenith[..., None], position)[..., 0]


def tie_position(columns: int, of_pixels: dict[str, Any], of_ties: dict[str, Any]) -> Angles:
    """Return where each pixel's column lies between the ties.

    Both grids count from the satellite's track (`track_offset`) in steps across it (the first
    number of `resolution`, in metres); the attributes are the product's own.
    """
    metres = (np.arange(columns) - of_pixels["track_offset"]) * of_pixels["step_m"]
    position: Angles = metres / of_ties["step_m"] + of_ties["track_offset"]
    return position


def _between(values: Angles, position: NDArray[np.float64]) -> Angles:
    ties = values.shape[1]
    left = np.clip(np.floor(position).astype(int), 0, ties - 2)
    share = (position - left)[:, None]
    found: Angles = values[:, left] * (1 - share) + values[:, left + 1] * share
    found[:, (position < 0) | (position > ties - 1)] = np.nan
    return found
