"""Patterns on rings around the undiffracted beam: a turn is a shift along the second axis.

The beam is in pixel n / 2 of n; rings end before the edge. In these coordinates a network that
treats all angles alike cannot know how the detector stood, and any turn is as exact as another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, nearest

from .space_groups import mirrored

SQUARE, RINGS = "square", "rings"
COORDINATES = (SQUARE, RINGS)
MEAN, HARMONICS = "mean", "harmonics"  # over angles, what the head takes
HEADS = (MEAN, HARMONICS)
REFERENCE = "reference"  # the model that is as published: square patterns
Values = npt.NDArray[np.float32]


def check_coordinates(settings: Mapping[str, Any]) -> None:
    """Refuse coordinates or a head that there are not, or that a model does not take.

    Raises:
        CallError: they are unknown, rings for the reference, or harmonics of square patterns.
    """
    name = settings["coordinates"]
    for key, known in (("coordinates", COORDINATES), ("head", HEADS)):
        if settings[key] not in known:
            raise CallError(
                f"{key}={settings[key]!r}{nearest(settings[key], known)}; "
                f"one of {', '.join(known)} is expected",
                untouched="nothing was trained",
            )
    if settings["head"] == HARMONICS and settings["model"] != REFERENCE and name != RINGS:
        raise CallError(
            "harmonics are taken of rings, not of square patterns",
            untouched="nothing was trained",
            hint="--set coordinates=rings, or --set head=mean",
        )
    if name == RINGS and settings["model"] == REFERENCE:
        raise CallError(
            "the reference takes square patterns, not rings",
            untouched="nothing was trained",
            hint="--set coordinates=square, or --model base",
        )


def stretched(rings: Values, most: float, rng: np.random.Generator) -> Values:
    """Return stacks as of larger and smaller unit cells: each drawn out along the radius.

    A crystal of the same group with another lattice constant has its discs elsewhere. What comes
    from beyond the last ring is dark (level 0).

    Args:
        rings: (stack, ring, angle, view).
        most: the logarithm of the factor is uniform between its negative and itself.
        rng: draws a factor for each stack.
    """
    count, radii = rings.shape[:2]
    factor = np.exp(rng.uniform(-most, most, (count, 1)))
    place = np.clip((np.arange(radii) + 0.5) * factor - 0.5, 0, radii)
    lower = np.floor(place).astype(int)
    weight = (place - lower)[..., None, None].astype(np.float32)
    dark = np.zeros_like(rings[:, :1])
    padded = np.concatenate([rings, dark, dark], axis=1)
    stack = np.arange(count)[:, None]
    inner, outer = padded[stack, lower], padded[stack, lower + 1]
    return np.asarray(inner * (1 - weight) + outer * weight, np.float32)


def ring_matrix(size: int, radii: int, angles: int) -> Any:
    """Return the sparse matrix (ring x angle, pixel) that interpolates a square linearly."""
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


class Rings:
    """A polar grid with a ring for every two pixels along a side and an angle for each."""

    def __init__(self, size: int) -> None:
        self.shape = (size // 2, size)
        self._matrix = ring_matrix(size, *self.shape)

    def of(self, levels: Values) -> Values:
        """Return (stack, ring, angle, view) of (stack, row, column, view)."""
        count, views = len(levels), levels.shape[-1]
        flat = np.moveaxis(levels, -1, 1).reshape(count * views, -1)
        rings = (self._matrix @ flat.T).T.reshape(count, views, *self.shape)
        return np.ascontiguousarray(np.moveaxis(rings, 1, -1), np.float32)


def turned_rings(
    rings: Values,
    groups: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[Values, npt.NDArray[np.int64]]:
    """Return stacks turned by any angle of the grid and mirrored at random, and their groups.

    Mirrors and labels are as in `augment.turned`.

    Args:
        rings: (stack, ring, angle, view).
        groups: (stack) space groups.
        known: groups that a classifier is taught.
        rng: draws a turn for each view, and a mirror for each stack.
    """
    count, _, angles, views = rings.shape
    partner = mirrored()[groups]
    flip = (rng.random(count) < 0.5) & np.isin(partner, known)
    turn = rng.integers(0, angles, (count, 1, views))
    sign = np.where(flip, -1, 1)[:, None, None]
    index = (sign * np.arange(angles)[None, :, None] + turn) % angles
    made = np.take_along_axis(rings, index[:, None], axis=2)
    return made, np.where(flip, partner, groups)
