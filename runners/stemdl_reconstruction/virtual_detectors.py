"""What a detector would see of a scan: bright field, centre of mass, rings; and images of them.

Images are on the grid of probe positions first, (n, n), then on the view's pixels by cubic splines;
each probe stands in the middle of its share of the view.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from . import patterns

RINGS = 8  # of equal width, from the undiffracted beam to the edge of the pattern
BRIGHT_FIELD, ICOM = 0, 1  # where they stand among the moments
COUNT = 3 + RINGS
HALF = 0.5  # of the middle's intensity: where the mean pattern falls below it, the centre disc ends

Doubles = npt.NDArray[np.float64]


def moments(scan: npt.NDArray[np.floating[Any]]) -> Doubles:
    """Return images of moments on the grid of probes: (n, n, COUNT) float64.

    In their order: share of the pattern in the centre disc; integrated centre of mass, which of a
    thin specimen is its potential but for a factor and a constant (Lazić, Bosch and Lazar 2016),
    of mean 0; length of the centre of mass' distance from that of the whole scan, in pixels; shares
    in rings.

    Args:
        scan: (probe, y, x), z-scored or not; probes of a square grid, row by row.
    """
    side = math.isqrt(len(scan))
    share = patterns.shares(scan).astype(np.float64)
    rows, columns = (np.arange(length) - length // 2 for length in share.shape[1:])
    radius = np.hypot(rows[:, None], columns)
    disc = radius <= disc_radius(share.mean(axis=0), radius)
    centre = np.stack([(share.sum(axis=2) @ rows), (share.sum(axis=1) @ columns)], axis=-1)
    centre -= centre.mean(axis=0)
    ring = np.minimum(radius * RINGS / (min(share.shape[1:]) / 2), RINGS - 1).astype(int)
    in_rings = [share[:, ring == number].sum(axis=1) for number in range(RINGS)]
    gradient = centre.reshape(side, side, 2)
    found = [
        share[:, disc].sum(axis=1).reshape(side, side),
        integrated(gradient),
        np.hypot(gradient[..., 0], gradient[..., 1]),
        *(values.reshape(side, side) for values in in_rings),
    ]
    return np.stack(found, axis=-1)


def disc_radius(mean: Doubles, radius: Doubles) -> float:
    """Return the radius in pixels of the centre disc of a mean pattern, both (y, x).

    Where the mean over a circle falls below half of what the middle pixels have.
    """
    within = radius < min(mean.shape) / 2
    circle = np.round(radius[within]).astype(int)
    profile = np.bincount(circle, weights=mean[within]) / np.maximum(np.bincount(circle), 1)
    below = np.flatnonzero(profile < HALF * profile[:2].mean())
    return float(below[0]) - 0.5 if len(below) else float(len(profile))


def integrated(gradient: Doubles) -> Doubles:
    """Return the image (n, n) of mean 0 whose slopes are nearest to a gradient (n, n, 2).

    Between neighbours the slope is the mean of theirs; the least-squares solution of all pairs.
    """
    side = len(gradient)
    down = (gradient[1:, :, 0] + gradient[:-1, :, 0]) / 2
    right = (gradient[:, 1:, 1] + gradient[:, :-1, 1]) / 2
    steps = np.concatenate([down.ravel(), right.ravel()])
    return np.asarray((_integrator(side) @ steps).reshape(side, side))


def on_view(images: Doubles, view: tuple[int, int]) -> Doubles:
    """Return images (n, n, c) on the view's pixels: (row, column, c), by cubic splines."""
    from scipy.ndimage import zoom

    factors = [size / length for size, length in zip(view, images.shape[:2], strict=True)]
    wide = [
        zoom(images[..., number], factors, order=3, mode="nearest", grid_mode=True)
        for number in range(images.shape[-1])
    ]
    return np.stack(wide, axis=-1)


@cache
def _integrator(side: int) -> Doubles:
    """Return the pseudo-inverse of the differences between neighbours on a grid of side x side."""
    place = np.arange(side * side).reshape(side, side)
    pairs = [(place[:-1].ravel(), place[1:].ravel()), (place[:, :-1].ravel(), place[:, 1:].ravel())]
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    differences = np.zeros((len(first), side * side))
    differences[np.arange(len(first)), first] = -1
    differences[np.arange(len(first)), second] = 1
    return np.asarray(np.linalg.pinv(differences), np.float64)
