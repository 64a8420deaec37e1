"""Synthetic sample of CANDLE's joined file: the HDF5 tables that pandas writes, without pandas.

Cell lines, drugs and ids are made as in the sample of `candle_tables`. Each row repeats the
features of its cell line and drug, as the published file does. Rows are written in blocks, so any
number of rows takes little memory.

Settings in `block["sample"]`: rows, cells, drugs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.candle_tables import DESCRIPTORS, GENES, SOURCES, cells_of, drugs_of
from sciml_data.synthetic.hill import (
    GrowthCurves,
    descriptors,
    make_growth_curves,
    trait_features,
)

DEFAULTS: Mapping[str, int] = {"rows": 2_000, "cells": 24, "drugs": 30}
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}  # of the rows, drawn at random as upstream
DOSES = np.linspace(4, 10, 25)  # -log10(mol/L): the range of the area under the curve
NOISE = 0.03  # of an area; replicates of real screens differ by more
ROWS_AT_ONCE = 1024
CHUNK_BYTES = 2**20
SAMPLE_LETTERS, DRUG_LETTERS = 30, 10  # widths of upstream's text columns
ROOT = {"CLASS": "GROUP", "PYTABLES_FORMAT_VERSION": "2.1", "VERSION": "1.0", "synthetic": "true"}


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write the file that `block["file"]` names."""
    chosen = {**DEFAULTS} | {key: int(n) for key, n in block.get("sample", {}).items()}
    random = np.random.default_rng([seed, 10])
    curves = make_growth_curves(random, chosen["cells"], chosen["drugs"])
    cells, expression = _cells(curves, random)
    drugs, drug_table = _drugs(curves, random)
    root.mkdir(parents=True, exist_ok=True)
    ends = np.round(np.cumsum([0, *SHARES.values()]) * chosen["rows"]).astype(int)
    pairs = _pairs(cells, drugs)
    part_of = random.permutation(chosen["rows"])
    with h5py.File(root / block["file"], "w", track_order=False) as file:
        _describe(file, ROOT)
        for number, part in enumerate(SHARES):
            # Sorted, so that the rows of a drug stay together and compress well.
            rows = np.sort(part_of[ends[number] : ends[number + 1]])
            chosen_pairs = pairs[rows % len(pairs)]
            names = [f"GE_GENE{column + 1:04d}" for column in range(GENES)]
            _write_features(file, f"x_{part}_0", expression, chosen_pairs[:, 0], names)
            blank = [""] * DESCRIPTORS
            _write_features(file, f"x_{part}_1", drug_table, chosen_pairs[:, 1], blank)
            records = _responses(curves, cells, drugs, chosen_pairs, random)
            _write_responses(file, f"y_{part}", records)


def _cells(
    curves: GrowthCurves, random: np.random.Generator
) -> tuple[list[tuple[int, str]], NDArray[np.float32]]:
    """Return the index and id of each cell line in each source, and its scaled expression."""
    values = trait_features(random, curves.lines, GENES)
    ids, rows = [], []
    for source in SOURCES:
        shift = 0.15 * random.standard_normal(GENES)
        for number, name in cells_of(source, curves) if source.has_expression else []:
            ids.append((number, name))
            rows.append(values[number] + shift)
    return ids, _scaled(np.array(rows, np.float32))


def _drugs(
    curves: GrowthCurves, random: np.random.Generator
) -> tuple[list[tuple[int, str]], NDArray[np.float32]]:
    """Return the index and id of each compound in each source, and its scaled descriptors.

    Missing descriptors are 0 before scaling.
    """
    values = _scaled(np.nan_to_num(descriptors(random, curves, DESCRIPTORS)))
    ids = [drug for source in SOURCES if source.has_expression for drug in drugs_of(source, curves)]
    return ids, values[[number for number, _ in ids]]


def _scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    spread = values.std(axis=0)
    centred = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.asarray(centred, np.float32)


def _pairs(cells: Sequence[tuple[int, str]], drugs: Sequence[tuple[int, str]]) -> NDArray[np.intp]:
    """Return (pair, 2) indices of cells and drugs of the same source, ordered by drug."""
    sources = np.array([name.partition(".")[0] for _, name in cells])
    of_drugs = np.array([name.partition(".")[0].replace("NSC", "NCI60") for _, name in drugs])
    pairs = [
        (cell, drug)
        for drug, source in enumerate(of_drugs)
        for cell in np.flatnonzero(sources == source)
    ]
    return np.array(pairs, np.intp)


def _responses(
    curves: GrowthCurves,
    cells: Sequence[tuple[int, str]],
    drugs: Sequence[tuple[int, str]],
    pairs: NDArray[np.intp],
    random: np.random.Generator,
) -> NDArray[Any]:
    """Return the records of y: ids, and the area under the curve from 1e-4 to 1e-10 mol/L."""
    line = np.array([number for number, _ in cells])
    compound = np.array([number for number, _ in drugs])
    records = np.zeros(
        len(pairs),
        [
            ("index", "<i8"),
            ("values_block_0", "<f4", (1,)),
            ("Sample", f"S{SAMPLE_LETTERS}"),
            ("Drug1", f"S{DRUG_LETTERS}"),
        ],
    )
    area = np.zeros(len(pairs))
    for dose in DOSES:
        growth = curves.growth(line[pairs[:, 0]], compound[pairs[:, 1]], dose)
        area += np.clip((growth + 1) / 2, 0, 1) / len(DOSES)
    records["index"] = np.arange(len(pairs))
    records["values_block_0"][:, 0] = area + NOISE * random.standard_normal(len(pairs))
    records["Sample"] = np.array([name.encode() for _, name in cells])[pairs[:, 0]]
    records["Drug1"] = np.array([name.encode() for _, name in drugs])[pairs[:, 1]]
    return records


def _write_features(
    file: h5py.File,
    key: str,
    table: NDArray[np.float32],
    places: NDArray[np.intp],
    names: Sequence[str],
) -> None:
    dtype = np.dtype([("index", "<i8"), ("values_block_0", "<f4", (table.shape[1],))])
    data = _make_table(file, key, dtype, len(places), {"values_block_0": names})
    for first in range(0, len(places), ROWS_AT_ONCE):
        part = places[first : first + ROWS_AT_ONCE]
        records = np.empty(len(part), dtype)
        records["index"] = np.arange(first, first + len(part))
        records["values_block_0"] = table[part]
        data[first : first + len(part)] = records


def _write_responses(file: h5py.File, key: str, records: NDArray[Any]) -> None:
    names = {"values_block_0": ["AUC"], "Sample": ["Sample"], "Drug1": ["Drug1"]}
    _make_table(file, key, records.dtype, len(records), names)[:] = records


def _make_table(
    file: h5py.File, key: str, dtype: np.dtype[Any], rows: int, names: Mapping[str, Sequence[str]]
) -> h5py.Dataset:
    """Create an empty table with the attributes that pandas expects (format 'table', 0.15.2)."""
    group = file.create_group(key)
    axes = [name for columns in names.values() for name in columns]
    own = [field for field in names if not field.startswith("values_block")]
    listed = _pickled(axes).removesuffix(".").replace("p0", "p9000")
    attributes = {
        "CLASS": "GROUP",
        "TITLE": "",
        "VERSION": "1.0",
        "pandas_type": "frame_table",
        "pandas_version": "0.15.2",
        "table_type": "appendable_frame",
        "encoding": "UTF-8",
        "errors": "strict",
        "nan_rep": "nan",
        "index_cols": "(lp0\n(I0\nVindex\np1\ntp2\na.",
        "values_cols": _pickled(list(names)),
        "data_columns": _pickled(own),
        "non_index_axes": f"(lp0\n(I1\n{listed}ta.",
        "info": "(dp0\n.",
    }
    _describe(group, attributes)
    group.attrs["levels"] = 1
    chunk = max(1, min(rows, CHUNK_BYTES // dtype.itemsize))
    data = group.create_dataset(
        "table", (rows,), dtype, chunks=(chunk,), maxshape=(None,), track_times=False
    )
    _describe(data, {"CLASS": "TABLE", "TITLE": "", "VERSION": "2.7", "index_kind": "integer"})
    data.attrs["NROWS"] = np.int64(rows)
    for number, field in enumerate(dtype.names or ()):
        _describe(data, {f"FIELD_{number}_NAME": field})
        if field in names:
            base = dtype[field].base
            kind = "string" if base.kind == "S" else base.name
            pickled = {f"{field}_kind": _pickled(names[field]), f"{field}_meta": "N."}
            _describe(data, {f"{field}_dtype": kind, **pickled})
    return data


def _describe(place: h5py.Group | h5py.Dataset, attributes: Mapping[str, str]) -> None:
    """Write attributes as PyTables does: text as UTF-8, pickles (they end in `.`) as bytes."""
    for name, text in attributes.items():
        if text.endswith("."):
            place.attrs[name] = np.bytes_(text)
        elif text:
            place.attrs.create(name, text.encode(), dtype=h5py.string_dtype("utf-8", len(text)))
        else:
            place.attrs[name] = h5py.Empty("S1")


def _pickled(names: Sequence[str]) -> str:
    """Return a list of texts as a pickle of protocol 0, as PyTables stores it in an attribute.

    A repeated name is a reference to the first. So 5,270 blank names fit into an attribute, which
    HDF5 limits to 64 KiB.
    """
    places: dict[str, int] = {}
    text = "(lp0\n"
    for name in names:
        if name in places:
            text += f"g{places[name]}\na"
        else:
            places[name] = len(places) + 1
            text += f"V{name}\np{places[name]}\na"
    return f"{text}."
