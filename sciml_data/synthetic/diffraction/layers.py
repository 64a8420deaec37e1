"""Directions of the beam, and a crystal as layers along it.

The direction of a beam follows from the planes that reflect X-rays most strongly. As in the
published patterns, the beam for a reflection hkl runs along the direct-lattice direction
[uvw] = [hkl]. In a cubic crystal that is the normal of the planes. In other crystals it is a zone
axis near the normal. Along a zone axis atoms form columns, which a mean along the beam shows;
along the normal of a plane of lower symmetry they do not.

For a beam the crystal becomes an oblique two-dimensional cell and layers stacked along z. Layers
are lattice planes. Each repeats the layer before, `height` further along the beam and displaced by
`shift`. If no small lattice plane is perpendicular to the beam, the layers have a `slope`, and so
have the faces of the slab. So there is no supercell and no strain in any crystal system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.synthetic.diffraction.crystals import (
    Crystal,
    cell_axes,
    operations,
    primitive_axes,
)
from sciml_data.synthetic.diffraction.scattering import (
    POTENTIAL_PER_FACTOR,
    ScatteringFactor,
    electron_factor,
    xray_factor,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Complexes = npt.NDArray[np.complex128]
Indices = tuple[int, int, int]

# Powder pattern for the choice of planes, as published (pymatgen's defaults).
XRAY_WAVELENGTH = 1.54184  # Å, copper K alpha
MAX_TWO_THETA = 90.0  # degrees: spacings above 1.09 Å

MAX_LAYER_INDEX = 4  # of the planes that become layers
MAX_LAYER_AREA = 160.0  # Å^2 of the oblique cell, if there is a choice
SLICE_THICKNESS = 1.0  # Å; docs/explanation/diffraction.md has the effect of thinner slices
SAME_HEIGHT = 1e-6  # fraction of a cell: below it, coordinates count as 0 and not as almost 1


# --- planes and directions -----------------------------------------------------------------------


@dataclass(frozen=True)
class Plane:
    """A family of lattice planes, and the direction of its beam.

    Attributes:
        hkl: Miller indices on the conventional cell, with their common factor (2, 2, 0).
        d_angstrom: spacing in Å; half angles of probes follow from it.
        z_dir: direction of the beam in units of the conventional axes, the same numbers as `hkl`.
        y_dir: a short lattice vector across the beam, in units of the conventional axes. Its part
            perpendicular to the beam is the direction of the rows of a pattern.
    """

    hkl: Indices
    d_angstrom: float
    z_dir: Indices
    y_dir: tuple[float, float, float]


def plane_of(crystal: Crystal, hkl: Indices) -> Plane:
    """Return the plane with Miller indices `hkl`, with its beam."""
    axes = cell_axes(crystal.lengths, crystal.angles)
    spacing = 1 / float(np.linalg.norm(np.linalg.inv(axes) @ np.array(hkl)))
    first = layer_basis(crystal, hkl)[0].tolist()
    return Plane(hkl, spacing, hkl, (first[0], first[1], first[2]))


def strongest_planes(crystal: Crystal, count: int = 3) -> tuple[Plane, ...]:
    """Return the planes of the strongest kinematic X-ray reflections, strongest first.

    The strength is that of a powder line of copper K alpha: multiplicity times |F|^2 times the
    Lorentz-polarisation factor (1 + cos^2 2 theta) / (sin^2 theta cos theta), as in the choice of
    the published planes. Reflections of planes parallel to those of a stronger reflection (222
    after 111) are left out, unlike in the published choice, so `count` planes are `count`
    directions. Symmetry-equivalent planes count as the same plane.

    Raises:
        ValueError: the crystal reflects in fewer than `count` directions.
    """
    chosen: list[Indices] = []
    directions: set[Indices] = set()
    for strength, hkl in _families(crystal):
        direction = _coprime_family(crystal, hkl)
        if strength > 0 and direction not in directions:
            directions.add(direction)
            chosen.append(hkl)
        if len(chosen) == count:
            return tuple(plane_of(crystal, hkl) for hkl in chosen)
    raise ValueError(f"{crystal.material} reflects in {len(chosen)} directions, not {count}")


def _families(crystal: Crystal) -> list[tuple[float, Indices]]:
    """Return relative strength and indices of each family of reflections, strongest first.

    Strengths are rounded, so that families of equal strength have the same order on any machine.
    """
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
    families = _representatives(crystal, hkl)
    sums: dict[Indices, float] = {}
    for family, strength in zip(families, np.abs(structure) ** 2 * polarised, strict=True):
        sums[family] = sums.get(family, 0.0) + float(strength)
    strongest = max(sums.values())
    relative = [(round(strength / strongest, 6), family) for family, strength in sums.items()]
    return sorted(relative, key=lambda pair: (-pair[0], sum(map(abs, pair[1])), pair[1]))


def _reflections(crystal: Crystal) -> Integers:
    """Return the indices (n, 3) of all reflections up to `MAX_TWO_THETA`, without 000."""
    axes = cell_axes(crystal.lengths, crystal.angles)
    longest = 2 * math.sin(math.radians(MAX_TWO_THETA / 2)) / XRAY_WAVELENGTH
    ranges = [
        np.arange(-n, n + 1) for n in np.ceil(longest * np.array(crystal.lengths)).astype(int)
    ]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(hkl @ np.linalg.inv(axes).T, axis=1)
    reflections: Integers = hkl[(length > 0) & (length < longest)]
    return reflections


def _representatives(crystal: Crystal, hkl: Integers) -> list[Indices]:
    """Return the representative of the family of each reflection.

    It has the smallest sum of absolute indices, then the fewest minus signs, then the largest
    indices from left to right. The three criteria are packed into an integer key for each image.

    Args:
        crystal: its space group makes the families, together with Friedel's law.
        hkl: (n, 3).
    """
    rotations = np.unique(np.round(operations(crystal.space_group)[0]).astype(np.int64), axis=0)
    images = np.einsum("nj,mjk->nmk", hkl, np.concatenate([rotations, -rotations]))
    base = 2 * int(np.abs(images).max()) + 1
    sums, minus = np.abs(images).sum(axis=2), (images < 0).sum(axis=2)
    keys = ((sums * 4 + minus) * base**3) - images @ np.array([base * base, base, 1])
    best = images[np.arange(len(hkl)), keys.argmin(axis=1)]
    return [(int(first), int(second), int(third)) for first, second, third in best]


def _coprime_family(crystal: Crystal, hkl: Indices) -> Indices:
    """Return the family of the planes parallel to `hkl` with coprime indices."""
    coprime = np.array(hkl) // math.gcd(*hkl)
    return _representatives(crystal, coprime[None])[0]


# --- layers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Atoms:
    """Atoms of the same element and B in a layer.

    Attributes:
        element: chemical symbol.
        b_iso: B in Å^2.
        places: (n, 2) in units of the oblique axes.
        weight: atoms of the oblique cell for each place. It is below 1 if the conventional cell is
            centred, because then places repeat.
    """

    element: str
    b_iso: float
    places: Floats
    weight: float


@dataclass(frozen=True)
class Layer:
    """The repeating unit of a crystal along the beam.

    Attributes:
        axes: (2, 2) rows in Å, x and y components of the two vectors of the oblique cell in
            projection along the beam. The first is along y.
        shift: (2,) Å, displacement of the next layer across the beam.
        height: Å along the beam from a layer to the next.
        slope: (2,) rise of the layer along the beam for each Å along x and y.
        slices: height in the layer in Å, and atoms, of each slice.
    """

    axes: Floats
    shift: Floats
    height: float
    slope: Floats
    slices: tuple[tuple[float, tuple[Atoms, ...]], ...]

    @property
    def area(self) -> float:
        """Return the area of the oblique cell in Å^2."""
        return abs(float(np.linalg.det(self.axes)))

    @property
    def reciprocal(self) -> Floats:
        """Return the reciprocal axes as rows, in Å^-1 (without the factor 2 pi)."""
        return np.asarray(np.linalg.inv(self.axes).T, dtype=np.float64)


def layer_of(crystal: Crystal, plane: Plane, *, thickness: float = SLICE_THICKNESS) -> Layer:
    """Return the layer of a crystal for a beam along the `z_dir` of a plane.

    Args:
        crystal: a crystal.
        plane: gives the direction of the beam.
        thickness: Å. Atoms within this height form a slice, which acts at their mean height.
    """
    fractions = layer_basis(crystal, plane.z_dir)
    axes = cell_axes(crystal.lengths, crystal.angles)
    vectors = fractions @ axes @ _frame(fractions[0] @ axes, np.array(plane.z_dir) @ axes).T
    slope: Floats = np.linalg.inv(vectors[:2, :2]) @ vectors[:2, 2]
    height = float(vectors[2, 2] - vectors[2, :2] @ slope)
    xyz = np.array([site.xyz for site in crystal.sites]) @ np.linalg.inv(fractions)
    xyz = (xyz + SAME_HEIGHT) % 1.0 - SAME_HEIGHT
    heights = xyz[:, 2] * height
    places = (xyz @ vectors)[:, :2] @ np.linalg.inv(vectors[:2, :2])
    weight = abs(float(np.linalg.det(fractions)))
    slices = []
    for members in _slices(heights, thickness):
        kinds = sorted({_kind(crystal, number) for number in members})
        atoms = tuple(
            Atoms(element, b_iso, places[inside], weight)
            for element, b_iso in kinds
            for inside in [[i for i in members if _kind(crystal, i) == (element, b_iso)]]
        )
        slices.append((float(heights[members].mean()), atoms))
    return Layer(vectors[:2, :2], vectors[2, :2], height, slope, tuple(slices))


def _kind(crystal: Crystal, number: int) -> tuple[str, float]:
    """Return element and B of a site."""
    return crystal.sites[number].element, crystal.sites[number].b_iso


def _frame(first: Floats, beam: Floats) -> Floats:
    """Return unit vectors x, y, z as rows: z along the beam, y as close to `first` as possible."""
    z = beam / np.linalg.norm(beam)
    y = first - (first @ z) * z
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, z), y, z])


def _slices(heights: Floats, thickness: float) -> list[list[int]]:
    """Return groups of atoms, lowest first, each with heights within less than `thickness`.

    A larger group is cut at its widest gap until it is small enough. Equal heights stay together.
    """
    order = np.argsort(heights, kind="stable")
    waiting, done = [order], []
    while waiting:
        members = waiting.pop()
        sorted_heights = np.round(heights[members], 6)
        if sorted_heights[-1] - sorted_heights[0] < thickness:
            done.append(members.tolist())
            continue
        cut = int(np.diff(sorted_heights).argmax()) + 1
        waiting += [members[cut:], members[:cut]]
    return done


def structure_factors(
    layer: Layer, atoms: tuple[Atoms, ...], indices: tuple[Floats, Floats], factor: ScatteringFactor
) -> Complexes:
    """Return the sum over atoms of factor * exp(-2 pi i G.r) for a grid of reciprocal vectors G.

    The exponential is a product of one for each axis, so the sum is a product of two matrices.

    Args:
        layer: has the oblique cell.
        atoms: of a slice, or of all slices.
        indices: integers (n,) and (m,) along the two reciprocal axes; G are all combinations.
        factor: `electron_factor` or `xray_factor`.

    Returns:
        (n, m) for an oblique cell, in the unit of the factor.
    """
    first, second = indices
    vectors = first[:, None, None] * layer.reciprocal[0] + second[:, None] * layer.reciprocal[1]
    s_squared = 0.25 * (vectors**2).sum(axis=2)
    total = np.zeros(s_squared.shape, dtype=np.complex128)
    for kind in atoms:
        along_first = np.exp(-2j * math.pi * np.outer(first, kind.places[:, 0]))
        along_second = np.exp(-2j * math.pi * np.outer(kind.places[:, 1], second))
        factors = factor(kind.element, kind.b_iso, s_squared)
        total += kind.weight * factors * (along_first @ along_second)
    return total


def projected_potentials(layer: Layer, indices: tuple[Floats, Floats]) -> Complexes:
    """Return Fourier coefficients (slices, n, m) of the projected potential of each slice in V Å.

    Args:
        layer: a layer.
        indices: as `structure_factors`.
    """
    scale = POTENTIAL_PER_FACTOR / layer.area
    each = [structure_factors(layer, atoms, indices, electron_factor) for _, atoms in layer.slices]
    return np.asarray(scale * np.stack(each), dtype=np.complex128)


# --- lattice planes ------------------------------------------------------------------------------


def layer_basis(crystal: Crystal, z_dir: Indices) -> Floats:
    """Return three lattice vectors as rows of a (3, 3) matrix, in units of the conventional axes.

    Two span the cell of a lattice plane: the plane nearest to perpendicular to the beam among those
    with small indices and a cell that is not large. The third leads to the next such plane.
    """
    primitive = primitive_axes(crystal.space_group)
    axes = cell_axes(crystal.lengths, crystal.angles)
    beam = np.array(z_dir) @ axes
    beam /= np.linalg.norm(beam)
    reach = np.arange(-MAX_LAYER_INDEX, MAX_LAYER_INDEX + 1)
    indices = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    normals = indices @ np.linalg.inv(primitive @ axes).T
    along = normals @ beam
    ahead = along > 1e-6
    indices, normals, along = indices[ahead], normals[ahead], along[ahead]
    # Rounded, so that equal planes are chosen by their indices and not by rounding errors.
    tilt = np.round(1 - along / np.linalg.norm(normals, axis=1), 6)
    area = np.round(abs(np.linalg.det(primitive @ axes)) * along, 3)
    order = np.lexsort((*indices.T, area, tilt, area > MAX_LAYER_AREA))
    basis: Floats = _plane_axes(primitive @ axes, indices[order[0]]) @ primitive
    return basis


def _plane_axes(basis: Floats, normal: Integers) -> Integers:
    """Return lattice vectors that fit a family of planes.

    Args:
        basis: (3, 3) primitive axes in Å, rows.
        normal: (3,) Miller indices of the planes on that basis.

    Returns:
        Integer combinations (3, 3) of the basis: the two shortest vectors in the plane, then the
        shortest vector to the next plane on the side of the normal.
    """
    coprime = normal // math.gcd(*(int(index) for index in normal))
    first, second, step = _basis_of_plane(coprime)
    first, second = _gauss_reduced(first, second, basis)
    flat = np.stack([first, second]) @ basis
    along = np.linalg.lstsq(flat.T, step @ basis, rcond=None)[0]
    step = step - np.round(along).astype(np.int64) @ np.stack([first, second])
    return np.stack([first, second, step])


def _basis_of_plane(indices: Integers) -> Integers:
    """Return two integer vectors that span a plane, and one to the next plane, as rows (3, 3).

    Their products with `indices`, which have no common divisor, are 0, 0, 1.
    """
    p, q, r = (int(index) for index in indices)
    divisor, x, y = _bezout(p, q)
    if divisor == 0:
        return np.array([[1, 0, 0], [0, 1, 0], [0, 0, r]])
    _, s, t = _bezout(divisor, r)
    return np.array([[q // divisor, -p // divisor, 0], [r * x, r * y, -divisor], [s * x, s * y, t]])


def _bezout(left: int, right: int) -> tuple[int, int, int]:
    """Return g, x, y with left * x + right * y = g, the greatest common divisor, g >= 0."""
    if right == 0:
        return abs(left), (left > 0) - (left < 0), 0
    divisor, x, y = _bezout(right, left % right)
    return divisor, y, x - (left // right) * y


def _gauss_reduced(first: Integers, second: Integers, basis: Floats) -> tuple[Integers, Integers]:
    """Return the two shortest vectors of the lattice of a plane, at 60 to 120 degrees.

    The small tolerances keep the choice between vectors of equal length the same on any machine.
    """
    while True:
        a, b = first @ basis, second @ basis
        if a @ a > b @ b * (1 + 1e-9):
            first, second = second, first
            continue
        multiple = round(float(a @ b / (a @ a)) - 1e-9)
        if multiple == 0:
            return first, second
        second = second - multiple * first
