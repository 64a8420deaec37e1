"""Clusters of rigid water molecules in the TIP3P potential, annealed to near its minima.

TIP3P (Jorgensen et al. 1983, doi:10.1063/1.445869): r(OH) = 0.9572 angstrom, HOH = 104.52 degrees,
charges of -0.834 and 0.417, and between oxygens A / r^12 - C / r^6 with A = 582,000 kcal A^12 / mol
and C = 595.0 kcal A^6 / mol. The energy is the sum over pairs of molecules, kcal / mol: 0 where all
are far apart. Clusters start scattered and are cooled by Metropolis steps of single molecules.

    min_data.hdf5      cooled to 5 K: near a minimum, not at one
    nonmin_data.hdf5   cooled to 250 K only

Keys and types as SciML-Bench documents them; 90 atoms of room, oxygen first in each molecule.
HydroNet's own clusters have up to 30 molecules in the potential TTM2.1-F; these have 3 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.hdf5_arrays import generator, write_arrays

DEFAULTS: Mapping[str, int] = {"count": 96, "least": 3, "most": 6}
ATOMS = 90  # room for 30 molecules
FILES = {"min_data": 5.0, "nonmin_data": 250.0}  # kelvin at which cooling ends

BOND, ANGLE = 0.9572, np.radians(104.52)
CHARGES = np.array([-0.834, 0.417, 0.417])
REPULSION, ATTRACTION = 582_000.0, 595.0
COULOMB = 332.0637  # kcal A / (mol e^2): e^2 N_A / (4 pi eps0), CODATA 2018
GAS = 0.0019872  # kcal / (mol K)

HOTTEST = 600.0  # kelvin at the start
ROOM = 3.0  # angstrom times the cube root of the molecules: none evaporates farther than this
STEPS_EACH = 120  # for each molecule and each cooling by a factor of e
LONGEST_STEP, WIDEST_TURN = 0.5, 0.8  # angstrom and radians, at the start; they shrink as it cools
CLOSEST = 1.2  # angstrom between any two atoms of two molecules: below, TIP3P falls without end


def write(root: Path, settings: Mapping[str, Any], seed: int) -> None:
    """Write both files, clusters of each size in turn."""
    chosen = {key: int(settings.get(key, default)) for key, default in DEFAULTS.items()}
    sizes = chosen["least"] + np.arange(chosen["count"]) % (chosen["most"] - chosen["least"] + 1)
    for number, (name, coldest) in enumerate(FILES.items()):
        arrays: dict[str, NDArray[Any]] = {
            "pos": np.zeros((len(sizes), ATOMS, 3), np.float32),
            "z": np.zeros((len(sizes), ATOMS), np.uint8),
            "x": np.zeros((len(sizes), ATOMS, 2), np.uint8),
            "size": (3 * sizes[:, None]).astype(np.uint8),
            "y": np.zeros((len(sizes), 1), np.float32),
        }
        for size in np.unique(sizes):
            which = np.flatnonzero(sizes == size)
            clusters = annealed(generator(seed, number, int(size)), len(which), int(size), coldest)
            used = slice(0, 3 * int(size))
            arrays["pos"][which, used] = (clusters - _centre(clusters)).reshape(len(which), -1, 3)
            arrays["z"][which, used] = np.tile([8, 1, 1], int(size))
            arrays["y"][which, 0] = energy(clusters)
        arrays["x"][..., 0], arrays["x"][..., 1] = arrays["z"] == 1, arrays["z"] == 8
        write_arrays(root / f"{name}.hdf5", arrays)


def energy(clusters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the TIP3P energy, kcal / mol: (cluster,) of (cluster, molecule, 3 atoms, 3)."""
    count = clusters.shape[1]
    total = np.zeros(len(clusters))
    for one in range(count - 1):
        total += _with_others(clusters[:, one], clusters[:, one + 1 :])
    return total


def molecule() -> NDArray[np.float64]:
    """Return one molecule, (atom, 3) angstrom: oxygen at 0, then the two hydrogens."""
    half = ANGLE / 2
    aside, along = BOND * np.sin(half), BOND * np.cos(half)
    return np.array([[0.0, 0.0, 0.0], [aside, 0.0, along], [-aside, 0.0, along]])


def annealed(
    random: np.random.Generator, count: int, size: int, coldest: float
) -> NDArray[np.float64]:
    """Return clusters of one size, cooled side by side: (cluster, molecule, 3 atoms, 3).

    A step moves and turns one molecule of every cluster; each takes it or not for itself.
    """
    clusters = _scattered(random, count, size)
    steps = int(STEPS_EACH * size * np.log(HOTTEST / coldest))
    for step, kelvin in enumerate(np.geomspace(HOTTEST, coldest, steps)):
        one = step % size
        others = np.delete(clusters, one, axis=1)
        scale = max((kelvin / HOTTEST) ** 0.5, 0.04)
        turns = _turns(random.standard_normal((count, 3)) * (WIDEST_TURN * scale / 3))
        oxygen = clusters[:, one, :1]
        shift = random.standard_normal((count, 1, 3)) * (LONGEST_STEP * scale / 3)
        moved = (clusters[:, one] - oxygen) @ turns.transpose(0, 2, 1) + oxygen + shift
        change = _with_others(moved, others) - _with_others(clusters[:, one], others)
        likely = np.exp(-np.clip(change / (GAS * kelvin), 0, 700))
        away = np.linalg.norm(moved[:, 0] - others[:, :, 0].mean(1), axis=1)
        takes = (random.random(count) < likely) & (away < ROOM * np.cbrt(size) + 1)
        clusters[takes, one] = moved[takes]
    return clusters


def _with_others(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the energy of one molecule with the others of its cluster: (cluster,), kcal / mol."""
    between = one[:, None, :, None] - others[:, :, None, :]
    squared = np.einsum("...i,...i->...", between, between)
    charges = COULOMB * CHARGES[:, None] * CHARGES[None, :]
    sixth = squared[..., 0, 0] ** -3
    pairs = REPULSION * sixth**2 - ATTRACTION * sixth
    total = pairs.sum(1) + (charges / np.sqrt(squared)).sum((1, 2, 3))
    return np.where((squared < CLOSEST**2).any((1, 2, 3)), 1e6, total)


def _scattered(random: np.random.Generator, count: int, size: int) -> NDArray[np.float64]:
    """Return molecules on a coarse grid, each turned at random."""
    side = int(np.ceil(size ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    oxygens = 3.2 * grid[:size] + random.normal(0, 0.1, (count, size, 3))
    turns = _turns(random.standard_normal((count * size, 3)) * np.pi)
    turned = (molecule() @ turns.transpose(0, 2, 1)).reshape(count, size, 3, 3)
    return np.asarray(turned + oxygens[:, :, None])


def _turns(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations about vectors by their lengths (Rodrigues): (n, 3, 3)."""
    angles = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / np.maximum(angles[:, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    return np.asarray(np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * (cross @ cross))


def _centre(clusters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each cluster's centre of mass, oxygen 15.999, hydrogen 1.008: (cluster, 1, 1, 3)."""
    masses = np.array([15.999, 1.008, 1.008])
    weighted = (clusters * masses[:, None]).sum((1, 2)) / (masses.sum() * clusters.shape[1])
    return np.asarray(weighted[:, None, None])
