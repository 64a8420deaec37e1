"""Bytes on disk of Uno: the ready form, against joined float32 rows."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from uno_case import BITS, DESCRIPTORS, GENES, REAL, draw_rows

from sciml_data.formats import drug_response as form


def print_bytes(arguments: argparse.Namespace) -> None:
    """Print the size of joined rows and of the ready form: computed, and of a file written here."""
    variant = arguments.variant
    rows, cells, drugs = REAL[variant]
    joined, tables, index_row = _sizes(variant, cells, drugs)
    print(
        f"{variant}, {rows:,} rows, {cells:,} cells, {drugs:,} drugs: joined float32 "
        f"{rows * joined / 1e9:,.2f} GB, indices and tables "
        f"{(rows * index_row + tables) / 1e9:,.3f} GB, "
        f"{rows * joined / (rows * index_row + tables):,.0f} times smaller (computed)"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ready.nc"
        count, cells, drugs = _write_ready(path, arguments)
        joined, _, _ = _sizes(variant, cells, drugs)
        size = path.stat().st_size
        print(
            f"{variant}, {count:,} rows, {cells:,} cells, {drugs:,} drugs, random values: joined "
            f"float32 {count * joined / 1e9:,.2f} GB, ready file {size / 1e9:,.4f} GB, "
            f"{count * joined / size:,.0f} times smaller (file written)"
        )


def _sizes(variant: str, cells: int, drugs: int) -> tuple[int, int, int]:
    """Return bytes of a joined row, of the tables, and of a row of indices in the ready form."""
    slots = 2 if variant == "dose" else 1
    drug_features = DESCRIPTORS + (BITS if variant == "dose" else 0)
    joined = 4 * (GENES + slots * (drug_features + (1 if variant == "dose" else 0)))
    tables = 4 * (cells * GENES + drugs * DESCRIPTORS) + (drugs * BITS // 8 if slots > 1 else 0)
    index_row = 2 + 2 * slots + 1 + 2 + 4 + (8 if variant == "dose" else 0)
    return joined, tables, index_row


def _write_ready(path: Path, arguments: argparse.Namespace) -> tuple[int, int, int]:
    """Write a ready file of a share of the real data; return its rows, cells and drugs."""
    random = np.random.default_rng(0)
    rows, cells, drugs = (number // arguments.file_share for number in REAL[arguments.variant])
    cell, slots = draw_rows(random, rows, arguments.variant, (cells, drugs))
    ids = np.array([f"S.{number}" for number in range(max(cells, drugs))], object)
    constant = np.array(["RANDOM"], object).repeat(rows)
    values: dict[str, Any] = {"auc": random.random(rows)}
    if arguments.variant == "dose":
        doses = np.round(random.uniform(4, 10, (2, rows)), 3)
        has_second = slots[:, 1] >= 0
        values = {"dose1": doses[0], "dose2": np.where(has_second, doses[1], np.nan)}
        values["growth"] = random.random(rows)
    responses = form.Rows(
        ids[cell], ids[slots[:, 0]], constant, constant, values,
        np.where(slots[:, 1] >= 0, ids[slots[:, 1]], "") if slots.shape[1] > 1 else None,
    )  # fmt: skip

    def entities(count: int, width: int, bits: int) -> Any:
        table = random.standard_normal((count, width), np.float32)
        features = form.Features(table, tuple(f"f{number}" for number in range(width)))
        random_bits = random.random((count, bits)) < 0.1 if bits else None
        return form.Entities(
            tuple(ids[:count]), tuple(ids[:count]), features=features, bits=random_bits
        )

    of_cells = entities(cells, GENES, 0)
    of_drugs = entities(drugs, DESCRIPTORS, BITS if slots.shape[1] > 1 else 0)
    joined, counts = form.join(responses, of_cells, of_drugs)
    form.merged(
        form.responses_dataset(joined, counts),
        form.cells_dataset(of_cells),
        form.drugs_dataset(of_drugs),
    ).to_netcdf(path, engine="h5netcdf")
    return rows, cells, drugs
