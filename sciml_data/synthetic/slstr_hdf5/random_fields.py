"""Correlated random fields: the shapes of eddies, cloud fields and their water.

Gaussian fields with a power law between an outer scale and the pixel, made with one Fourier
transform; they may be stretched along a direction (cirrus, fronts) and stirred by a flow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]


def gaussian_field(
    random: np.random.Generator,
    shape: tuple[int, int],
    *,
    outer_km: float,
    slope: float,
    stretch: float = 1.0,
    direction: float = 0.0,
) -> Field:
    """Return a field of zero mean and unit variance: (row, column) float32.

    Args:
        random: where the noise is drawn from.
        shape: rows and columns of 1 km.
        outer_km: scale above which the spectrum is flat.
        slope: of the power spectrum in two dimensions, positive; 8/3 is the -5/3 law along a line.
        stretch: length over width of the structures.
        direction: of their length, radians from the rows' direction.
    """
    noise = np.fft.rfft2(random.standard_normal(shape, dtype=np.float32))
    down = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    right = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    cosine, sine = np.float32(np.cos(direction)), np.float32(np.sin(direction))
    long, wide = down * cosine + right * sine, right * cosine - down * sine
    power = (long * np.float32(stretch)) ** 2 + wide**2 + np.float32(outer_km**-2)
    spectrum = noise * power ** np.float32(-slope / 4)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=shape)
    scaled: Field = (field / field.std()).astype(np.float32)
    return scaled


def stirred(field: Field, flow: tuple[Field, Field], distance_km: float) -> Field:
    """Return a field whose structures were carried by a flow, at most about `3 distance_km` far."""
    rows, columns = field.shape
    row = np.arange(rows)[:, None] + (flow[0] * distance_km).astype(np.intp)
    column = np.arange(columns)[None, :] + (flow[1] * distance_km).astype(np.intp)
    carried: Field = field[row % rows, column % columns]
    return carried


def local_spread(field: Field) -> Field:
    """Return the standard deviation in the 3 x 3 pixels around each one: (row, column) float32."""
    centred = (field - field.mean()).astype(np.float64)
    mean, square = _box(centred), _box(centred**2)
    return np.sqrt(np.maximum(square - mean**2, 0)).astype(np.float32)


def _box(values: NDArray[np.float64]) -> NDArray[np.float64]:
    edged = np.pad(values, 1, mode="edge")
    along = edged[:-2] + edged[1:-1] + edged[2:]
    total: NDArray[np.float64] = along[:, :-2] + along[:, 1:-1] + along[:, 2:]
    return total / 9
