"""croissant.json of a Parquet export: its files by hash, and records that mlcroissant iterates.

The description is that of the dataset (`metadata/croissant.py`). The files are those of the export,
by addresses relative to croissant.json, and each file is a record set. A synthetic sample has
neither the place, time and instruments of the real data nor what is known of their use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from sciml_data.integrations.parquet.plan import Config
from sciml_data.metadata import Facts
from sciml_data.metadata.coverage import Coverage, ResponsibleUse
from sciml_data.metadata.croissant import to_croissant

MEDIA_TYPE = "application/x-parquet"  # as mlcroissant names it
OF_NATIVE_FILES = ("distribution", "recordSet", "isLiveDataset")


def write_croissant(
    facts: Facts,
    configs: Sequence[Config],
    files: Mapping[str, Mapping[str, Any]],
    *,
    is_synthetic: bool,
) -> dict[str, Any]:
    """Return the document of an export.

    Args:
        facts: about the dataset.
        configs: what was written.
        files: size and sha256 of each Parquet file by its path.
        is_synthetic: whether the data are a synthetic sample.
    """
    if is_synthetic:
        facts = replace(
            facts,
            title=f"SYNTHETIC sample of: {facts.title}",
            description=f"A synthetic sample, made by a program. {facts.description}",
            coverage=Coverage(),
            responsible_use=ResponsibleUse(),
        )
    document = {
        key: value for key, value in to_croissant(facts).items() if key not in OF_NATIVE_FILES
    }
    return document | {
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path,
                "contentUrl": path,
                "contentSize": f"{known['bytes']} B",
                "encodingFormat": MEDIA_TYPE,
                "sha256": known["sha256"],
            }
            for path, known in files.items()
        ],
        "recordSet": [record for config in configs for record in _records(config)],
    }


def _records(config: Config) -> Iterator[dict[str, Any]]:
    """Yield a record set for each file; a split of one file has the name of the split."""
    for split, shards in config.splits.items():
        for number, shard in enumerate(shards):
            name = f"{config.name}/{split}" + (f"/{number}" if len(shards) > 1 else "")
            yield {
                "@type": "cr:RecordSet",
                "@id": name,
                "name": name,
                "description": f"Rows {shard.start} to {shard.stop - 1} of {config.name}, {split}",
                "field": [_field(name, shard.path, field) for field in config.schema],
            }


def _field(record: str, path: str, column: pa.Field) -> dict[str, Any]:
    known = {key.decode(): value.decode() for key, value in (column.metadata or {}).items()}
    kind, shape = column.type, []
    while pa.types.is_fixed_size_list(kind):
        shape.append(str(kind.list_size))
        kind = kind.value_type
    node = {
        "@type": "cr:Field",
        "@id": f"{record}/{column.name}",
        "name": f"{record}/{column.name}",
        "description": known.get("description", column.name),
        "dataType": _data_type(kind),
        "source": {"fileObject": {"@id": path}, "extract": {"column": column.name}},
    }
    return node | ({"isArray": True, "arrayShape": ",".join(shape)} if shape else {})


def _data_type(kind: pa.DataType) -> str:
    tests = {
        "sc:Boolean": pa.types.is_boolean,
        "sc:Integer": pa.types.is_integer,
        "sc:Float": pa.types.is_floating,
        "sc:DateTime": pa.types.is_timestamp,
    }
    return next((name for name, test in tests.items() if test(kind)), "sc:Text")
