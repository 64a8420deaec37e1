"""A coherent scan: patterns of a probe at known places, and images of the crystal under it.

The aperture is wider than the Bragg angle, so discs overlap and interfere. Only then does a pattern
depend on the position of the probe.

The target images are the projected potential, the electron density, and the published target. Each
is a sum over the reciprocal vectors of the projected cell, evaluated at the pixels without
interpolation. Details that do not repeat along the beam average out over displaced layers, for the
images as for the beam.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from sciml_data.synthetic.diffraction.cbed import (
    NATIVE_RADIUS,
    aperture_radius,
    bragg_angle,
    circle,
    pixel_size_of,
)
from sciml_data.synthetic.diffraction.crystals import Crystal
from sciml_data.synthetic.diffraction.layers import (
    Layer,
    Plane,
    layer_of,
    projected_potentials,
    strongest_planes,
    structure_factors,
)
from sciml_data.synthetic.diffraction.multislice import Slab, along_beam, exit_waves, slab_of
from sciml_data.synthetic.diffraction.scattering import (
    POTENTIAL_PER_FACTOR,
    ScatteringFactor,
    electron_factor,
    interaction,
    xray_factor,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Complexes = npt.NDArray[np.complex128]
Waves = npt.NDArray[np.complex64]
Single = npt.NDArray[np.float32]

THICKNESS = 100.0  # Å, as published
DISC_SHARE = 1.5  # half angle over Bragg angle at 100 keV; at the published 1.0 discs only touch
WINDOW = 8.0  # Å, side of the square that is scanned and of the target images
MAX_FREQUENCY = 4.0  # Å^-1 in target images; tabulated scattering factors end there (s = 2 Å^-1)
LEGACY_BLUR = 1.2  # pixels, standard deviation, of the published target


@dataclass(frozen=True)
class Window:
    """A square across the beam.

    Attributes:
        corner: x and y in Å from the origin of the crystal.
        side: Å.
    """

    corner: tuple[float, float]
    side: float

    def centres(self, count: int) -> Floats:
        """Return the centres of count x count equal parts: (count * count, 2), x and y in Å.

        Parts are in rows: x changes fastest.
        """
        steps = (np.arange(count) + 0.5) * self.side / count
        x, y = np.meshgrid(steps + self.corner[0], steps + self.corner[1])
        return np.stack([x.ravel(), y.ravel()], axis=1)

    def image(self, layer: Layer, coefficients: Complexes, count: int) -> Floats:
        """Return an image (count, count) of a function with Fourier coefficients (n, m)."""
        vectors = _vectors(layer, coefficients.shape)
        inside = (vectors**2).sum(axis=2) <= MAX_FREQUENCY**2
        steps = (np.arange(count) + 0.5) * self.side / count
        along_x, along_y = (
            np.exp(2j * math.pi * np.outer(steps + corner, vectors[inside][:, axis]))
            for axis, corner in enumerate(self.corner)
        )
        values: Floats = ((along_y * coefficients[inside]) @ along_x.T).real
        return values


@dataclass(frozen=True)
class Scan:
    """Patterns of a scanned probe, and target images of the same square.

    Attributes:
        patterns: (probes * probes, size, size) float32, fraction of the incident beam in each
            pixel, as in `cbed.Stack`. Pattern i is of the probe in row i // probes (y) and column
            i % probes (x).
        potential: (view, view) float32, mean of the potential along the beam in V.
        electron_density: (view, view) float32, mean along the beam in e / Å^3.
        legacy_target: (view, view) float32, no unit, as published: mean over slices of
            sin(sigma v), blurred by 1.2 pixels, z-scored.
        pixel_size_angstrom: Å, of the targets.
        energy_kev: energy of the beam.
        semi_angle: half angle of the probe in rad.
        plane: plane that gave the direction of the beam.
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
    """Return a scan of `probes` x `probes` places over a square of 8 Å, with target images.

    The corner of the square follows from the name of the crystal and the orientation. It is not the
    origin, where symmetry puts an atom more often than elsewhere.

    Args:
        crystal: a crystal.
        energy: keV.
        size: pixels along a side of a pattern, as in `cbed.cbed_stacks`.
        probes: places along a side; each is in the centre of its part of the square.
        view: pixels along a side of the targets.
        orientation: number of the plane among the strongest planes, from 0.
    """
    plane = strongest_planes(crystal, orientation + 1)[orientation]
    layer = layer_of(crystal, plane)
    semi_angle = DISC_SHARE * bragg_angle(plane)
    slab = slab_of(
        layer,
        thickness=THICKNESS,
        limit=NATIVE_RADIUS,
        max_tilt=aperture_radius(semi_angle, energy) + pixel_size_of(size),
    )
    square = Window(_corner(crystal, orientation), WINDOW)
    return Scan(
        patterns=patterns_at(slab, energy, semi_angle, places=square.centres(probes), size=size),
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
    """Return the corner of a square, x and y in Å; the same name gives the same corner."""
    seed = zlib.crc32(f"{crystal.material}/{orientation}".encode())
    x, y = np.random.default_rng(seed).uniform(0, WINDOW, size=2).tolist()
    return x, y


def patterns_at(
    slab: Slab, energy: float, semi_angle: float, *, places: Floats, size: int
) -> Single:
    """Return patterns of a coherent probe at places: (n, size, size) float32.

    The plane waves of the probe are on the reciprocal lattice of a supercell, which is so fine that
    a step is not wider than a pixel. Waves of different rods with the same direction then coincide
    exactly and interfere. The intensity at a pixel is interpolated linearly between steps.

    Args:
        slab: a slab.
        energy: keV.
        semi_angle: half angle of the probe in rad.
        places: (n, 2) x and y of the probe in Å.
        size: pixels along a side.
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
    amplitudes = _interference(waves, phases, numbers=numbers, steps=steps, blocks=blocks)
    share = pixel**2 / abs(float(np.linalg.det(fine)))
    at = _pixels(slab.layer, energy, size) @ np.linalg.inv(fine) + blocks * steps
    intensities = amplitudes.real**2 + amplitudes.imag**2
    return _interpolated(intensities, at) * circle(size) * np.float32(share)


def _aperture(radius: float, fine: Floats, pixel: float) -> tuple[Integers, Floats]:
    """Return the points of a lattice in a round aperture, and their weights, which sum to 1.

    Args:
        radius: Å^-1.
        fine: (2, 2) axes of the lattice as rows, Å^-1.
        pixel: width of the soft edge in Å^-1.

    Returns:
        Integer coordinates (k, 2) on the lattice, and weights (k,).
    """
    reach = np.ceil((radius + pixel) * np.linalg.norm(np.linalg.inv(fine), axis=0)).astype(int)
    ranges = [np.arange(-n, n + 1) for n in reach]
    numbers = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.clip((radius - np.linalg.norm(numbers @ fine, axis=1)) / pixel + 0.5, 0, 1)
    positive = weights > 0
    return numbers[positive], weights[positive] / weights[positive].sum()


def _interference(
    waves: Waves,
    phases: Waves,
    *,
    numbers: Integers,
    steps: Integers,
    blocks: Integers,
) -> Waves:
    """Return the sum of all waves on the fine lattice for each place of the probe.

    Args:
        waves: (k, n, m) amplitudes on the rods for each plane wave of the probe.
        phases: (place, k) phase of each plane wave at a place of the probe.
        numbers: (k, 2) plane waves as points of the fine lattice.
        steps: (2,) fine steps from a rod to the next.
        blocks: (2,) rods on either side of the undiffracted beam.

    Returns:
        (place, rows, columns); the undiffracted beam is at blocks * steps.
    """
    rods = [np.arange(-block, block + 1) for block in blocks]
    shape = (len(phases), len(rods[0]), steps[0], len(rods[1]), steps[1])
    summed = np.zeros(shape, dtype=np.complex64)
    for wave, phase, (first, second) in zip(waves, phases.T, numbers, strict=True):
        (down, i), (right, j) = divmod(first, steps[0]), divmod(second, steps[1])
        # Negative indices count from the end, which is the order of a Fourier transform.
        shifted = wave[np.ix_(rods[0] - down, rods[1] - right)]
        summed[:, :, i, :, j] += phase[:, None, None] * shifted
    return summed.reshape(len(phases), shape[1] * shape[2], shape[3] * shape[4])


def _pixels(layer: Layer, energy: float, size: int) -> Floats:
    """Return the wave vector k of each pixel: (size, size, 2) in Å^-1.

    A pixel has a known kappa, so kappa_z follows directly, as in a layer without slope.
    """
    steps = (np.arange(size) - size // 2) * pixel_size_of(size)
    kappa = np.stack(np.meshgrid(steps, steps), axis=-1)
    level = Layer(layer.axes, layer.shift, layer.height, np.zeros(2), ())
    waves: Floats = kappa + along_beam(level, energy, kappa)[..., None] * layer.slope
    return waves


def _interpolated(values: Single, at: Floats) -> Single:
    """Return values at fractional places by bilinear interpolation: (n, ...).

    Places past the edge get the value at the edge. They are in the corners of a pattern, outside
    the circle.

    Args:
        values: (n, rows, columns).
        at: (..., 2) row and column.
    """
    at = np.clip(at, 0, np.array(values.shape[1:]) - 1.001)
    low = np.floor(at).astype(np.int64)
    beyond = (at - low).astype(np.float32)
    total = np.zeros((len(values), *at.shape[:-1]), dtype=np.float32)
    for down, right in np.ndindex(2, 2):
        share = np.abs(1 - down - beyond[..., 0]) * np.abs(1 - right - beyond[..., 1])
        total += values[:, low[..., 0] + down, low[..., 1] + right] * share
    return total


# --- targets -------------------------------------------------------------------------------------


def mean_potential(slab: Slab, window: Window, count: int) -> Single:
    """Return the mean potential along the beam, (count, count) float32 in V."""
    layer = slab.layer
    scale = POTENTIAL_PER_FACTOR / (layer.area * layer.height)
    return np.asarray(scale * _mean(slab, window, count, electron_factor), dtype=np.float32)


def electron_density(slab: Slab, window: Window, count: int) -> Single:
    """Return the mean electron density along the beam, (count, count) float32 in e / Å^3."""
    scale = 1 / (slab.layer.area * slab.layer.height)
    return np.asarray(scale * _mean(slab, window, count, xray_factor), dtype=np.float32)


def legacy_target(slab: Slab, window: Window, count: int, *, energy: float) -> Single:
    """Return the published target: (count, count) float32, mean 0, standard deviation 1, no unit.

    It is the mean over slices of sin(sigma v), the imaginary part of a slice's transmission,
    blurred with a Gaussian of 1.2 pixels and z-scored. The published image is the middle half of a
    square of 50 Å, 128 pixels wide.

    Args:
        slab: a slab.
        window: the square.
        count: pixels along a side.
        energy: keV.
    """
    layer = slab.layer
    indices = _indices(layer)
    slices = fft.ifft2(projected_potentials(layer, indices), norm="forward", workers=1).real
    sines = np.sin(interaction(energy) * slices).mean(axis=0)
    coefficients = fft.fft2(sines, norm="forward", workers=1) * _layer_average(slab, sines.shape)
    squared = (_vectors(layer, sines.shape) ** 2).sum(axis=2)
    blur = LEGACY_BLUR * window.side / count
    coefficients *= np.exp(-2 * (math.pi * blur) ** 2 * squared)
    image = window.image(layer, coefficients, count)
    deviation = max(float(image.std()), 1e-9)  # a constant image gives zeros
    return np.asarray((image - image.mean()) / deviation, dtype=np.float32)


def _mean(slab: Slab, window: Window, count: int, factor: ScatteringFactor) -> Floats:
    """Return an image (count, count) of the sum of factors in a layer, averaged over all layers."""
    atoms = tuple(kind for _, kinds in slab.layer.slices for kind in kinds)
    factors = structure_factors(slab.layer, atoms, _indices(slab.layer), factor)
    return window.image(slab.layer, factors * _layer_average(slab, factors.shape), count)


def _layer_average(slab: Slab, shape: tuple[int, ...]) -> Complexes:
    """Return (n, m) the mean over all layers of the phase of each G by the displacement."""
    cycles = _vectors(slab.layer, shape) @ slab.layer.shift
    total = np.zeros(cycles.shape, dtype=np.complex128)
    for number in range(slab.repeats):
        total += np.exp(-2j * math.pi * number * cycles)
    return total / slab.repeats


def _indices(layer: Layer) -> tuple[Floats, Floats]:
    """Return integers (n,) and (m,) of reciprocal vectors in the order of a Fourier transform.

    Three times `MAX_FREQUENCY`, so that the sine of a potential is not aliased into the image.
    """
    first, second = (
        fft.next_fast_len(math.ceil(3 * MAX_FREQUENCY * length) + 1)
        for length in np.linalg.norm(layer.axes, axis=1).tolist()
    )
    return np.rint(fft.fftfreq(first) * first), np.rint(fft.fftfreq(second) * second)


def _vectors(layer: Layer, shape: tuple[int, ...]) -> Floats:
    """Return reciprocal vectors (n, m, 2) in Å^-1 in the order of a Fourier transform."""
    first, second = (np.rint(fft.fftfreq(size) * size) for size in shape)
    vectors: Floats = (
        first[:, None, None] * layer.reciprocal[0] + second[:, None] * layer.reciprocal[1]
    )
    return vectors
