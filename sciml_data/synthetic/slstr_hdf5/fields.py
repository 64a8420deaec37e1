"""Correlated random fields on the pixels of a scene: making, transport and texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.slstr_hdf5.radiance import Field


def gaussian_field(
    random: np.random.Generator,
    shape: tuple[int, int],
    *,
    outer_km: float,
    slope: float,
    stretch: float = 1.0,
    direction: float = 0.0,
) -> Field:
    """Return a random field with mean 0 and variance 1: (row, column) float32.

    The power spectrum is a power law between an outer scale and the pixel.

    Args:
        random: source of the noise.
        shape: rows and columns of 1 km.
        outer_km: scale above which the power spectrum is flat.
        slope: positive exponent of the two-dimensional power spectrum; 8/3 is the -5/3 law along a
            line.
        stretch: length over width of the structures (fronts and cirrus are long).
        direction: of the length, in radians from the direction of the rows.
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


def advected(field: Field, flow: tuple[Field, Field], distance_km: float) -> Field:
    """Return a field after transport by a flow, by at most about `3 * distance_km`.

    Args:
        field: (row, column), periodic.
        flow: displacement along rows and along columns, in units of `distance_km`.
        distance_km: length of a displacement of 1.
    """
    rows, columns = field.shape
    row = np.arange(rows)[:, None] + (flow[0] * distance_km).astype(np.intp)
    column = np.arange(columns)[None, :] + (flow[1] * distance_km).astype(np.intp)
    carried: Field = field[row % rows, column % columns]
    return carried


def local_spread(field: Field) -> Field:
    """Return the standard deviation in 3 x 3 pixels around each pixel: (row, column) float32."""
    centred = (field - field.mean()).astype(np.float64)
    mean, square = _box(centred), _box(centred**2)
    return np.sqrt(np.maximum(square - mean**2, 0)).astype(np.float32)


def _box(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the 3 x 3 pixels around each pixel."""
    padded = np.pad(values, 1, mode="edge")
    along = padded[:-2] + padded[1:-1] + padded[2:]
    total: NDArray[np.float64] = along[:, :-2] + along[:, 1:-1] + along[:, 2:]
    return total / 9
