"""Multislice against a measurement: the thickness of silicon by its electron diffraction pattern.

    python benchmarks/si110.py [--mirror file:DIR] [--home DIR] [--thickness 240,250]
    python benchmarks/si110.py --diffuse --thickness 240
    python benchmarks/si110.py --figure docs/explanation/si110.png --json

The dataset `cbed_si110` is fetched and converted. The code that makes the samples of the STEMDL
datasets simulates the pattern for each thickness. Centre, scale and rotation of the measured
pattern are fitted by Nelder and Mead's method, so that the correlation r of the logarithms is
largest. Nothing else is fitted. With --diffuse slabs absorb, and patterns have a background, by
thermal diffuse scattering; the figure compares both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize

import sciml_data
from sciml_data.synthetic.diffraction import Crystal, Site
from sciml_data.synthetic.diffraction.cbed import (
    aperture_radius,
    pixel_size_of,
    position_averaged,
)
from sciml_data.synthetic.diffraction.crystals import formula_of, operations, orbit
from sciml_data.synthetic.diffraction.layers import layer_of, plane_of
from sciml_data.synthetic.diffraction.multislice import slab_of

Floats = NDArray[np.float64]

ENERGY, HALF_ANGLE = 200.0, 8.67e-3  # keV, rad: the tutorial's input file
CELL = 5.4294  # Å, of the tutorial's crystal file
# Å^2, of silicon at room temperature: B = 8 pi^2 <u^2> with <u^2> = 0.0059 Å^2.
B_ISO = 0.467
SIZE, LIMIT = 256, 2.0  # pixels of 0.02 Å^-1; Å^-1 of the waves
# Å^-1: the discs of the reflections of 0.32 to 0.61 Å^-1 cover the pattern at least this far.
RADIUS = 0.86
# Measured pixels to a simulated one. The undiffracted disc has a radius of about 123 pixels.
FIRST_SCALE = 7.1
ROTATIONS = np.radians(np.arange(0, 180, 5))  # to start from; a zone axis [110] has two mirrors
STEP = 3  # the fit uses every third pixel along both axes; r is of all pixels
THICKNESSES = (60, 80, 100, 120, 140, 160, 180, 200, 210, 220, 230, 240, 250, 260, 270, 280, 300,
               320, 340, 380)  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A simulated pattern on the measured one.

    Attributes:
        thickness: Å, of whole layers.
        diffuse: whether the simulation has thermal diffuse scattering.
        r_log, r_linear: correlation of log intensity, and of intensity.
        scale: measured pixels to a simulated one of 0.02 Å^-1.
        rotation: degrees.
        row, column: of the undiffracted beam in the measured pattern.
    """

    thickness: float
    diffuse: bool
    r_log: float
    r_linear: float
    scale: float
    rotation: float
    row: float
    column: float


def measured_pattern(home: Path | None, mirrors: Sequence[str]) -> Floats:
    """Return the measured pattern (618, 618), in counts, from the ready form of the dataset."""
    with sciml_data.load("cbed_si110", home=home, mirrors=mirrors) as dataset:
        pattern: Floats = dataset["image"].values[0].astype(np.float64)
        return pattern


def silicon() -> Crystal:
    """Return silicon in the diamond structure."""
    places = orbit(np.array([1 / 8, 1 / 8, 1 / 8]), operations(227)).tolist()
    sites = tuple(Site("Si", (x, y, z), B_ISO) for x, y, z in places)
    return Crystal("silicon", 227, formula_of(sites), (CELL,) * 3, (90.0, 90.0, 90.0), sites)


def simulated_pattern(thickness: float, *, diffuse: bool) -> tuple[Floats, float]:
    """Return the pattern (256, 256) of a slab of silicon along [110], and its thickness in Å.

    `diffuse` adds thermal diffuse scattering.
    """
    crystal = silicon()
    layer = layer_of(crystal, plane_of(crystal, (1, 1, 0)))
    tilt = aperture_radius(HALF_ANGLE, ENERGY) + pixel_size_of(SIZE)
    slab = slab_of(layer, thickness=thickness, limit=LIMIT, max_tilt=tilt, diffuse=diffuse)
    pattern = position_averaged(slab, ENERGY, HALF_ANGLE, size=SIZE)
    return pattern.astype(np.float64), slab.thickness


def match(measured: Floats, thickness: float, *, diffuse: bool) -> Match:
    """Return the best correlation of a measured pattern with the simulation of a thickness."""
    pattern, whole = simulated_pattern(thickness, diffuse=diffuse)
    rows, columns = (axis[::STEP, ::STEP] for axis in places_of(measured))
    thinned = measured[::STEP, ::STEP]
    weights = thinned / thinned.sum()
    centre = [float((axis * weights).sum()) for axis in (rows, columns)]

    def loss(fitted: Floats) -> float:
        return -correlations(thinned, pattern, fitted, (rows, columns))[0]

    starts = [np.array([*centre, FIRST_SCALE, angle]) for angle in ROTATIONS]
    start = min(starts, key=loss)
    # Steps of 3 pixels, 0.1 pixels and 2 degrees: the default step of a zero is too small.
    simplex = start + np.vstack([np.zeros(4), np.diag([3.0, 3.0, 0.1, np.radians(2.0)])])
    best = minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": simplex}).x
    r_log, r_linear = correlations(measured, pattern, best, places_of(measured))
    row, column, scale, angle = best.tolist()
    return Match(whole, diffuse, r_log, r_linear, scale, float(np.degrees(angle)), row, column)


def places_of(image: Floats) -> Sequence[Floats]:
    """Return the rows and the columns of the pixels of an image."""
    rows, columns = (np.arange(length, dtype=np.float64) for length in image.shape)
    return np.meshgrid(rows, columns, indexing="ij")


def correlations(
    measured: Floats, pattern: Floats, fitted: Floats, places: Sequence[Floats]
) -> tuple[float, float]:
    """Return the correlations of log intensity and of intensity within `RADIUS`.

    Args:
        measured: any shape, counts.
        pattern: (size, size) simulated intensity.
        fitted: (4,) row and column of the centre, scale, rotation in rad.
        places: rows and columns of the measured pixels, each of the shape of `measured`.
    """
    values, inside = on_measured(pattern, fitted, places)
    inside &= (values > 0) & (measured > 0)
    first, second = measured[inside], values[inside]
    linear = float(np.corrcoef(first, second)[0, 1])
    return float(np.corrcoef(np.log(first), np.log(second))[0, 1]), linear


def on_measured(
    pattern: Floats, fitted: Floats, places: Sequence[Floats]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the simulated intensity at measured pixels, and which of them are within `RADIUS`."""
    row, column, scale, angle = fitted
    down, right = (places[0] - row) / scale, (places[1] - column) / scale
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = [cosine * down - sine * right, sine * down + cosine * right]
    middle = len(pattern) // 2
    values = map_coordinates(pattern, [axis + middle for axis in turned], order=1)
    return values, np.hypot(down, right) * pixel_size_of(len(pattern)) <= RADIUS


def draw(measured: Floats, matches: Sequence[Match], path: Path) -> None:
    """Write a figure: measured and simulated halves of the pattern, and r against thickness.

    `matches` are with and without thermal diffuse scattering.
    """
    from matplotlib.figure import Figure

    best = max(matches, key=lambda found: found.r_log)
    pattern, _ = simulated_pattern(best.thickness, diffuse=best.diffuse)
    fitted = np.array([best.row, best.column, best.scale, np.radians(best.rotation)])
    places = places_of(measured)
    values, inside = on_measured(pattern, fitted, places)
    logs = [
        np.log10(np.where(inside, np.maximum(one, 1e-12), np.nan)) for one in (measured, values)
    ]
    logs[1] += np.nanmean(logs[0]) - np.nanmean(logs[1])  # the simulation is a fraction of the beam
    halves = np.where(places[1] < best.column, *logs)
    figure = Figure(figsize=(9, 4), layout="constrained")
    image, curve = figure.subplots(1, 2, width_ratios=(1, 1.15))
    low, high = np.nanpercentile(logs[0], [1, 99.8])
    image.imshow(halves, cmap="magma", vmin=low, vmax=high)
    image.axvline(best.column, color="white", linewidth=0.6)
    image.set_title(f"measured | simulated, {best.thickness:.0f} Å (log intensity)", fontsize=10)
    image.set_axis_off()
    for diffuse, colour, name in ((True, "C0", ", diffuse"), (False, "C1", "")):
        of_kind = [found for found in matches if found.diffuse == diffuse]
        thickness = [found.thickness for found in of_kind]
        r_log, r_linear = ([getattr(found, r) for found in of_kind] for r in ("r_log", "r_linear"))
        curve.plot(thickness, r_log, "o-", color=colour, ms=4, label=f"log intensity{name}")
        curve.plot(thickness, r_linear, "s--", color=colour, ms=3, label=f"intensity{name}")
    curve.set(xlabel="thickness of the simulated slab, Å", ylabel="correlation r")
    curve.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def main() -> None:
    """Print r for each thickness; with --figure also draw it, with and without --diffuse."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--home", type=Path, help="a temporary folder by default")
    parser.add_argument("--mirror", action="append", default=[], help="for example file:DIR")
    parser.add_argument("--thickness", default=",".join(map(str, THICKNESSES)), help="Å, by commas")
    parser.add_argument("--diffuse", action="store_true", help="with thermal diffuse scattering")
    parser.add_argument("--figure", type=Path, help="PNG to write")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measured = measured_pattern(arguments.home or Path(temporary), arguments.mirror)
    kinds = (False, True) if arguments.figure else (arguments.diffuse,)
    thicknesses = [float(text) for text in arguments.thickness.split(",")]
    matches = [match(measured, each, diffuse=kind) for kind in kinds for each in thicknesses]
    if arguments.figure:
        draw(measured, matches, arguments.figure)
    if arguments.json:
        print(json.dumps([asdict(found) for found in matches], indent=1))
        return
    print("| Å | diffuse | r (log) | r (linear) | scale | rotation | centre |")
    print("|---|---|---|---|---|---|---|")
    for found in matches:
        print(
            f"| {found.thickness:.1f} | {found.diffuse} | {found.r_log:.4f} | "
            f"{found.r_linear:.4f} | "
            f"{found.scale:.3f} | {found.rotation:.2f} | {found.row:.1f}, {found.column:.1f} |"
        )


if __name__ == "__main__":
    main()
