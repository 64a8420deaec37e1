"""Position-averaged convergent-beam patterns of a crystal in three orientations.

Averaged over all probe positions, discs that overlap do not interfere: the pattern is exactly the
sum over plane waves K of the probe, and over rods G, of |psi_G(K)|^2 at G + K.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.synthetic.diffraction.crystals import Crystal
from sciml_data.synthetic.diffraction.electrons import wavelength
from sciml_data.synthetic.diffraction.layers import layer_of
from sciml_data.synthetic.diffraction.multislice import Slab, across_beam, exit_waves, slab_of
from sciml_data.synthetic.diffraction.planes import Plane, strongest_planes

Floats = npt.NDArray[np.float64]
Pattern = npt.NDArray[np.float32]

NATIVE_RADIUS = (
    2.56  # Å^-1; 512 px of 0.01 Å^-1 as published (a supercell of 100 Å); all waves' limit
)
COARSEST_PIXEL = 0.04  # Å^-1; what the published patterns have after they are made 128 px wide
ANGLE_ENERGY = 100.0  # keV at which half angles are worked out; then kept, as published
DISC_SHARE = 0.5  # half angle over Bragg angle: discs of the plane's own reflection stay apart


@dataclass(frozen=True)
class Stack:
    """Patterns of one crystal at one energy, in three orientations.

    Attributes:
        patterns: (3, size, size) float32, fraction of the incident beam in each pixel; zero past
            the circle. Axis 1 is along the planes' `y_dir`, axis 2 along y_dir x z_dir; the
            undiffracted beam is centred on pixel (size // 2, size // 2).
        energy_kev: beam energy.
        semi_angles: (3,) rad, half angles of the probes: half the planes' Bragg angles at 100 keV,
            whatever the energy.
        planes: that told the beam's directions.
        pixel_size: Å^-1.
    """

    patterns: Pattern
    energy_kev: int
    semi_angles: tuple[float, ...]
    planes: tuple[Plane, ...]
    pixel_size: float


def pixel_size_of(size: int) -> float:
    """Return the width of a pixel in Å^-1 of a pattern `size` pixels wide.

    512, 256 and 128 pixels cover the published circle of 2.56 Å^-1 (512 with its 0.01 Å^-1 a
    pixel). Fewer keep the pixel of 128, 0.04 Å^-1, and cover less: 64 pixels 1.28 Å^-1, as a
    coarser pixel would make a disc of 3 Å spacing, 0.083 Å^-1 in radius, one pixel.
    """
    return min(COARSEST_PIXEL, 2 * NATIVE_RADIUS / size)


def cbed_stacks(
    crystal: Crystal, energies: Sequence[int], *, size: int = 64, thickness: float = 100.0
) -> Iterator[Stack]:
    """Yield a stack for each energy (keV); what does not depend on energy is worked out once.

    Args:
        crystal: a crystal.
        energies: keV.
        size: pixels along a side, even; `pixel_size_of` says what they cover.
        thickness: Å; the slab has the whole number of layers that comes nearest.

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
            widest_tilt=aperture_radius(angle, max(energies)) + pixel,
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
    """Return lambda / 2 d in rad: the Bragg angle of a plane's reflection at an energy in keV."""
    return wavelength(energy) / (2 * plane.d_angstrom)


def aperture_radius(semi_angle: float, energy: float) -> float:
    """Return a probe's radius in Å^-1 in a pattern: half angle (rad) over wavelength."""
    return semi_angle / wavelength(energy)


def position_averaged(slab: Slab, energy: float, semi_angle: float, *, size: int) -> Pattern:
    """Return the pattern (size, size) of a probe averaged over its positions.

    The probe's plane waves are those of the pattern's own pixels inside the aperture, each with the
    share of its pixel that lies inside. A rod G lies between pixels: what it brings is shared among
    the four around it in proportion to their nearness, so nothing is lost and a disc stays flat.
    """
    pixel = pixel_size_of(size)
    tilts, weights = aperture(aperture_radius(semi_angle, energy), pixel)
    waves = exit_waves(slab, energy, tilts)
    intensities = (waves.real**2 + waves.imag**2) * weights[:, None, None].astype(np.float32)
    places = across_beam(slab.layer, energy, slab.vectors + tilts[:, None, None])
    return shared_out(places, intensities, pixel=pixel, size=size)


def aperture(radius: float, pixel: float) -> tuple[Floats, Floats]:
    """Return tilts (k, 2) in Å^-1 on a grid of pixels, and their weights (k,), which sum to 1."""
    reach = int(np.ceil(radius / pixel + 0.5))
    steps = np.arange(-reach, reach + 1) * pixel
    tilts = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = (radius - np.linalg.norm(tilts, axis=1)) / pixel + 0.5
    weights = np.clip(inside, 0.0, 1.0)
    kept = weights > 0
    return tilts[kept], weights[kept] / weights[kept].sum()


def shared_out(places: Floats, intensities: Pattern, *, pixel: float, size: int) -> Pattern:
    """Return a picture (size, size) of intensities at places (..., 2) in Å^-1 as (x, y)."""
    inside = intensities > 0
    at = places[inside] / pixel + size // 2
    low = np.floor(at)
    beyond = at - low
    column, row = low.astype(np.int64).T
    brought = intensities[inside].astype(np.float64)
    image = np.zeros((size + 2) ** 2)
    for right, down in np.ndindex(2, 2):
        share = np.abs(1 - right - beyond[:, 0]) * np.abs(1 - down - beyond[:, 1])
        rows, columns = row + down, column + right
        seen = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        flat = (rows * size + columns)[seen]
        image[: size * size] += np.bincount(
            flat, weights=(share * brought)[seen], minlength=size * size
        )
    pattern = image[: size * size].reshape(size, size)
    pattern[~circle(size)] = 0.0
    return pattern.astype(np.float32)


def circle(size: int) -> npt.NDArray[np.bool_]:
    """Return which pixels (size, size) lie inside the inscribed circle."""
    steps = np.arange(size) - size // 2
    inside: npt.NDArray[np.bool_] = np.hypot(*np.meshgrid(steps, steps)) < size // 2
    return inside
