"""The case that `uno.py` measures: tables, rows and networks of Uno, in the sizes of the real data.

Tables are random numbers with Uno's numbers of features. Rows are distributed over cells and drugs
like the real ones: uniformly for AUC, by source for doses (NCI60 has most rows, with few cells and
many drugs).
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from uno_joined import joined_model, joined_rows

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.registry.layout import find_registry

GENES, DESCRIPTORS, BITS = 942, 5270, 2048
# Rows, cells and drugs of the real data after the join.
REAL = {"auc": (529_940, 1_593, 1_779), "dose": (25_303_046, 2_375, 46_837)}
# Sources of the dose variant: share of rows, cells, drugs, and whether rows have pairs. They are
# NCI60, ALMANAC, CTRP, GDSC, CCLE with gCSI (ECP-CANDLE/Benchmarks, Pilot1/Uno/README.md).
SOURCES = (
    (0.6794, 59, 46_272, False),
    (0.1408, 60, 101, True),
    (0.1343, 812, 311, False),
    (0.0404, 672, 213, False),
    (0.0051, 474, 38, False),
)


def make_case(arguments: argparse.Namespace) -> Any:
    """Return tables, rows, and functions that build both networks, all from seed 0."""
    registry = find_registry()
    load_runner(registry, "uno")
    modules = {
        name: importlib.import_module(f"sciml_runner_uno.{name}")
        for name in ("data", "inputs", "model")
    }
    task = choose_variant(load_task(registry.runner("uno")), arguments.variant)
    overrides = [f"dropout={arguments.dropout}", "batch_size=512", f"xla={arguments.xla}"]
    settings = resolve_settings(task, overrides, model="reference", split="row")
    has_doses = arguments.variant == "dose"
    settings |= {"knows": [], "output_scale": 1.0, "has_doses": has_doses, "has_pairs": False}
    settings["has_process"] = False
    responses = _responses(modules["data"], arguments)
    cells, drugs = responses.cells.tables, responses.drug_table.tables
    rows = modules["inputs"].Rows(
        responses,
        base=np.zeros(len(responses), "f4"),
        process=None,
        dose_scale=None,
        duplicate_single_drugs=True,
        is_compiled=arguments.xla,
    )

    def join_inputs(inputs: Any) -> Any:
        return joined_rows(cells, drugs, inputs)

    def build(precision: str = "float32") -> Any:
        return _with_precision(
            precision,
            lambda: modules["model"].build_model(settings, modules["model"].Tables(cells, drugs)),
        )

    return SimpleNamespace(
        settings=settings,
        rows=rows,
        train=np.arange(len(responses)),
        evaluation=_evaluation_rows(responses, arguments.evaluation_rows),
        join_inputs=join_inputs,
        join=lambda batch: (tuple(join_inputs(batch[0])), *batch[1:]),
        build=build,
        build_joined=lambda: joined_model(
            {name: table.shape[1] for name, table in cells.items()},
            {name: table.shape[1] for name, table in drugs.items()},
            tower_widths=settings["tower_widths"],
            head_widths=settings["head_widths"],
            has_doses=has_doses,
            dropout=arguments.dropout,
        ),
    )


def draw_rows(
    random: np.random.Generator, count: int, variant: str, sizes: tuple[int, int]
) -> tuple[Any, Any]:
    """Return cell (row,) and drugs (row, slot): uniform for AUC, by source for doses."""
    cells, drugs = sizes
    if variant == "auc":
        return random.integers(0, cells, count), random.integers(0, drugs, (count, 1))
    shares, source_cells, source_drugs, is_pair = (
        np.array(column) for column in zip(*SOURCES, strict=True)
    )
    source = random.choice(len(SOURCES), count, p=shares / shares.sum())
    first = np.minimum(np.cumsum(source_cells) - source_cells, cells - 1)
    cell = (first[source] + random.integers(0, source_cells[source])) % cells
    start = np.minimum(np.cumsum(source_drugs) - source_drugs, drugs - 1)
    width = np.minimum(source_drugs, drugs)
    slots = (start[source, None] + random.integers(0, width[source, None], (count, 2))) % drugs
    slots[~is_pair[source], 1] = -1
    return cell, slots


def _with_precision(precision: str, build: Any) -> Any:
    """Return the result of `build()` under a dtype policy of Keras."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def _responses(data: Any, arguments: argparse.Namespace) -> Any:
    """Return random tables with Uno's numbers of features, and rows."""
    random = np.random.default_rng(0)
    _, cells, drugs = REAL[arguments.variant]
    cells, drugs = arguments.cells or cells, arguments.drugs or drugs
    count = arguments.rows or REAL[arguments.variant][0]
    tables = {"descriptors": random.standard_normal((drugs, DESCRIPTORS), np.float32)}
    if arguments.variant == "dose":
        tables["fingerprints"] = (random.random((drugs, BITS), np.float32) < 0.1).astype(np.uint8)
    expression = {"expression": random.standard_normal((cells, GENES), np.float32)}
    cell, slots = draw_rows(random, count, arguments.variant, (cells, drugs))
    doses = random.uniform(4, 10, slots.shape).astype(np.float32)
    doses = np.where(slots < 0, np.nan, doses) if arguments.variant == "dose" else doses[:, :0]
    constant = pd.Categorical.from_codes(np.zeros(count, np.int8), pd.Index(["RANDOM"]))
    return data.Responses(
        variant=arguments.variant,
        target=random.normal(0.8, 0.15, count).astype(np.float32),
        cell=cell.astype(np.int32),
        drugs=slots.astype(np.int32),
        doses=doses.astype(np.float32),
        source=constant,
        study=constant,
        published=None,
        cells=_entities(data, "cell", expression),
        drug_table=_entities(data, "drug", tables),
        notes={},
    )


def _evaluation_rows(responses: Any, count: int) -> Any:
    """Return rows to evaluate on: random rows for AUC, all rows of some drugs for doses.

    A part of the real data has about 540 rows of each of its drugs (doses), or 30 (AUC).
    """
    random = np.random.default_rng(2)
    if responses.variant == "auc":
        return np.sort(random.choice(len(responses), min(count, len(responses)), replace=False))
    rank = random.permutation(len(responses.drug_table))[responses.drugs[:, 0]]
    return np.sort(np.argpartition(rank, min(count, len(rank) - 1))[:count])


def _entities(data: Any, kind: str, tables: Mapping[str, Any]) -> Any:
    count = len(next(iter(tables.values())))
    ids = tuple(f"{kind}.{number}" for number in range(count))
    return data.Entities(ids, pd.Categorical(ids), tables)
