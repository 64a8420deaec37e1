"""Thermal diffuse scattering against integrals, and against means over random displacements."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import fft

from sciml_data.synthetic.diffraction import cbed_stacks, make_crystal
from sciml_data.synthetic.diffraction.cbed import aperture, position_averaged
from sciml_data.synthetic.diffraction.layers import Atoms, Layer, layer_of, plane_of
from sciml_data.synthetic.diffraction.multislice import Slab, exit_waves, slab_of
from sciml_data.synthetic.diffraction.scattering import (
    POTENTIAL_PER_FACTOR,
    diffuse_intensity,
    electron_factor,
    interaction,
    variance_factor,
)
from sciml_data.synthetic.diffraction.thermal import Density, emission, potential_variances
from tests.support.diffraction_crystals import diamond

Floats = npt.NDArray[np.float64]
B_ISO, ENERGY = 0.467, 200.0
STRAIGHT, ALL = np.zeros((1, 2)), np.ones(1)


@pytest.fixture(scope="module")
def layer() -> Layer:
    crystal = diamond(b_iso=B_ISO)
    return layer_of(crystal, plane_of(crystal, (1, 1, 0)))


def slab(layer: Layer, thickness: float = 60.0, *, diffuse: bool = True) -> Slab:
    return slab_of(layer, thickness=thickness, limit=2.56, max_tilt=0.1, diffuse=diffuse)


@pytest.mark.parametrize(("element", "b_iso"), [("Si", 0.467), ("Cs", 0.9), ("O", 0.3)])
def test_an_atom_absorbs_what_it_scatters_into_all_directions(element: str, b_iso: float) -> None:
    q, step = np.linspace(0, 40, 200_001, retstep=True)
    scattered = (2 * math.pi * q * diffuse_intensity(element, b_iso, (q / 2) ** 2)).sum() * step

    assert variance_factor(element, b_iso, np.zeros(1))[0] == pytest.approx(scattered, rel=1e-5)


def test_an_atom_at_rest_absorbs_nothing() -> None:
    assert variance_factor("Si", 0.0, np.linspace(0, 4, 9)) == pytest.approx(0, abs=1e-12)


def test_the_variance_of_a_potential_is_that_over_displacements(layer: Layer) -> None:
    # One atom in a cell of 8 Å; Gauss and Hermite's displacements are an exact mean.
    alone = replace(
        layer,
        axes=np.array([[0.0, 8.0], [-8.0, 0.0]]),
        slices=((0.0, (Atoms("Si", B_ISO, np.array([[0.5, 0.5]]), 1.0),)),),
    )
    indices = np.rint(fft.fftfreq(192) * 192)
    vectors = indices[:, None, None] * alone.reciprocal[0] + indices[:, None] * alone.reciprocal[1]
    factors = electron_factor("Si", 0.0, (vectors**2).sum(axis=2) / 4)
    points, weights = np.polynomial.hermite_e.hermegauss(12)
    deviation = math.sqrt(B_ISO / (8 * math.pi**2))
    mean, mean_square = np.zeros((192, 192)), np.zeros((192, 192))
    for x, y in np.ndindex(12, 12):
        at = np.array([0.5, 0.5]) @ alone.axes + deviation * points[[x, y]]
        coefficients = factors * np.exp(-2j * math.pi * vectors @ at)
        potential = fft.ifft2(coefficients, norm="forward").real * POTENTIAL_PER_FACTOR / alone.area
        share = weights[x] * weights[y] / weights.sum() ** 2
        mean += share * potential
        mean_square += share * potential**2

    computed, expected = (
        fft.fft2(variance, norm="forward")[(vectors**2).sum(axis=2) < 2.5**2].real
        for variance in (potential_variances(alone, (indices, indices))[0], mean_square - mean**2)
    )

    assert computed == pytest.approx(expected, abs=2e-3 * expected.max())


def frozen(layer: Layer, cells: tuple[int, int], random: np.random.Generator) -> Layer:
    """Return a layer of several cells with displaced atoms (an Einstein model, frozen phonons)."""
    axes = layer.axes * np.array(cells)[:, None]
    steps = np.stack(np.meshgrid(*map(np.arange, cells), indexing="ij"), axis=-1).reshape(-1, 2)
    slices = []
    for height, kinds in layer.slices:
        moved = []
        for atoms in kinds:
            places = np.unique(np.round(atoms.places, 6) % 1, axis=0)
            at = (places[:, None] + steps).reshape(-1, 2) @ layer.axes
            at += random.normal(0, math.sqrt(atoms.b_iso / (8 * math.pi**2)), at.shape)
            moved.append(Atoms(atoms.element, 0.0, at @ np.linalg.inv(axes), 1.0))
        slices.append((height, tuple(moved)))
    return replace(layer, axes=axes, slices=tuple(slices))


@pytest.fixture(scope="module")
def displaced(layer: Layer) -> tuple[Floats, Floats, Floats]:
    """Return |G|, intensities of the mean wave, and diffuse ones, of 12 random crystals."""
    random, cells, count = np.random.default_rng(0), (2, 3), 10
    whole = slab(frozen(layer, cells, random), layer.height, diffuse=False)
    waves = []
    for _ in range(count):
        wave = np.zeros(whole.vectors.shape[:2], dtype=np.complex64)
        wave[0, 0] = 1.0
        for _ in range(slab(layer).repeats):
            piece = slab(frozen(layer, cells, random), layer.height, diffuse=False)
            wave = through(piece, wave)
        waves.append(wave)
    mean = np.mean(waves, axis=0)
    diffuse = (np.abs(waves) ** 2).mean(axis=0) - np.abs(mean) ** 2
    diffuse *= count / (count - 1)
    lengths = np.linalg.norm(whole.vectors, axis=2)
    return lengths, (np.abs(mean) ** 2)[::2, ::3], diffuse * whole.layer.area


def through(piece: Slab, wave: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """Return a wave behind one more layer."""
    from sciml_data.synthetic.diffraction.multislice import _propagators, _transmissions

    for transmission, propagator in zip(
        _transmissions(piece, ENERGY), _propagators(piece, ENERGY, STRAIGHT), strict=True
    ):
        wave = fft.fft2(fft.ifft2(wave) * transmission) * propagator[0]
    return wave


def test_beams_are_those_of_the_mean_over_random_displacements(
    layer: Layer, displaced: tuple[Floats, Floats, Floats]
) -> None:
    def strongest(intensities: Floats) -> Floats:
        return intensities[[0, 1, 2, 0, 0], [0, 1, 0, 2, 4]]

    thin = slab(layer)
    absorbed = np.abs(exit_waves(thin, ENERGY, STRAIGHT)[0]) ** 2
    damped = np.abs(exit_waves(replace(thin, variances=None), ENERGY, STRAIGHT)[0]) ** 2
    expected = strongest(displaced[1])

    assert strongest(absorbed) == pytest.approx(expected, rel=0.03, abs=1e-4)
    assert (
        np.abs(strongest(damped) - expected).max()
        > 3 * np.abs(strongest(absorbed) - expected).max()
    )


def test_the_background_has_the_size_of_that_of_random_displacements(
    layer: Layer, displaced: tuple[Floats, Floats, Floats]
) -> None:
    thin = slab(layer)
    density = Density(ALL, thin.potentials.shape)
    exit_waves(thin, ENERGY, STRAIGHT, density.observe)
    emitted = emission(layer, density.values, ENERGY)
    at = np.hypot(emitted.frequencies[:, None], emitted.frequencies)
    lengths, _, diffuse = displaced
    ratios = [
        emitted.intensity[(at >= low) & (at < high)].mean()
        / diffuse[(lengths >= low) & (lengths < high)].mean()
        for low, high in ((0.2, 0.6), (0.6, 1.0), (1.0, 1.4))
    ]

    assert min(ratios) > 0.6
    assert max(ratios) < 1.3


def test_a_constant_envelope_emits_as_a_single_atom_does(layer: Layer) -> None:
    emitted = emission(layer, np.ones((1, 24, 24)), ENERGY)
    at = np.hypot(emitted.frequencies[:, None], emitted.frequencies)
    alone = diffuse_intensity("Si", B_ISO, (at / 2) ** 2)
    strength = (interaction(ENERGY) * POTENTIAL_PER_FACTOR) ** 2 / layer.area

    assert emitted.intensity == pytest.approx(2 * strength * alone, rel=1e-3, abs=1e-9)


def test_what_slices_absorb_is_emitted(layer: Layer) -> None:
    thick = slab(layer, 200.0)
    tilts, weights = aperture(0.1, 0.04)
    density = Density(weights, thick.potentials.shape)

    def total(of: Slab) -> float:
        observe = density.observe if of is thick else None
        waves = exit_waves(of, ENERGY, tilts, observe)
        return float((weights * (np.abs(waves) ** 2).sum(axis=(1, 2))).sum())

    absorbed = total(replace(thick, variances=None)) - total(thick)
    emitted = emission(layer, density.values, ENERGY)
    step = emitted.frequencies[1] - emitted.frequencies[0]

    assert emitted.intensity.sum() * step**2 == pytest.approx(absorbed, rel=0.1)


def test_the_background_is_between_the_discs(layer: Layer) -> None:
    half_angle = 0.002
    dark = position_averaged(slab(layer, diffuse=False), ENERGY, half_angle, size=64)
    hazy = position_averaged(slab(layer), ENERGY, half_angle, size=64)
    steps = (np.arange(64) - 32) * 0.04
    ring = np.abs(np.hypot(*np.meshgrid(steps, steps)) - 0.15) < 0.02  # inside the first discs

    assert np.median(dark[ring]) < 1e-9
    assert hazy[ring].min() > 1e-7
    assert hazy.sum() < dark.sum()


def test_stacks_have_it_if_asked_and_stay_below_the_beam() -> None:
    crystal = make_crystal(225, 0, seed=0)
    (plain,) = cbed_stacks(crystal, [100], size=16)
    (hazy,) = cbed_stacks(crystal, [100], size=16, diffuse=True)

    assert not np.array_equal(plain.patterns, hazy.patterns)
    assert (hazy.patterns >= 0).all()
    assert (hazy.patterns.sum(axis=(1, 2)) < 1).all()
