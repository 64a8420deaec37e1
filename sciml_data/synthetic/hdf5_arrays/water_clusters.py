"""Clusters of rigid water molecules in the TIP3P potential, annealed close to its minima.

TIP3P (Jorgensen et al. 1983, doi:10.1063/1.445869): r(OH) = 0.9572 angstrom, HOH = 104.52 degrees,
charges of -0.834 and 0.417, and between oxygens A / r^12 - C / r^6 with A = 582,000 kcal A^12 / mol
and C = 595.0 kcal A^6 / mol. The energy is the sum over pairs of molecules in kcal / mol, which is
0 if all are far apart. Clusters start scattered and are cooled by Metropolis steps of single
molecules.

    min_data.hdf5      cooled to 5 K: near a minimum, not at one
    nonmin_data.hdf5   cooled to 250 K only

Keys and types are those that SciML-Bench documents. Arrays have space for 90 atoms, oxygen first in
each molecule. HydroNet's clusters have up to 30 molecules in the potential TTM2.1-F; these have 3
to 6.

Settings in `block["sample"]`: count, least, most (molecules).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.hdf5_arrays.models import generator, write_arrays

DEFAULTS: Mapping[str, int] = {"count": 96, "least": 3, "most": 6}
ATOMS = 90  # space for 30 molecules
FILES = {"min_data": 5.0, "nonmin_data": 250.0}  # final temperature in kelvin

BOND, ANGLE = 0.9572, np.radians(104.52)  # OH in angstrom, HOH
CHARGES = np.array([-0.834, 0.417, 0.417])  # e, of O, H, H
REPULSION, ATTRACTION = 582_000.0, 595.0  # kcal A^12 / mol, kcal A^6 / mol
COULOMB = 332.0637  # kcal A / (mol e^2): e^2 N_A / (4 pi eps0), CODATA 2018
GAS = 0.0019872  # gas constant, kcal / (mol K)

HOTTEST = 600.0  # initial temperature in kelvin
ROOM = 3.0  # angstrom times the cube root of the molecules: no molecule moves farther away
STEPS_EACH = 120  # for each molecule and each cooling by a factor of e
MAX_STEP, MAX_ROTATION = 0.5, 0.8  # angstrom and radians, at the start; they shrink with cooling
# Angstrom between any two atoms of two molecules: closer charges of TIP3P attract without limit.
CLOSEST = 1.2
OVERLAP_ENERGY = 1e6  # kcal / mol for closer atoms: Metropolis never accepts such a step


def write(root: Path, settings: Mapping[str, Any], seed: int) -> None:
    """Write both files; cluster sizes alternate."""
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
    """Return the TIP3P energy of each cluster in kcal / mol: (cluster,).

    Args:
        clusters: (cluster, molecule, 3 atoms, 3) in angstrom.
    """
    count = clusters.shape[1]
    total = np.zeros(len(clusters))
    for number in range(count - 1):
        total += _pair_energy(clusters[:, number], clusters[:, number + 1 :])
    return total


def molecule() -> NDArray[np.float64]:
    """Return a molecule, (atom, 3) in angstrom: oxygen at 0, then the two hydrogens."""
    half = ANGLE / 2
    aside, along = BOND * np.sin(half), BOND * np.cos(half)
    return np.array([[0.0, 0.0, 0.0], [aside, 0.0, along], [-aside, 0.0, along]])


def annealed(
    random: np.random.Generator, count: int, size: int, coldest: float
) -> NDArray[np.float64]:
    """Return clusters of one size after cooling: (cluster, molecule, 3 atoms, 3) in angstrom.

    All clusters are cooled at once. A step moves and rotates one molecule of every cluster, and
    each cluster accepts or rejects its own step.

    Args:
        random: source of all numbers.
        count: number of clusters.
        size: molecules in each.
        coldest: final temperature in kelvin.
    """
    clusters = _scattered(random, count, size)
    steps = int(STEPS_EACH * size * np.log(HOTTEST / coldest))
    for step, kelvin in enumerate(np.geomspace(HOTTEST, coldest, steps)):
        number = step % size
        others = np.delete(clusters, number, axis=1)
        scale = max((kelvin / HOTTEST) ** 0.5, 0.04)  # smaller steps change nothing
        rotations = _rotations(random.standard_normal((count, 3)) * (MAX_ROTATION * scale / 3))
        oxygen = clusters[:, number, :1]
        shift = random.standard_normal((count, 1, 3)) * (MAX_STEP * scale / 3)
        moved = (clusters[:, number] - oxygen) @ rotations.transpose(0, 2, 1) + oxygen + shift
        change = _pair_energy(moved, others) - _pair_energy(clusters[:, number], others)
        probability = np.exp(-np.clip(change / (GAS * kelvin), 0, 700))  # exp(-750) underflows
        distance = np.linalg.norm(moved[:, 0] - others[:, :, 0].mean(1), axis=1)
        accepted = (random.random(count) < probability) & (distance < ROOM * np.cbrt(size) + 1)
        clusters[accepted, number] = moved[accepted]
    return clusters


def _pair_energy(first: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the energy between a molecule and others of its cluster: (cluster,) in kcal / mol.

    Args:
        first: (cluster, 3 atoms, 3).
        others: (cluster, molecule, 3 atoms, 3).
    """
    between = first[:, None, :, None] - others[:, :, None, :]
    squared = np.einsum("...i,...i->...", between, between)
    charges = COULOMB * CHARGES[:, None] * CHARGES[None, :]
    sixth = squared[..., 0, 0] ** -3
    pairs = REPULSION * sixth**2 - ATTRACTION * sixth
    total = pairs.sum(1) + (charges / np.sqrt(squared)).sum((1, 2, 3))
    return np.where((squared < CLOSEST**2).any((1, 2, 3)), OVERLAP_ENERGY, total)


def _scattered(random: np.random.Generator, count: int, size: int) -> NDArray[np.float64]:
    """Return molecules on a coarse grid, each rotated at random: (count, size, 3 atoms, 3)."""
    side = int(np.ceil(size ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    oxygens = 3.2 * grid[:size] + random.normal(0, 0.1, (count, size, 3))
    rotations = _rotations(random.standard_normal((count * size, 3)) * np.pi)
    rotated = (molecule() @ rotations.transpose(0, 2, 1)).reshape(count, size, 3, 3)
    return np.asarray(rotated + oxygens[:, :, None])


def _rotations(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations (n, 3, 3) about vectors (n, 3) by their lengths in radians (Rodrigues)."""
    angles = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / np.maximum(angles[:, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    return np.asarray(np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * (cross @ cross))


def _centre(clusters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre of mass of each cluster: (cluster, 1, 1, 3)."""
    masses = np.array([15.999, 1.008, 1.008])  # g / mol, of O, H, H
    weighted = (clusters * masses[:, None]).sum((1, 2)) / (masses.sum() * clusters.shape[1])
    return np.asarray(weighted[:, None, None])
