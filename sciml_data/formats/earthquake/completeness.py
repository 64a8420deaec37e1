"""From which magnitude on a catalogue is complete, decade by decade.

Maximum curvature: the magnitude of which there are most events, plus 0.2 because that peak lies a
little below completeness (Wiemer and Wyss 2000, BSSA 90, 859-869; the correction of Woessner and
Wiemer 2005, BSSA 95, 684-698). Quick, and enough to see how unlike the decades are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BIN_HUNDREDTHS = 10  # bins of 0.1, each from 0.05 below its magnitude to 0.04 above it
CORRECTION = 0.2


def completeness_by_decade(
    time: NDArray[np.datetime64], magnitude: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return each decade's first year, and from which magnitude on it is complete.

    Args:
        time: (event) origin times, in order.
        magnitude: (event) float64, known magnitudes only.

    Returns:
        (decade) int32 years, (decade) float32 magnitudes.
    """
    years = time.astype("M8[Y]").astype(np.int64) + 1970
    decades = np.unique(years // 10 * 10)
    found = [maximum_curvature(magnitude[years // 10 * 10 == decade]) for decade in decades]
    return decades.astype(np.int32), np.array(found, np.float32)


def maximum_curvature(magnitude: NDArray[np.float64]) -> float:
    """Return the fullest bin of 0.1 magnitudes (the lowest of equals), plus 0.2."""
    hundredths = np.round(magnitude * 100).astype(np.int64)
    bins, counts = np.unique(
        (hundredths + BIN_HUNDREDTHS // 2) // BIN_HUNDREDTHS, return_counts=True
    )
    return round(float(bins[np.argmax(counts)]) * BIN_HUNDREDTHS / 100 + CORRECTION, 1)
