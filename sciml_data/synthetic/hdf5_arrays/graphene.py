"""Graphene in annular dark field, as a scanning transmission electron microscope shows it.

The sheet is a hexagonal lattice, rotated, shifted and slightly strained, with vacancies and single
silicon atoms. Each atom is off its site by thermal motion. The clean image is the sum over atoms of
Z^1.64 times a Gaussian spot (incoherent imaging); carbon atoms of a perfect sheet have about 1. The
noisy image counts electrons: the clean image times beam profile and dose, with Poisson noise and
dead pixels. Its values are counts divided by the dose.

    train/graphene_img_clean.h5, train/graphene_img_noise.h5   images: image, 256, 256, 1, float32
    inference/raw/0000.png, inference/truth/0000.png           grey, 8 bits

Unlike the published images, which MULTEM simulated, these have no multiple scattering, no phase
contrast and no aberrations.

Settings in `block["sample"]`: count, inference_count.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.hdf5_arrays.models import generator, write_arrays

DEFAULTS: Mapping[str, int] = {"count": 24, "inference_count": 4}
PIXELS = 256  # as published
BOND = 1.42  # angstrom, carbon to carbon in graphene
PIXEL_SIZE = (0.10, 0.16)  # angstrom, range: views of 26 to 41 angstrom
STRAIN = 0.01  # standard deviation of each component of the strain tensor
THERMAL = 0.07  # angstrom, root mean square in one direction: sqrt(B / 8 pi^2), B = 0.39 A^2
# Standard deviation of a spot in angstrom: a probe of 0.7 to 1.1 A full width at half maximum.
SPOT = (0.30, 0.45)
CARBON, SILICON = 6, 14  # atomic numbers
# Exponent of Z in annular dark field: Krivanek et al. 2010, doi:10.1038/nature08879.
DARK_FIELD_EXPONENT = 1.64
VACANCIES, SUBSTITUTES = 0.01, 0.003  # shares of sites
DOSE = (2.0, 20.0)  # detected electrons in a pixel of signal 1: low-dose frames
BEAM_WIDTH = (0.6, 1.2)  # standard deviation of the profile, in widths of the image
DEAD = 0.002  # share of pixels
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_GREY, PNG_NO_INTERLACE = 0, 0


def write(root: Path, settings: Mapping[str, Any], seed: int) -> None:
    """Write the image pairs for training and those for inference."""
    chosen = {key: int(settings.get(key, default)) for key, default in DEFAULTS.items()}
    pairs = [pair(generator(seed, number)) for number in range(chosen["count"])]
    for place, name in ((0, "clean"), (1, "noise")):
        images = np.stack([images[place] for images in pairs])[..., None]
        write_arrays(root / "train" / f"graphene_img_{name}.h5", {"images": images})
    for number in range(chosen["inference_count"]):
        clean, noisy = pair(generator(seed, chosen["count"] + number))
        for folder, image in (("truth", clean), ("raw", noisy)):
            path = root / "inference" / folder / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(grey_png((255 * image / image.max()).astype(np.uint8)))


def pair(random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a clean and a noisy image of one sheet, each (row, column) float32."""
    pixel = random.uniform(*PIXEL_SIZE)
    sites = _sheet(random, pixel * PIXELS)
    kept = random.random(len(sites)) >= VACANCIES
    numbers = np.where(random.random(len(sites)) < SUBSTITUTES, SILICON, CARBON)[kept]
    atoms = sites[kept] + random.normal(0, THERMAL, (int(kept.sum()), 2))
    weights = (numbers / CARBON) ** DARK_FIELD_EXPONENT
    clean = _spots(atoms / pixel, weights, random.uniform(*SPOT) / pixel)
    return clean.astype(np.float32), _counted(random, clean).astype(np.float32)


def lattice(width: float) -> NDArray[np.float64]:
    """Return the sites of a perfect sheet within a circle of radius `width`, centred at 0.

    Returns:
        (atom, 2) in angstrom.
    """
    side = np.sqrt(3) * BOND
    first, second = np.array([side, 0.0]), np.array([side / 2, 1.5 * BOND])
    reach = int(width / side) + 2
    steps = np.arange(-reach, reach + 1)
    cells = (steps[:, None, None] * first + steps[None, :, None] * second).reshape(-1, 2)
    sites = np.concatenate([cells, cells + np.array([0.0, BOND])])
    return np.asarray(sites[np.hypot(*sites.T) < width])


def _sheet(random: np.random.Generator, width: float) -> NDArray[np.float64]:
    """Return the sites in view, rotated, shifted, strained: (atom, 2), angstrom from a corner."""
    angle = random.uniform(0, np.pi / 3)  # the lattice has six-fold symmetry
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    strain = np.eye(2) + STRAIN * random.standard_normal((2, 2))
    shift = width / 2 + random.uniform(-2 * BOND, 2 * BOND, 2)
    sites = lattice(width) @ (rotation @ strain).T + shift
    margin = 4 * SPOT[1]  # spots of atoms outside reach into the image
    return np.asarray(sites[((sites > -margin) & (sites < width + margin)).all(1)])


def _spots(
    atoms: NDArray[np.float64], weights: NDArray[np.float64], spot: float
) -> NDArray[np.float64]:
    """Return the sum of Gaussian spots as an image (row, column).

    A Gaussian is separable, so the sum over atoms is a product of two matrices.

    Args:
        atoms: (atom, 2) in pixels.
        weights: (atom,) heights.
        spot: standard deviation in pixels.
    """
    axis = np.arange(PIXELS) + 0.5
    down, right = (np.exp(-((axis - atoms[:, [at]]) ** 2) / (2 * spot**2)) for at in (0, 1))
    return np.asarray((down * weights[:, None]).T @ right)


def _counted(random: np.random.Generator, clean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the counts of a detector under an uneven beam, over the dose; dead pixels are 0."""
    axis = (np.arange(PIXELS) + 0.5) / PIXELS
    width = random.uniform(*BEAM_WIDTH)
    down, right = (
        np.exp(-((axis - random.uniform(0.25, 0.75)) ** 2) / (2 * width**2)) for _ in range(2)
    )
    dose = random.uniform(*DOSE)
    counts = random.poisson(clean * np.outer(down, right) * dose)
    counts[random.random(counts.shape) < DEAD] = 0
    return np.asarray(counts / dose)


def grey_png(image: NDArray[np.uint8]) -> bytes:
    """Return an image, (row, column) uint8, as a grey 8-bit PNG file (ISO/IEC 15948)."""
    rows, columns = image.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, PNG_GREY, 0, 0, PNG_NO_INTERLACE)
    unfiltered = np.pad(image, ((0, 0), (1, 0)))  # each row begins with its filter, 0 for none
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(unfiltered.tobytes())), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(_png_chunk(kind, content) for kind, content in chunks)


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
