"""How atoms scatter electrons and X-rays, with their thermal motion.

Factors are those that `gemmi` carries: for electrons the five Gaussians of International Tables C
table 4.3.2.2 (Peng and others 1996, valid to s = sin(theta) / lambda = 2 Å^-1), for X-rays the four
Gaussians and a constant of table 6.1.1.4 (1992). Neutral atoms both: no bonding is in them.
"""

from __future__ import annotations

from collections.abc import Callable

import gemmi
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Factor = Callable[[str, float, Floats], Floats]


def _damped(b_iso: float, s_squared: Floats) -> Floats:
    """Return the Debye-Waller factor exp(-B s^2) of an amplitude."""
    damped: Floats = np.exp(-b_iso * s_squared)
    return damped


def electron_factor(element: str, b_iso: float, s_squared: Floats) -> Floats:
    """Return the scattering factor of electrons at rest in Å, thermal motion included.

    Args:
        element: its symbol, H to Cf.
        b_iso: B = 8 pi^2 <u^2> in Å^2.
        s_squared: s^2 in Å^-2, any shape; s is half the length of a reciprocal vector.
    """
    terms = gemmi.Element(element).c4322
    total = np.zeros_like(s_squared)
    for height, width in zip(terms.a, terms.b, strict=True):
        total += height * np.exp(-width * s_squared)
    return total * _damped(b_iso, s_squared)


def xray_factor(element: str, b_iso: float, s_squared: Floats) -> Floats:
    """Return the scattering factor of X-rays in electrons, thermal motion included.

    At s = 0 it is the atomic number. Arguments as `electron_factor`.
    """
    terms = gemmi.Element(element).it92
    total = np.full_like(s_squared, terms.c)
    for height, width in zip(terms.a, terms.b, strict=True):
        total += height * np.exp(-width * s_squared)
    return total * _damped(b_iso, s_squared)
