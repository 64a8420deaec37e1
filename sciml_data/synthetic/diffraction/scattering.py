"""Constants of fast electrons, and scattering factors of atoms with thermal motion.

Physical constants are those of CODATA from `scipy.constants`. Scattering factors come from `gemmi`:
for electrons the five Gaussians of International Tables C table 4.3.2.2 (Peng et al. 1996, valid to
s = sin(theta) / lambda = 2 Å^-1), for X-rays the four Gaussians and a constant of table 6.1.1.4
(1992). Both are of neutral atoms, without bonding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import gemmi
import numpy as np
import numpy.typing as npt
from scipy import constants

Floats = npt.NDArray[np.float64]
ScatteringFactor = Callable[[str, float, Floats], Floats]  # element, B, s^2 -> factor

ANGSTROM = constants.angstrom  # m
POTENTIAL_PER_FACTOR = constants.h**2 / (2 * math.pi * constants.m_e * constants.e * ANGSTROM**2)
"""V Å^2: times a scattering factor in Å, over an area in Å^2, it is a projected potential in V Å.

Mott and Bethe's h^2 / (2 pi m e) = 47.878 V Å^2, with the rest mass as the factors of Peng have it.
"""


def wavelength(energy: float) -> float:
    """Return the relativistic de Broglie wavelength in Å of electrons with an energy in keV.

    lambda = h / sqrt(2 m e U (1 + e U / 2 m c^2)); 0.037014 Å at 100 keV.
    """
    joule = energy * 1e3 * constants.e
    rest_energy = constants.m_e * constants.c**2
    momentum = math.sqrt(2 * constants.m_e * joule * (1 + joule / (2 * rest_energy)))
    return float(constants.h / momentum / ANGSTROM)


def interaction(energy: float) -> float:
    """Return the interaction constant sigma in rad / (V Å) of electrons with an energy in keV.

    Phase = sigma * projected potential. sigma = 2 pi m e lambda / h^2 with the relativistic mass;
    9.244e-4 rad / (V Å) at 100 keV.
    """
    rest_energy = constants.m_e * constants.c**2
    mass = constants.m_e * (1 + energy * 1e3 * constants.e / rest_energy)
    sigma = 2 * math.pi * mass * constants.e * wavelength(energy) * ANGSTROM / constants.h**2
    return float(sigma * ANGSTROM)


def electron_factor(element: str, b_iso: float, s_squared: Floats) -> Floats:
    """Return the scattering factor of electrons at rest in Å, with thermal motion.

    Args:
        element: chemical symbol, H to Cf.
        b_iso: B = 8 pi^2 <u^2> in Å^2.
        s_squared: s^2 in Å^-2, any shape; s is half the length of a reciprocal vector.
    """
    terms = gemmi.Element(element).c4322
    total = np.zeros_like(s_squared)
    for height, width in zip(terms.a, terms.b, strict=True):
        total += height * np.exp(-width * s_squared)
    return total * _debye_waller(b_iso, s_squared)


def variance_factor(element: str, b_iso: float, s_squared: Floats) -> Floats:
    """Return the Fourier transform of the variance of a projected potential, without unit.

    The variance is over thermal displacements of an atom, of its potential divided by
    `POTENTIAL_PER_FACTOR`. With q = 2 s in the plane it is exp(-B s^2) times the integral over q'
    of f(s/2 + s') f(s/2 - s') (1 - exp(-2 B (s'^2 - s^2/4))): the absorptive form factor of Bird &
    King (Acta Cryst. A46 (1990) 202). Gaussians make it a sum. Arguments are those of
    `electron_factor`. At s = 0 it is the integral of `diffuse_intensity` over the plane.
    """
    terms = gemmi.Element(element).c4322
    pairs = list(zip(terms.a, terms.b, strict=True))
    total = np.zeros_like(s_squared)
    for (height, width), (other_height, other_width) in itertools.product(pairs, pairs):
        both = width + other_width
        moving = both + 2 * b_iso
        mean_square = np.exp(-(width * other_width / both + b_iso) * s_squared) / both
        overlap = (width + b_iso) * (other_width + b_iso) / moving
        square_of_mean = np.exp(-overlap * s_squared) / moving
        total += 4 * math.pi * height * other_height * (mean_square - square_of_mean)
    return total


def diffuse_intensity(element: str, b_iso: float, s_squared: Floats) -> Floats:
    """Return f(s)^2 (1 - exp(-2 B s^2)) in Å^2: thermal diffuse scattering of an atom.

    f is the factor of the atom at rest. Arguments are those of `electron_factor`.
    """
    at_rest = electron_factor(element, 0.0, s_squared)
    intensity: Floats = -(at_rest**2) * np.expm1(-2 * b_iso * s_squared)
    return intensity


def xray_factor(element: str, b_iso: float, s_squared: Floats) -> Floats:
    """Return the scattering factor of X-rays in electrons, with thermal motion.

    It is the atomic number at s = 0. Arguments are those of `electron_factor`.
    """
    terms = gemmi.Element(element).it92
    total = np.full_like(s_squared, terms.c)
    for height, width in zip(terms.a, terms.b, strict=True):
        total += height * np.exp(-width * s_squared)
    return total * _debye_waller(b_iso, s_squared)


def _debye_waller(b_iso: float, s_squared: Floats) -> Floats:
    """Return the Debye-Waller factor exp(-B s^2) of an amplitude."""
    factor: Floats = np.exp(-b_iso * s_squared)
    return factor
