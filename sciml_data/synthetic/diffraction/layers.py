"""A crystal as the beam meets it: an oblique two-dimensional cell, and layers stacked along z.

Layers are lattice planes; each repeats the one before, `height` on along the beam and displaced by
`shift`. Where no small lattice plane is perpendicular to the beam they lie at a `slope`, and so do
the slab's faces. No supercell is needed, and no strain, whatever the crystal system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.synthetic.diffraction.crystals import Crystal
from sciml_data.synthetic.diffraction.electrons import POTENTIAL_PER_FACTOR
from sciml_data.synthetic.diffraction.lattice import cell_axes
from sciml_data.synthetic.diffraction.planes import Plane, layer_basis
from sciml_data.synthetic.diffraction.scattering import Factor, electron_factor

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]
THICKEST_SLICE = 1.0  # Å; see docs/diffraction.md for what thinner ones change


@dataclass(frozen=True)
class Atoms:
    """Atoms of one element and one B in a layer: places (n, 2) in units of the oblique axes."""

    element: str
    b_iso: float
    places: Floats
    weight: float


@dataclass(frozen=True)
class Layer:
    """What the beam crosses again and again.

    Attributes:
        axes: (2, 2) rows in Å, x and y components of the two vectors of the oblique cell as seen
            along the beam. The first is along y.
        shift: (2,) Å, displacement of the next layer across the beam.
        height: Å along the beam, from a layer to the next.
        slope: (2,) by how much a layer rises along the beam for each Å along x and y.
        slices: of each slice, its height in the layer in Å and its atoms.
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
        """Return the reciprocal axes as rows, in Å^-1 (no factor 2 pi)."""
        return np.asarray(np.linalg.inv(self.axes).T, dtype=np.float64)


def layer_of(crystal: Crystal, plane: Plane, *, thickest: float = THICKEST_SLICE) -> Layer:
    """Return the layer of a crystal that a beam along `plane`'s `z_dir` crosses.

    Atoms nearer in height than `thickest` (Å) are one slice, which acts at their mean height.
    """
    fractions = layer_basis(crystal, plane.z_dir)
    axes = cell_axes(crystal.lengths, crystal.angles)
    vectors = fractions @ axes @ _frame(fractions[0] @ axes, np.array(plane.z_dir) @ axes).T
    slope: Floats = np.linalg.inv(vectors[:2, :2]) @ vectors[:2, 2]
    height = float(vectors[2, 2] - vectors[2, :2] @ slope)
    xyz = np.array([site.xyz for site in crystal.sites]) @ np.linalg.inv(fractions)
    xyz = (xyz + 1e-6) % 1.0 - 1e-6  # the same place again where a primitive cell is met twice
    heights = xyz[:, 2] * height
    places = (xyz @ vectors)[:, :2] @ np.linalg.inv(vectors[:2, :2])
    weight = abs(float(np.linalg.det(fractions)))
    slices = []
    for members in _clusters(heights, thickest):
        kinds = sorted({(crystal.sites[i].element, crystal.sites[i].b_iso) for i in members})
        atoms = tuple(
            Atoms(element, b_iso, places[inside], weight)
            for element, b_iso in kinds
            for inside in [[i for i in members if _kind(crystal, i) == (element, b_iso)]]
        )
        slices.append((float(heights[members].mean()), atoms))
    return Layer(vectors[:2, :2], vectors[2, :2], height, slope, tuple(slices))


def _kind(crystal: Crystal, index: int) -> tuple[str, float]:
    return crystal.sites[index].element, crystal.sites[index].b_iso


def _frame(first: Floats, beam: Floats) -> Floats:
    """Return unit vectors x, y, z as rows: z along the beam, y as near to `first` as can be."""
    z = beam / np.linalg.norm(beam)
    y = first - (first @ z) * z
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, z), y, z])


def _clusters(heights: Floats, thickest: float) -> list[list[int]]:
    """Return groups of atoms, lowest first, each spanning less than `thickest`.

    What spans more is cut at its widest gap, again and again. Equal heights stay together.
    """
    order = np.argsort(heights, kind="stable")
    waiting, done = [order], []
    while waiting:
        members = waiting.pop()
        sorted_heights = np.round(heights[members], 6)
        if sorted_heights[-1] - sorted_heights[0] < thickest:
            done.append(members.tolist())
            continue
        cut = int(np.diff(sorted_heights).argmax()) + 1
        waiting += [members[cut:], members[:cut]]
    return done


def structure_factors(
    layer: Layer, atoms: tuple[Atoms, ...], indices: tuple[Floats, Floats], factor: Factor
) -> Complexes:
    """Return the sum over atoms of factor times exp(-2 pi i G.r), for a grid of indices.

    Args:
        layer: whose cell it is.
        atoms: of one slice, or of all.
        indices: integers (n,) and (m,) along the two reciprocal axes; G = all their combinations.
        factor: `electron_factor` or `xray_factor`.

    Returns:
        (n, m), in the factor's unit, a cell.
    """
    first, second = indices
    vectors = first[:, None, None] * layer.reciprocal[0] + second[:, None] * layer.reciprocal[1]
    s_squared = 0.25 * (vectors**2).sum(axis=2)
    total = np.zeros(s_squared.shape, dtype=np.complex128)
    for kind in atoms:
        along_first = np.exp(-2j * math.pi * np.outer(first, kind.places[:, 0]))
        along_second = np.exp(-2j * math.pi * np.outer(kind.places[:, 1], second))
        one = factor(kind.element, kind.b_iso, s_squared)
        total += kind.weight * one * (along_first @ along_second)
    return total


def projected_potentials(layer: Layer, indices: tuple[Floats, Floats]) -> Complexes:
    """Return Fourier coefficients (slices, n, m) of each slice's projected potential, in V Å."""
    scale = POTENTIAL_PER_FACTOR / layer.area
    each = [structure_factors(layer, atoms, indices, electron_factor) for _, atoms in layer.slices]
    return np.asarray(scale * np.stack(each), dtype=np.complex128)
