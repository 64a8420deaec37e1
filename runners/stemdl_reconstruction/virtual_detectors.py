"""Images of virtual detectors: bright field, integrated centre of mass, annular detectors.

A virtual detector computes one number from each pattern of a scan, so a scan gives an image on the
grid of probes, (n, n). `on_view` interpolates it to the pixels of the view by cubic splines; each
probe is in the middle of its share of the view.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .data import shares

ANNULI = 8  # annular detectors of equal width, from the undiffracted beam to the pattern's edge
BRIGHT_FIELD, ICOM = 0, 1  # indices of channels
COUNT = 3 + ANNULI  # channels
# The centre disc ends where the mean pattern falls below this share of its middle.
DISC_EDGE = 0.5

Doubles = npt.NDArray[np.float64]


def virtual_images(scan: npt.NDArray[np.floating[Any]]) -> Doubles:
    """Return the images of all virtual detectors on the grid of probes: (n, n, COUNT) float64.

    Channels: the share of the pattern in the centre disc (bright field); the integrated centre of
    mass, of mean 0, which for a thin specimen is its potential up to a factor and a constant
    (Lazić, Bosch and Lazar 2016); the distance in pixels of the centre of mass from that of the
    whole scan; the shares in the annular detectors.

    Args:
        scan: (probe, y, x), z-scored or not; probes of a square grid, row by row.
    """
    side = math.isqrt(len(scan))
    share = shares(scan).astype(np.float64)
    rows, columns = (np.arange(length) - length // 2 for length in share.shape[1:])
    radius = np.hypot(rows[:, None], columns)
    disc = radius <= disc_radius(share.mean(axis=0), radius)
    centre = np.stack([(share.sum(axis=2) @ rows), (share.sum(axis=1) @ columns)], axis=-1)
    centre -= centre.mean(axis=0)
    annulus = np.minimum(radius * ANNULI / (min(share.shape[1:]) / 2), ANNULI - 1).astype(int)
    in_annuli = [share[:, annulus == number].sum(axis=1) for number in range(ANNULI)]
    gradient = centre.reshape(side, side, 2)
    channels = [
        share[:, disc].sum(axis=1).reshape(side, side),
        integrate_gradient(gradient),
        np.hypot(gradient[..., 0], gradient[..., 1]),
        *(values.reshape(side, side) for values in in_annuli),
    ]
    return np.stack(channels, axis=-1)


def disc_radius(mean: Doubles, radius: Doubles) -> float:
    """Return the radius of the centre disc in pixels.

    That is where the mean over a circle falls below half of the mean of the middle pixels.

    Args:
        mean: (y, x) mean pattern.
        radius: (y, x) distance from the undiffracted beam in pixels.
    """
    within = radius < min(mean.shape) / 2
    circle = np.round(radius[within]).astype(int)
    profile = np.bincount(circle, weights=mean[within]) / np.maximum(np.bincount(circle), 1)
    below = np.flatnonzero(profile < DISC_EDGE * profile[:2].mean())
    return float(below[0]) - 0.5 if len(below) else float(len(profile))


def integrate_gradient(gradient: Doubles) -> Doubles:
    """Return the image (n, n) of mean 0 with the given gradient (n, n, 2), by least squares.

    The slope between two neighbours is the mean of their gradients.
    """
    side = len(gradient)
    down = (gradient[1:, :, 0] + gradient[:-1, :, 0]) / 2
    right = (gradient[:, 1:, 1] + gradient[:, :-1, 1]) / 2
    steps = np.concatenate([down.ravel(), right.ravel()])
    return np.asarray((_integrator(side) @ steps).reshape(side, side))


def on_view(images: Doubles, view: tuple[int, int]) -> Doubles:
    """Return images (n, n, c) interpolated to the pixels of the view: (row, column, c)."""
    from scipy.ndimage import zoom

    factors = [size / length for size, length in zip(view, images.shape[:2], strict=True)]
    interpolated = [
        zoom(images[..., number], factors, order=3, mode="nearest", grid_mode=True)
        for number in range(images.shape[-1])
    ]
    return np.stack(interpolated, axis=-1)


@cache
def _integrator(side: int) -> Doubles:
    """Return the pseudo-inverse of the differences between neighbours of a side x side grid."""
    place = np.arange(side * side).reshape(side, side)
    pairs = [(place[:-1].ravel(), place[1:].ravel()), (place[:, :-1].ravel(), place[:, 1:].ravel())]
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    differences = np.zeros((len(first), side * side))
    differences[np.arange(len(first)), first] = -1
    differences[np.arange(len(first)), second] = 1
    return np.asarray(np.linalg.pinv(differences), np.float64)
