"""Multislice against what is known without it: constants, kinematics, symmetry, other programs."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from sciml_data.synthetic.diffraction import Crystal, cbed_stacks, make_crystal, strongest_planes
from sciml_data.synthetic.diffraction.cbed import circle, pixel_size_of, position_averaged
from sciml_data.synthetic.diffraction.crystals import cell_axes
from sciml_data.synthetic.diffraction.layers import Layer, layer_of, plane_of
from sciml_data.synthetic.diffraction.multislice import (
    Slab,
    across_beam,
    along_beam,
    exit_waves,
    slab_of,
)
from sciml_data.synthetic.diffraction.scattering import (
    POTENTIAL_PER_FACTOR,
    electron_factor,
    interaction,
    wavelength,
    xray_factor,
)
from tests.support.diffraction_crystals import diamond, one_atom, zincblende

Floats = npt.NDArray[np.float64]
STRAIGHT = np.zeros((1, 2))
TILTED = np.array([[0.04, -0.02]])


def slab(
    crystal: Crystal, hkl: tuple[int, int, int], *, thickness: float = 97.758, limit: float = 2.56
) -> Slab:
    """Return a slab whose beam runs along [hkl]."""
    layer = layer_of(crystal, plane_of(crystal, hkl))
    return slab_of(layer, thickness=thickness, limit=limit, max_tilt=0.2)


def disc_pattern(crystal: Crystal, hkl: tuple[int, int, int]) -> Floats:
    """Return a pattern less its first row and column: then the straight beam is in the middle."""
    pattern = position_averaged(slab(crystal, hkl), 100, 0.004, size=64)
    return pattern[1:, 1:].astype(np.float64)


def difference(first: Floats, second: Floats) -> float:
    """Return the sum of differences over the sum."""
    return float(np.abs(first - second).sum() / first.sum())


@pytest.mark.parametrize(
    # Kirkland, Advanced Computing in Electron Microscopy, tables of wavelength and sigma.
    ("energy", "angstrom", "sigma"),
    [(100, 0.037014, 9.244e-4), (200, 0.025079, 7.288e-4), (300, 0.019687, 6.526e-4)],
)
def test_electrons_have_the_wavelength_and_sigma_of_tables(
    energy: float, angstrom: float, sigma: float
) -> None:
    assert wavelength(energy) == pytest.approx(angstrom, abs=1e-6)
    assert interaction(energy) == pytest.approx(sigma, abs=1e-7)


def test_a_factor_in_angstrom_is_a_potential_by_mott_and_bethe() -> None:
    assert pytest.approx(47.878, abs=1e-3) == POTENTIAL_PER_FACTOR


@pytest.mark.parametrize("element", ["C", "O", "Si", "Fe", "Sn"])
@pytest.mark.parametrize("s", [0.3, 0.6, 1.0])
def test_electron_factors_follow_from_xray_factors(element: str, s: float) -> None:
    import gemmi

    charge = gemmi.Element(element).atomic_number
    squared = np.array([s * s])
    by_mott_and_bethe = 0.023934 * (charge - xray_factor(element, 0.0, squared)) / squared

    assert electron_factor(element, 0.0, squared) == pytest.approx(by_mott_and_bethe, rel=0.02)


def test_thermal_motion_damps_both_factors_alike() -> None:
    squared = np.array([0.25])

    for factor in (electron_factor, xray_factor):
        damped = factor("Fe", 0.8, squared) / factor("Fe", 0.0, squared)
        assert damped == pytest.approx(math.exp(-0.8 * 0.25))


def test_a_plane_wave_through_silicon_is_as_abtem_has_it() -> None:
    # abTEM 1.0.11, the same factors, [001], 97.8 Å: 0.4938, 0.1043, 0.0088 for 000, 220, 400.
    thick = slab(diamond(), (0, 0, 1), limit=4.0)
    intensities = np.abs(exit_waves(thick, 100, STRAIGHT)[0]) ** 2
    lengths = np.linalg.norm(thick.vectors, axis=2) * 5.431

    computed = [intensities[np.isclose(lengths, math.sqrt(n))].mean() for n in (0, 8, 16)]

    assert thick.thickness == pytest.approx(97.758)
    assert computed == pytest.approx([0.4938, 0.1043, 0.0088], rel=0.012)


@pytest.mark.parametrize("z_dir", [(0, 0, 1), (1, 0, 0), (1, 1, 1), (2, 1, 0)])
@pytest.mark.parametrize("tilt", [STRAIGHT, TILTED])
def test_a_crystal_that_scatters_once_obeys_kinematics(
    z_dir: tuple[int, int, int], tilt: Floats
) -> None:
    crystal = one_atom()
    thick = slab(crystal, z_dir, thickness=60.0)
    # A hundredth of hydrogen: even one atom after the other on a line scatters hardly twice.
    thick = replace(thick, potentials=thick.potentials * np.float32(0.01))
    computed = np.abs(exit_waves(thick, 200, tilt)[0]) ** 2

    expected = kinematic(crystal, thick, z_dir, tilt[0])
    inside = np.linalg.norm(thick.vectors, axis=2) < 2.3
    inside[0, 0] = False

    assert difference(expected[inside], computed[inside]) < 0.005


def kinematic(crystal: Crystal, thick: Slab, z_dir: tuple[int, int, int], tilt: Floats) -> Floats:
    """Return intensities by Ewald's construction in three dimensions, of a crystal of one atom.

    Of each reciprocal-lattice point the way to the sphere (here a paraboloid) along the normal of
    the slab's faces is found by Newton's steps; layers add up with that much phase between them.
    """
    axes = cell_axes(crystal.lengths, crystal.angles)
    layer = thick.layer
    # The layer's own vectors in the beam's frame: two in its plane, and the step to the next.
    rising = np.stack([*(np.append(axis, axis @ layer.slope) for axis in layer.axes)])
    step = np.append(layer.shift, layer.height + layer.shift @ layer.slope)
    reciprocal = np.linalg.inv(np.stack([*rising, step])).T
    assert abs(np.linalg.det(reciprocal)) == pytest.approx(1 / abs(np.linalg.det(axes)))
    normal = np.array([-layer.slope[0], -layer.slope[1], 1.0])
    start = np.array([*tilt, -0.5 * wavelength(200) * tilt @ tilt])
    counts = np.stack(
        np.meshgrid(
            *(np.rint(np.fft.fftfreq(n) * n) for n in thick.vectors.shape[:2]), indexing="ij"
        ),
        axis=-1,
    )
    in_plane = counts[..., :1] * reciprocal[0] + counts[..., 1:] * reciprocal[1]
    total = np.zeros(in_plane.shape[:2])
    for third in range(-30, 31):
        point = start + in_plane + third * reciprocal[2]
        way = np.zeros(total.shape)
        for _ in range(8):
            at = point + way[..., None] * normal
            miss = at[..., 2] + 0.5 * wavelength(200) * (at[..., :2] ** 2).sum(axis=-1)
            way -= miss / (1 + wavelength(200) * (at[..., :2] @ normal[:2]))
        inside = np.abs(way * layer.height) < 0.5
        phase = math.pi * way * layer.height
        with np.errstate(invalid="ignore", divide="ignore"):
            layers = np.sin(thick.repeats * phase) / np.sin(phase)
        layers = np.where(np.abs(phase) < 1e-9, float(thick.repeats), layers)
        scattering = np.linalg.norm(point + way[..., None] * normal - start, axis=-1)
        factor = electron_factor("H", 0.0, 0.25 * scattering**2)
        strength = 0.01 * interaction(200) * POTENTIAL_PER_FACTOR * factor / layer.area
        total += np.where(inside, (strength * layers) ** 2, 0.0)
    return total


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.3, -0.1)])
def test_waves_on_sloping_layers_lie_on_the_ewald_sphere(slope: tuple[float, float]) -> None:
    layer = Layer(np.eye(2), np.zeros(2), 1.0, np.array(slope), ())
    waves = np.array([[0.0, 0.0], [1.0, 0.5], [-2.0, 1.0]])

    across = across_beam(layer, 100, waves)
    along = along_beam(layer, 100, waves)

    assert along == pytest.approx(-0.5 * wavelength(100) * (across**2).sum(axis=1))
    assert across + along[:, None] * np.array(slope) == pytest.approx(waves)


def test_silicon_along_001_is_4mm() -> None:
    pattern = disc_pattern(diamond(b_iso=0.5), (0, 0, 1))

    for other in (np.rot90(pattern), pattern[::-1], pattern[:, ::-1], pattern.T):
        assert difference(pattern, other) < 0.005


def test_silicon_along_110_has_an_inversion_and_gallium_arsenide_has_not() -> None:
    silicon = disc_pattern(diamond(b_iso=0.5), (1, 1, 0))
    arsenide = disc_pattern(zincblende(b_iso=0.5), (1, 1, 0))

    assert difference(silicon, silicon[::-1, ::-1]) < 0.005
    assert difference(arsenide, arsenide[::-1, ::-1]) > 0.05


def test_the_first_higher_zone_is_where_ewald_has_it() -> None:
    pattern = position_averaged(slab(diamond(b_iso=0.3), (1, 1, 1)), 100, 0.001, size=256)
    steps = (np.arange(256) - 128) * pixel_size_of(256)
    radius = np.hypot(*np.meshgrid(steps, steps))
    outer = (radius > 1.9) & (radius < 2.55)
    repeat = 5.431 * math.sqrt(3)  # of [111] in a face-centred lattice

    ring = float((radius[outer] * pattern[outer]).sum() / pattern[outer].sum())

    assert ring == pytest.approx(math.sqrt(2 / (wavelength(100) * repeat)), abs=0.05)


@pytest.mark.parametrize("hkl", [(0, 0, 1), (1, 1, 0), (1, 1, 1)])
def test_no_electron_is_lost_inside_the_limit(hkl: tuple[int, int, int]) -> None:
    pattern = position_averaged(slab(diamond(b_iso=0.5), hkl), 100, 0.003, size=256)

    assert 0.99 < pattern.sum() <= 1


def test_single_precision_is_enough() -> None:
    from scipy import fft

    crystal = zincblende(b_iso=0.5)
    thick = slab(crystal, (1, 1, 0))
    single = np.abs(exit_waves(thick, 100, TILTED)[0]) ** 2

    transmissions = np.exp(1j * interaction(100) * thick.potentials.astype(np.float64))
    inside = (thick.vectors**2).sum(axis=2) <= thick.limit**2
    transmissions = fft.ifft2(fft.fft2(transmissions) * inside)
    waves = thick.vectors + TILTED[0]
    limited = (waves**2).sum(axis=2) <= thick.limit**2
    heights = [height for height, _ in thick.layer.slices]
    heights.append(heights[0] + thick.layer.height)
    spectrum = np.zeros(limited.shape, dtype=np.complex128)
    spectrum[0, 0] = 1
    for _ in range(thick.repeats):
        for number, transmission in enumerate(transmissions):
            way = -0.5 * wavelength(100) * (waves**2).sum(axis=2)
            phase = way * (heights[number + 1] - heights[number])
            if number == len(transmissions) - 1:
                phase = phase + waves @ thick.layer.shift
            spectrum = fft.fft2(fft.ifft2(spectrum) * transmission)
            spectrum *= np.exp(2j * math.pi * phase) * limited

    assert np.abs(single - np.abs(spectrum) ** 2).max() < 2e-6


def test_stacks_have_three_patterns_inside_a_circle() -> None:
    crystal = diamond(b_iso=0.5)
    stack = next(cbed_stacks(crystal, [100], size=32))

    assert stack.patterns.shape == (3, 32, 32)
    assert stack.patterns.dtype.name == "float32"
    assert stack.patterns[:, ~circle(32)].max() == 0
    assert (stack.patterns >= 0).all()
    assert stack.planes == strongest_planes(crystal)
    half_of_bragg = [wavelength(100) / 4 / plane.d_angstrom for plane in stack.planes]
    assert stack.semi_angles == pytest.approx(half_of_bragg)


def test_energy_changes_patterns_and_not_angles() -> None:
    low, high = cbed_stacks(diamond(b_iso=0.5), [100, 190], size=32)

    assert (low.energy_kev, high.energy_kev) == (100, 190)
    assert low.semi_angles == high.semi_angles
    assert difference(low.patterns.astype(float), high.patterns.astype(float)) > 0.1


def test_an_energy_gives_the_same_bytes_alone_and_with_others() -> None:
    crystal = diamond(b_iso=0.5)

    alone = next(cbed_stacks(crystal, [190], size=16))
    *_, beside = cbed_stacks(crystal, [100, 190], size=16)

    assert alone.patterns.tobytes() == beside.patterns.tobytes()


@pytest.mark.parametrize("size", [0, 6, 63])
def test_an_odd_or_small_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="even number"):
        next(cbed_stacks(diamond(), [100], size=size))


@pytest.mark.parametrize(("size", "pixel"), [(512, 0.01), (256, 0.02), (128, 0.04), (64, 0.04)])
def test_pixels_have_the_stated_size(size: int, pixel: float) -> None:
    assert pixel_size_of(size) == pytest.approx(pixel)


def test_a_small_pattern_is_the_middle_of_a_large_one() -> None:
    crystal = diamond(b_iso=0.5)
    small = next(cbed_stacks(crystal, [100], size=64)).patterns
    large = next(cbed_stacks(crystal, [100], size=128)).patterns

    assert (large[:, 32:96, 32:96] * circle(64)).tobytes() == small.tobytes()


def test_another_process_makes_the_same_bytes() -> None:
    script = (
        "import hashlib\n"
        "from sciml_data.synthetic.diffraction import cbed_stacks, make_crystal\n"
        "stack = next(cbed_stacks(make_crystal(221, 0, seed=5), [120], size=16))\n"
        "print(hashlib.sha256(stack.patterns.tobytes()).hexdigest())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()

    stack = next(cbed_stacks(make_crystal(221, 0, seed=5), [120], size=16))

    assert other == hashlib.sha256(stack.patterns.tobytes()).hexdigest()
