"""Electrons through a crystal by multislice, on the oblique cell of a layer.

A plane wave of transverse wave vector K stays a sum over the rods G of the cell's reciprocal
lattice: psi = sum_G psi_G exp(2 pi i (k.r + kappa_z z)), k = G + K. Each slice multiplies it by
exp(i sigma v(r)); on the way to the next, psi_G takes the phase 2 pi kappa_z dz, and from a layer
to the next displaced one 2 pi k.shift. kappa_z is -lambda k^2 / 2 (Fresnel) in layers across the
beam. In layers at a slope the wave on the layer repeats with k while it runs along
kappa = k - slope * kappa_z, so kappa_z = -lambda kappa^2 / 2 is solved for. Many K are one batch of
Fourier transforms.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from sciml_data.synthetic.diffraction.electrons import interaction, wavelength
from sciml_data.synthetic.diffraction.layers import Layer, projected_potentials

Floats = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complex64]
BATCH_POINTS = 1 << 17  # of a wave batch: 1 MiB, which stays in a core's cache


@dataclass(frozen=True)
class Slab:
    """A layer on a grid, ready for any energy.

    Attributes:
        layer: what it is made of.
        thickness: Å.
        repeats: layers on top of each other.
        limit: Å^-1, what waves and transmissions are limited to.
        vectors: (n, m, 2) reciprocal vectors G in Å^-1, in the order of a Fourier transform.
        potentials: (slices, n, m) projected potential of each slice in V Å, real space.
    """

    layer: Layer
    thickness: float
    repeats: int
    limit: float
    vectors: Floats
    potentials: npt.NDArray[np.float32]


def slab_of(layer: Layer, *, thickness: float, limit: float, widest_tilt: float) -> Slab:
    """Return a slab of as many whole layers as come nearest to `thickness` Å (at least one).

    Args:
        layer: what is stacked.
        thickness: Å.
        limit: Å^-1 of |G + K| that waves keep, and of |G| that transmissions keep.
        widest_tilt: the longest K in Å^-1 that will be asked for.

    The grid has three times the points that the limit needs, so that a product of a wave and a
    transmission folds nothing back inside it (the rule of two thirds).
    """
    lengths = np.linalg.norm(layer.axes, axis=1)
    sizes = [
        fft.next_fast_len(math.ceil(length * (3 * limit + 2 * widest_tilt)) + 1)
        for length in lengths
    ]
    indices = tuple(np.rint(fft.fftfreq(size) * size) for size in sizes)
    first, second = indices
    vectors = first[:, None, None] * layer.reciprocal[0] + second[:, None] * layer.reciprocal[1]
    coefficients = projected_potentials(layer, (first, second))
    coefficients *= (vectors**2).sum(axis=2) <= (1.5 * limit) ** 2
    potentials = fft.ifft2(coefficients, norm="forward", workers=1).real.astype(np.float32)
    repeats = max(1, round(thickness / layer.height))
    return Slab(layer, repeats * layer.height, repeats, limit, vectors, potentials)


def exit_waves(slab: Slab, energy: float, tilts: Floats) -> Waves:
    """Return what comes out for plane waves of unit intensity.

    Args:
        slab: what they go through.
        energy: keV.
        tilts: (k, 2) transverse wave vectors K in Å^-1.

    Returns:
        (k, n, m) complex64 amplitudes psi_G of G + K; zero where |G + K| is past the limit.
        Single precision: docs/diffraction.md has what double changes.
    """
    transmissions = _transmissions(slab, energy)
    points = transmissions.shape[1] * transmissions.shape[2]
    count = max(1, BATCH_POINTS // points)
    waves = np.empty((len(tilts), *transmissions.shape[1:]), dtype=np.complex64)
    for start in range(0, len(tilts), count):
        some = slice(start, start + count)
        waves[some] = _through(slab, transmissions, _propagators(slab, energy, tilts[some]))
    return waves


def along_beam(layer: Layer, energy: float, waves: Floats) -> Floats:
    """Return kappa_z in Å^-1 of waves k (..., 2), less that of the straight beam; never positive.

    The root of a kappa_z^2 + b kappa_z + c = 0 that vanishes with k.
    """
    half = 0.5 * wavelength(energy)
    a = half * float(layer.slope @ layer.slope)
    b = 1 - 2 * half * (waves @ layer.slope)
    c = half * (waves**2).sum(axis=-1)
    found: Floats = -2 * c / (b + np.sqrt(b * b - 4 * a * c))
    return found


def across_beam(layer: Layer, energy: float, waves: Floats) -> Floats:
    """Return where waves k (..., 2) are seen in a pattern: kappa (..., 2) in Å^-1."""
    seen: Floats = waves - along_beam(layer, energy, waves)[..., None] * layer.slope
    return seen


def _transmissions(slab: Slab, energy: float) -> Waves:
    """Return exp(i sigma v) of each slice, limited, in real space; complex64."""
    turned = np.exp(1j * interaction(energy) * slab.potentials.astype(np.float64))
    spectrum = fft.fft2(turned, workers=1, overwrite_x=True)
    spectrum *= (slab.vectors**2).sum(axis=2) <= slab.limit**2
    limited: Waves = fft.ifft2(spectrum, workers=1, overwrite_x=True).astype(np.complex64)
    return limited


def _propagators(slab: Slab, energy: float, tilts: Floats) -> list[Waves]:
    """Return the factors (k, n, m) of the way from each slice to the next, the limit in them."""
    waves = slab.vectors + tilts[:, None, None]
    inside = (waves**2).sum(axis=3) <= slab.limit**2
    turns = along_beam(slab.layer, energy, waves)
    shifted = waves @ slab.layer.shift
    heights = [height for height, _ in slab.layer.slices]
    heights.append(heights[0] + slab.layer.height)
    factors = []
    for number, (low, high) in enumerate(itertools.pairwise(heights)):
        phase = turns * (high - low)
        if number == len(heights) - 2:
            phase = phase + shifted
        factors.append((np.exp(2j * math.pi * phase) * inside).astype(np.complex64))
    return factors


def _through(slab: Slab, transmissions: Waves, propagators: list[Waves]) -> Waves:
    """Return the waves (k, n, m) behind all layers, in reciprocal space."""
    spectrum = np.zeros_like(propagators[0])
    spectrum[:, 0, 0] = 1.0
    for _ in range(slab.repeats):
        for transmission, propagator in zip(transmissions, propagators, strict=True):
            space = fft.ifft2(spectrum, workers=1, overwrite_x=True)
            space *= transmission
            spectrum = fft.fft2(space, workers=1, overwrite_x=True)
            spectrum *= propagator
    return spectrum
