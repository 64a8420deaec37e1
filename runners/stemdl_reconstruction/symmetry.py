"""Turns and flips of a scan together with what lies under it.

A crystal may be turned, and its mirror image is a crystal too. Turned are the grid of probes, each
pattern about its undiffracted beam, and the images. That holds where the grid lies evenly in the
square that the images show, each probe in the middle of its share, and where rows and columns of
patterns and images run along the same directions: so it is in our samples, and the published files
do not say.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SYMMETRIES = 8  # of a square: none or one transposition, flips along two axes


def moved(scans: Array, images: Array, *, random: np.random.Generator) -> tuple[Array, Array]:
    """Return scans (n, probe, y, x) and images (n, row, column, c), each pair moved at random."""
    draws = random.integers(SYMMETRIES, size=len(scans)).tolist()
    pairs = [
        move(scan, image, draw) for scan, image, draw in zip(scans, images, draws, strict=True)
    ]
    return np.stack([scan for scan, _ in pairs]), np.stack([image for _, image in pairs])


def move(scan: Array, image: Array, symmetry: int) -> tuple[Array, Array]:
    """Return a scan (probe, y, x) and its image (row, column, c) in one symmetry; 0 leaves them.

    The grid of probes is square, probes row by row; patterns are square, and the undiffracted beam
    is in pixel (y // 2, x // 2).
    """
    side = math.isqrt(len(scan))
    grid = scan.reshape(side, side, *scan.shape[1:])
    if symmetry & 1:
        grid, image = grid.transpose(1, 0, 3, 2), image.transpose(1, 0, 2)
    for axis in (0, 1):
        if symmetry & (2 << axis):
            grid = _flip_pattern(np.flip(grid, axis), axis + 2)
            image = np.flip(image, axis)
    return grid.reshape(scan.shape), np.ascontiguousarray(image)


def _flip_pattern(grid: Array, axis: int) -> Array:
    """Return patterns flipped about the undiffracted beam.

    Of an even length the first pixel has no partner; it lies past the band limit, and is dark.
    """
    flipped = np.flip(grid, axis)
    return flipped if grid.shape[axis] % 2 else np.roll(flipped, 1, axis)
