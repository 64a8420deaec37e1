"""Features as a model wants them: filled and scaled by what the training part's entities show.

Each entity of the training part counts once, however many rows it has. Bits stay bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .data import Entities, Floats

if TYPE_CHECKING:
    from .split import Layout, Rows

LEAST_SPREAD = 1e-6  # standard deviation, relative to the mean's size, below which nothing is told
BLOCK = 4096  # entities that are scaled at once, so that no second table is made


@dataclass(frozen=True)
class Scaled:
    """Tables of cells and drugs by name: float32 (entity, feature), or bits as uint8."""

    cells: Mapping[str, npt.NDArray[Any]]
    drugs: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any]


def scale(cells: Entities, drugs: Entities, used: Mapping[str, Rows], *, clip: float) -> Scaled:
    """Return all features filled with training means and standardised by training entities.

    Args:
        cells: table of cells.
        drugs: table of drugs.
        used: "cells" and "drugs" of the training part, each index once.
        clip: standard deviations beyond which a value is cut; 0 does not cut.
    """
    facts: dict[str, Any] = {}
    made: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for kind, entities in (("cells", cells), ("drugs", drugs)):
        made[kind] = {}
        for name, values in entities.tables.items():
            if values.dtype == np.uint8:
                made[kind][name] = values
                facts[name] = {"width": values.shape[1], "scaling": "none: bits"}
                continue
            made[kind][name], facts[name] = _standard(values, used[kind], clip)
    return Scaled(made["cells"], made["drugs"], facts)


def dose_scale(doses: Floats, rows: Rows) -> tuple[float, float]:
    """Return mean and standard deviation of all doses of the training part; 0, 1 without any."""
    known = doses[rows][np.isfinite(doses[rows])].astype(np.float64)
    if not known.size:
        return 0.0, 1.0
    return float(known.mean()), float(known.std()) or 1.0


def entities_of(layout: Layout, part: str, column: npt.NDArray[np.integer[Any]]) -> Rows:
    """Return the entities that a part's rows name, each once, ascending."""
    found = np.unique(column[layout.parts[part]])
    return np.asarray(found[found >= 0], np.int64)


def _standard(values: npt.NDArray[Any], used: Rows, clip: float) -> tuple[Floats, dict[str, Any]]:
    known = values[used].astype(np.float64)
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
    tells = spread > LEAST_SPREAD * (1 + np.abs(mean))
    factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=tells)
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
        "constant_in_training": int((~tells).sum()),
        "missing_values": missing,
        "scaling": f"mean and standard deviation of {len(used)} training entities; missing values "
        "are the mean",
        "clip": clip,
    }
