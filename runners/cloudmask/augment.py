"""Random flips and rotations of patches: the eight symmetries of a square.

At 1 km, cloud has no preferred direction except for that of sunlight. So a rotated patch is as
likely as the observed one. Label and validity are rotated with the channels.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = tuple[npt.NDArray[Any], ...]
SYMMETRIES = 8  # of a square: four rotations, each with and without a flip


def augment_batch(batch: Arrays, *, seed: Any) -> Any:
    """Return a batch with each patch flipped and rotated at random, all its arrays alike.

    Args:
        batch: arrays (patch, row, column, ...) with as many rows as columns.
        seed: any seed of `numpy.random.default_rng`; equal seeds give equal results.
    """
    draws = np.random.default_rng(seed).integers(SYMMETRIES, size=len(batch[0]))
    return tuple(
        np.stack(
            [apply_symmetry(patch, int(draw)) for patch, draw in zip(array, draws, strict=True)]
        )
        for array in batch
    )


def apply_symmetry(patch: npt.NDArray[Any], symmetry: int) -> npt.NDArray[Any]:
    """Return a patch (row, column, ...) in symmetry 0 to 7 of a square; 0 changes nothing."""
    quarters, is_flipped = divmod(symmetry, 2)
    rotated = np.rot90(patch, quarters, axes=(0, 1))
    return rotated[:, ::-1] if is_flipped else rotated
