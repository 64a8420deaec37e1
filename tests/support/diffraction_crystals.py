"""Known crystals, in the settings of their groups, for the tests of diffraction."""

from __future__ import annotations

import numpy as np

from sciml_data.synthetic.diffraction import Crystal, Site
from sciml_data.synthetic.diffraction.crystals import formula_of, operations, orbit

RIGHT = (90.0, 90.0, 90.0)


def diamond(length: float = 5.431, *, b_iso: float = 0.0) -> Crystal:
    """Return silicon; research compares it with abTEM at this length, without thermal motion."""
    return _cubic(227, length, {"Si": (1 / 8, 1 / 8, 1 / 8)}, b_iso)


def zincblende(length: float = 5.653, *, b_iso: float = 0.0) -> Crystal:
    """Return gallium arsenide: diamond without its inversion."""
    return _cubic(216, length, {"Ga": (0.0, 0.0, 0.0), "As": (0.25, 0.25, 0.25)}, b_iso)


def rock_salt(length: float = 5.640, *, b_iso: float = 0.0) -> Crystal:
    """Return sodium chloride."""
    return _cubic(225, length, {"Na": (0.0, 0.0, 0.0), "Cl": (0.5, 0.5, 0.5)}, b_iso)


def one_atom(element: str = "H") -> Crystal:
    """Return a triclinic crystal of one atom a cell: so light that it scatters an electron once."""
    sites = (Site(element, (0.2, 0.3, 0.4), 0.0),)
    return Crystal("one-atom", 1, f"{element}1", (3.1, 3.7, 4.3), (81.0, 97.0, 104.0), sites)


def _cubic(
    group: int, length: float, starts: dict[str, tuple[float, float, float]], b_iso: float
) -> Crystal:
    sites = tuple(
        Site(element, (x, y, z), b_iso)
        for element, start in starts.items()
        for x, y, z in orbit(np.array(start), operations(group)).tolist()
    )
    return Crystal("known", group, formula_of(sites), (length,) * 3, RIGHT, sites)
