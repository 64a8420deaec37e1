"""Positions in a space group: orbits of points, and points on its symmetry elements."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sciml_data.synthetic.diffraction.lattice import setting_of

Floats = npt.NDArray[np.float64]
SAME = 1e-4  # fractions of a cell: nearer points are one
SPECIAL_FRACTIONS = (0.0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1 / 3, 2 / 3)


def operations(space_group: int) -> tuple[Floats, Floats]:
    """Return rotations (n, 3, 3) and translations (n, 3) in fractions, centrings multiplied out."""
    all_of_them = list(setting_of(space_group).operations())
    scale = all_of_them[0].DEN
    return (
        np.array([one.rot for one in all_of_them]) / scale,
        np.array([one.tran for one in all_of_them]) / scale,
    )


def orbit(point: Floats, group: tuple[Floats, Floats]) -> Floats:
    """Return all points (n, 3), fractions in [0, 1), that a group makes of one."""
    rotations, translations = group
    images = (rotations @ point + translations) % 1.0
    places = np.rint(images / SAME).astype(np.int64) % round(1 / SAME)
    _, first_of_each = np.unique(places, axis=0, return_index=True)
    found: Floats = images[np.sort(first_of_each)]
    return found


def random_point(group: tuple[Floats, Floats], random: np.random.Generator) -> Floats:
    """Return a point (3,) that lies on symmetry elements more often than by chance."""
    point = random.random(3)
    fixed = random.random(3) < random.choice([0.0, 0.5, 1.0])
    point[fixed] = random.choice(SPECIAL_FRACTIONS, size=int(fixed.sum()))
    if random.random() < 0.3:
        point[1 : random.integers(2, 4)] = point[0]
    for _ in range(random.integers(0, 3)):
        point = _onto_an_element(point, group, random)
    return point


def _onto_an_element(
    point: Floats, group: tuple[Floats, Floats], random: np.random.Generator
) -> Floats:
    """Return the mean of a point's images under the powers of one operation: that does not move.

    Screws and glides have no fixed points; then the point comes back as it was.
    """
    rotations, translations = group
    chosen = random.integers(len(rotations))
    rotation = rotations[chosen]
    translation = translations[chosen] + random.integers(-1, 2, size=3)
    total, image = point, rotation @ point + translation
    for order in range(1, 7):  # no operation of a crystal needs more powers to come back
        if np.abs(image - point).max() < 1e-9:
            middle: Floats = total / order
            return middle
        total, image = total + image, rotation @ image + translation
    return point
