"""What lies under a scanned probe: potential, electron density, and the published target.

All are sums over the reciprocal vectors of the projected cell, worked out at the pixels themselves:
nothing is interpolated. Layers displaced from one to the next wash out what does not repeat along
the beam, as they do for the beam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from sciml_data.synthetic.diffraction.electrons import POTENTIAL_PER_FACTOR, interaction
from sciml_data.synthetic.diffraction.layers import Layer, projected_potentials, structure_factors
from sciml_data.synthetic.diffraction.multislice import Slab
from sciml_data.synthetic.diffraction.scattering import Factor, electron_factor, xray_factor

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]
Single = npt.NDArray[np.float32]

FINEST_DETAIL = 4.0  # Å^-1, to which targets are summed; tabulated factors end there (s = 2 Å^-1)
LEGACY_BLUR = 1.2  # pixels, standard deviation; of the published target


@dataclass(frozen=True)
class Window:
    """A square across the beam: corner, x and y in Å from the crystal's origin, and side in Å."""

    corner: tuple[float, float]
    side: float

    def middles(self, count: int) -> Floats:
        """Return the middles (count * count, 2) of equal shares, x and y in Å, row by row."""
        steps = (np.arange(count) + 0.5) * self.side / count
        x, y = np.meshgrid(steps + self.corner[0], steps + self.corner[1])
        return np.stack([x.ravel(), y.ravel()], axis=1)

    def view(self, layer: Layer, coefficients: Complexes, count: int) -> Floats:
        """Return a function (count, count) with Fourier coefficients (n, m), at pixels' middles."""
        vectors = _vectors(layer, coefficients.shape)
        kept = (vectors**2).sum(axis=2) <= FINEST_DETAIL**2
        steps = (np.arange(count) + 0.5) * self.side / count
        along_x, along_y = (
            np.exp(2j * math.pi * np.outer(steps + corner, vectors[kept][:, axis]))
            for axis, corner in enumerate(self.corner)
        )
        seen: Floats = ((along_y * coefficients[kept]) @ along_x.T).real
        return seen


def mean_potential(slab: Slab, window: Window, count: int) -> Single:
    """Return the mean potential along the beam (count, count) in V."""
    layer = slab.layer
    scale = POTENTIAL_PER_FACTOR / (layer.area * layer.height)
    return np.asarray(scale * _mean(slab, window, count, electron_factor), dtype=np.float32)


def electron_density(slab: Slab, window: Window, count: int) -> Single:
    """Return the mean electron density along the beam (count, count) in e / Å^3."""
    scale = 1 / (slab.layer.area * slab.layer.height)
    return np.asarray(scale * _mean(slab, window, count, xray_factor), dtype=np.float32)


def legacy_target(slab: Slab, window: Window, count: int, *, energy: float) -> Single:
    """Return the published target (count, count): no unit, mean 0, standard deviation 1.

    Mean over slices of sin(sigma v), the imaginary part of a slice's transmission; blurred with a
    Gaussian of 1.2 pixels; less its mean, over its standard deviation. The published one is the
    middle half of a square of 50 Å, 128 pixels wide.
    """
    layer = slab.layer
    indices = _indices(layer)
    slices = fft.ifft2(projected_potentials(layer, indices), norm="forward", workers=1).real
    sines = np.sin(interaction(energy) * slices).mean(axis=0)
    coefficients = fft.fft2(sines, norm="forward", workers=1) * _washed_out(slab, sines.shape)
    squared = (_vectors(layer, sines.shape) ** 2).sum(axis=2)
    blur = LEGACY_BLUR * window.side / count
    coefficients *= np.exp(-2 * (math.pi * blur) ** 2 * squared)
    seen = window.view(layer, coefficients, count)
    deviation = max(float(seen.std()), 1e-9)  # nothing at all gives zeros
    return np.asarray((seen - seen.mean()) / deviation, dtype=np.float32)


def _mean(slab: Slab, window: Window, count: int, factor: Factor) -> Floats:
    """Return the sum of a layer's factors at pixels (count, count), mean over all layers."""
    atoms = tuple(kind for _, kinds in slab.layer.slices for kind in kinds)
    factors = structure_factors(slab.layer, atoms, _indices(slab.layer), factor)
    return window.view(slab.layer, factors * _washed_out(slab, factors.shape), count)


def _washed_out(slab: Slab, shape: tuple[int, ...]) -> Complexes:
    """Return the mean over all layers of the phase that a layer's displacement is to each G."""
    turns = _vectors(slab.layer, shape) @ slab.layer.shift
    total = np.zeros(turns.shape, dtype=np.complex128)
    for number in range(slab.repeats):
        total += np.exp(-2j * math.pi * number * turns)
    return total / slab.repeats


def _indices(layer: Layer) -> tuple[Floats, Floats]:
    """Return numbers of reciprocal vectors, in the order of a transform, past the finest detail."""
    first, second = (
        fft.next_fast_len(math.ceil(3 * FINEST_DETAIL * length) + 1)
        for length in np.linalg.norm(layer.axes, axis=1).tolist()
    )
    return np.rint(fft.fftfreq(first) * first), np.rint(fft.fftfreq(second) * second)


def _vectors(layer: Layer, shape: tuple[int, ...]) -> Floats:
    """Return reciprocal vectors (n, m, 2) in Å^-1 in the order of a transform."""
    first, second = (np.rint(fft.fftfreq(size) * size) for size in shape)
    vectors: Floats = (
        first[:, None, None] * layer.reciprocal[0] + second[:, None] * layer.reciprocal[1]
    )
    return vectors
