"""Coordinates of patterns, and random rotations and mirror images with the labels that they get.

The direction of a pattern in its plane depends on the orientation of the detector, so a rotated
pattern shows the same crystal. A mirrored pattern shows the mirrored crystal. That has the same
space group, chiral crystals included, except for the 22 groups of `data.HANDED_PAIRS`,
which become their partner. The three views of a stack are mirrored together, because they show one
crystal. A stack is not mirrored if the group of its mirror image is not a known class.

In polar coordinates, radius and angle around the undiffracted beam, a rotation of the detector is a
shift along the angle. A network that treats all angles alike cannot know the orientation of the
detector, and a rotation by any angle needs no interpolation.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .data import Groups, mirrored_groups

Values: TypeAlias = npt.NDArray[np.float32]


class PolarGrid:
    """Radii and angles around the beam, which is in pixel n / 2 of n.

    Attributes:
        shape: number of radii and of angles.
    """

    def __init__(self, size: int, shape: tuple[int, int] | None = None) -> None:
        """Prepare the bilinear interpolation.

        Args:
            size: pixels along a side of the square patterns.
            shape: number of radii and of angles; the default has one radius for every two pixels
                along a side, and one angle for each.
        """
        from scipy import sparse

        self.shape = radii, angles = shape or (size // 2, size)
        middle = size // 2
        radius = (np.arange(radii) + 0.5) * (middle - 1) / radii
        angle = 2 * np.pi * np.arange(angles) / angles
        row = (middle + radius[:, None] * np.sin(angle)).ravel()
        column = (middle + radius[:, None] * np.cos(angle)).ravel()
        top, left = np.floor(row).astype(int), np.floor(column).astype(int)
        down, right = np.indices((2, 2)).reshape(2, 4, 1)  # the four pixels around each point
        weight = np.abs(1 - down - row + top) * np.abs(1 - right - column + left)
        pixel = (top + down) * size + left + right
        point = np.tile(np.arange(radii * angles), 4)
        entries, sides = (weight.ravel(), (point, pixel.ravel())), (radii * angles, size * size)
        self._matrix = sparse.csr_matrix(entries, sides, np.float32)

    def resample(self, patterns: Values) -> Values:
        """Return (stack, radius, angle, view) from (stack, row, column, view)."""
        count, views = len(patterns), patterns.shape[-1]
        flat = np.moveaxis(patterns, -1, 1).reshape(count * views, -1)
        polar = (self._matrix @ flat.T).T.reshape(count, views, *self.shape)
        return np.ascontiguousarray(np.moveaxis(polar, 1, -1), np.float32)


def augment_polar(
    polar: Values, groups: Groups, known: Groups, rng: np.random.Generator
) -> tuple[Values, Groups]:
    """Return stacks rotated by any angle of the grid and mirrored at random, and their groups.

    Args:
        polar: (stack, radius, angle, view).
        groups: (stack,) space groups.
        known: space groups that the classifier has as classes.
        rng: draws a mirror for each stack, and a rotation for each view.
    """
    count, _, angles, views = polar.shape
    flip, new_groups = _drawn_mirrors(groups, known, rng)
    rotation = rng.integers(0, angles, (count, 1, views))
    sign = np.where(flip, -1, 1)[:, None, None]
    index = (sign * np.arange(angles)[None, :, None] + rotation) % angles
    return np.take_along_axis(polar, index[:, None], axis=2), new_groups


def augment_square(
    patterns: Values, groups: Groups, known: Groups, *, rng: np.random.Generator, is_sharp: bool
) -> tuple[Values, Groups]:
    """Return stacks rotated by quarters and mirrored at random, and their groups.

    Args:
        patterns: (stack, row, column, view), square.
        groups: see `augment_polar`.
        known: see there.
        rng: draws a quarter rotation for each view, and a mirror for each stack.
        is_sharp: whether the undiffracted beam is in the middle of pixel n / 2, as in patterns
            whose pixels were not averaged. Rotations are about that pixel then, else about the
            middle of the image.
    """
    quarters = rng.integers(0, 4, (len(patterns), patterns.shape[-1]))
    flip, new_groups = _drawn_mirrors(groups, known, rng)
    augmented = patterns.copy()
    augmented[flip] = _recentred(augmented[flip, ::-1], (1,), is_sharp=is_sharp)
    for view in range(quarters.shape[1]):
        for quarter in (1, 2, 3):
            chosen = quarters[:, view] == quarter
            augmented[chosen, ..., view] = rotate_quarters(
                augmented[chosen, ..., view], quarter, is_sharp=is_sharp
            )
    return augmented, new_groups


def rotate_quarters(images: Values, quarters: int, *, is_sharp: bool) -> Values:
    """Return images (image, row, column) rotated by 90 degrees `quarters` times about the beam."""
    reversed_axes: tuple[tuple[int, ...], ...] = ((), (1,), (1, 2), (2,))
    rotated = np.rot90(images, quarters, axes=(1, 2))
    return _recentred(rotated, reversed_axes[quarters % 4], is_sharp=is_sharp)


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
    padded = np.pad(polar, ((0, 0), (0, 2), (0, 0), (0, 0)))
    stack = np.arange(count)[:, None]
    return np.asarray(
        padded[stack, lower] * (1 - weight) + padded[stack, lower + 1] * weight, np.float32
    )


def _drawn_mirrors(
    groups: Groups, known: Groups, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], Groups]:
    """Return which stacks are mirrored, and the groups of all stacks then."""
    partner = mirrored_groups()[groups]
    flip = (rng.random(len(groups)) < 0.5) & np.isin(partner, known)
    return flip, np.where(flip, partner, groups)


def _recentred(images: Values, axes: tuple[int, ...], *, is_sharp: bool) -> Values:
    """Return images shifted by one pixel along reversed axes, so that the beam stays in place.

    Reversing an even axis moves pixel i to n - 1 - i; about the beam in pixel n / 2 it is n - i.
    """
    if not is_sharp or not axes or images.shape[1] % 2:
        return np.asarray(images)
    return np.asarray(np.roll(images, 1, axis=axes))
