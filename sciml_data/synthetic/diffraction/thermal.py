"""Thermal diffuse scattering: what the motion of atoms takes from the beams and where it goes.

Atoms vibrate independently of each other (Einstein's model). The mean over their displacements has
two effects on a wave. Debye-Waller factors damp the mean potential, which `scattering` always
includes. The variance of the potential scatters electrons between the beams. That is optional and
computed here:

1. A slice absorbs. Its mean transmission is exp(i sigma v - sigma^2 var(v) / 2), var(v) being the
   variance of the projected potential over displacements. To first order that is the absorptive
   potential of Hall & Hirsch (1965), in the form of Bird & King (1990).
2. The absorbed electrons form a diffuse background (`emission`). It depends on the element, on B,
   and on how the waves concentrate at the atoms.

The emitted electrons are not diffracted again. So the background is a smooth haze without Kikuchi
lines. docs/explanation/diffraction.md compares it with a mean over random displacements (frozen
phonons) and with a measured pattern.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import fft, interpolate, signal

from sciml_data.synthetic.diffraction.layers import Layer, structure_factors
from sciml_data.synthetic.diffraction.scattering import (
    POTENTIAL_PER_FACTOR,
    electron_factor,
    interaction,
    variance_factor,
)

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]
Single = npt.NDArray[np.float32]
Waves = npt.NDArray[np.complex64]
# Side of the square around an atom in Å, and points along it. Potentials fit into the square, and
# frequencies reach 5 Å^-1, the sum of those of factors and envelopes.
SIDE, POINTS = 12.8, 128
ENVELOPE_LIMIT = 2.0  # Å^-1; higher coefficients change a pixel of the background by 3 % at most


def potential_variances(layer: Layer, indices: tuple[Floats, Floats]) -> Single:
    """Return the variance over displacements of the projected potential of each slice.

    Args:
        layer: a layer.
        indices: as `structure_factors`; they make the grid.

    Returns:
        (slices, n, m) float32 in V^2 Å^2, real space.
    """
    scale = POTENTIAL_PER_FACTOR**2 / layer.area
    each = [structure_factors(layer, atoms, indices, variance_factor) for _, atoms in layer.slices]
    variances = fft.ifft2(scale * np.stack(each), norm="forward", workers=1).real
    # A finite series rings below zero, where a slice would create electrons.
    return np.asarray(np.maximum(variances, 0.0), dtype=np.float32)


class Density:
    """The intensity of the waves of a probe in front of each slice of a layer, over all layers.

    Attributes:
        values: (slices, n, m); the incident beam adds 1 in each layer.
    """

    def __init__(self, weights: Floats, shape: tuple[int, ...]) -> None:
        """Start at zero.

        Args:
            weights: (k,) share of each plane wave in the probe.
            shape: (slices, n, m) of the slab's potentials.
        """
        self._weights = weights.astype(np.float32)
        self.values: Floats = np.zeros(shape)

    def observe(self, batch: slice, number: int, waves: Waves) -> None:
        """Add the waves of a batch in front of a slice; `multislice.exit_waves` calls this."""
        points = waves.shape[1] * waves.shape[2]
        intensity = waves.real**2 + waves.imag**2
        # The inverse transform of a unit wave is 1 / points at each point.
        self.values[number] += points**2 * np.tensordot(self._weights[batch], intensity, axes=1)


@dataclass(frozen=True)
class Emission:
    """Diffuse intensity around the direction of each plane wave of a probe.

    Attributes:
        frequencies: (f,) distances from the plane wave along y, and along x, in Å^-1.
        intensity: (f, f) in Å^2: times an area in Å^-2 it is a fraction of the incident beam.
    """

    frequencies: Floats
    intensity: Floats

    def background(self, tilts: Floats, weights: Floats, *, pixel: float, size: int) -> Floats:
        """Return the background of a probe as a fraction of its beam in each pixel: (size, size).

        Args:
            tilts: (k, 2) plane waves of the probe in Å^-1, on the grid of the pixels.
            weights: (k,) their shares in the probe.
            pixel: Å^-1.
            size: pixels along a side.
        """
        at = np.rint(tilts / pixel).astype(np.int64)
        reach = int(np.abs(at).max())
        probe = np.zeros((2 * reach + 1, 2 * reach + 1))
        probe[at[:, 1] + reach, at[:, 0] + reach] = weights
        places = (np.arange(size + 2 * reach) - size // 2 - reach) * pixel
        smooth = interpolate.RectBivariateSpline(*[self.frequencies] * 2, self.intensity)
        total: Floats = signal.fftconvolve(smooth(places, places), probe, mode="valid")
        return pixel**2 * total


def emission(layer: Layer, density: Floats, energy: float) -> Emission:
    """Return the diffuse intensity that the atoms of a slab emit.

    An atom scatters the envelope g of the waves around it, the root of their density, by the change
    of its potential with its displacement u. To first order that is g times u times the gradient of
    the potential. A factor turns 2 B s^2 into 1 - exp(-2 B s^2), so that large displacements count
    as in f(s)^2 (1 - exp(-2 B s^2)), which is the result for a constant envelope.

    Args:
        layer: has the slices and their atoms.
        density: (slices, n, m), see `Density`.
        energy: keV.
    """
    steps = fft.fftfreq(POINTS, 1 / SIDE)  # Å from an atom, in the order of a Fourier transform
    frequencies = fft.fftfreq(POINTS, SIDE / POINTS)
    squared = frequencies[:, None] ** 2 + frequencies**2
    envelopes = _envelopes(layer, density)
    total = np.zeros(squared.shape)
    for (_, kinds), envelope in zip(layer.slices, envelopes, strict=True):
        for atoms in kinds:
            factors = electron_factor(atoms.element, 0.0, squared / 4)
            gradients = fft.ifft2([factors * frequencies[:, None], factors * frequencies])
            exponent = np.maximum(0.5 * atoms.b_iso * squared, np.finfo(np.float64).tiny)
            limited = -0.5 * atoms.b_iso * np.expm1(-exponent) / exponent
            places, counts = np.unique(np.round(atoms.places, 6) % 1, axis=0, return_counts=True)
            for place, count in zip(places @ layer.axes, counts, strict=True):
                around = envelope(place[0] + steps, place[1] + steps)
                waves = fft.fft2(gradients * around, workers=1)
                strength = (waves.real**2 + waves.imag**2).sum(axis=0)
                total += atoms.weight * count * limited * strength
    scale = (interaction(energy) * POTENTIAL_PER_FACTOR) ** 2 / layer.area
    return Emission(fft.fftshift(frequencies), scale * fft.fftshift(total))


def _envelopes(layer: Layer, density: Floats) -> list[Callable[[Floats, Floats], Floats]]:
    """Return for each slice a function from x and y in Å to the envelope: (y, x)."""
    first, second = (np.rint(fft.fftfreq(size) * size) for size in density.shape[1:])
    vectors = first[:, None, None] * layer.reciprocal[0] + second[:, None] * layer.reciprocal[1]
    inside = (vectors**2).sum(axis=2) <= ENVELOPE_LIMIT**2
    coefficients = fft.fft2(np.sqrt(density), norm="forward", workers=1)[:, inside]

    def envelope(of_slice: Complexes, x: Floats, y: Floats) -> Floats:
        along_x, along_y = (
            np.exp(2j * math.pi * np.outer(places, vectors[inside][:, axis]))
            for axis, places in enumerate((x, y))
        )
        values: Floats = ((along_y * of_slice) @ along_x.T).real
        return values

    return [partial(envelope, of_slice) for of_slice in coefficients]
