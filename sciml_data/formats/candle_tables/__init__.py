"""CANDLE's tables of drug responses: single drugs, ALMANAC's pairs, features of cells and drugs.

Which file is which table stands in `native.tables` of the descriptor, and all sources in
`native.sources`. Ready files: `cells.nc`; `drugs-00000.nc` and on, each of so many drugs; and
`responses-single-00000.nc` and `responses-paired-00000.nc` and on. A file of responses is made of a
part of one table and of the id columns of the feature tables, so memory is bounded, and a
conversion that was cut goes on with the parts that lack. `open_dataset` opens all as one.

Malformed rows are left out, counted and named; with `strict` they stop the conversion. Options: see
`options.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.candle_tables.options import Options
from sciml_data.formats.candle_tables.views import responding_drugs
from sciml_data.formats.interface import Native, Shard
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

VIEWS: Mapping[str, Callable[..., xr.Dataset]] = MappingProxyType(
    {"responding_drugs": responding_drugs}
)
RESPONSE_TABLES = ("single", "paired")
SPLIT = "dose"


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files: tables of cells and drugs, and parts of the responses.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: tables lack, or do not fit together.
    """
    from sciml_data.formats.candle_tables.entities import drugs
    from sciml_data.formats.candle_tables.features import DRUGS_EACH, require_same_columns

    chosen = parse_options(Options, options)
    tables = native.block["tables"]
    _require_tables(native)
    require_same_columns(native)
    of_drugs = _drug_tables(native)
    made = [Shard("cells.nc", SPLIT, (tables["expression"],))]
    count = -(-len(drugs(native)) // DRUGS_EACH)
    made += [Shard(f"drugs-{number:05d}.nc", SPLIT, of_drugs) for number in range(count)]
    for kind in RESPONSE_TABLES:
        if tables[kind] not in native.paths:
            continue
        inputs = {tables[kind], tables["expression"], *of_drugs}
        inputs |= {tables["cell_names"]} if kind == "paired" else set()
        count = -(-(native.root / tables[kind]).stat().st_size // chosen.bytes_each)
        made += [
            Shard(f"responses-{kind}-{number:05d}.nc", SPLIT, tuple(sorted(inputs)))
            for number in range(count)
        ]
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one ready file's content.

    Raises:
        NativeFormatError: a table lacks columns; with `strict`, `.problems` has every row that is
            malformed.
    """
    from sciml_data.formats.candle_tables import ready

    chosen = parse_options(Options, options)
    kind, *numbers = shard.name.removesuffix(".nc").split("-")
    if kind == "cells":
        dataset, problems = ready.cells(native)
    elif kind == "drugs":
        dataset, problems = ready.drugs_part(native, int(numbers[0]))
    else:
        first = int(numbers[1]) * chosen.bytes_each
        extent = (first, first + chosen.bytes_each)
        dataset, problems = ready.responses(native, numbers[0], extent)
    if problems and chosen.strict:
        raise NativeFormatError(
            f"{len(problems)} rows are malformed",
            problems=problems,
            untouched=f"{shard.name} was not made",
            hint="without strict they are left out and counted",
        )
    return dataset


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
    problems = [
        Problem("missing", path, "is not among the native files")
        for path in sorted(wanted - set(native.paths))
    ]
    if not responses:
        names = " and ".join(tables[kind] for kind in RESPONSE_TABLES)
        problems.append(Problem("missing", names, "neither is among the native files"))
    if problems:
        raise NativeFormatError(
            "responses are converted with the tables of cells and drugs that they point into",
            problems=problems,
            untouched="nothing was converted",
            hint="one table of responses is enough; of the others all are needed",
        )
