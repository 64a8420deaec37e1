"""Random crystals of a given space group; spglib confirms the label of each.

No published structure is used. A crystal is a random cell of the right crystal system with atoms on
random orbits of the group. It is accepted if its atoms have room, and if spglib finds the given
group and no other.
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

Floats = npt.NDArray[np.float64]
Triple = tuple[float, float, float]
Operations = tuple[Floats, Floats]  # rotations (n, 3, 3) and translations (n, 3) in fractions

# In the order of Pauling's electronegativity (0.79 to 3.98), which is their order in formulas.
ELEMENTS = [
    "Cs", "Rb", "K", "Ba", "Na", "Sr", "Li", "Ca", "La", "Y", "Mg", "Zr", "Hf", "Sc", "Ta", "Nb",
    "Al", "Ti", "Mn", "Zn", "Cr", "V", "In", "Ga", "Fe", "Co", "Si", "Cu", "Ni", "Ag", "Sn", "Ge",
    "Bi", "B", "Sb", "Te", "As", "P", "Pt", "Se", "C", "S", "I", "Br", "N", "Cl", "O", "F",
]  # fmt: skip
# Å, spglib's symprec. A label must be the same at both, so that no crystal is almost of a higher
# group.
SYMMETRY_PRECISIONS = (1e-3, 1e-1)
MIN_DISTANCE = 1.7  # Å between two atoms, and
MIN_SHARE_OF_RADII = 0.75  # of the sum of their covalent radii (Cordero et al. 2008, in gemmi)
VOLUME_PER_ATOM = (10.0, 24.0)  # Å^3
LENGTHS = (2.5, 10.0)  # Å; the cells of the published patterns have a, b, c < 10 Å
B_ISO = (0.3, 0.9)  # Å^2, the range of inorganic solids at room temperature
MAX_ATOMS = 100  # in a conventional cell
MAX_PRIMITIVE_ATOMS = 32  # in a primitive cell
PURE_ELEMENT_SHARE = 0.1  # of the random crystals of a single element that are accepted
MAX_POINTS = 25  # that are tried for a cell
MAX_ATTEMPTS = 1000  # 10 to 20 s
NEIGHBOURS = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=np.float64)
SAME_POINT = 1e-4  # in fractions of a cell
SPECIAL_FRACTIONS = (0.0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1 / 3, 2 / 3)
MAX_ORDER = 6  # of a rotation in a crystal


@dataclass(frozen=True)
class Site:
    """An atom: element, position in fractions of the conventional axes, B = 8 pi^2 <u^2> in Å^2."""

    element: str
    xyz: Triple
    b_iso: float


@dataclass(frozen=True)
class Crystal:
    """A crystal in the reference setting of its group (`setting_of`).

    Attributes:
        material: name, "syn-<space group>-<number>".
        space_group: number, 1 to 230.
        formula: of all sites, "Fe8 O14 F2".
        lengths: a, b, c in Å.
        angles: alpha, beta, gamma in degrees.
        sites: all atoms of the conventional cell.
    """

    material: str
    space_group: int
    formula: str
    lengths: Triple
    angles: Triple
    sites: tuple[Site, ...]


class NoCrystalError(SciMLDataError):
    """No random crystal of the given space group was accepted."""


def make_crystal(space_group: int, number: int, *, seed: int) -> Crystal:
    """Return crystal `number` of a space group: a pure function of its arguments.

    Args:
        space_group: 1 to 230.
        number: 0 or more; the material is named "syn-<space group>-<number>".
        seed: seed of all crystals of a sample.

    Raises:
        NoCrystalError: no crystal was accepted in `MAX_ATTEMPTS` attempts.
        ValueError: the group does not exist, or the number is negative.
    """
    if not 1 <= space_group <= 230 or number < 0:
        raise ValueError(
            f"no crystal {number} of space group {space_group}: "
            "groups are 1 to 230, numbers are 0 or more"
        )
    random = np.random.default_rng([seed, space_group, number])
    group = operations(space_group)
    material = f"syn-{space_group:03d}-{number:03d}"
    for _ in range(MAX_ATTEMPTS):
        crystal = _attempt(material, space_group, group, random)
        if crystal is not None and confirmed_group(crystal) == space_group:
            return crystal
    raise NoCrystalError(
        f"no crystal of space group {space_group} in {MAX_ATTEMPTS} attempts",
        hint="choose another number, seed or group (docs/explanation/diffraction.md names groups "
        "without any)",
    )


def confirmed_group(crystal: Crystal) -> int | None:
    """Return the number of the space group that spglib finds at both `SYMMETRY_PRECISIONS`.

    None if it finds no group, or different groups at the two precisions.
    """
    numbers = [gemmi.Element(site.element).atomic_number for site in crystal.sites]
    places = [site.xyz for site in crystal.sites]
    cell = (cell_axes(crystal.lengths, crystal.angles), places, numbers)
    groups = {_group_at(cell, precision) for precision in SYMMETRY_PRECISIONS}
    return groups.pop() if len(groups) == 1 else None


def _group_at(cell: tuple[Floats, list[Triple], list[int]], precision: float) -> int | None:
    """Return the group that spglib finds at a precision in Å, None if it finds no group."""
    with warnings.catch_warnings():
        # spglib 2.7 and 2.8 warn in every call that they will raise errors instead of returning
        # None.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=precision)
        except getattr(spglib, "SpglibError", ()):
            return None
    return None if dataset is None else int(dataset.number)


def formula_of(sites: tuple[Site, ...]) -> str:
    """Return the formula of all sites, most electropositive first, as published: ``Fe8 O14 F2``."""
    counted = Counter(site.element for site in sites)
    in_order = sorted(
        counted, key=lambda name: (ELEMENTS.index(name) if name in ELEMENTS else -1, name)
    )
    return " ".join(f"{name}{counted[name]}" for name in in_order)


def _attempt(
    material: str,
    space_group: int,
    group: Operations,
    random: np.random.Generator,
) -> Crystal | None:
    """Return a random crystal with room for its atoms, or None; its symmetry may be too high."""
    setting = setting_of(space_group)
    copies = len(list(setting.operations().cen_ops))
    ratios, angles = _random_shape(setting.crystal_system_str(), random)
    largest = min(MAX_PRIMITIVE_ATOMS * copies, MAX_ATOMS)
    atoms = math.exp(random.uniform(math.log(3 * copies), math.log(largest)))
    volume = atoms * random.uniform(*VOLUME_PER_ATOM)
    scale = (volume / float(gemmi.UnitCell(*ratios, *angles).volume)) ** (1 / 3)
    lengths = _triple(np.round(scale * np.array(ratios), 4))
    if min(lengths) < LENGTHS[0] or max(lengths) >= LENGTHS[1]:
        return None
    sites = _random_sites(cell_axes(lengths, angles), group, int(atoms), random)
    is_element = len({site.element for site in sites}) == 1
    if len(sites) < atoms / 2 or (is_element and random.random() > PURE_ELEMENT_SHARE):
        return None
    return Crystal(material, space_group, formula_of(sites), lengths, angles, sites)


def _random_sites(
    axes: Floats, group: Operations, count: int, random: np.random.Generator
) -> tuple[Site, ...]:
    """Return the sites of random orbits that have room in a cell, at most `count`."""
    elements = random.choice(ELEMENTS, size=random.integers(2, 5), replace=False).tolist()
    sites: list[Site] = []
    orbits = 0
    for _ in range(MAX_POINTS):
        points = orbit(random_point(group, random), group)
        element = elements[orbits] if orbits < len(elements) else str(random.choice(elements))
        b_iso = round(random.uniform(*B_ISO), 3)
        new = [Site(element, _triple(point), b_iso) for point in points]
        if len(sites) + len(new) <= count and _has_room(new, sites, axes):
            sites += new
            orbits += 1
        if len(sites) == count:
            break
    return tuple(sites)


def _triple(array: Floats) -> Triple:
    """Return an array of three numbers as a tuple of Python floats."""
    first, second, third = array.tolist()
    return first, second, third


def _random_shape(system: str, random: np.random.Generator) -> tuple[Triple, Triple]:
    """Return random lengths up to a common factor, and angles in degrees, of a crystal system."""
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
    return (1.0, b, c), _triple(np.round(random.uniform(75, 110, size=3), 2))


def _has_room(new: list[Site], existing: list[Site], axes: Floats) -> bool:
    """Return whether the atoms of an orbit keep their distance from all atoms in all cells.

    All atoms of an orbit have equal surroundings, so only the first is checked.
    """
    sites = [*new, *existing]
    offsets = np.array([site.xyz for site in sites]) - np.array(new[0].xyz)
    images = (offsets - np.round(offsets))[:, None] + NEIGHBOURS
    distances = np.linalg.norm(images @ axes, axis=2)
    distances[0, distances[0].argmin()] = np.inf  # from the atom to itself
    radii = np.array([gemmi.Element(site.element).covalent_r for site in sites])
    required = np.maximum(MIN_SHARE_OF_RADII * (radii + radii[0]), MIN_DISTANCE)
    return bool((distances >= required[:, None]).all())


# --- cells and symmetry operations ---------------------------------------------------------------


def cell_axes(lengths: Triple, angles: Triple) -> Floats:
    """Return the axes a, b, c as rows of a (3, 3) matrix in Å, a along x and b in the xy plane.

    Args:
        lengths: Å.
        angles: degrees.
    """
    axes: Floats = np.array(gemmi.UnitCell(*lengths, *angles).orth.mat.tolist()).T
    return axes


def setting_of(space_group: int) -> gemmi.SpaceGroup:
    """Return the setting of crystals here: the reference setting of International Tables.

    It has the origin at the inversion centre if there is a choice, hexagonal axes for rhombohedral
    groups, and the unique axis b for monoclinic groups.

    gemmi's default for 227 and 23 other groups is the other origin. The same coordinates then mean
    another crystal: an atom at 1/8, 1/8, 1/8 generates 8 atoms in one setting and 16 in the other.
    """
    return gemmi.get_spacegroup_reference_setting(space_group)


def primitive_axes(space_group: int) -> Floats:
    """Return a primitive basis as rows of a (3, 3) matrix, in units of the conventional axes."""
    operation = setting_of(space_group).centred_to_primitive()
    basis: Floats = np.array(operation.rot).T / operation.DEN
    return basis


def operations(space_group: int) -> Operations:
    """Return all operations of a group, centrings included: rotations and translations."""
    listed = list(setting_of(space_group).operations())
    scale = listed[0].DEN
    return (
        np.array([operation.rot for operation in listed]) / scale,
        np.array([operation.tran for operation in listed]) / scale,
    )


def orbit(point: Floats, group: Operations) -> Floats:
    """Return all images (n, 3) of a point (3,) under a group, in fractions in [0, 1)."""
    rotations, translations = group
    images = (rotations @ point + translations) % 1.0
    places = np.rint(images / SAME_POINT).astype(np.int64) % round(1 / SAME_POINT)
    _, first_of_each = np.unique(places, axis=0, return_index=True)
    distinct: Floats = images[np.sort(first_of_each)]
    return distinct


def random_point(group: Operations, random: np.random.Generator) -> Floats:
    """Return a random point (3,) that is on symmetry elements more often than by chance.

    Without this, nearly all points would be general positions with large orbits, for which a small
    cell has no room.
    """
    point = random.random(3)
    fixed = random.random(3) < random.choice([0.0, 0.5, 1.0])
    point[fixed] = random.choice(SPECIAL_FRACTIONS, size=int(fixed.sum()))
    if random.random() < 0.3:
        point[1 : random.integers(2, 4)] = point[0]
    for _ in range(random.integers(0, 3)):
        point = _onto_symmetry_element(point, group, random)
    return point


def _onto_symmetry_element(point: Floats, group: Operations, random: np.random.Generator) -> Floats:
    """Return the mean of the images of a point under the powers of a random operation.

    The operation leaves that mean in place. Screws and glides have no fixed points; for them the
    point itself is returned.
    """
    rotations, translations = group
    chosen = random.integers(len(rotations))
    rotation = rotations[chosen]
    translation = translations[chosen] + random.integers(-1, 2, size=3)
    total, image = point, rotation @ point + translation
    for order in range(1, MAX_ORDER + 1):
        if np.abs(image - point).max() < 1e-9:
            mean: Floats = total / order
            return mean
        total, image = total + image, rotation @ image + translation
    return point
