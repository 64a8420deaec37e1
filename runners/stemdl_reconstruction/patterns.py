"""Prepare patterns for networks and baselines: intensity as a share, binning of pixels, scale.

Published patterns are z-scored, so intensity is known up to a factor and an offset. Two assumptions
recover it as a share of the pattern: the minimum is zero intensity, because corners beyond the band
limit are dark, and all patterns have the same total intensity.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]

ROOT, LINEAR = "root", "linear"


def shares(scan: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return the share of each pixel in its pattern's intensity: (..., y, x) float32 of sum 1.

    Args:
        scan: (..., y, x), z-scored or not.
    """
    intensity = scan - scan.min(axis=(-2, -1), keepdims=True)
    total = intensity.sum(axis=(-2, -1), keepdims=True)
    return np.asarray(intensity / np.where(total > 0, total, 1), np.float32)


def prepared(scan: npt.NDArray[np.floating[Any]], *, binning: int, scale: str) -> Floats:
    """Return patterns for a network: (..., y / binning, x / binning) float32 of mean square 1.

    Args:
        scan: (..., y, x).
        binning: pixels along each axis whose intensities are summed to one, an odd number.
        scale: "root" takes the square root of the intensity, so that weak scattering at large
            angles is visible beside the discs; "linear" leaves intensity as it is.
    """
    intensity = binned(shares(scan), binning)
    values = np.sqrt(intensity) if scale == ROOT else intensity
    size = np.sqrt((values.astype(np.float64) ** 2).mean(axis=(-2, -1), keepdims=True))
    return np.asarray(values / np.where(size > 0, size, 1), np.float32)


def binned(intensity: Floats, binning: int) -> Floats:
    """Return sums over blocks of `binning` x `binning` pixels: (..., rows, columns).

    The undiffracted beam, in pixel (y // 2, x // 2), stays in the middle of a block, and both sides
    of it have the same number of blocks. With 1 the patterns do not change.
    """
    if binning == 1:
        return intensity
    sums = intensity
    for axis in (-2, -1):
        count = block_count(intensity.shape[axis], binning)
        first = intensity.shape[axis] // 2 - (count * binning) // 2
        sums = np.take(sums, np.arange(first, first + count * binning), axis=axis)
        shape = list(sums.shape)
        at = len(shape) + axis
        sums = sums.reshape(*shape[:at], count, binning, *shape[at + 1 :]).sum(axis=at + 1)
    return np.asarray(sums, np.float32)


def block_count(length: int, binning: int) -> int:
    """Return the number of blocks along an axis of `length` pixels."""
    if binning == 1:
        return length
    on_each_side = (length - 1 - length // 2 - binning // 2) // binning
    return 2 * max(on_each_side, 0) + 1
