"""A board as Markdown, CSV and JSON. HTML is in `html_form`.

All are functions of the rows alone: the same rows give the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sciml_data.results.board.cells import markdown_table
from sciml_data.results.board.columns import tables
from sciml_data.results.board.measured import Energy
from sciml_data.results.board.row import (
    BaselineOf,
    CostsOf,
    DataOf,
    MadeBy,
    MetricOf,
    PublishedAs,
    Row,
    ScoreOf,
    TargetOf,
)
from sciml_data.results.board.schemas import BOARD_SCHEMA, from_text, to_text

SCHEMA_VERSION = "1.0"
EMPTY = "No run and no published figure to show."
# A spreadsheet takes a text that begins so as a formula; some texts were sent in by others.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
PARTS = {
    "data": DataOf,
    "metric": MetricOf,
    "score": ScoreOf,
    "baseline": BaselineOf,
    "published": PublishedAs,
}


def to_markdown(rows: Iterable[Row]) -> str:
    """Return a board as Markdown: for each benchmark measured, published, synthetic."""
    blocks = ["# Board"]
    for name, found in tables(rows):
        blocks.append(f"## {name}")
        for table in found:
            blocks.append(f"### {table.title.partition(': ')[2].capitalize()}")
            blocks += [f"**{table.told}**"] if table.told else []
            cells = [[column.text(row) for column in table.columns] for row in table.rows]
            titles = [column.title for column in table.columns]
            blocks.append(markdown_table(titles, cells))
    if len(blocks) == 1:
        blocks.append(EMPTY)
    return "\n\n".join(blocks) + "\n"


def to_json(rows: Iterable[Row]) -> str:
    """Return a board as JSON that keeps to `board.schema.json`.

    Raises:
        RecordError: it would not; nobody should ever see that.
    """
    document = {"schema_version": SCHEMA_VERSION, "rows": [asdict(row) for row in rows]}
    return to_text(document, BOARD_SCHEMA)


def from_json(text: str) -> list[Row]:
    """Return the rows of a board that was written by `to_json`.

    Raises:
        RecordError: it is no such board; `.problems` has every place.
    """
    return [_row(block) for block in from_text(text, BOARD_SCHEMA)["rows"]]


def to_csv(rows: Iterable[Row]) -> str:
    """Return a board as CSV: a column for each field of the JSON, by its dotted name.

    Nothing is an empty cell, yes and no are true and false, lists are JSON. A text that a
    spreadsheet would take for a formula has an apostrophe before it.
    """
    lines = [dict(_flat(asdict(row))) for row in rows]
    titles = list(dict.fromkeys(title for line in lines for title in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, titles, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _flat(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in block.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _csv_cell(value)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _row(block: Mapping[str, Any]) -> Row:
    """Return a row from its JSON."""
    parts = {name: _part(kind, block[name]) for name, kind in PARTS.items()}
    costs, made_by = block["costs"], block["made_by"]
    return Row(
        **{
            **block,
            **parts,
            "targets": tuple(_part(TargetOf, one) for one in block["targets"]),
            "costs": CostsOf(**{**costs, "energy": Energy(**costs["energy"])}),
            "made_by": _part(MadeBy, made_by),
            "remarks": tuple(block["remarks"]),
        }
    )


def _part(kind: Any, block: Mapping[str, Any] | None) -> Any:
    """Return a part of a row; its lists are tuples."""
    if block is None:
        return None
    return kind(**{name: _tuple(value) for name, value in block.items()})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
