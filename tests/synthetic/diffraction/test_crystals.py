"""Random crystals: confirmed labels, room for atoms, planes that give the beam."""

from __future__ import annotations

import itertools
import math
import warnings

import gemmi
import numpy as np
import pytest
import spglib
from scipy.spatial import cKDTree

from sciml_data.synthetic.diffraction import Crystal, make_crystal, strongest_planes
from sciml_data.synthetic.diffraction.crystals import cell_axes, confirmed_group, primitive_axes
from sciml_data.synthetic.diffraction.layers import layer_basis, plane_of
from tests.support.diffraction_crystals import diamond, one_atom, rock_salt, zincblende

SAMPLE_GROUPS = [
    2, 4, 12, 14, 15, 19, 33, 61, 62, 63, 129, 136, 139, 148, 164, 166, 186, 194, 221, 225,
]  # fmt: skip


def groups_found(crystal: Crystal) -> set[int]:
    """Return the groups that spglib finds at three precisions, in Å, that did not choose them."""
    cell = (
        cell_axes(crystal.lengths, crystal.angles),
        [site.xyz for site in crystal.sites],
        [gemmi.Element(site.element).atomic_number for site in crystal.sites],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        datasets = [spglib.get_symmetry_dataset(cell, symprec=p) for p in (5e-2, 1e-2, 1e-4)]
    return {dataset.number for dataset in datasets}


def distances(crystal: Crystal) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return of each atom the distance in Å to the nearest other, over neighbouring cells."""
    axes = cell_axes(crystal.lengths, crystal.angles)
    xyz = np.array([site.xyz for site in crystal.sites])
    cells = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    everywhere = (xyz[None] + cells[:, None]).reshape(-1, 3) @ axes
    nearest = cKDTree(everywhere).query(xyz @ axes, k=2)[0][:, 1]
    return np.asarray(nearest, dtype=np.float64)


@pytest.mark.parametrize("space_group", SAMPLE_GROUPS)
def test_labels_hold_at_any_sensible_precision(space_group: int) -> None:
    assert groups_found(make_crystal(space_group, 0, seed=7)) == {space_group}


@pytest.mark.slow
@pytest.mark.parametrize("space_group", SAMPLE_GROUPS)
def test_a_sample_has_ten_crystals_of_each_group(space_group: int) -> None:
    crystals = [make_crystal(space_group, number, seed=0) for number in range(10)]

    assert {10} == {len(crystals), len({crystal.sites for crystal in crystals})}
    assert {number for crystal in crystals for number in groups_found(crystal)} == {space_group}


@pytest.mark.parametrize("space_group", [1, 62, 166, 216, 227])
def test_atoms_have_room_and_cells_are_as_published(space_group: int) -> None:
    crystal = make_crystal(space_group, 1, seed=3)

    assert distances(crystal).min() >= 1.7
    assert max(crystal.lengths) < 10


def test_crystals_follow_from_group_number_and_seed_alone() -> None:
    same = make_crystal(62, 4, seed=0)
    others = [make_crystal(62, 4, seed=1), make_crystal(62, 3, seed=0), make_crystal(63, 4, seed=0)]

    assert same == make_crystal(62, 4, seed=0)
    assert same.sites not in [other.sites for other in others]


def test_a_crystal_is_called_by_its_group_and_number() -> None:
    crystal = make_crystal(62, 4, seed=0)
    counts = [int("".join(filter(str.isdigit, part))) for part in crystal.formula.split()]

    assert crystal.material == "syn-062-004"
    assert sum(counts) == len(crystal.sites)


@pytest.mark.parametrize(("space_group", "number"), [(0, 0), (231, 0), (62, -1)])
def test_a_group_or_number_that_does_not_exist_is_refused(space_group: int, number: int) -> None:
    with pytest.raises(ValueError, match="no crystal"):
        make_crystal(space_group, number, seed=0)


def test_silicon_has_the_origin_of_its_setting() -> None:
    silicon = diamond()

    assert len(silicon.sites) == 8  # 16 on the other origin, of the same group
    assert distances(silicon) == pytest.approx(5.431 * math.sqrt(3) / 4)  # 2.35 Å


@pytest.mark.parametrize(
    ("crystal", "group"), [(diamond(), 227), (zincblende(), 216), (rock_salt(), 225)]
)
def test_known_crystals_have_their_groups(crystal: Crystal, group: int) -> None:
    assert confirmed_group(crystal) == group


@pytest.mark.parametrize(
    ("crystal", "planes"),
    [
        # Powder lines as every handbook has them, strongest first; parallel planes once.
        (diamond(), [(1, 1, 1), (2, 2, 0), (3, 1, 1)]),
        (rock_salt(b_iso=1.5), [(2, 0, 0), (2, 2, 0), (2, 2, 2)]),
        (zincblende(), [(1, 1, 1), (2, 2, 0), (3, 1, 1)]),
    ],
)
def test_strongest_planes_are_those_of_the_powder_pattern(
    crystal: Crystal, planes: list[tuple[int, int, int]]
) -> None:
    assert [plane.hkl for plane in strongest_planes(crystal)] == planes


def test_planes_know_their_spacing_and_a_direction_across() -> None:
    plane = strongest_planes(diamond())[0]

    assert plane.d_angstrom == pytest.approx(5.431 / math.sqrt(3))
    assert np.dot(plane.z_dir, plane.y_dir) == pytest.approx(0)


@pytest.mark.parametrize("z_dir", [(0, 0, 1), (1, 1, 0), (2, -1, 1), (3, 1, 2), (0, 0, -2)])
@pytest.mark.parametrize("crystal", [diamond(), one_atom(), make_crystal(148, 0, seed=0)])
def test_layers_repeat_the_whole_lattice(crystal: Crystal, z_dir: tuple[int, int, int]) -> None:
    basis = layer_basis(crystal, z_dir)
    counts = basis @ np.linalg.inv(primitive_axes(crystal.space_group))
    axes = cell_axes(crystal.lengths, crystal.angles)
    normal = np.cross(basis[0] @ axes, basis[1] @ axes)

    assert counts == pytest.approx(np.round(counts))
    assert abs(np.linalg.det(counts)) == pytest.approx(1)
    assert normal @ (np.array(z_dir) @ axes) * (normal @ (basis[2] @ axes)) > 0


@pytest.mark.parametrize("hkl", [(1, 1, 1), (2, 2, 0), (3, 1, 1)])
def test_layers_of_a_cubic_crystal_are_across_the_beam(hkl: tuple[int, int, int]) -> None:
    basis = layer_basis(diamond(), plane_of(diamond(), hkl).z_dir)

    assert basis[:2] @ np.array(hkl) == pytest.approx([0, 0])
