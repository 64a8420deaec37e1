"""CANDLE's tables of drug responses: single drugs, ALMANAC's pairs, features of cells and drugs.

`native.tables` of the descriptor says which file is which table, and `native.sources` has all
sources. Ready files: `cells.nc`; `drugs-00000.nc` and so on, each with a part of the drugs; and
`responses-single-00000.nc` and `responses-paired-00000.nc` and so on. A file of responses is made
of a part of one table and of the id columns of the feature tables. So memory is bounded, and an
interrupted conversion resumes with the missing parts. `open_dataset` opens all files as one.

Malformed rows are left out, counted and named; with `strict` they stop the conversion.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.candle_tables.entities import (
    cell_ids,
    cell_names,
    count_without_fingerprints,
    list_drugs,
    read_cells,
    read_drugs,
    require_same_columns,
)
from sciml_data.formats.candle_tables.responses import PAIRED, SINGLE, Part, read_part, study_of
from sciml_data.formats.candle_tables.text_tables import row_index
from sciml_data.formats.drug_response import (
    Counts,
    Entities,
    cells_dataset,
    drugs_dataset,
    join,
    responses_dataset,
)
from sciml_data.formats.interface import (
    MAX_IN_NOTICE,
    Native,
    Shard,
    add_notices,
    missing_files,
    named,
    notice,
    stop_if_strict,
)
from sciml_data.progress import counted
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

RESPONSE_TABLES = ("single", "paired")
SPLIT = "dose"
SHARD_BYTES = 64 * 2**20  # about 1.2 million rows of single drugs, which are made in seconds
DRUGS_PER_SHARD = 4096  # 86 MB of descriptors
# Of the reference's choice of drugs, which `responding_drugs` repeats.
MIN_MEDIAN_GROWTH, MAX_MEDIAN_GROWTH = -1.0, 1.0
MAX_LOWEST_GROWTH, MIN_HIGHEST_GROWTH = 1.0, -1.0


@dataclass(frozen=True)
class Options:
    """Options of the conversion of tables."""

    strict: bool = option(False, "a malformed row stops the conversion; else it is left out")
    shard_bytes: int = option(
        0, "native bytes for each file of responses; 0 takes 64 MiB", minimum=0
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files: tables of cells and drugs, and parts of the responses.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: tables are missing, or have different columns.
    """
    chosen = parse_options(Options, options)
    tables = native.block["tables"]
    _require_tables(native)
    require_same_columns(native)
    of_drugs = _drug_tables(native)
    made = [Shard("cells.nc", SPLIT, (tables["expression"],))]
    count = -(-len(list_drugs(native)) // DRUGS_PER_SHARD)
    made += [Shard(f"drugs-{number:05d}.nc", SPLIT, of_drugs) for number in range(count)]
    for kind in RESPONSE_TABLES:
        if tables[kind] not in native.paths:
            continue
        inputs = {tables[kind], tables["expression"], *of_drugs}
        inputs |= {tables["cell_names"]} if kind == "paired" else set()
        count = -(-(native.root / tables[kind]).stat().st_size // _shard_bytes(chosen))
        made += [
            Shard(f"responses-{kind}-{number:05d}.nc", SPLIT, tuple(sorted(inputs)))
            for number in range(count)
        ]
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the content of one ready file, with attributes and encoding.

    Raises:
        NativeFormatError: a table lacks columns; with `strict`, `.problems` has every malformed
            row.
    """
    chosen = parse_options(Options, options)
    kind, *numbers = shard.name.removesuffix(".nc").split("-")
    if kind == "cells":
        dataset, problems = _cells(native)
    elif kind == "drugs":
        dataset, problems = _drugs(native, int(numbers[0]))
    else:
        first = int(numbers[1]) * _shard_bytes(chosen)
        byte_range = (first, first + _shard_bytes(chosen))
        dataset, problems = _responses(native, numbers[0], byte_range)
    stop_if_strict(
        problems,
        strict=chosen.strict,
        wrong=f"malformed: {counted(len(problems), 'row')}",
        untouched=f"{shard.name} was not made",
    )
    return dataset


def responding_drugs(dataset: xr.Dataset) -> xr.Dataset:
    """Return the responses whose first drug the reference would keep.

    For each drug and cell line, lowest, highest and median growth are taken, and averaged over the
    cell lines. Drugs with lowest <= 1, highest >= -1 and -1 <= median <= 1 are kept. This drops
    inert compounds, and chooses them by the very response that is to be predicted: scores on the
    rest are not those on all drugs. The reference includes rows without features, too, so its
    choice differs a little.
    """
    drug = dataset["drug1_index"].to_numpy()
    frame = pd.DataFrame({"drug": drug, "cell": dataset["cell_index"], "growth": dataset["growth"]})
    grouped = frame.groupby(["drug", "cell"], sort=False)["growth"]
    of_pairs = grouped.agg(["min", "max", "median"])
    of_drugs = of_pairs.groupby(level="drug").mean()
    responding = of_drugs.index[
        (of_drugs["min"] <= MAX_LOWEST_GROWTH)
        & (of_drugs["max"] >= MIN_HIGHEST_GROWTH)
        & of_drugs["median"].between(MIN_MEDIAN_GROWTH, MAX_MEDIAN_GROWTH)
    ]
    chosen = dataset.isel(response=np.flatnonzero(np.isin(drug, responding)))
    chosen.attrs["rows_dropped_by_view"] = int(dataset.sizes["response"] - chosen.sizes["response"])
    chosen.attrs["view"] = "responding_drugs: drugs chosen by their own response, which biases"
    return chosen


VIEWS: Mapping[str, Callable[..., xr.Dataset]] = MappingProxyType(
    {"responding_drugs": responding_drugs}
)


def _shard_bytes(options: Options) -> int:
    return options.shard_bytes or SHARD_BYTES


def _drug_tables(native: Native) -> tuple[str, ...]:
    tables = native.block["tables"]
    prints = [path for pair in tables["fingerprints"] for path in pair]
    return tuple(sorted([tables["drug_info"], *tables["descriptors"], *prints]))


def _require_tables(native: Native) -> None:
    tables = native.block["tables"]
    wanted = {tables["expression"], *_drug_tables(native)}
    responses = {tables[kind] for kind in RESPONSE_TABLES} & set(native.paths)
    if tables["paired"] in responses:
        wanted.add(tables["cell_names"])
    problems = missing_files(native, wanted)
    if not responses:
        names = " and ".join(tables[kind] for kind in RESPONSE_TABLES)
        problems.append(Problem("missing", names, "neither is among the native files"))
    if problems:
        raise NativeFormatError(
            "tables of cells and drugs are missing, into which responses point",
            problems=problems,
            untouched="nothing was converted",
            hint="one table of responses is enough; all other tables are needed",
        )


def _cells(native: Native) -> tuple[xr.Dataset, list[Problem]]:
    """Return the table of cell lines, and its malformed rows."""
    table, problems = read_cells(native)
    dataset = cells_dataset(table)
    dataset["expression"].attrs["long_name"] = "gene expression, scaled for each source upstream"
    path = native.block["tables"]["expression"]
    lines = [*notice(problems, "malformed"), *_missing(table, "cell"), *_repeated(native, [path])]
    add_notices(dataset, lines)
    return dataset, problems


def _drugs(native: Native, number: int) -> tuple[xr.Dataset, list[Problem]]:
    """Return a part of the table of drugs, by its number, and its malformed rows."""
    first = number * DRUGS_PER_SHARD
    table, problems = read_drugs(native, list_drugs(native)[first : first + DRUGS_PER_SHARD])
    dataset = drugs_dataset(table)
    dataset.attrs["shard_dimension"] = "drug"
    lines = [*notice(problems, "malformed"), *_missing(table, "drug")]
    if number == 0:
        tables = native.block["tables"]
        prints = [path for pair in tables["fingerprints"] for path in pair]
        lines += _repeated(native, [*tables["descriptors"], *prints])
        if count := count_without_fingerprints(native):
            lines.append(f"{count} drugs with descriptors have no fingerprints and are left out")
    add_notices(dataset, lines)
    return dataset, problems


def _responses(
    native: Native, kind: str, byte_range: tuple[int, int]
) -> tuple[xr.Dataset, list[Problem]]:
    """Return the responses of a part of a table, and its malformed rows.

    Args:
        native: the tables.
        kind: "single" or "paired".
        byte_range: offsets of the part's first byte and of the byte behind its last one.
    """
    path = native.root / native.block["tables"][kind]
    part = read_part(
        path,
        PAIRED if kind == "paired" else SINGLE,
        byte_range,
        sources=native.block["sources"],
        cell_names=cell_names(native) if kind == "paired" else {},
    )
    joined, counts = join(
        part.rows,
        Entities(cell_ids(native), ()),
        Entities(tuple(drug.id for drug in list_drugs(native)), ()),
        sources=native.block["sources"],
        studies=sorted({study_of(source) for source in native.block["sources"]}),
    )
    problems = [
        Problem("malformed", f"{path.name}:{row.line}", row.wrong) for row in part.malformed
    ]
    dataset = responses_dataset(joined, counts)
    dataset.attrs |= {
        "rows_malformed": len(problems),
        "rows_not_valid": part.not_valid,
        "rows_other_units": json.dumps(dict(part.other_units)),
    }
    if problems:
        dataset.attrs["malformed_rows"] = named(problems)
    lines = [*notice(problems, "malformed"), *counts.empty_sources()]
    add_notices(dataset, [*lines, *_unknown(counts), *_units(part)])
    return dataset, problems


def _repeated(native: Native, paths: Sequence[str]) -> Iterable[str]:
    for path in paths:
        if names := row_index(native.root / path).repeated:
            yield f"{path}: {len(names)} ids come again, the first row counts: {names[0]}"


def _missing(table: Entities, kind: str) -> Iterable[str]:
    """Yield a line about missing features, which names the entities without any feature."""
    if table.features is None:
        return
    is_missing = np.isnan(table.features.values)
    if not is_missing.any():
        return
    count = int(is_missing.any(axis=1).sum())
    text = f"{int(is_missing.sum())} features of {count} of {len(table.ids)} {kind}s are missing"
    if bare := [table.ids[row] for row in np.flatnonzero(is_missing.all(axis=1))]:
        text += f", all of them in {_some(bare)}"
    yield f"{text}: they stay NaN"


def _unknown(counts: Counts) -> Iterable[str]:
    """Yield a line about ids of this part of the table that have no features."""
    for kind, ids in counts.unknown.items():
        yield f"{len(ids)} {kind}s have no features, their rows are left out: {_some(ids)}"


def _some(ids: Sequence[str]) -> str:
    more = len(ids) - MAX_IN_NOTICE
    return ", ".join(ids[:MAX_IN_NOTICE]) + (f" and {more} more" if more > 0 else "")


def _units(part: Part) -> Iterable[str]:
    if part.other_units:
        units = ", ".join(f"{unit!r} {count}" for unit, count in part.other_units.items())
        yield f"rows whose concentration is not in mol/L, kept as the reference keeps them: {units}"
