"""Fill and standardise features with the statistics of the training part's entities.

Each cell or drug of the training part counts once, however many rows it has. Bits are not scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .data import Codes, Entities, Floats

MIN_SPREAD = 1e-6  # relative standard deviation; a feature with less counts as constant
BLOCK = 4096  # entities that are scaled at once, so that no second table is in memory


@dataclass(frozen=True)
class Scaled:
    """Scaled features.

    Attributes:
        cells: tables by name, float32 (cell, feature), or bits as uint8.
        drugs: tables by name, float32 (drug, feature), or bits as uint8.
        facts: width and scaling of each table, for the record.
    """

    cells: Mapping[str, npt.NDArray[Any]]
    drugs: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any]


def scale(
    cells: Entities, drugs: Entities, training_entities: Mapping[str, Codes], *, clip: float
) -> Scaled:
    """Return all features, standardised; missing values become the mean of training entities.

    Args:
        cells: table of cells.
        drugs: table of drugs.
        training_entities: indices of the "cells" and "drugs" of the training part.
        clip: limit of a value in standard deviations; 0 is no limit.
    """
    facts: dict[str, Any] = {}
    scaled: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for kind, entities in (("cells", cells), ("drugs", drugs)):
        scaled[kind] = {}
        for name, values in entities.tables.items():
            if values.dtype == np.uint8:
                scaled[kind][name] = values
                facts[name] = {"width": values.shape[1], "scaling": "none: bits"}
                continue
            scaled[kind][name], facts[name] = _standardise(values, training_entities[kind], clip)
    return Scaled(scaled["cells"], scaled["drugs"], facts)


def dose_scale(doses: Floats, rows: Codes) -> tuple[float, float]:
    """Return mean and standard deviation of the doses of some rows; (0, 1) without any.

    Args:
        doses: (row, slot) -log10(mol/L), NaN for no drug.
        rows: those of the training part.
    """
    known = doses[rows][np.isfinite(doses[rows])].astype(np.float64)
    if not known.size:
        return 0.0, 1.0
    return float(known.mean()), float(known.std()) or 1.0


def distinct_entities(column: npt.NDArray[np.integer[Any]], rows: Codes) -> Codes:
    """Return the distinct entities of some rows, ascending.

    Args:
        column: (row,) or (row, slot) index of the entity; negative for none.
        rows: indices of rows.
    """
    entities = np.unique(column[rows])
    return np.asarray(entities[entities >= 0], np.int64)


def _standardise(
    values: npt.NDArray[Any], training: Codes, clip: float
) -> tuple[Floats, dict[str, Any]]:
    """Return values (entity, feature) standardised by the training rows, and a description."""
    known = values[training].astype(np.float64)
    is_known = np.isfinite(known)
    count = is_known.sum(axis=0)
    np.nan_to_num(known, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    mean = np.divide(known.sum(axis=0), count, out=np.zeros(known.shape[1]), where=count > 0)
    squares = np.divide(
        ((known - mean) ** 2 * is_known).sum(axis=0),
        count,
        out=np.zeros(known.shape[1]),
        where=count > 0,
    )
    spread = np.sqrt(squares)
    varies = spread > MIN_SPREAD * (1 + np.abs(mean))
    factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)
    standard = np.empty(values.shape, np.float32)
    missing = 0
    for first in range(0, len(values), BLOCK):
        block = values[first : first + BLOCK]
        is_missing = ~np.isfinite(block)
        missing += int(is_missing.sum())
        filled = np.where(is_missing, 0.0, (block - mean) * factor)
        standard[first : first + BLOCK] = np.clip(filled, -clip, clip) if clip else filled
    return standard, {
        "width": values.shape[1],
        "constant_in_training": int((~varies).sum()),
        "missing_values": missing,
        "scaling": f"mean and standard deviation of {len(training)} training entities; missing "
        "values are the mean",
        "clip": clip,
    }
