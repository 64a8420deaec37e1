"""Scans and their target images, against sums over a cell and position-averaged patterns."""

from __future__ import annotations

import math

import gemmi
import numpy as np
import numpy.typing as npt
import pytest

from sciml_data.synthetic.diffraction import make_crystal, scan
from sciml_data.synthetic.diffraction.cbed import bragg_angle, position_averaged
from sciml_data.synthetic.diffraction.layers import layer_of, plane_of
from sciml_data.synthetic.diffraction.multislice import Slab, slab_of
from sciml_data.synthetic.diffraction.scans import (
    WINDOW,
    Window,
    electron_density,
    legacy_target,
    mean_potential,
    patterns_at,
)
from sciml_data.synthetic.diffraction.scattering import POTENTIAL_PER_FACTOR
from tests.support.diffraction_crystals import diamond, rock_salt

CELL = 5.431 / math.sqrt(2)  # Å; silicon along [001] repeats after it, along x and along y


def silicon(*, thickness: float = 40.0) -> Slab:
    """Return silicon along [001]; its projected cell is a square along x and y."""
    crystal = diamond(b_iso=0.5)
    layer = layer_of(crystal, plane_of(crystal, (0, 0, 1)))
    return slab_of(layer, thickness=thickness, limit=2.56, max_tilt=0.4)


def variation(patterns: npt.NDArray[np.float32]) -> float:
    """Return how much patterns of a scan differ, as a share of what they have."""
    mean = patterns.mean(axis=0)
    return float(np.abs(patterns - mean).mean(axis=0).sum() / mean.sum())


def test_the_mean_potential_is_that_of_the_atoms_forward_scattering() -> None:
    cell = Window((0.3, 0.1), CELL)
    forward = 8 * gemmi.Element("Si").c4322.calculate_sf(0.0)

    potential = mean_potential(silicon(), cell, 48)

    assert potential.mean() == pytest.approx(POTENTIAL_PER_FACTOR * forward / 5.431**3, rel=1e-5)


def test_the_electron_density_holds_all_electrons() -> None:
    density = electron_density(silicon(), Window((0.3, 0.1), CELL), 48)

    assert density.mean() * 5.431**3 == pytest.approx(8 * 14, rel=5e-4)
    assert density.min() > -0.01 * density.max()


def test_potential_and_density_peak_where_atoms_stand() -> None:
    slab = silicon()
    window = Window((0.0, 0.0), CELL)
    columns = {
        tuple(np.round(place @ slab.layer.axes % CELL / CELL * 48, 6) % 48)
        for _, kinds in slab.layer.slices
        for kind in kinds
        for place in kind.places
    }

    for target in (mean_potential(slab, window, 48), electron_density(slab, window, 48)):
        rows, columns_seen = np.nonzero(target > 0.9 * target.max())
        for row, column in zip(rows, columns_seen, strict=True):
            ways = [
                math.hypot(
                    (column + 0.5 - x + 24) % 48 - 24,
                    (row + 0.5 - y + 24) % 48 - 24,
                )
                for x, y in columns
            ]
            assert min(ways) < 1.5


def test_the_legacy_target_has_no_mean_and_no_unit() -> None:
    target = legacy_target(silicon(), Window((0.0, 0.0), CELL), 48, energy=100)

    assert target.mean() == pytest.approx(0, abs=1e-5)
    assert target.std() == pytest.approx(1, abs=1e-5)


def test_a_scan_of_the_whole_cell_averages_to_the_position_averaged_pattern() -> None:
    slab = silicon()
    angle = 0.010  # discs overlap: 9.6 mrad is the Bragg angle of 220
    places = Window((0.0, 0.0), CELL).centres(6)

    mean = patterns_at(slab, 100, angle, places=places, size=64).mean(axis=0)
    averaged = position_averaged(slab, 100, angle, size=64)

    assert mean.sum() == pytest.approx(averaged.sum(), rel=0.01)
    coarse, wanted = (image.reshape(16, 4, 16, 4).sum(axis=(1, 3)) for image in (mean, averaged))
    assert np.abs(coarse - wanted).sum() / wanted.sum() < 0.02  # edges of discs blur differently


def test_only_overlapping_discs_depend_on_the_place_of_the_probe() -> None:
    slab = silicon()
    places = Window((0.2, 0.4), CELL).centres(3)

    apart = patterns_at(slab, 100, 0.004, places=places, size=64)
    overlapping = patterns_at(slab, 100, 0.012, places=places, size=64)

    assert variation(apart) < 0.002
    assert variation(overlapping) > 0.1


def test_a_probe_a_cell_further_has_the_same_pattern() -> None:
    slab = silicon()
    places = np.array([[0.4, 1.1], [0.4 + CELL, 1.1], [0.4, 1.1 - CELL], [0.9, 1.1]])

    here, right, up, elsewhere = patterns_at(slab, 100, 0.012, places=places, size=32)

    assert right == pytest.approx(here, abs=1e-6)
    assert up == pytest.approx(here, abs=1e-6)
    assert np.abs(elsewhere - here).max() > 1e-4


def test_a_scan_has_the_documented_shapes_and_types() -> None:
    crystal = rock_salt(b_iso=0.5)

    made = scan(crystal, 120, size=64, probes=3, view=24, orientation=1)

    targets = (made.potential, made.electron_density, made.legacy_target)
    assert made.patterns.shape == (9, 64, 64)
    assert [target.shape for target in targets] == [(24, 24)] * 3
    assert {array.dtype.name for array in (made.patterns, *targets)} == {"float32"}
    assert made.plane.hkl == (2, 2, 0)
    assert made.energy_kev == 120
    assert made.semi_angle >= bragg_angle(made.plane)
    assert made.pixel_size_angstrom == pytest.approx(WINDOW / 24)
    assert made.patterns.sum(axis=(1, 2)) == pytest.approx(np.ones(9), abs=0.02)


def test_a_scan_follows_from_its_arguments_alone() -> None:
    crystal = make_crystal(221, 0, seed=0)
    first, second = (scan(crystal, 100, size=16, probes=2, view=16) for _ in range(2))

    assert first.patterns.tobytes() == second.patterns.tobytes()
    assert first.potential.tobytes() == second.potential.tobytes()
