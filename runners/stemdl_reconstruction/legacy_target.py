"""The published target from a potential: blurred and z-scored, without unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLUR = 1.2  # pixels, of the published target (ORNL's namsa, scripts/summit_scripts)
LEAST_DEVIATION = 1e-6  # of the blurred image, in V; below it the image says nothing


def legacy_images(potential: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return what the published target would be of potentials: (sample, row, column) float32.

    The target is the mean over slices of sin(sigma V), blurred and z-scored in each image. For a
    small phase that is the potential blurred and z-scored: sigma and slices drop out. So of the
    true potential too it differs from the stored target a little, and beyond the edges, where the
    blur reaches, the last pixel is repeated. An image that is the same everywhere becomes 0.

    Args:
        potential: (sample, row, column), V.
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
    known = deviation > LEAST_DEVIATION
    return np.asarray(np.where(known, centred / np.where(known, deviation, 1), 0), np.float32)
