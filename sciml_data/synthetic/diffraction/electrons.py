"""Fast electrons: wavelength, and how strongly a potential turns their phase.

Constants are CODATA's, as `scipy.constants` has them.
"""

from __future__ import annotations

import math

from scipy import constants

ANGSTROM = constants.angstrom  # m
POTENTIAL_PER_FACTOR = constants.h**2 / (2 * math.pi * constants.m_e * constants.e * ANGSTROM**2)
"""Volt Å^2: times a scattering factor in Å and over an area in Å^2 it is a projected potential.

Mott and Bethe's h^2 / (2 pi m e) = 47.878 V Å^2 (rest mass: the factors of Peng are at rest).
"""


def wavelength(energy: float) -> float:
    """Return the relativistic de Broglie wavelength in Å at a beam energy in keV.

    lambda = h / sqrt(2 m e U (1 + e U / 2 m c^2)); 0.037014 Å at 100 keV.
    """
    joule = energy * 1e3 * constants.e
    rest = constants.m_e * constants.c**2
    momentum = math.sqrt(2 * constants.m_e * joule * (1 + joule / (2 * rest)))
    return float(constants.h / momentum / ANGSTROM)


def interaction(energy: float) -> float:
    """Return sigma in rad / (V Å) at a beam energy in keV: phase = sigma * projected potential.

    sigma = 2 pi m e lambda / h^2 with the relativistic mass; 9.244e-4 rad / (V Å) at 100 keV.
    """
    rest = constants.m_e * constants.c**2
    mass = constants.m_e * (1 + energy * 1e3 * constants.e / rest)
    turned = 2 * math.pi * mass * constants.e * wavelength(energy) * ANGSTROM / constants.h**2
    return float(turned * ANGSTROM)
