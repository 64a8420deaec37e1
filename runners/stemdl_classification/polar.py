"""Polar resampling of patterns: radius and angle around the undiffracted beam.

The beam is in pixel n / 2 of n, and the largest radius ends before the edge. In polar coordinates a
rotation of the detector is a shift along the angle. A network that treats all angles alike cannot
know the orientation of the detector, and a rotation by any angle needs no interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError

from .space_groups import mirrored_groups

SQUARE, POLAR = "square", "rings"  # values of the setting `coordinates`
MEAN, HARMONICS = "mean", "harmonics"  # over angles: values of the setting `head`
REFERENCE = "reference"  # the published model, which takes square patterns
Values = npt.NDArray[np.float32]


def check_coordinates(settings: Mapping[str, Any]) -> None:
    """Check that coordinates, head and model fit each other.

    Raises:
        CallError: the reference is to take polar patterns, or harmonics are to be taken of square
            patterns.
    """
    name = settings["coordinates"]
    if settings["head"] == HARMONICS and settings["model"] != REFERENCE and name != POLAR:
        raise CallError(
            f"head={HARMONICS} needs polar patterns, and coordinates={name}",
            untouched="nothing was trained",
            hint=f"--set coordinates={POLAR}, or --set head={MEAN}",
        )
    if name == POLAR and settings["model"] == REFERENCE:
        raise CallError(
            f"the reference needs square patterns, and coordinates={name}",
            untouched="nothing was trained",
            hint=f"--set coordinates={SQUARE}, or --model base",
        )


class PolarGrid:
    """A polar grid with one radius for every two pixels along a side, and one angle for each.

    Attributes:
        shape: number of radii and of angles.
    """

    def __init__(self, size: int) -> None:
        """Prepare the interpolation from patterns of `size` x `size` pixels."""
        self.shape = (size // 2, size)
        self._matrix = polar_matrix(size, *self.shape)

    def resample(self, patterns: Values) -> Values:
        """Return (stack, radius, angle, view) from (stack, row, column, view)."""
        count, views = len(patterns), patterns.shape[-1]
        flat = np.moveaxis(patterns, -1, 1).reshape(count * views, -1)
        polar = (self._matrix @ flat.T).T.reshape(count, views, *self.shape)
        return np.ascontiguousarray(np.moveaxis(polar, 1, -1), np.float32)


def polar_matrix(size: int, radii: int, angles: int) -> Any:
    """Return the sparse matrix (radius x angle, pixel) of the bilinear interpolation.

    Args:
        size: pixels along a side of the square pattern.
        radii: number of radii.
        angles: number of angles.
    """
    from scipy import sparse

    middle = size // 2
    radius = (np.arange(radii) + 0.5) * (middle - 1) / radii
    angle = 2 * np.pi * np.arange(angles) / angles
    row = (middle + radius[:, None] * np.sin(angle)).ravel()
    column = (middle + radius[:, None] * np.cos(angle)).ravel()
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    points, shape = np.arange(radii * angles), (radii * angles, size * size)
    matrix = sparse.csr_matrix(shape, dtype=np.float32)
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - row + top) * np.abs(1 - right - column + left)
            place = points, (top + down) * size + left + right
            matrix += sparse.csr_matrix((weight, place), shape=shape, dtype=np.float32)
    return matrix


def augment_polar(
    polar: Values,
    groups: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[Values, npt.NDArray[np.int64]]:
    """Return stacks rotated by any angle of the grid and mirrored at random, and their groups.

    Mirror images change labels as in `augment.augment_square`.

    Args:
        polar: (stack, radius, angle, view).
        groups: (stack,) space groups.
        known: space groups that the classifier has as classes.
        rng: draws a rotation for each view, and a mirror for each stack.
    """
    count, _, angles, views = polar.shape
    partner = mirrored_groups()[groups]
    flip = (rng.random(count) < 0.5) & np.isin(partner, known)
    rotation = rng.integers(0, angles, (count, 1, views))
    sign = np.where(flip, -1, 1)[:, None, None]
    index = (sign * np.arange(angles)[None, :, None] + rotation) % angles
    rotated = np.take_along_axis(polar, index[:, None], axis=2)
    return rotated, np.where(flip, partner, groups)


def scale_radius(polar: Values, max_log_factor: float, rng: np.random.Generator) -> Values:
    """Return stacks as of larger and smaller unit cells, each scaled along the radius.

    A crystal of the same group with another lattice constant has its discs at other radii. Beyond
    the largest radius patterns are dark (0).

    Args:
        polar: (stack, radius, angle, view).
        max_log_factor: the logarithm of the factor is uniform between minus and plus this.
        rng: draws a factor for each stack.
    """
    count, radii = polar.shape[:2]
    factor = np.exp(rng.uniform(-max_log_factor, max_log_factor, (count, 1)))
    place = np.clip((np.arange(radii) + 0.5) * factor - 0.5, 0, radii)
    lower = np.floor(place).astype(int)
    weight = (place - lower)[..., None, None].astype(np.float32)
    dark = np.zeros_like(polar[:, :1])
    padded = np.concatenate([polar, dark, dark], axis=1)
    stack = np.arange(count)[:, None]
    inner, outer = padded[stack, lower], padded[stack, lower + 1]
    return np.asarray(inner * (1 - weight) + outer * weight, np.float32)
