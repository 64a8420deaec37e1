"""Electrons through a crystal by multislice, on the oblique cell of a layer.

A plane wave with transverse wave vector K remains a sum over the rods G of the reciprocal lattice
of the cell: psi = sum_G psi_G exp(2 pi i (k.r + kappa_z z)), k = G + K. Each slice multiplies the
wave by exp(i sigma v(r)). Between slices psi_G gets the phase 2 pi kappa_z dz, and between layers,
which are displaced, 2 pi k.shift.

In layers perpendicular to the beam, kappa_z = -lambda k^2 / 2 (Fresnel). On a sloping layer the
wave repeats with k while it travels along kappa = k - slope * kappa_z, so kappa_z solves kappa_z =
-lambda kappa^2 / 2. Many K are a batch of Fourier transforms.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import fft

from sciml_data.synthetic.diffraction.layers import Layer, projected_potentials
from sciml_data.synthetic.diffraction.scattering import interaction, wavelength
from sciml_data.synthetic.diffraction.thermal import potential_variances

Floats = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complex64]
Observer = Callable[[slice, int, Waves], None]  # batch of tilts, number of the slice, waves
BATCH_POINTS = 1 << 17  # of a batch of waves: 1 MiB, which stays in the cache of a core


@dataclass(frozen=True)
class Slab:
    """A layer on a grid, ready for any energy.

    Attributes:
        layer: the repeated layer.
        thickness: Å.
        repeats: number of layers.
        limit: Å^-1, largest spatial frequency of waves and transmissions.
        vectors: (n, m, 2) reciprocal vectors G in Å^-1, in the order of a Fourier transform.
        potentials: (slices, n, m) float32, projected potential of each slice in V Å, real space.
        variances: (slices, n, m) float32, of the projected potentials by thermal motion in V^2 Å^2;
            None without thermal diffuse scattering.
    """

    layer: Layer
    thickness: float
    repeats: int
    limit: float
    vectors: Floats
    potentials: npt.NDArray[np.float32]
    variances: npt.NDArray[np.float32] | None = None


def slab_of(
    layer: Layer, *, thickness: float, limit: float, max_tilt: float, diffuse: bool = False
) -> Slab:
    """Return a slab of whole layers with a thickness as close as possible to `thickness`.

    The grid has three times the points that the limit needs. A product of a wave and a transmission
    has twice the limit, and its aliases then stay outside the limit (the rule of two thirds).

    Args:
        layer: the layer to stack, at least once.
        thickness: Å.
        limit: Å^-1, largest |G + K| of waves and largest |G| of transmissions.
        max_tilt: Å^-1, largest |K| of the plane waves.
        diffuse: whether slices absorb by thermal diffuse scattering (`thermal`).
    """
    lengths = np.linalg.norm(layer.axes, axis=1)
    sizes = [
        fft.next_fast_len(math.ceil(length * (3 * limit + 2 * max_tilt)) + 1) for length in lengths
    ]
    indices = tuple(np.rint(fft.fftfreq(size) * size) for size in sizes)
    first, second = indices
    vectors = first[:, None, None] * layer.reciprocal[0] + second[:, None] * layer.reciprocal[1]
    coefficients = projected_potentials(layer, (first, second))
    coefficients *= (vectors**2).sum(axis=2) <= (1.5 * limit) ** 2
    potentials = fft.ifft2(coefficients, norm="forward", workers=1).real.astype(np.float32)
    repeats = max(1, round(thickness / layer.height))
    variances = potential_variances(layer, indices) if diffuse else None
    return Slab(layer, repeats * layer.height, repeats, limit, vectors, potentials, variances)


def exit_waves(slab: Slab, energy: float, tilts: Floats, observe: Observer | None = None) -> Waves:
    """Return the waves behind a slab for plane waves of unit intensity.

    Args:
        slab: a slab.
        energy: keV.
        tilts: (k, 2) transverse wave vectors K in Å^-1.
        observe: called in front of each slice with a batch of the tilts, the slice's number in the
            layer, and the batch's waves (batch, n, m) in real space, divided by the number of
            points.

    Returns:
        (k, n, m) complex64 amplitudes psi_G of G + K, zero where |G + K| exceeds the limit. Single
        precision is enough: intensities differ from double precision by less than 2e-6 of the beam
        (docs/explanation/diffraction.md).
    """
    transmissions = _transmissions(slab, energy)
    points = transmissions.shape[1] * transmissions.shape[2]
    count = max(1, BATCH_POINTS // points)
    waves = np.empty((len(tilts), *transmissions.shape[1:]), dtype=np.complex64)
    for start in range(0, len(tilts), count):
        batch = slice(start, start + count)
        propagators = _propagators(slab, energy, tilts[batch])
        of_batch = None if observe is None else partial(observe, batch)
        waves[batch] = _through(slab, transmissions, propagators, of_batch)
    return waves


def along_beam(layer: Layer, energy: float, waves: Floats) -> Floats:
    """Return kappa_z in Å^-1 of waves relative to the undiffracted beam; it is never positive.

    It is the root of a kappa_z^2 + b kappa_z + c = 0 that vanishes with k, in the form without
    cancellation.

    Args:
        layer: has the slope.
        energy: keV.
        waves: (..., 2) transverse wave vectors k in Å^-1.
    """
    half = 0.5 * wavelength(energy)
    a = half * float(layer.slope @ layer.slope)
    b = 1 - 2 * half * (waves @ layer.slope)
    c = half * (waves**2).sum(axis=-1)
    kappa_z: Floats = -2 * c / (b + np.sqrt(b * b - 4 * a * c))
    return kappa_z


def across_beam(layer: Layer, energy: float, waves: Floats) -> Floats:
    """Return the places kappa (..., 2) in Å^-1 of waves k (..., 2) in a pattern."""
    kappa: Floats = waves - along_beam(layer, energy, waves)[..., None] * layer.slope
    return kappa


def _transmissions(slab: Slab, energy: float) -> Waves:
    """Return exp(i sigma v) of each slice in real space, band-limited; complex64.

    With thermal diffuse scattering slices also absorb.
    """
    phase_object = np.exp(1j * interaction(energy) * slab.potentials.astype(np.float64))
    if slab.variances is not None:
        phase_object *= np.exp(-0.5 * interaction(energy) ** 2 * slab.variances.astype(np.float64))
    spectrum = fft.fft2(phase_object, workers=1, overwrite_x=True)
    spectrum *= (slab.vectors**2).sum(axis=2) <= slab.limit**2
    limited: Waves = fft.ifft2(spectrum, workers=1, overwrite_x=True).astype(np.complex64)
    return limited


def _propagators(slab: Slab, energy: float, tilts: Floats) -> list[Waves]:
    """Return the factors (k, n, m) from each slice to the next; they are zero past the limit."""
    waves = slab.vectors + tilts[:, None, None]
    inside = (waves**2).sum(axis=3) <= slab.limit**2
    kappa_z = along_beam(slab.layer, energy, waves)
    layer_shift = waves @ slab.layer.shift
    heights = [height for height, _ in slab.layer.slices]
    heights.append(heights[0] + slab.layer.height)
    factors = []
    for number, (low, high) in enumerate(itertools.pairwise(heights)):
        phase = kappa_z * (high - low)
        if number == len(heights) - 2:  # to the first slice of the next layer
            phase = phase + layer_shift
        factors.append((np.exp(2j * math.pi * phase) * inside).astype(np.complex64))
    return factors


def _through(
    slab: Slab,
    transmissions: Waves,
    propagators: list[Waves],
    observe: Callable[[int, Waves], None] | None,
) -> Waves:
    """Return the waves (k, n, m) behind all layers, in reciprocal space.

    Four fifths of the time of a sample are spent here. One worker a transform: samples use all
    cores by several processes.
    """
    spectrum = np.zeros_like(propagators[0])
    spectrum[:, 0, 0] = 1.0
    for _ in range(slab.repeats):
        for number, (transmission, propagator) in enumerate(
            zip(transmissions, propagators, strict=True)
        ):
            space = fft.ifft2(spectrum, workers=1, overwrite_x=True)
            if observe is not None:
                observe(number, space)
            space *= transmission
            spectrum = fft.fft2(space, workers=1, overwrite_x=True)
            spectrum *= propagator
    return spectrum
