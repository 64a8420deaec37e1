"""A coherent scan: patterns of a probe at known places, and what lies under it.

The aperture is wider than the Bragg angle, so that discs overlap and interfere: only then does a
pattern depend on where the probe stands.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.synthetic.diffraction.cbed import (
    NATIVE_RADIUS,
    aperture_radius,
    bragg_angle,
    circle,
    pixel_size_of,
)
from sciml_data.synthetic.diffraction.crystals import Crystal
from sciml_data.synthetic.diffraction.layers import Layer, layer_of
from sciml_data.synthetic.diffraction.multislice import Slab, along_beam, exit_waves, slab_of
from sciml_data.synthetic.diffraction.planes import Plane, strongest_planes
from sciml_data.synthetic.diffraction.targets import (
    Window,
    electron_density,
    legacy_target,
    mean_potential,
)

Floats = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complex64]
Single = npt.NDArray[np.float32]

THICKNESS = 100.0  # Å, as published
DISC_SHARE = 1.5  # half angle over Bragg angle at 100 keV; published is 1, where discs just touch
WINDOW = 8.0  # Å, side of the square that is scanned and shown


@dataclass(frozen=True)
class Scan:
    """Patterns of a scanned probe, and the targets under it.

    Attributes:
        patterns: (probes * probes, size, size) float32, fraction of the incident beam in each
            pixel, as `cbed.Stack`. Row by row: pattern i is of the probe in row i // probes (y)
            and column i % probes (x).
        potential: (view, view) float32, V: mean along the beam of the potential.
        electron_density: (view, view) float32, e / Å^3: mean along the beam.
        legacy_target: (view, view) float32: mean over slices of sin(sigma v), blurred by 1.2
            pixels, z-scored: no unit, as published.
        pixel_size_angstrom: of the targets; they cover the same square as the probes.
        energy_kev: beam energy.
        semi_angle: rad, half angle of the probe.
        plane: along whose normal the beam runs.
        diffraction_pixel_size: Å^-1, of the patterns.
    """

    patterns: Single
    potential: Single
    electron_density: Single
    legacy_target: Single
    pixel_size_angstrom: float
    energy_kev: int
    semi_angle: float
    plane: Plane
    diffraction_pixel_size: float


def scan(
    crystal: Crystal,
    energy: int,
    *,
    size: int = 64,
    probes: int = 8,
    view: int = 64,
    orientation: int = 0,
) -> Scan:
    """Return a scan of `probes` x `probes` places over a square of 8 Å, and what lies in it.

    Args:
        crystal: a crystal.
        energy: keV.
        size: pixels along a side of a pattern, as `cbed.cbed_stacks`.
        probes: places along a side; each in the middle of its share of the square.
        view: pixels along a side of the targets.
        orientation: which of the strongest planes.

    The square's corner is at a place in the cell that follows from the crystal's name and the
    orientation: it is not the origin, where symmetry would put an atom more often than elsewhere.
    """
    plane = strongest_planes(crystal, orientation + 1)[orientation]
    layer = layer_of(crystal, plane)
    semi_angle = DISC_SHARE * bragg_angle(plane)
    slab = slab_of(
        layer,
        thickness=THICKNESS,
        limit=NATIVE_RADIUS,
        widest_tilt=aperture_radius(semi_angle, energy) + pixel_size_of(size),
    )
    square = Window(_corner(crystal, orientation), WINDOW)
    return Scan(
        patterns=patterns_at(slab, energy, semi_angle, places=square.middles(probes), size=size),
        potential=mean_potential(slab, square, view),
        electron_density=electron_density(slab, square, view),
        legacy_target=legacy_target(slab, square, view, energy=energy),
        pixel_size_angstrom=WINDOW / view,
        energy_kev=energy,
        semi_angle=semi_angle,
        plane=plane,
        diffraction_pixel_size=pixel_size_of(size),
    )


def _corner(crystal: Crystal, orientation: int) -> tuple[float, float]:
    """Return where a square begins, x and y in Å."""
    name = zlib.crc32(f"{crystal.material}/{orientation}".encode())
    x, y = np.random.default_rng(name).uniform(0, WINDOW, size=2).tolist()
    return x, y


def patterns_at(
    slab: Slab, energy: float, semi_angle: float, *, places: Floats, size: int
) -> Single:
    """Return patterns (n, size, size) of a probe at places (n, 2) in Å.

    Plane waves of the probe lie on the reciprocal lattice of a supercell, so fine that a step is
    no wider than a pixel: then waves of different rods that go the same way meet exactly. What
    they make together is read off between steps, linearly, at each pixel.
    """
    pixel = pixel_size_of(size)
    steps = np.ceil(np.linalg.norm(slab.layer.reciprocal, axis=1) / pixel).astype(np.int64)
    fine = slab.layer.reciprocal / steps[:, None]
    numbers, weights = _aperture(aperture_radius(semi_angle, energy), fine, pixel)
    tilts = numbers @ fine
    waves = exit_waves(slab, energy, tilts)
    waves *= np.sqrt(weights)[:, None, None].astype(np.float32)
    phases = np.exp(-2j * math.pi * places @ tilts.T).astype(np.complex64)
    reach = size // 2 * pixel * (1 + float(np.linalg.norm(slab.layer.slope))) + pixel
    blocks = np.ceil(reach * np.linalg.norm(slab.layer.axes, axis=1)).astype(np.int64) + 1
    summed = _interfered(waves, phases, numbers=numbers, steps=steps, blocks=blocks)
    share = pixel**2 / abs(float(np.linalg.det(fine)))
    at = _pixels(slab.layer, energy, size) @ np.linalg.inv(fine) + blocks * steps
    return _read_off(summed.real**2 + summed.imag**2, at) * circle(size) * np.float32(share)


def _aperture(radius: float, fine: Floats, pixel: float) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return numbers (k, 2) of the fine lattice's points in the aperture, and their shares (k,)."""
    reach = np.ceil((radius + pixel) * np.linalg.norm(np.linalg.inv(fine), axis=0)).astype(int)
    ranges = [np.arange(-n, n + 1) for n in reach]
    numbers = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.clip((radius - np.linalg.norm(numbers @ fine, axis=1)) / pixel + 0.5, 0, 1)
    kept = weights > 0
    return numbers[kept], weights[kept] / weights[kept].sum()


def _interfered(
    waves: Waves,
    phases: Waves,
    *,
    numbers: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.int64],
) -> Waves:
    """Return amplitudes (places, n, m) on the fine lattice, the straight beam at blocks * steps."""
    rods = [np.arange(-block, block + 1) for block in blocks]
    shape = (len(phases), len(rods[0]), steps[0], len(rods[1]), steps[1])
    summed = np.zeros(shape, dtype=np.complex64)
    for wave, phase, (first, second) in zip(waves, phases.T, numbers, strict=True):
        (turns, i), (others, j) = divmod(first, steps[0]), divmod(second, steps[1])
        shifted = wave[np.ix_(rods[0] - turns, rods[1] - others)]  # numbers below 0 count back
        summed[:, :, i, :, j] += phase[:, None, None] * shifted
    return summed.reshape(len(phases), shape[1] * shape[2], shape[3] * shape[4])


def _pixels(layer: Layer, energy: float, size: int) -> Floats:
    """Return k (size, size, 2) in Å^-1 of what is seen at each pixel; kappa_z needs no solving."""
    steps = (np.arange(size) - size // 2) * pixel_size_of(size)
    seen = np.stack(np.meshgrid(steps, steps), axis=-1)
    straight = Layer(layer.axes, layer.shift, layer.height, np.zeros(2), ())
    labels: Floats = seen + along_beam(straight, energy, seen)[..., None] * layer.slope
    return labels


def _read_off(values: Single, at: Floats) -> Single:
    """Return values (n, rows, columns) at fractional places (..., 2), linearly between points.

    Places past the edge (a pattern's corners, which stay empty) get what is at the edge.
    """
    at = np.clip(at, 0, np.array(values.shape[1:]) - 1.001)
    low = np.floor(at).astype(np.int64)
    beyond = (at - low).astype(np.float32)
    total = np.zeros((len(values), *at.shape[:-1]), dtype=np.float32)
    for one, two in np.ndindex(2, 2):
        share = np.abs(1 - one - beyond[..., 0]) * np.abs(1 - two - beyond[..., 1])
        total += values[:, low[..., 0] + one, low[..., 1] + two] * share
    return total
