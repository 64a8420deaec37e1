"""The files of an export: for each table a configuration, for each split shards of bounded size.

A configuration is what Hugging Face calls a set of files with the same columns: the name of the
table. Where a table has other columns in another split, the split is part of the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sciml_data.integrations.parquet.tables import Table, tables_of
from sciml_data.ready import open_ready, shards_of_split
from sciml_data.registry.stages import Converted


@dataclass(frozen=True)
class Shard:
    """A file of the export.

    Attributes:
        path: under the folder of the export.
        table: its table.
        schema: types of the columns.
        start: first row.
        stop: row after the last one.
    """

    path: str
    table: Table
    schema: pa.Schema
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the rows in memory."""
        return self.table.row_bytes * (self.stop - self.start)


@dataclass(frozen=True)
class Config:
    """Files with the same columns.

    Attributes:
        name: folder of the files.
        schema: types of the columns.
        splits: shards of each split.
    """

    name: str
    schema: pa.Schema
    splits: Mapping[str, tuple[Shard, ...]]

    def rows(self, split: str) -> int:
        """Return the number of rows of a split."""
        return sum(shard.stop - shard.start for shard in self.splits[split])


def plan_configs(converted: Converted, *, shard_bytes: int) -> list[Config]:
    """Return the configurations of a converted dataset; values are not read.

    Args:
        converted: dataset.
        shard_bytes: largest size of the rows of a file in memory; at least one row is in a file.
    """
    by_table: dict[str, dict[str, Table]] = {}
    for split in shards_of_split(converted):
        dataset = open_ready(converted, split=split)
        for name, table in tables_of(dataset, converted.descriptor.variables).items():
            by_table.setdefault(name, {})[split] = table
    return [
        _config(name, tables, converted, shard_bytes)
        for table, of_splits in by_table.items()
        for name, tables in _same_columns(table, of_splits)
    ]


def _same_columns(name: str, tables: Mapping[str, Table]) -> Iterator[tuple[str, dict[str, Table]]]:
    """Yield the names of configurations with the tables of their splits."""
    schemas = [table.schema({}) for table in tables.values()]
    if all(schema.equals(schemas[0]) for schema in schemas):
        yield name, dict(tables)
    else:
        yield from ((f"{name}_{split}", {split: table}) for split, table in tables.items())


def _config(
    name: str, tables: Mapping[str, Table], converted: Converted, shard_bytes: int
) -> Config:
    splits = {}
    for split, table in tables.items():
        schema = table.schema({"split": split, "table": table.name, **about(converted)})
        key = split_name(split)
        splits[key] = tuple(_shards(f"{name}/{key}", table, schema, shard_bytes))
    return Config(name, next(iter(splits.values()))[0].schema, splits)


def split_name(split: str) -> str:
    """Return a name that Hugging Face allows: of letters, and not its keyword `all`."""
    return "full" if split.lower() == "all" else re.sub(r"\W", "_", split)


def _shards(start: str, table: Table, schema: pa.Schema, shard_bytes: int) -> Iterator[Shard]:
    step = max(1, shard_bytes // max(1, table.row_bytes))
    count = -(-table.rows // step)
    for number in range(count):
        first = number * step
        yield Shard(
            f"{start}-{number:05d}-of-{count:05d}.parquet",
            table,
            schema,
            first,
            min(first + step, table.rows),
        )


def about(converted: Converted) -> dict[str, Any]:
    """Return what identifies the data of an export."""
    return {
        "dataset": converted.descriptor.dataset,
        "version": converted.descriptor.version,
        "synthetic": converted.is_synthetic,
        "sample_seed": converted.sample_seed,
        "native_manifest_digest": converted.native_digest,
        "options": dict(converted.options),
    }
