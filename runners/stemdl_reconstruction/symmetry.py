"""Rotations and mirror images of a scan together with the images below it.

A crystal may be rotated, and its mirror image is a crystal too. Each symmetry acts on the grid of
probes, on each pattern about its undiffracted beam, and on the images. That is correct on two
conditions: each probe is in the middle of its share of the square that the images show, and rows
and columns of patterns and images have the same directions. Our samples meet both; the published
files do not say.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SYMMETRIES = 8  # of a square: transposed or not, flipped or not along each of two axes


def augment_pairs(
    scans: Array, images: Array, *, random: np.random.Generator
) -> tuple[Array, Array]:
    """Return scans and images, each pair in a symmetry drawn at random.

    Args:
        scans: (sample, probe, y, x).
        images: (sample, row, column, channel).
        random: draws a symmetry for each sample.
    """
    draws = random.integers(SYMMETRIES, size=len(scans)).tolist()
    pairs = [
        apply_symmetry(scan, image, draw)
        for scan, image, draw in zip(scans, images, draws, strict=True)
    ]
    return np.stack([scan for scan, _ in pairs]), np.stack([image for _, image in pairs])


def apply_symmetry(scan: Array, image: Array, symmetry: int) -> tuple[Array, Array]:
    """Return a scan and its image in symmetry 0 to 7 of a square; 0 changes nothing.

    Args:
        scan: (probe, y, x). The grid of probes is square, probes row by row; patterns are square,
            with the undiffracted beam in pixel (y // 2, x // 2).
        image: (row, column, channel), square.
        symmetry: bit 0 transposes, bits 1 and 2 flip rows and columns.
    """
    side = math.isqrt(len(scan))
    grid = scan.reshape(side, side, *scan.shape[1:])
    if symmetry & 1:
        grid, image = grid.transpose(1, 0, 3, 2), image.transpose(1, 0, 2)
    for axis in (0, 1):
        if symmetry & (2 << axis):
            grid = _flip_patterns(np.flip(grid, axis), axis + 2)
            image = np.flip(image, axis)
    return grid.reshape(scan.shape), np.ascontiguousarray(image)


def _flip_patterns(grid: Array, axis: int) -> Array:
    """Return patterns flipped about the undiffracted beam.

    With an even length the first pixel has no partner. It is beyond the band limit and dark.
    """
    flipped = np.flip(grid, axis)
    return flipped if grid.shape[axis] % 2 else np.roll(flipped, 1, axis)
