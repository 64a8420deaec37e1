"""Patterns as a network and the baselines take them: scaled alike, thinned, and their moments.

Published patterns are z-scored, so the intensity of a pattern is known but for a factor and an
offset. Its least value stands for none (corners beyond the band limit are dark), and all patterns
are taken to hold as much of the beam: that gives intensity back as a share of the pattern.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, nearest

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]

ROOT, LINEAR = "root", "linear"
SCALES = (ROOT, LINEAR)


def check_scale(name: str) -> None:
    """Refuse a scale that there is not.

    Raises:
        CallError: it is unknown.
    """
    if name not in SCALES:
        raise CallError(
            f"there is no scale {name!r}{nearest(name, SCALES)}; there are {', '.join(SCALES)}",
            untouched="nothing was trained",
        )


def shares(scan: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return intensities as shares of each pattern: (..., y, x) float32, of sum 1.

    Args:
        scan: (..., y, x), z-scored or not.
    """
    lifted = scan - scan.min(axis=(-2, -1), keepdims=True)
    total = lifted.sum(axis=(-2, -1), keepdims=True)
    return np.asarray(lifted / np.where(total > 0, total, 1), np.float32)


def prepared(scan: npt.NDArray[np.floating[Any]], *, thinning: int, scale: str) -> Floats:
    """Return patterns for a network: (..., y / thinning, x / thinning) float32, of mean square 1.

    Args:
        scan: (..., y, x).
        thinning: pixels along each axis whose intensities are added up to one, an odd number.
        scale: "root" of the intensity, so that what is scattered far is seen beside the discs, or
            "linear".
    """
    intensity = thinned(shares(scan), thinning)
    values = np.sqrt(intensity) if scale == ROOT else intensity
    size = np.sqrt((values.astype(np.float64) ** 2).mean(axis=(-2, -1), keepdims=True))
    return np.asarray(values / np.where(size > 0, size, 1), np.float32)


def thinned(intensity: Floats, thinning: int) -> Floats:
    """Return sums of blocks of `thinning` x `thinning` pixels: (..., rows, columns).

    The undiffracted beam, in pixel (y // 2, x // 2), stays in the middle of a block; as many blocks
    are kept on either side of it. With 1 the patterns stay as they are.
    """
    if thinning == 1:
        return intensity
    cut = intensity
    for axis in (-2, -1):
        count = blocks(intensity.shape[axis], thinning)
        first = intensity.shape[axis] // 2 - (count * thinning) // 2
        cut = np.take(cut, np.arange(first, first + count * thinning), axis=axis)
        shape = list(cut.shape)
        at = len(shape) + axis
        cut = cut.reshape(*shape[:at], count, thinning, *shape[at + 1 :]).sum(axis=at + 1)
    return np.asarray(cut, np.float32)


def blocks(length: int, thinning: int) -> int:
    """Return how many blocks an axis has."""
    if thinning == 1:
        return length
    beside = (length - 1 - length // 2 - thinning // 2) // thinning
    return 2 * max(beside, 0) + 1
