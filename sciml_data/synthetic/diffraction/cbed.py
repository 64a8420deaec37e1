"""Position-averaged convergent-beam electron diffraction (CBED) patterns of a crystal.

Averaged over all positions of the probe, overlapping discs do not interfere. The pattern is then
exactly the sum over the plane waves K of the probe, and over the rods G, of |psi_G(K)|^2 at G + K.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.synthetic.diffraction.crystals import Crystal
from sciml_data.synthetic.diffraction.layers import Plane, layer_of, strongest_planes
from sciml_data.synthetic.diffraction.multislice import Slab, across_beam, exit_waves, slab_of
from sciml_data.synthetic.diffraction.scattering import wavelength
from sciml_data.synthetic.diffraction.thermal import Density, emission

Floats = npt.NDArray[np.float64]
Pattern = npt.NDArray[np.float32]

# Å^-1: 512 pixels of 0.01 Å^-1 as published (a supercell of 100 Å). It limits all waves, too.
NATIVE_RADIUS = 2.56
COARSEST_PIXEL = 0.04  # Å^-1, of the published patterns after scaling to 128 pixels
ANGLE_ENERGY = 100.0  # keV for half angles, which are the same at all energies, as published
DISC_SHARE = 0.5  # half angle over Bragg angle: discs of the reflection of the plane do not overlap


@dataclass(frozen=True)
class Stack:
    """Patterns of one crystal at one energy, in three orientations.

    Attributes:
        patterns: (3, size, size) float32, fraction of the incident beam in each pixel, zero
            outside the inscribed circle. Axis 1 is along the `y_dir` of the plane, axis 2 along
            y_dir x z_dir. The undiffracted beam is centred on pixel (size // 2, size // 2).
        energy_kev: energy of the beam.
        semi_angles: (3,) rad, half angles of the probes: half of the Bragg angles at 100 keV, at
            any energy.
        planes: planes that gave the directions of the beam.
        pixel_size: Å^-1.
    """

    patterns: Pattern
    energy_kev: int
    semi_angles: tuple[float, ...]
    planes: tuple[Plane, ...]
    pixel_size: float


def pixel_size_of(size: int) -> float:
    """Return the width in Å^-1 of a pixel of a pattern `size` pixels wide.

    512, 256 and 128 pixels cover the published circle of 2.56 Å^-1 (512 with the published 0.01
    Å^-1 a pixel). Smaller patterns keep the pixel of 128, 0.04 Å^-1, and cover less: 64 pixels
    cover 1.28 Å^-1. With a coarser pixel the disc of planes 3 Å apart, 0.083 Å^-1 in radius, would
    be a single pixel.
    """
    return min(COARSEST_PIXEL, 2 * NATIVE_RADIUS / size)


def cbed_stacks(
    crystal: Crystal,
    energies: Sequence[int],
    *,
    size: int = 64,
    thickness: float = 100.0,
    diffuse: bool = False,
) -> Iterator[Stack]:
    """Yield a stack for each energy; potentials do not depend on energy and are computed once.

    Args:
        crystal: a crystal.
        energies: keV.
        size: pixels along a side, even and 8 or more; `pixel_size_of` gives their width.
        thickness: Å; the slab has the nearest whole number of layers.
        diffuse: whether patterns have a background of thermal diffuse scattering (`thermal`).

    Raises:
        ValueError: `size` is odd or below 8.
    """
    if size < 8 or size % 2:
        raise ValueError(f"a pattern has an even number of pixels, 8 or more, not {size}")
    planes = strongest_planes(crystal)
    pixel = pixel_size_of(size)
    angles = tuple(DISC_SHARE * bragg_angle(plane) for plane in planes)
    slabs = [
        slab_of(
            layer_of(crystal, plane),
            thickness=thickness,
            limit=NATIVE_RADIUS,
            max_tilt=aperture_radius(angle, max(energies)) + pixel,
            diffuse=diffuse,
        )
        for plane, angle in zip(planes, angles, strict=True)
    ]
    for energy in energies:
        patterns = [
            position_averaged(slab, energy, angle, size=size)
            for slab, angle in zip(slabs, angles, strict=True)
        ]
        yield Stack(np.stack(patterns), energy, angles, planes, pixel)


def bragg_angle(plane: Plane, energy: float = ANGLE_ENERGY) -> float:
    """Return the Bragg angle lambda / 2 d of a plane in rad at an energy in keV."""
    return wavelength(energy) / (2 * plane.d_angstrom)


def aperture_radius(semi_angle: float, energy: float) -> float:
    """Return the radius of a probe in a pattern in Å^-1: half angle (rad) over wavelength."""
    return semi_angle / wavelength(energy)


def position_averaged(slab: Slab, energy: float, semi_angle: float, *, size: int) -> Pattern:
    """Return the pattern of a probe averaged over its positions: (size, size) float32.

    The plane waves of the probe are on the grid of the pattern's pixels, each weighted with the
    share of its pixel that is inside the aperture. A rod G is in general between pixels. Its
    intensity is distributed over the four pixels around it by bilinear weights, so no intensity is
    lost and a disc remains flat. A slab with thermal diffuse scattering adds its background.

    Args:
        slab: a slab.
        energy: keV.
        semi_angle: half angle of the probe in rad.
        size: pixels along a side.
    """
    pixel = pixel_size_of(size)
    tilts, weights = aperture(aperture_radius(semi_angle, energy), pixel)
    density = None if slab.variances is None else Density(weights, slab.variances.shape)
    waves = exit_waves(slab, energy, tilts, None if density is None else density.observe)
    intensities = (waves.real**2 + waves.imag**2) * weights[:, None, None].astype(np.float32)
    places = across_beam(slab.layer, energy, slab.vectors + tilts[:, None, None])
    pattern = _bilinear_histogram(places, intensities, pixel=pixel, size=size)
    if density is not None:
        emitted = emission(slab.layer, density.values, energy)
        background = emitted.background(tilts, weights, pixel=pixel, size=size) * circle(size)
        pattern += background.astype(np.float32)
    return pattern


def aperture(radius: float, pixel: float) -> tuple[Floats, Floats]:
    """Return the plane waves of a round aperture on a grid: tilts (k, 2) and weights (k,).

    Args:
        radius: Å^-1.
        pixel: spacing of the grid in Å^-1.

    Returns:
        Tilts in Å^-1, and weights that sum to 1. Pixels on the edge have smaller weights.
    """
    reach = int(np.ceil(radius / pixel + 0.5))
    steps = np.arange(-reach, reach + 1) * pixel
    tilts = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = (radius - np.linalg.norm(tilts, axis=1)) / pixel + 0.5
    weights = np.clip(inside, 0.0, 1.0)
    positive = weights > 0
    return tilts[positive], weights[positive] / weights[positive].sum()


def _bilinear_histogram(
    places: Floats, intensities: Pattern, *, pixel: float, size: int
) -> Pattern:
    """Return an image of intensities at arbitrary places, by bilinear weights.

    Args:
        places: (..., 2) x and y in Å^-1.
        intensities: (...).
        pixel: Å^-1.
        size: pixels along a side of the image.

    Returns:
        (size, size) float32, zero outside the inscribed circle.
    """
    inside = intensities > 0
    at = places[inside] / pixel + size // 2
    low = np.floor(at)
    beyond = at - low
    column, row = low.astype(np.int64).T
    values = intensities[inside].astype(np.float64)
    image = np.zeros((size + 2) ** 2)
    for right, down in np.ndindex(2, 2):
        share = np.abs(1 - right - beyond[:, 0]) * np.abs(1 - down - beyond[:, 1])
        rows, columns = row + down, column + right
        valid = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        flat = (rows * size + columns)[valid]
        image[: size * size] += np.bincount(
            flat, weights=(share * values)[valid], minlength=size * size
        )
    pattern = image[: size * size].reshape(size, size)
    pattern[~circle(size)] = 0.0
    return pattern.astype(np.float32)


def circle(size: int) -> npt.NDArray[np.bool_]:
    """Return a mask (size, size) of the pixels inside the inscribed circle."""
    steps = np.arange(size) - size // 2
    inside: npt.NDArray[np.bool_] = np.hypot(*np.meshgrid(steps, steps)) < size // 2
    return inside
