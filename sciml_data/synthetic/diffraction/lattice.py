"""Lattices: Cartesian axes of a cell, the primitive lattice of a group, planes cut out of it."""

from __future__ import annotations

import math

import gemmi
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def cell_axes(lengths: tuple[float, float, float], angles: tuple[float, float, float]) -> Floats:
    """Return the axes a, b, c as rows of a (3, 3) matrix in Å, a along x and b in the xy plane."""
    axes: Floats = np.array(gemmi.UnitCell(*lengths, *angles).orth.mat.tolist()).T
    return axes


def setting_of(space_group: int) -> gemmi.SpaceGroup:
    """Return the setting that crystals here are in: the reference setting of International Tables.

    Origin at the inversion centre where there are two choices, hexagonal axes of rhombohedral
    groups, unique axis b of monoclinic ones.

    gemmi's default for 227 and 23 others is the other origin: an atom at 1/8, 1/8, 1/8 stands for
    8 atoms in one and for 16 in the other, both of the same group.
    """
    return gemmi.get_spacegroup_reference_setting(space_group)


def primitive_axes(space_group: int) -> Floats:
    """Return a primitive basis, as rows, in units of the conventional axes."""
    operation = setting_of(space_group).centred_to_primitive()
    basis: Floats = np.array(operation.rot).T / operation.DEN
    return basis


def _bezout(left: int, right: int) -> tuple[int, int, int]:
    """Return g, x, y with left * x + right * y = g = gcd, g >= 0."""
    if right == 0:
        return abs(left), (left > 0) - (left < 0), 0
    divisor, x, y = _bezout(right, left % right)
    return divisor, y, x - (left // right) * y


def _basis_of_plane(indices: Integers) -> Integers:
    """Return two integer vectors that span the plane `indices`, and one to the next such plane.

    Rows of a (3, 3) matrix: products with `indices`, which have no common divisor, are 0, 0, 1.
    """
    p, q, r = (int(index) for index in indices)
    divisor, x, y = _bezout(p, q)
    if divisor == 0:
        return np.array([[1, 0, 0], [0, 1, 0], [0, 0, r]])
    _, s, t = _bezout(divisor, r)
    return np.array([[q // divisor, -p // divisor, 0], [r * x, r * y, -divisor], [s * x, s * y, t]])


def layer_axes(basis: Floats, normal: Integers) -> Floats:
    """Return axes of a lattice that fit a family of planes.

    Args:
        basis: (3, 3) primitive axes in Å, rows.
        normal: (3,) Miller indices of the planes on that basis.

    Returns:
        Integer combinations (3, 3) of the basis: the two shortest vectors in the plane, then the
        shortest that steps to the next plane, on the side that the normal points to.
    """
    coprime = normal // math.gcd(*(int(index) for index in normal))
    first, second, step = _basis_of_plane(coprime)
    first, second = _gauss_reduced(first, second, basis)
    flat = np.stack([first, second]) @ basis
    along = np.linalg.lstsq(flat.T, step @ basis, rcond=None)[0]
    step = step - np.round(along).astype(np.int64) @ np.stack([first, second])
    return np.stack([first, second, step])


def _gauss_reduced(first: Integers, second: Integers, basis: Floats) -> tuple[Integers, Integers]:
    """Return the two shortest vectors of the plane's lattice, at 60 to 120 degrees."""
    while True:
        one, two = first @ basis, second @ basis
        if one @ one > two @ two * (1 + 1e-9):
            first, second = second, first
            continue
        turns = round(float(one @ two / (one @ one)) - 1e-9)
        if turns == 0:
            return first, second
        second = second - turns * first
