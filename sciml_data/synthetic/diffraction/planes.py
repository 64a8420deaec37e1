"""Which way the beam goes, told by the planes that reflect X-rays most strongly.

The published patterns took the three strongest reflections hkl and let the beam run along the
direct-lattice direction [uvw] = [hkl]. In a cubic crystal that is the planes' normal; elsewhere it
is a zone axis near it. So does this module: along a zone axis atoms stand in columns, and a mean
along the beam shows them; along the normal of a plane of lower symmetry they do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.synthetic.diffraction.crystals import Crystal
from sciml_data.synthetic.diffraction.lattice import cell_axes, layer_axes, primitive_axes
from sciml_data.synthetic.diffraction.positions import operations
from sciml_data.synthetic.diffraction.scattering import xray_factor

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Of a powder line, as the published choice of planes had it (pymatgen's defaults).
XRAY_WAVELENGTH = 1.54184  # Å, copper K alpha
LARGEST_TWO_THETA = 90.0  # degree: spacings above 1.09 Å

LARGEST_INDEX = 4  # of planes that a crystal is cut into
LARGEST_AREA = 160.0  # Å^2, of the cell of such a plane, where there is a choice


@dataclass(frozen=True)
class Plane:
    """A family of lattice planes, and the beam that goes with it.

    Attributes:
        hkl: Miller indices on the conventional cell, with their common factor (2, 2, 0).
        d_angstrom: spacing in Å; half angles follow from it.
        z_dir: the beam's direction in units of the conventional axes, numbers as `hkl`.
        y_dir: a short lattice vector across the beam, in units of the conventional axes: rows of
            a pattern are numbered along it, as far as it is perpendicular to the beam.
    """

    hkl: tuple[int, int, int]
    d_angstrom: float
    z_dir: tuple[int, int, int]
    y_dir: tuple[float, float, float]


def plane_of(crystal: Crystal, hkl: tuple[int, int, int]) -> Plane:
    """Return the plane with Miller indices `hkl`, and its beam."""
    axes = cell_axes(crystal.lengths, crystal.angles)
    spacing = 1 / float(np.linalg.norm(np.linalg.inv(axes) @ np.array(hkl)))
    first = layer_basis(crystal, hkl)[0].tolist()
    return Plane(hkl, spacing, hkl, (first[0], first[1], first[2]))


def layer_basis(crystal: Crystal, z_dir: tuple[int, int, int]) -> Floats:
    """Return three lattice vectors as rows, in units of the conventional axes.

    Two span the cell of the lattice plane that is nearest to perpendicular to the beam, among
    those of small indices whose cell is not large; the third steps to the next such plane.
    """
    primitive = primitive_axes(crystal.space_group)
    axes = cell_axes(crystal.lengths, crystal.angles)
    beam = np.array(z_dir) @ axes
    beam /= np.linalg.norm(beam)
    reach = np.arange(-LARGEST_INDEX, LARGEST_INDEX + 1)
    indices = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    normals = indices @ np.linalg.inv(primitive @ axes).T
    along = normals @ beam
    ahead = along > 1e-6
    indices, normals, along = indices[ahead], normals[ahead], along[ahead]
    tilted = np.round(1 - along / np.linalg.norm(normals, axis=1), 6)
    area = np.round(abs(np.linalg.det(primitive @ axes)) * along, 3)
    order = np.lexsort((*indices.T, area, tilted, area > LARGEST_AREA))
    basis: Floats = layer_axes(primitive @ axes, indices[order[0]]) @ primitive
    return basis


def strongest_planes(crystal: Crystal, count: int = 3) -> tuple[Plane, ...]:
    """Return the planes of the strongest kinematic X-ray reflections, strongest first.

    A reflection counts with its multiplicity, |F|^2 and the Lorentz-polarisation factor
    (1 + cos^2 2 theta) / (sin^2 theta cos theta) of a powder line of copper K alpha, as the
    published patterns' planes were chosen. Reflections of planes parallel to those of a stronger
    one (222 beside 111) are passed over, which the published choice did not do: three patterns
    are three directions. Planes that the symmetry makes equal are one.

    Raises:
        ValueError: fewer than `count` directions reflect at all.
    """
    families = _families(crystal)
    chosen: list[tuple[int, int, int]] = []
    directions: set[tuple[int, ...]] = set()
    for strength, hkl in families:
        orientation = _coprime_family(crystal, hkl)
        if strength > 0 and orientation not in directions:
            directions.add(orientation)
            chosen.append(hkl)
        if len(chosen) == count:
            return tuple(plane_of(crystal, one) for one in chosen)
    raise ValueError(f"{crystal.material} reflects in {len(chosen)} directions, not {count}")


def _families(crystal: Crystal) -> list[tuple[float, tuple[int, int, int]]]:
    """Return strength, relative to the strongest, and indices of each family of reflections."""
    hkl = _reflections(crystal)
    s_squared = 0.25 * ((hkl @ np.linalg.inv(cell_axes(crystal.lengths, crystal.angles)).T) ** 2)
    s_squared = s_squared.sum(axis=1)
    structure = np.zeros(len(hkl), dtype=np.complex128)
    for element, b_iso in sorted({(site.element, site.b_iso) for site in crystal.sites}):
        xyz = [s.xyz for s in crystal.sites if (s.element, s.b_iso) == (element, b_iso)]
        phases = np.exp(2j * math.pi * (hkl @ np.array(xyz).T)).sum(axis=1)
        structure += xray_factor(element, b_iso, s_squared) * phases
    sine_squared = s_squared * XRAY_WAVELENGTH**2
    polarised = (1 + (1 - 2 * sine_squared) ** 2) / (sine_squared * np.sqrt(1 - sine_squared))
    equal = _representatives(crystal, hkl)
    sums: dict[tuple[int, int, int], float] = {}
    for name, strength in zip(equal, np.abs(structure) ** 2 * polarised, strict=True):
        sums[name] = sums.get(name, 0.0) + float(strength)
    strongest = max(sums.values())
    listed = [(round(strength / strongest, 6), name) for name, strength in sums.items()]
    return sorted(listed, key=lambda one: (-one[0], sum(map(abs, one[1])), one[1]))


def _reflections(crystal: Crystal) -> Integers:
    """Return the indices (n, 3) of all reflections up to `LARGEST_TWO_THETA`, but 000."""
    axes = cell_axes(crystal.lengths, crystal.angles)
    longest = 2 * math.sin(math.radians(LARGEST_TWO_THETA / 2)) / XRAY_WAVELENGTH
    ranges = [
        np.arange(-n, n + 1) for n in np.ceil(longest * np.array(crystal.lengths)).astype(int)
    ]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(hkl @ np.linalg.inv(axes).T, axis=1)
    found: Integers = hkl[(length > 0) & (length < longest)]
    return found


def _representatives(crystal: Crystal, hkl: Integers) -> list[tuple[int, int, int]]:
    """Return one of each reflection's family: smallest sum of indices, fewest minus signs."""
    rotations = np.unique(np.round(operations(crystal.space_group)[0]).astype(np.int64), axis=0)
    images = np.einsum("nj,mjk->nmk", hkl, np.concatenate([rotations, -rotations]))
    base = 2 * int(np.abs(images).max()) + 1
    sums, minus = np.abs(images).sum(axis=2), (images < 0).sum(axis=2)
    keys = ((sums * 4 + minus) * base**3) - images @ np.array([base * base, base, 1])
    best = images[np.arange(len(hkl)), keys.argmin(axis=1)]
    return [(int(one[0]), int(one[1]), int(one[2])) for one in best]


def _coprime_family(crystal: Crystal, hkl: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the family of the planes parallel to `hkl` that have no common factor."""
    coprime = np.array(hkl) // math.gcd(*hkl)
    return _representatives(crystal, coprime[None])[0]
