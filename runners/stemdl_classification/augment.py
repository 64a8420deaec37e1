"""Random rotations and mirror images of square patterns, with the labels that belong to them.

The direction of a pattern in its plane depends on the orientation of the detector, so a pattern
rotated by a quarter shows the same crystal. A mirrored pattern shows the mirrored crystal. That has
the same space group, chiral crystals included, except for the 22 groups of
`space_groups.HANDED_PAIRS`, which become their partner. The three views of a stack are mirrored
together, because they show one crystal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .space_groups import mirrored_groups

Values = npt.NDArray[np.float32]


def augment_square(
    patterns: Values,
    groups: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    *,
    rng: np.random.Generator,
    is_sharp: bool,
) -> tuple[Values, npt.NDArray[np.int64]]:
    """Return stacks rotated by quarters and mirrored at random, and their groups.

    A stack is not mirrored if the group of its mirror image is not a known class.

    Args:
        patterns: (stack, row, column, view), square.
        groups: (stack,) space groups.
        known: space groups that the classifier has as classes.
        rng: draws a quarter rotation for each view, and a mirror for each stack.
        is_sharp: whether the undiffracted beam is in the middle of pixel n / 2, as in patterns
            whose pixels were not averaged. Rotations are about that pixel then, else about the
            middle of the image.
    """
    count, views = len(patterns), patterns.shape[-1]
    quarters = rng.integers(0, 4, (count, views))
    partner = mirrored_groups()[groups]
    flip = (rng.random(count) < 0.5) & np.isin(partner, known)
    augmented = patterns.copy()
    augmented[flip] = _recentred(augmented[flip, ::-1], (1,), is_sharp=is_sharp)
    for view in range(views):
        for quarter in (1, 2, 3):
            chosen = quarters[:, view] == quarter
            augmented[chosen, ..., view] = rotate_quarters(
                augmented[chosen, ..., view], quarter, is_sharp=is_sharp
            )
    return augmented, np.where(flip, partner, groups)


def rotate_quarters(images: Values, quarters: int, *, is_sharp: bool) -> Values:
    """Return images (image, row, column) rotated by 90 degrees `quarters` times about the beam."""
    axes: dict[int, tuple[int, ...]] = {0: (), 1: (1,), 2: (1, 2), 3: (2,)}
    rotated = np.rot90(images, quarters, axes=(1, 2))
    return _recentred(rotated, axes[quarters % 4], is_sharp=is_sharp)


def _recentred(images: Any, axes: tuple[int, ...], *, is_sharp: bool) -> Values:
    """Return images shifted by one pixel along reversed axes, so that the beam stays in place.

    Reversing an even axis moves pixel i to n - 1 - i; about the beam in pixel n / 2 it is n - i.
    """
    if not is_sharp or not axes or images.shape[1] % 2:
        return np.asarray(images)
    return np.asarray(np.roll(images, 1, axis=axes))
