"""Turns and mirrors of patterns that leave the label right, or change it with them.

A pattern's direction in its plane is where the detector happened to stand: a quarter turn shows the
same crystal. A mirrored pattern is one of the mirrored crystal, and that has the same space group,
chiral crystals included, but for the 22 groups of `groups.HANDED_PAIRS`, which become their
partner. All three views of a stack are mirrored together, for they are of one crystal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .space_groups import mirrored

Values = npt.NDArray[np.float32]


def turned(
    levels: Values,
    groups: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    *,
    rng: np.random.Generator,
    is_sharp: bool,
) -> tuple[Values, npt.NDArray[np.int64]]:
    """Return stacks turned and mirrored at random, and their groups.

    A stack whose mirror image would be of a group that is not among the known ones is not mirrored.

    Args:
        levels: (stack, row, column, view), square.
        groups: (stack) space groups.
        known: groups that a classifier is taught.
        rng: draws a quarter turn for each view, and a mirror for each stack.
        is_sharp: whether the undiffracted beam is in the middle of pixel n / 2 (patterns whose
            pixels were not averaged): then about that pixel, else about the middle of the image.
    """
    count, views = len(levels), levels.shape[-1]
    quarter = rng.integers(0, 4, (count, views))
    partner = mirrored()[groups]
    flip = (rng.random(count) < 0.5) & np.isin(partner, known)
    made = levels.copy()
    made[flip] = _centred(made[flip, ::-1], (1,), is_sharp=is_sharp)
    for view in range(views):
        for turns in (1, 2, 3):
            chosen = quarter[:, view] == turns
            made[chosen, ..., view] = quarter_turned(
                made[chosen, ..., view], turns, is_sharp=is_sharp
            )
    return made, np.where(flip, partner, groups)


def quarter_turned(images: Values, turns: int, *, is_sharp: bool) -> Values:
    """Return (image, row, column) turned by so many quarters, about the undiffracted beam."""
    axes: dict[int, tuple[int, ...]] = {0: (), 1: (1,), 2: (1, 2), 3: (2,)}
    return _centred(np.rot90(images, turns, axes=(1, 2)), axes[turns % 4], is_sharp=is_sharp)


def _centred(images: Any, axes: tuple[int, ...], *, is_sharp: bool) -> Values:
    """Return images moved by a pixel along axes that were reversed: n - 1 - i is n - i then."""
    if not is_sharp or not axes or images.shape[1] % 2:
        return np.asarray(images)
    return np.asarray(np.roll(images, 1, axis=axes))
