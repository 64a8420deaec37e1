"""Compute the published target, a blurred and z-scored image, from a potential."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLUR = 1.2  # pixels, of the published target (ORNL's namsa, scripts/summit_scripts)
MIN_DEVIATION = 1e-6  # of the blurred image, in V; an image with less counts as constant


def legacy_images(potential: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return the published target of potentials: (sample, row, column) float32, without unit.

    The published target is the mean over slices of sin(sigma V), blurred and z-scored in each
    image. For a small phase that is the potential, blurred and z-scored: sigma and slices cancel.
    So even for the true potential the result differs a little from the stored target. The blur
    repeats the last pixel beyond the edges. A constant image becomes 0.

    Args:
        potential: (sample, row, column) in V.
    """
    from scipy.ndimage import gaussian_filter

    blurred = np.stack(
        [
            gaussian_filter(np.asarray(image, np.float64), BLUR, mode="nearest")
            for image in potential
        ]
    )
    centred = blurred - blurred.mean(axis=(1, 2), keepdims=True)
    deviation = centred.std(axis=(1, 2), keepdims=True)
    varies = deviation > MIN_DEVIATION
    return np.asarray(np.where(varies, centred / np.where(varies, deviation, 1), 0), np.float32)
