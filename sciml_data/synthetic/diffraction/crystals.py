"""Crystals of a wanted space group, made at random, each label proved by spglib.

No published structure is in them: a random cell of the right system, atoms on random orbits of the
group, kept where atoms have room and where spglib finds the wanted group and no other.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter
from dataclasses import dataclass

import gemmi
import numpy as np
import numpy.typing as npt
import spglib

from sciml_data.errors import SciMLDataError
from sciml_data.synthetic.diffraction.lattice import cell_axes, setting_of
from sciml_data.synthetic.diffraction.positions import operations, orbit, random_point

Floats = npt.NDArray[np.float64]
Numbers = tuple[float, float, float]

# In the order of Pauling's electronegativity (0.79 to 3.98), in which formulas name them.
ELEMENTS = [
    "Cs", "Rb", "K", "Ba", "Na", "Sr", "Li", "Ca", "La", "Y", "Mg", "Zr", "Hf", "Sc", "Ta", "Nb",
    "Al", "Ti", "Mn", "Zn", "Cr", "V", "In", "Ga", "Fe", "Co", "Si", "Cu", "Ni", "Ag", "Sn", "Ge",
    "Bi", "B", "Sb", "Te", "As", "P", "Pt", "Se", "C", "S", "I", "Br", "N", "Cl", "O", "F",
]  # fmt: skip
SYMMETRY_PRECISIONS = (1e-3, 1e-1)  # Å; spglib's symprec: at both a label must be the same, so
# that no crystal is nearly of a higher group
LEAST_DISTANCE = 1.7  # Å, and
LEAST_OF_RADII = 0.75  # of the sum of two covalent radii (Cordero and others 2008, in gemmi)
VOLUME_OF_ATOM = (10.0, 24.0)  # Å^3
LENGTHS = (2.5, 10.0)  # Å; published patterns are of cells with a, b, c < 10 Å
B_ISO = (0.3, 0.9)  # Å^2, what inorganic solids have at room temperature
MOST_ATOMS = 100  # of a conventional cell, and
MOST_PRIMITIVE = 32  # of a primitive one
SHARE_OF_ELEMENTS = 0.1  # of the crystals of one element that are met with
MOST_POINTS = 25  # tried in a cell
MOST_ATTEMPTS = 1000
NEIGHBOURS = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=np.float64)


@dataclass(frozen=True)
class Site:
    """An atom: element, fractions of the conventional axes in [0, 1), B = 8 pi^2 <u^2> in Å^2."""

    element: str
    xyz: Numbers
    b_iso: float


@dataclass(frozen=True)
class Crystal:
    """A crystal in the reference setting of its group (`lattice.setting_of`).

    Sites are all atoms of the conventional cell. Lengths in Å, angles in degree.
    """

    material: str
    space_group: int
    formula: str
    lengths: Numbers
    angles: Numbers
    sites: tuple[Site, ...]


class NoCrystalError(SciMLDataError):
    """No crystal of the wanted group was found."""


def make_crystal(space_group: int, number: int, *, seed: int) -> Crystal:
    """Return crystal `number` of a space group: a pure function of its arguments.

    Args:
        space_group: 1 to 230.
        number: 0 and up; the material is called syn-<space group>-<number>.
        seed: of all crystals of a sample.

    Raises:
        NoCrystalError: none was found in `MOST_ATTEMPTS` attempts.
        ValueError: no such group, or a negative number.
    """
    if not 1 <= space_group <= 230 or number < 0:
        raise ValueError(f"no crystal {number} of space group {space_group}: 1..230, and 0 and up")
    random = np.random.default_rng([seed, space_group, number])
    group = operations(space_group)
    material = f"syn-{space_group:03d}-{number:03d}"
    for _ in range(MOST_ATTEMPTS):
        crystal = _attempt(material, space_group, group, random)
        if crystal is not None and found_group(crystal) == space_group:
            return crystal
    raise NoCrystalError(
        f"no crystal of space group {space_group} in {MOST_ATTEMPTS} attempts",
        hint="take another number or another seed",
    )


def found_group(crystal: Crystal) -> int | None:
    """Return the number of the space group that spglib finds.

    None where it finds none, or another where atoms may be 0.1 Å off than where 0.001 Å.
    """
    numbers = [gemmi.Element(site.element).atomic_number for site in crystal.sites]
    places = [site.xyz for site in crystal.sites]
    cell = (cell_axes(crystal.lengths, crystal.angles), places, numbers)
    found = {_group_at(cell, precision) for precision in SYMMETRY_PRECISIONS}
    return found.pop() if len(found) == 1 else None


def _group_at(cell: tuple[Floats, list[Numbers], list[int]], precision: float) -> int | None:
    """Return the group that spglib finds at a precision in Å, None where it finds none."""
    with warnings.catch_warnings():
        # spglib 2.7 and 2.8 warn on every call that errors will be raised instead of None given.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=precision)
        except getattr(spglib, "SpglibError", ()):
            return None
    return None if dataset is None else int(dataset.number)


def formula_of(sites: tuple[Site, ...]) -> str:
    """Return the formula of all sites, as published: ``Fe8 O14 F2``, most electropositive first."""
    counted = Counter(site.element for site in sites)
    in_order = sorted(
        counted, key=lambda name: (ELEMENTS.index(name) if name in ELEMENTS else -1, name)
    )
    return " ".join(f"{name}{counted[name]}" for name in in_order)


def _attempt(
    material: str,
    space_group: int,
    group: tuple[Floats, Floats],
    random: np.random.Generator,
) -> Crystal | None:
    """Return a crystal whose atoms have room, or None; its symmetry may be too high."""
    setting = setting_of(space_group)
    copies = len(list(setting.operations().cen_ops))
    ratios, angles = _random_shape(setting.crystal_system_str(), random)
    most = min(MOST_PRIMITIVE * copies, MOST_ATOMS)
    wanted = math.exp(random.uniform(math.log(3 * copies), math.log(most)))
    volume = wanted * random.uniform(*VOLUME_OF_ATOM)
    scale = (volume / float(gemmi.UnitCell(*ratios, *angles).volume)) ** (1 / 3)
    lengths = _numbers(np.round(scale * np.array(ratios), 4))
    if min(lengths) < LENGTHS[0] or max(lengths) >= LENGTHS[1]:
        return None
    sites = _filled(cell_axes(lengths, angles), group, int(wanted), random)
    is_element = len({site.element for site in sites}) == 1
    if len(sites) < wanted / 2 or (is_element and random.random() > SHARE_OF_ELEMENTS):
        return None
    return Crystal(material, space_group, formula_of(sites), lengths, angles, sites)


def _filled(
    axes: Floats, group: tuple[Floats, Floats], wanted: int, random: np.random.Generator
) -> tuple[Site, ...]:
    """Return sites of random orbits that have room in a cell, no more than are wanted."""
    kinds = random.choice(ELEMENTS, size=random.integers(2, 5), replace=False).tolist()
    sites: list[Site] = []
    orbits = 0
    for _ in range(MOST_POINTS):
        points = orbit(random_point(group, random), group)
        element = kinds[orbits] if orbits < len(kinds) else str(random.choice(kinds))
        b_iso = round(random.uniform(*B_ISO), 3)
        own = [Site(element, _numbers(point), b_iso) for point in points]
        if len(sites) + len(own) <= wanted and _has_room(own, sites, axes):
            sites += own
            orbits += 1
        if len(sites) == wanted:
            break
    return tuple(sites)


def _numbers(array: Floats) -> Numbers:
    """Return three numbers as a tuple of Python's."""
    first, second, third = array.tolist()
    return first, second, third


def _random_shape(system: str, random: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Return axes up to a common factor, and angles in degree, of a crystal system."""
    b, c = np.exp(random.uniform(np.log(0.6), np.log(1.7), size=2)).tolist()
    right = (90.0, 90.0, 90.0)
    if system == "cubic":
        return (1.0, 1.0, 1.0), right
    if system == "tetragonal":
        return (1.0, 1.0, c), right
    if system in {"hexagonal", "trigonal"}:
        return (1.0, 1.0, c), (90.0, 90.0, 120.0)
    if system == "orthorhombic":
        return (1.0, b, c), right
    if system == "monoclinic":
        return (1.0, b, c), (90.0, round(random.uniform(92, 118), 2), 90.0)
    return (1.0, b, c), _numbers(np.round(random.uniform(75, 110, size=3), 2))


def _has_room(own: list[Site], others: list[Site], axes: Floats) -> bool:
    """Return whether atoms of an orbit are as far from all atoms, of any cells, as atoms are.

    The first stands for all of the orbit.
    """
    everyone = [*own, *others]
    apart = np.array([site.xyz for site in everyone]) - np.array(own[0].xyz)
    near = (apart - np.round(apart))[:, None] + NEIGHBOURS
    distances = np.linalg.norm(near @ axes, axis=2)
    distances[0, distances[0].argmin()] = np.inf  # the atom and itself
    radii = np.array([gemmi.Element(site.element).covalent_r for site in everyone])
    least = np.maximum(LEAST_OF_RADII * (radii + radii[0]), LEAST_DISTANCE)
    return bool((distances >= least[:, None]).all())
