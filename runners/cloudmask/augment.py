"""Flips and turns of patches: the eight symmetries of a square, drawn from a seed.

A satellite sees no preferred direction in clouds at 1 km, but for the sun's; so a turned patch is
as likely as the one seen, and label and validity turn with it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = tuple[npt.NDArray[Any], ...]
SYMMETRIES = 8


def turned(batch: Arrays, *, seed: Any) -> Any:
    """Return a batch with each patch flipped and turned, all its arrays in the same way.

    Args:
        batch: arrays (patch, row, column, ...), rows as many as columns.
        seed: what `numpy.random.default_rng` takes; the same seed, the same turns.
    """
    draws = np.random.default_rng(seed).integers(SYMMETRIES, size=len(batch[0]))
    return tuple(
        np.stack([turn(patch, int(draw)) for patch, draw in zip(array, draws, strict=True)])
        for array in batch
    )


def turn(patch: npt.NDArray[Any], symmetry: int) -> npt.NDArray[Any]:
    """Return a patch (row, column, ...) in one of the eight symmetries; 0 leaves it."""
    quarters, is_flipped = divmod(symmetry, 2)
    moved = np.rot90(patch, quarters, axes=(0, 1))
    return moved[:, ::-1] if is_flipped else moved
