"""Make small ready datasets whose responses depend on features of cell and drug, plus noise."""

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
    """Return a ready dataset; each name is in both sources, and some descriptors are missing.

    Args:
        variant: `auc` or `dose`.
        cells: number of cell lines.
        drugs: number of drugs.
        rows: number of responses.
        seed: of all random numbers.
    """
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
    response = expression[cell, 0] * 0.05 + descriptors[first, 0] * 0.02
    response += 0.02 * (expression[cell, 1] - 3.0) * bits[first, 0] + random.normal(0, 0.02, rows)
    with_gaps = descriptors.copy()
    with_gaps[random.random(with_gaps.shape) < 0.1] = np.nan
    ids = [f"{SOURCES[n % 2]}.{n}" for n in range(max(cells, drugs))]
    values, drug2 = _values(variant, random, response, (first, second), ids)
    responses = Rows(
        cell=np.array(ids, object)[cell],
        drug1=np.array(ids, object)[first],
        source=np.array(SOURCES, object)[source],
        study=np.array(["s"] * rows, object),
        measured=values,
        drug2=drug2,
    )
    cell_table = Entities(tuple(ids[:cells]), tuple(cell_names), features=_named(expression, "g"))
    drug_table = Entities(
        tuple(ids[:drugs]),
        tuple(drug_names),
        features=_named(with_gaps, "d"),
        bits=bits if variant == "dose" else None,
    )
    joined, counts = join(responses, cell_table, drug_table, sources=SOURCES)
    return merged(
        responses_dataset(joined, counts), cells_dataset(cell_table), drugs_dataset(drug_table)
    )


def _values(
    variant: str,
    random: np.random.Generator,
    response: np.ndarray[Any, Any],
    drugs: tuple[Any, Any],
    ids: list[str],
) -> tuple[dict[str, Any], Any]:
    rows = len(response)
    if variant == "auc":
        part = random.choice(3, rows, p=[0.8, 0.1, 0.1])
        return {"auc": response, "published_part": part}, None
    has_second = random.random(rows) < 0.4
    doses = random.choice([5.0, 6.0, 7.0, 8.0], (2, rows))
    dose2 = np.where(has_second, doses[1], np.nan)
    growth = 1.0 - (response + 1.0) / doses[0] - np.where(has_second, 1.0 / doses[1], 0.0)
    drug2 = np.where(has_second, np.array(ids, object)[drugs[1]], "")
    return {"dose1": doses[0], "dose2": dose2, "growth": growth}, drug2


def _named(values: np.ndarray[Any, Any], letter: str) -> Features:
    names = tuple(f"{letter}{number}" for number in range(values.shape[1]))
    return Features(values.astype(np.float32), names)
