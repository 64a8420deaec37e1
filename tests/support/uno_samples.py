"""Small datasets of the ready form, made here: what a cell and a drug say together, and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from sciml_data.formats.drug_response import (
    Entities,
    Features,
    Rows,
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    responses_dataset,
)

GENES, DESCRIPTORS, BITS = 12, 9, 20
SOURCES = ("ONE", "TWO")


def ready(
    variant: str, *, cells: int = 40, drugs: int = 12, rows: int = 900, seed: int = 0
) -> xr.Dataset:
    """Return a dataset: each name occurs in both sources; some descriptors are missing."""
    random = np.random.default_rng(seed)
    cell_names = [f"LINE{number // 2}" for number in range(cells)]
    drug_names = [f"CID:{100 + number // 2}" for number in range(drugs)]
    expression = random.normal(3.0, 2.0, (cells // 2, GENES)).repeat(2, axis=0)
    descriptors = random.normal(0.0, 5.0, (drugs // 2, DESCRIPTORS)).repeat(2, axis=0)
    bits = random.random((drugs // 2, BITS)).repeat(2, axis=0) < 0.3
    cell = random.integers(0, cells // 2, rows) * 2
    first, second = random.integers(0, drugs // 2, (2, rows)) * 2
    source = random.integers(0, 2, rows)
    cell, first, second = cell + source, first + source, second + source
    answer = expression[cell, 0] * 0.05 + descriptors[first, 0] * 0.02
    answer += 0.02 * (expression[cell, 1] - 3.0) * bits[first, 0] + random.normal(0, 0.02, rows)
    shown = descriptors.copy()
    shown[random.random(shown.shape) < 0.1] = np.nan
    ids = [f"{SOURCES[n % 2]}.{n}" for n in range(max(cells, drugs))]
    values, drug2 = _values(variant, random, answer, (first, second), ids)
    known = Rows(
        cell=np.array(ids, object)[cell],
        drug1=np.array(ids, object)[first],
        source=np.array(SOURCES, object)[source],
        study=np.array(["s"] * rows, object),
        values=values,
        drug2=drug2,
    )
    cell_table = Entities(tuple(ids[:cells]), tuple(cell_names), features=_named(expression, "g"))
    drug_table = Entities(
        tuple(ids[:drugs]),
        tuple(drug_names),
        features=_named(shown, "d"),
        bits=bits if variant == "dose" else None,
    )
    joined, counts = join(known, cell_table, drug_table, sources=SOURCES)
    return merged(
        responses_dataset(joined, counts), cells_dataset(cell_table), drugs_dataset(drug_table)
    )


def _values(
    variant: str,
    random: np.random.Generator,
    answer: np.ndarray[Any, Any],
    drugs: tuple[Any, Any],
    ids: list[str],
) -> tuple[dict[str, Any], Any]:
    rows = len(answer)
    if variant == "auc":
        part = random.choice(3, rows, p=[0.8, 0.1, 0.1])
        return {"auc": answer, "published_part": part}, None
    has_second = random.random(rows) < 0.4
    doses = random.choice([5.0, 6.0, 7.0, 8.0], (2, rows))
    dose2 = np.where(has_second, doses[1], np.nan)
    growth = 1.0 - (answer + 1.0) / doses[0] - np.where(has_second, 1.0 / doses[1], 0.0)
    drug2 = np.where(has_second, np.array(ids, object)[drugs[1]], "")
    return {"dose1": doses[0], "dose2": dose2, "growth": growth}, drug2


def _named(values: np.ndarray[Any, Any], letter: str) -> Features:
    names = tuple(f"{letter}{number}" for number in range(values.shape[1]))
    return Features(values.astype(np.float32), names)
