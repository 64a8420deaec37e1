"""Find the scans of all ready files with their materials, and read their targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
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
