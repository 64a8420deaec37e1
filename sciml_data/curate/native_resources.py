"""Declare the CSV files of a dataset as resources of its Data Package, with their Table Schema.

Frictionless then checks the published data, and not only the descriptor: it reads each file from
the first mirror that serves it by HTTP, and compares size, hash, header and every row.

    frictionless validate datapackages/my_dataset/1.0/datapackage.json

The entries follow from the native block, the manifest and the mirrors, so `derive` writes them.
Compressed files have none: a resource needs size and hash, and Frictionless 5.21 compares those of
a compressed file with nothing ("actual is None").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sciml_data.registry.descriptor import Mirror
from sciml_data.registry.manifest import Entry, Manifest, match_paths

PREFIX = "native-"  # of the names of derived resources
MAX_RESOURCES = 100  # each repeats the schema; of more files only the first ones are declared


def with_native_resources(
    document: Mapping[str, Any], manifest: Manifest | None
) -> list[dict[str, Any]]:
    """Return the resources of a descriptor, those of native tables up to date.

    Args:
        document: the descriptor.
        manifest: of the native files; None if nobody has pinned them.
    """
    kept = [each for each in document["resources"] if not each["name"].startswith(PREFIX)]
    block = document["sciml"]
    is_plain = block["native"].get("reader") == "csv_table" and "compression" not in block["native"]
    if not is_plain or manifest is None:
        return kept
    left = set(match_paths(block["native"].get("left_native", {}), manifest.by_path))
    entries = [entry for entry in manifest if entry.path not in left]
    mirrors = [Mirror(**mirror) for mirror in block.get("mirrors", ())]
    made = [
        _resource(entry, url, block["native"])
        for entry in entries
        if entry.hash.startswith("sha256:") and (url := _address(entry.path, mirrors))
    ]
    return [*kept, *made[:MAX_RESOURCES]]


def _address(path: str, mirrors: Sequence[Mirror]) -> str | None:
    urls = (mirror.url(path) for mirror in mirrors)
    return next((url for url in urls if url and url.startswith(("http:", "https:"))), None)


def _resource(entry: Entry, url: str, native: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": PREFIX + re.sub(r"[^a-z0-9._-]+", "-", entry.path.lower()),
        "path": url,
        "title": f"Native file {entry.path}",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": native.get("encoding", "utf-8"),
        "bytes": entry.size_bytes,
        "hash": entry.hash,
        "type": "table",
        **({"dialect": native["dialect"]} if "dialect" in native else {}),
        "schema": native["schema"],
    }
