"""Diffuse multiple scattering of two crystal phases, from the geometry of its lines.

Photons that are scattered diffusely inside a crystal travel in every direction. Those that meet a
lattice plane h at its Bragg angle are scattered again and leave along the cone of directions u with
u . h = |h|^2 / 2k (the effect: Acta Cryst. A71, 2015, from page 20). On a flat detector each cone
is a conic. Its strength here is kinematic, |F(h)|^2 with a Debye-Waller factor. Its width is a
Gaussian of the divergence. A pattern is the sum over all planes with a line on the detector, on a
smooth background, with counting noise, scaled to 0..1.

The two phases of a perovskite ABO3 differ only in symmetry: tetragonal (a = b, right angles) and
monoclinic (a, b, c differ, beta is not 90 degrees). Cells are drawn around the mean of each phase.
The crystal is rotated about its surface normal by a random azimuth.

    training/data-binary.h5   train|test/images  pattern, 487, 195, 3, float32: three equal channels
                              train|test/labels  0 monoclinic, 1 tetragonal

There is no dynamical diffraction, no structure beyond the ideal perovskite, and no real detector
response.

Settings in `block["sample"]`: train_count, test_count.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.hdf5_arrays.models import generator, write_arrays

DEFAULTS: Mapping[str, int] = {"train_count": 16, "test_count": 8}
MONOCLINIC, TETRAGONAL = 0, 1  # labels, as in SciML-Bench
SHAPE = (487, 195)  # as published: the pixels of a PILATUS 100K detector
PIXEL_MM, DISTANCE_MM = 0.172, 250.0
TWO_THETA = np.radians(60.0)  # angle from the surface normal to the middle of the detector
WAVELENGTH = 1.24  # angstrom: 10 keV
MAX_INDEX = 6  # of lattice planes
# Electrons and fractional coordinates of the atoms of an ideal perovskite: Pb, Ti, and three O.
ATOMS = (
    (82, (0.0, 0.0, 0.0)),
    (22, (0.5, 0.5, 0.5)),
    (8, (0.5, 0.5, 0.0)),
    (8, (0.5, 0.0, 0.5)),
    (8, (0.0, 0.5, 0.5)),
)
DEBYE_WALLER = 0.6  # angstrom^2, B factor of all atoms
SPREAD = 0.004  # relative standard deviation of each cell length within a phase
# Cell (a, b, c in angstrom, beta in degrees). PbTiO3 at room temperature has a = 3.90 and c = 4.15;
# tetragonality is reduced to that of mixed crystals near the phase boundary, where a monoclinic
# phase exists, too.
CELLS = {
    MONOCLINIC: (4.02, 4.00, 4.10, 90.6),
    TETRAGONAL: (4.01, 4.01, 4.12, 90.0),
}
WIDTH = np.radians(0.06)  # standard deviation of a line
BACKGROUND = 0.15  # relative to the strongest line
PEAK_COUNTS = (50, 400)  # range of counts for a signal of 1
REACH = 4  # widths on either side of a line that are computed; beyond, it is below 0.04 %


def write(root: Path, settings: Mapping[str, Any], seed: int) -> None:
    """Write the patterns for training and for test; the two phases alternate."""
    chosen = {key: int(settings.get(key, default)) for key, default in DEFAULTS.items()}
    arrays: dict[str, NDArray[Any]] = {}
    first = 0
    for split in ("train", "test"):
        count = chosen[f"{split}_count"]
        labels = np.arange(first, first + count) % 2
        images = [pattern(generator(seed, first + n), int(phase)) for n, phase in enumerate(labels)]
        arrays[f"{split}/images"] = np.repeat(np.stack(images)[..., None], 3, axis=-1)
        arrays[f"{split}/labels"] = labels.astype(np.int64)
        first += count
    write_arrays(root / "training" / "data-binary.h5", arrays)


def pattern(random: np.random.Generator, phase: int) -> NDArray[np.float32]:
    """Return a pattern of a random crystal of a phase: (row, column) float32, 0..1."""
    vectors, strengths = reflections(reciprocal(*_cell(random, phase)))
    azimuth = random.uniform(0, 2 * np.pi)
    rotation = np.array(
        [
            [np.cos(azimuth), -np.sin(azimuth), 0],
            [np.sin(azimuth), np.cos(azimuth), 0],
            [0, 0, 1],
        ]
    )
    lines = _lines(directions(), vectors @ rotation.T, strengths)
    across, down = (np.linspace(-1, 1, length) for length in SHAPE[::-1])
    slope = 0.2 * random.normal() * down[:, None] + 0.1 * random.normal() * across
    background = BACKGROUND * (1 + slope)
    signal = lines / max(float(lines.max()), 1e-12) + background.clip(0)
    counts = random.poisson(signal * random.uniform(*PEAK_COUNTS))
    return np.asarray(counts / counts.max(), np.float32)


def reciprocal(a: float, b: float, c: float, beta: float) -> NDArray[np.float64]:
    """Return the reciprocal vectors of a cell with unique axis b, as rows, in 2 pi / angstrom.

    Args:
        a: length in angstrom.
        b: length in angstrom.
        c: length in angstrom.
        beta: angle between a and c in degrees.
    """
    angle = np.radians(beta)
    axes = np.array([[a, 0, 0], [0, b, 0], [c * np.cos(angle), 0, c * np.sin(angle)]])
    return np.asarray(2 * np.pi * np.linalg.inv(axes).T)


def reflections(basis: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the vectors of all planes that can scatter, (plane, 3), and |F|^2 of each, (plane,).

    Args:
        basis: (3, 3) reciprocal vectors as rows.
    """
    steps = np.arange(-MAX_INDEX, MAX_INDEX + 1)
    indices = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    vectors = indices @ basis
    lengths = np.linalg.norm(vectors, axis=1)
    scatters = (lengths > 0) & (lengths < 4 * np.pi / WAVELENGTH)  # sin(theta) < 1
    indices, vectors, lengths = indices[scatters], vectors[scatters], lengths[scatters]
    factor = sum(
        electrons * np.exp(2j * np.pi * indices @ np.array(xyz)) for electrons, xyz in ATOMS
    )
    damping = np.exp(-2 * DEBYE_WALLER * (lengths / (4 * np.pi)) ** 2)
    return vectors, np.abs(factor) ** 2 * damping


def directions() -> NDArray[np.float32]:
    """Return unit vectors from the crystal to each pixel: (row, column, 3), z is the normal."""
    rows, columns = ((np.arange(length) - (length - 1) / 2) * PIXEL_MM for length in SHAPE)
    centre = np.array([np.sin(TWO_THETA), 0, np.cos(TWO_THETA)]) * DISTANCE_MM
    up = np.array([-np.cos(TWO_THETA), 0, np.sin(TWO_THETA)])
    aside = np.array([0.0, 1.0, 0.0])
    points = centre + rows[:, None, None] * up + columns[None, :, None] * aside
    return np.asarray(points / np.linalg.norm(points, axis=-1, keepdims=True), np.float32)


def _cell(random: np.random.Generator, phase: int) -> tuple[float, float, float, float]:
    a, b, c, beta = CELLS[phase]
    stretch = 1 + SPREAD * random.standard_normal(3)
    if phase == TETRAGONAL:
        return a * stretch[0], a * stretch[0], c * stretch[2], beta
    return a * stretch[0], b * stretch[1], c * stretch[2], beta + 0.1 * random.normal()


def _lines(
    pixels: NDArray[np.float32], vectors: NDArray[np.float64], strengths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the summed strength of all lines at each pixel: (row, column).

    Args:
        pixels: (row, column, 3) unit vectors from the crystal.
        vectors: (plane, 3) reciprocal vectors.
        strengths: (plane,).
    """
    flat = pixels.reshape(-1, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    sines = lengths * WAVELENGTH / (4 * np.pi)  # of the Bragg angle: |h| / 2k
    total = np.zeros(len(flat))
    # Planes with a line far from every sixteenth pixel are left out: most lines miss the detector.
    coarse = pixels[::16, ::16].reshape(-1, 3) @ (vectors / lengths[:, None]).T
    near = np.abs(coarse - sines).min(0) < 16 * PIXEL_MM / DISTANCE_MM
    for vector, length, sine, strength in zip(
        vectors[near], lengths[near], sines[near], strengths[near], strict=True
    ):
        cosine = np.sqrt(1 - sine**2)  # d(u . h) = cos(theta) d(angle)
        offset = flat @ (vector / length).astype(np.float32) - np.float32(sine)
        distance = offset / (cosine * WIDTH)
        hit = np.abs(distance) < REACH
        total[hit] += strength * np.exp(-(distance[hit].astype(np.float64) ** 2) / 2)
    return total.reshape(pixels.shape[:2])
