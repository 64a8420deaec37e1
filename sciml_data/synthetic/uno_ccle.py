"""Synthetic sample of the CCLE files: Hill curves, their areas, images and a table of genes.

Each pair of a cell and a drug has a curve at the eight doses of the CCLE; one pair in 25 has none,
as in the real files. Two cells have curves and no image. Names of cells are made up
(SYN0001_LUNG). Drugs have names from the descriptor and made-up molecules.

Settings in `block["sample"]`: cells, drugs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.drug_response import AUC_DOSES
from sciml_data.formats.uno_ccle import HEADER, PIXELS, SIDE
from sciml_data.synthetic.hill import (
    DRUG_BATCH,
    LINE_BATCH,
    ViabilityCurves,
    factor_features,
    made_up_smiles,
    make_viability_curves,
    measurement_noise,
    sample_sizes,
)

DEFAULTS: Mapping[str, int] = {"cells": 48, "drugs": 12}
DOSES = (".0025", ".0080", ".025", ".080", ".25", ".80", "2.53", "8")  # uM, as in the real curves
MOLAR = 6 - np.log10(np.array([float(dose) for dose in DOSES]))  # -log10(mol/L)
TISSUES = ("LUNG", "BREAST", "SKIN", "LARGE_INTESTINE", "HAEMATOPOIETIC_AND_LYMPHOID_TISSUE")
GENES = 1600  # of the table
FIRST_ID = 61  # the smallest real id
MISSING = 0.04  # share of (cell, drug) pairs without a curve
WITHOUT_IMAGE = 2  # cells


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write all native files that the block names.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` has `cells` and `drugs`.
        seed: the same seed, the same bytes.

    Raises:
        CallError: a size is not valid, or larger than the number of drugs in the descriptor.
    """
    sizes = sample_sizes(block, DEFAULTS)
    drugs = list(block["drugs"])[: sizes["drugs"]]
    if len(drugs) < sizes["drugs"]:
        raise CallError(
            f"no sample can be made with {sizes['drugs']} drugs: the descriptor names {len(drugs)}",
            untouched="nothing was written",
            hint=f"--sample-set drugs={len(drugs)}, or fewer",
        )
    random = np.random.default_rng([seed, 1])
    count = sizes["cells"]
    without_image = list(block["cells_without_expression"])[:WITHOUT_IMAGE]
    curves = make_viability_curves(random, count + len(without_image), len(drugs))
    names = [f"SYN{at + 1:04d}_{TISSUES[at % len(TISSUES)]}" for at in range(count)]
    ids = [f"CCL_{FIRST_ID + 2 * at}" for at in range(count)]
    has_curve = random.random((count + len(without_image), len(drugs))) >= MISSING
    compounds = [block["drugs"][name]["compound"] for name in drugs]
    labels = [names + without_image, compounds]
    measured = _measure(random, curves, has_curve)
    _write_curves(root / block["curves"], labels, measured)
    _write_areas(root / block["response"], curves, [ids, drugs], measured)
    expression = _scaled(factor_features(random, curves.shown_cells[:count], PIXELS))
    _write_images(root / block["expression_images"], ids, 1 - expression)
    molecules = _scaled(factor_features(random, curves.drugs, PIXELS))
    if block["descriptor_images"]:  # `uno_gdsc` has none
        _write_images(root / block["descriptor_images"], drugs, molecules)
    _write_genes(root / block["expression_table"], random, ids[: (count + 1) // 2], expression)
    smiles = made_up_smiles(random, len(drugs))
    rows = [f"{name},{text}" for name, text in sorted(zip(compounds, smiles, strict=True))]
    _write_lines(root / block["smiles"], [",smiles", *rows])


@dataclass(frozen=True)
class _Measured:
    """Curves as they were measured.

    Attributes:
        cells: (curve,) index.
        drugs: (curve,) index.
        viability: (curve, dose), the median of replicates on a plate with an offset.
        spread: (curve, dose), standard deviation of the replicates.
        error: (curve,) mean over doses of what was measured less the truth.
    """

    cells: NDArray[np.intp]
    drugs: NDArray[np.intp]
    viability: NDArray[np.float64]
    spread: NDArray[np.float64]
    error: NDArray[np.float64]


def _measure(
    random: np.random.Generator, curves: ViabilityCurves, has_curve: NDArray[np.bool_]
) -> _Measured:
    """Return the curves of pairs that have one, with noise and offsets of plates."""
    cells, drugs = np.nonzero(has_curve)
    truth = curves.viability(cells[:, None], drugs[:, None], MOLAR[None, :])
    spread, noise = measurement_noise(random, truth)
    lines = random.standard_normal(has_curve.shape[:1])
    offset = LINE_BATCH * lines[cells]
    offset += DRUG_BATCH * random.standard_normal(has_curve.shape[1:])[drugs]
    noise += offset[:, None]
    return _Measured(cells, drugs, truth + noise, spread, noise.mean(axis=1))


def _write_curves(path: Path, names: Sequence[Sequence[str]], measured: _Measured) -> None:
    lines = [",".join(HEADER)]
    activity, spreads = 100 * (measured.viability - 1), 100 * measured.spread
    pairs = zip(measured.cells.tolist(), measured.drugs.tolist(), strict=True)
    for (cell, drug), values, deviations in zip(pairs, activity, spreads, strict=True):
        name = names[0][cell]
        points = ",".join(f"{value:.1f}" for value in values)
        spread = ",".join(f"{value:.2f}" for value in deviations)
        lines.append(
            f'{name},{name.partition("_")[0].title()},{names[1][drug]},MADEUP,"{",".join(DOSES)}",'
            f'"{points}","{spread}",{len(DOSES)},Sigmoid,,8,{values.min():.4f},0'
        )
    _write_lines(path, lines)


def _write_areas(
    path: Path, curves: ViabilityCurves, ids: Sequence[Sequence[str]], measured: _Measured
) -> None:
    """Write the area under the curve of each pair: the mean viability over `AUC_DOSES`.

    Errors of the measured doses change it as far as these doses reach.
    """
    has_id = measured.cells < len(ids[0])
    cells, drugs = measured.cells[has_id], measured.drugs[has_id]
    areas = curves.viability(cells[:, None], drugs[:, None], AUC_DOSES[None, :]).mean(1)
    areas += np.ptp(MOLAR) / np.ptp(AUC_DOSES) * measured.error[has_id]
    rows = zip(cells.tolist(), drugs.tolist(), np.clip(areas, 0, 1), strict=True)
    lines = [f"{ids[0][cell]}\t{ids[1][drug]}\t{area:.4f}" for cell, drug, area in rows]
    _write_lines(path, ["CCL\tDrug\tAUC", *lines])


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (row, column) values with each column scaled to 0..1, rounded to nine decimals."""
    lowest, highest = values.min(0), values.max(0)
    return np.asarray(np.round((values - lowest) / np.maximum(highest - lowest, 1e-9), 9))


def _write_images(folder: Path, names: Sequence[str], values: NDArray[np.float64]) -> None:
    for name, row in zip(names, values, strict=True):
        lines = ["\t".join(f"{pixel:.9f}" for pixel in line) for line in row.reshape(SIDE, SIDE)]
        _write_lines(folder / f"{name}.txt", lines)


def _write_genes(
    path: Path, random: np.random.Generator, ids: Sequence[str], values: NDArray[np.float64]
) -> None:
    """Write the scaled expression of `GENES` random pixels as a table of genes, for some cells."""
    pixels = np.sort(random.choice(PIXELS, GENES, replace=False))
    lines = ["\t".join(["", *(f"MADEUP{gene + 1}" for gene in range(GENES))])]
    for name, row in zip(ids, values, strict=False):
        lines.append("\t".join([name, *(f"{value:.9f}" for value in row[pixels])]))
    _write_lines(path, lines)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
