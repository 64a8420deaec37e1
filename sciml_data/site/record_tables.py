"""A record as tables: every field with its value, and what the schema says it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.record import SCHEMA_PATH
from sciml_data.site import words
from sciml_data.site.tables import Cell, Table, table

# Groups of the record that are shown as they are; what has tables of its own is not among them.
GROUPS = (
    "benchmark", "dataset", "split", "model", "code", "seeds", "software", "hardware",
    "distribution", "timing", "throughput", "resources", "monitor", "energy",
)  # fmt: skip
COLUMNS = ("field", "value", "what it is")


@dataclass(frozen=True)
class Group:
    """A group of fields under a heading of its own."""

    name: str
    what: str
    table: Table | None


def groups(record: Mapping[str, Any]) -> Iterator[Group]:
    """Yield the groups of a record; one that is null has no table."""
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))["properties"]
    for name in GROUPS:
        if name not in record:
            continue
        known, block = schema.get(name, {}), record[name]
        what = known.get("description", "")
        rows = [] if block is None else list(_rows(block, known.get("properties", {})))
        yield Group(name, what, table(f"Record: {name}", COLUMNS, rows) if rows else None)


def settings(record: Mapping[str, Any]) -> Table:
    """Return every setting, and whether the caller changed it."""
    changed = record["settings_overridden"]
    rows = [
        [name, words.value(name, found), "changed by the caller" if name in changed else ""]
        for name, found in record["settings"].items()
    ]
    return table("Settings", ["setting", "value", "remark"], rows)


def timeline(record: Mapping[str, Any]) -> Table | None:
    """Return the moments of the run; None in a record without."""
    rows = [
        [one["key"], words.moment(one["time_ms"]), words.value("", one["metadata"])]
        for one in record.get("timeline", ())
    ]
    return table("Timeline", ["moment", "time", "with"], rows) if rows else None


def outputs(record: Mapping[str, Any]) -> Table:
    """Return the files that lie beside the record, by their digests."""
    rows = [
        [
            one["path"],
            words.size(one["size_bytes"]),
            one["format"],
            Cell(one["sha256"], mark="hash"),
        ]
        for one in record["outputs"].values()
    ]
    return table("Files beside the record", ["file", "size", "format", "sha256"], rows)


def checks(record: Mapping[str, Any]) -> Table | None:
    """Return who checked what; None where nobody did."""
    rows = [
        [one["name"], "passed" if one["ok"] else "failed", one["message"]]
        for one in record["verification"]["checks"]
    ]
    return table("Checks", ["check", "outcome", "message"], rows) if rows else None


def facts(record: Mapping[str, Any]) -> str:
    """Return what the runner reports of the data, as indented JSON."""
    return json.dumps(record["facts"], indent=1, ensure_ascii=False)


def _rows(block: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Sequence[Cell | str]]:
    for name, found in block.items():
        what = known.get(name, {}).get("description", "")
        shown = words.value(name, found)
        is_hash = name.endswith(("digest", "commit")) and found is not None
        yield [name, Cell(shown, mark="hash" if is_hash else ""), what]
