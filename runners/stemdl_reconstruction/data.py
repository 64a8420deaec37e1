"""Scans of patterns with their images: find and read them, prepare patterns, apply symmetries.

Published patterns are z-scored, so intensity is known up to a factor and an offset. Two assumptions
recover it as a share of the pattern: the minimum is zero intensity, because corners beyond the band
limit are dark, and all patterns have the same total intensity.

A crystal may be rotated, and its mirror image is a crystal too. Each symmetry acts on the grid of
probes, on each pattern about its undiffracted beam, and on the images. That is correct on two
conditions: each probe is in the middle of its share of the square that the images show, and rows
and columns of patterns and images have the same directions. Our samples meet both; the published
files do not say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.errors import ConversionError, Problem
from sciml_data.ready import SampleIndex, index_samples
from sciml_data.ready.samples import Floats, Numbers

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

SCAN = "scan"
POTENTIAL, DENSITY, LEGACY = "potential", "electron_density", "legacy"
VARIABLES = {POTENTIAL: "potential", DENSITY: "electron_density", LEGACY: "legacy_target"}
UNITS = {POTENTIAL: "V", DENSITY: "e/Angstrom^3", LEGACY: "1"}
MATERIAL, FORMULA = "material", "formula"
PIXEL = "pixel_size"  # of the images, in Å
COLUMNS = {PIXEL: np.nan, MATERIAL: "", FORMULA: "", "native_file": "", "native_sample": ""}
ROOT, LINEAR = "root", "linear"  # scales of patterns
SYMMETRIES = 8  # of a square: transposed or not, flipped or not along each of two axes
BLUR = 1.2  # pixels, of the published target (ORNL's namsa, scripts/summit_scripts)
MIN_DEVIATION = 1e-6  # of the blurred image, in V; an image with less counts as constant

Array: TypeAlias = npt.NDArray[Any]


def find_scans(converted: Converted) -> SampleIndex:
    """Return the samples of all ready files.

    Raises:
        CallError: there is no scan.
        ConversionError: files cannot be read, or shapes differ; all such files are listed.
    """
    optional = [VARIABLES[POTENTIAL], VARIABLES[DENSITY]]
    return index_samples(converted, [SCAN, VARIABLES[LEGACY]], COLUMNS, optional=optional)


def keys_of(scans: SampleIndex) -> pd.DataFrame:
    """Return a row for each sample: its folder, material and formula."""
    columns = {"folder": "folder", "material": MATERIAL, "formula": FORMULA}
    return pd.DataFrame(
        {name: scans[column] for name, column in columns.items()},
        index=pd.Index(scans["name"], name="sample"),
    )


def channels_of(scans: SampleIndex) -> tuple[str, ...]:
    """Return the targets that all files have."""
    return tuple(name for name, variable in VARIABLES.items() if variable in scans.shapes)


def view_of(scans: SampleIndex) -> tuple[int, int]:
    """Return rows and columns of the images."""
    rows, columns = scans.shapes[VARIABLES[LEGACY]]
    return rows, columns


def read_targets(
    scans: SampleIndex, channels: Sequence[str], numbers: Sequence[int] | Numbers
) -> Floats:
    """Return channels of samples: (sample, row, column, channel) float32.

    Raises:
        ConversionError: a file cannot be read, or a sample has no finite target.
    """
    values = np.stack([scans.read(VARIABLES[name], numbers) for name in channels], axis=-1)
    is_missing = ~np.isfinite(values).all(axis=(1, 2, 3))
    if is_missing.any():
        names = scans["name"][np.asarray(numbers, np.intp)[is_missing]]
        raise ConversionError(
            f"{len(names)} scans have no target {' and '.join(channels)}",
            problems=[Problem("missing", str(name), "not finite") for name in names[:10]],
            untouched="nothing was changed",
            hint="--set target=legacy",
        )
    return values


def shares(scan: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return the share of each pixel in its pattern's intensity: (..., y, x) float32 of sum 1.

    Args:
        scan: (..., y, x), z-scored or not.
    """
    intensity = scan - scan.min(axis=(-2, -1), keepdims=True)
    total = intensity.sum(axis=(-2, -1), keepdims=True)
    return np.asarray(intensity / np.where(total > 0, total, 1), np.float32)


def prepared(
    scan: npt.NDArray[np.floating[Any]], *, binning: int, scale: str
) -> npt.NDArray[np.float32]:
    """Return patterns for a network: (..., y / binning, x / binning) float32 of mean square 1.

    Args:
        scan: (..., y, x).
        binning: pixels along each axis whose intensities are summed to one, an odd number.
        scale: "root" takes the square root of the intensity, so that weak scattering at large
            angles is visible beside the discs; "linear" leaves intensity as it is.
    """
    intensity = binned(shares(scan), binning)
    values = np.sqrt(intensity) if scale == ROOT else intensity
    size = np.sqrt((values.astype(np.float64) ** 2).mean(axis=(-2, -1), keepdims=True))
    return np.asarray(values / np.where(size > 0, size, 1), np.float32)


def binned(intensity: npt.NDArray[np.float32], binning: int) -> npt.NDArray[np.float32]:
    """Return sums over blocks of `binning` x `binning` pixels: (..., rows, columns).

    The undiffracted beam, in pixel (y // 2, x // 2), stays in the middle of a block, and both sides
    of it have the same number of blocks. With 1 the patterns do not change.
    """
    if binning == 1:
        return intensity
    sums = intensity
    for axis in (-2, -1):
        count = block_count(intensity.shape[axis], binning)
        first = intensity.shape[axis] // 2 - (count * binning) // 2
        sums = np.take(sums, np.arange(first, first + count * binning), axis=axis)
        shape = list(sums.shape)
        at = len(shape) + axis
        sums = sums.reshape(*shape[:at], count, binning, *shape[at + 1 :]).sum(axis=at + 1)
    return np.asarray(sums, np.float32)


def block_count(length: int, binning: int) -> int:
    """Return the number of blocks along an axis of `length` pixels."""
    if binning == 1:
        return length
    on_each_side = (length - 1 - length // 2 - binning // 2) // binning
    return 2 * max(on_each_side, 0) + 1


def augment_pairs(
    scans: Array, images: Array, *, random: np.random.Generator
) -> tuple[Array, Array]:
    """Return scans and images, each pair in a symmetry drawn at random.

    Args:
        scans: (sample, probe, y, x).
        images: (sample, row, column, channel).
        random: draws a symmetry for each sample.
    """
    draws = random.integers(SYMMETRIES, size=len(scans)).tolist()
    pairs = [
        apply_symmetry(scan, image, draw)
        for scan, image, draw in zip(scans, images, draws, strict=True)
    ]
    return np.stack([scan for scan, _ in pairs]), np.stack([image for _, image in pairs])


def apply_symmetry(scan: Array, image: Array, symmetry: int) -> tuple[Array, Array]:
    """Return a scan and its image in symmetry 0 to 7 of a square; 0 changes nothing.

    Args:
        scan: (probe, y, x). The grid of probes is square, probes row by row; patterns are square,
            with the undiffracted beam in pixel (y // 2, x // 2).
        image: (row, column, channel), square.
        symmetry: bit 0 transposes, bits 1 and 2 flip rows and columns.
    """
    side = math.isqrt(len(scan))
    grid = scan.reshape(side, side, *scan.shape[1:])
    if symmetry & 1:
        grid, image = grid.transpose(1, 0, 3, 2), image.transpose(1, 0, 2)
    for axis in (0, 1):
        if symmetry & (2 << axis):
            grid = _flip_patterns(np.flip(grid, axis), axis + 2)
            image = np.flip(image, axis)
    return grid.reshape(scan.shape), np.ascontiguousarray(image)


def _flip_patterns(grid: Array, axis: int) -> Array:
    """Return patterns flipped about the undiffracted beam.

    With an even length the first pixel has no partner. It is beyond the band limit and dark.
    """
    flipped = np.flip(grid, axis)
    return flipped if grid.shape[axis] % 2 else np.roll(flipped, 1, axis)


def legacy_images(potential: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return the published target of potentials: (sample, row, column) float32, without unit.

    The published target is the mean over slices of sin(sigma V), blurred and z-scored in each
    image. For a small phase that is the potential, blurred and z-scored: sigma and slices cancel.
    So even for the true potential the result differs a little from the stored target. The blur
    repeats the last pixel beyond the edges. A constant image becomes 0.

    Args:
        potential: (sample, row, column) in V.
    """
    from scipy.ndimage import gaussian_filter

    blurred = np.stack(
        [
            gaussian_filter(np.asarray(image, np.float64), BLUR, mode="nearest")
            for image in potential
        ]
    )
    centred = blurred - blurred.mean(axis=(1, 2), keepdims=True)
    deviation = centred.std(axis=(1, 2), keepdims=True)
    varies = deviation > MIN_DEVIATION
    return np.asarray(np.where(varies, centred / np.where(varies, deviation, 1), 0), np.float32)
