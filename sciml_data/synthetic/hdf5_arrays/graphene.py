"""Graphene as a scanning electron microscope in annular dark field would see it, with its noise.

The sheet is a hexagonal lattice, turned, shifted and slightly strained, with vacancies and single
silicon atoms in it, and each atom off its site by the thermal motion of one moment. The clean image
is the sum over atoms of Z^1.64 times a Gaussian spot (incoherent imaging), with the carbon atoms of
a perfect sheet at about 1. The noisy image counts electrons: the clean one times the profile of the
beam and the dose, Poisson noise, and dead pixels. Values are counts divided by the dose.

    train/graphene_img_clean.h5, train/graphene_img_noise.h5   images: image, 256, 256, 1, float32
    inference/raw/0000.png, inference/truth/0000.png           grey, 8 bits

No multislice, no phase contrast, no aberrations: not what MULTEM makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.hdf5_arrays import generator, write_arrays
from sciml_data.synthetic.hdf5_arrays.grey_png import grey_png

DEFAULTS: Mapping[str, int] = {"count": 24, "inference_count": 4}
PIXELS = 256  # as published
BOND = 1.42  # angstrom, carbon to carbon in graphene
PIXEL_SIZE = (0.10, 0.16)  # angstrom, least and most: views of 26 to 41 angstrom
STRAIN = 0.01  # standard deviation of each component
THERMAL = 0.07  # angstrom, root mean square in one direction: sqrt(B / 8 pi^2), B = 0.39 A^2
SPOT = (
    0.30,
    0.45,
)  # angstrom, standard deviation: probe of 0.7 to 1.1 A full width at half maximum
CARBON, SILICON = 6, 14
# Exponent of Z in annular dark field: Krivanek et al. 2010, doi:10.1038/nature08879.
DARK_FIELD_EXPONENT = 1.64
VACANCIES, SUBSTITUTES = 0.01, 0.003  # share of sites
DOSE = (2.0, 20.0)  # electrons that reach the detector in a pixel of signal 1: low-dose frames
BEAM_WIDTH = (0.6, 1.2)  # standard deviation of the profile, in widths of the image
DEAD = 0.002  # share of pixels


def write(root: Path, settings: Mapping[str, Any], seed: int) -> None:
    """Write the pairs for training and those for inference."""
    chosen = {key: int(settings.get(key, default)) for key, default in DEFAULTS.items()}
    pairs = [pair(generator(seed, number)) for number in range(chosen["count"])]
    for place, name in ((0, "clean"), (1, "noise")):
        images = np.stack([one[place] for one in pairs])[..., None]
        write_arrays(root / "train" / f"graphene_img_{name}.h5", {"images": images})
    for number in range(chosen["inference_count"]):
        clean, noisy = pair(generator(seed, chosen["count"] + number))
        for folder, image in (("truth", clean), ("raw", noisy)):
            path = root / "inference" / folder / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(grey_png((255 * image / image.max()).astype(np.uint8)))


def pair(random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a clean and a noisy image of one sheet: (row, column) float32 each."""
    pixel = random.uniform(*PIXEL_SIZE)
    sites = _sheet(random, pixel * PIXELS)
    kept = random.random(len(sites)) >= VACANCIES
    numbers = np.where(random.random(len(sites)) < SUBSTITUTES, SILICON, CARBON)[kept]
    atoms = sites[kept] + random.normal(0, THERMAL, (int(kept.sum()), 2))
    weights = (numbers / CARBON) ** DARK_FIELD_EXPONENT
    clean = _spots(atoms / pixel, weights, random.uniform(*SPOT) / pixel)
    return clean.astype(np.float32), _counted(random, clean).astype(np.float32)


def lattice(width: float) -> NDArray[np.float64]:
    """Return the sites of a perfect sheet within a circle: (atom, 2), angstrom, centre at 0."""
    side = np.sqrt(3) * BOND
    first, second = np.array([side, 0.0]), np.array([side / 2, 1.5 * BOND])
    most = int(width / side) + 2
    steps = np.arange(-most, most + 1)
    cells = (steps[:, None, None] * first + steps[None, :, None] * second).reshape(-1, 2)
    sites = np.concatenate([cells, cells + np.array([0.0, BOND])])
    return np.asarray(sites[np.hypot(*sites.T) < width])


def _sheet(random: np.random.Generator, width: float) -> NDArray[np.float64]:
    """Return the sites in view, turned, shifted and strained: (atom, 2), angstrom from a corner."""
    angle = random.uniform(0, np.pi / 3)  # the lattice is the same after sixty degrees
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    strain = np.eye(2) + STRAIN * random.standard_normal((2, 2))
    shift = width / 2 + random.uniform(-2 * BOND, 2 * BOND, 2)
    sites = lattice(width) @ (turn @ strain).T + shift
    margin = 4 * SPOT[1]
    return np.asarray(sites[((sites > -margin) & (sites < width + margin)).all(1)])


def _spots(
    atoms: NDArray[np.float64], weights: NDArray[np.float64], spot: float
) -> NDArray[np.float64]:
    """Return the sum of Gaussian spots of height `weights`: (row, column)."""
    axis = np.arange(PIXELS) + 0.5
    down, right = (np.exp(-((axis - atoms[:, [at]]) ** 2) / (2 * spot**2)) for at in (0, 1))
    return np.asarray((down * weights[:, None]).T @ right)


def _counted(random: np.random.Generator, clean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a detector counts under an uneven beam, with dead pixels at 0."""
    axis = (np.arange(PIXELS) + 0.5) / PIXELS
    width = random.uniform(*BEAM_WIDTH)
    down, right = (
        np.exp(-((axis - random.uniform(0.25, 0.75)) ** 2) / (2 * width**2)) for _ in range(2)
    )
    dose = random.uniform(*DOSE)
    counts = random.poisson(clean * np.outer(down, right) * dose)
    counts[random.random(counts.shape) < DEAD] = 0
    return np.asarray(counts / dose)
