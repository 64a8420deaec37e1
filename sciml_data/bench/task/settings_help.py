"""The table of a benchmark's settings, for `sciml-data run BENCHMARK --help-settings`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sciml_data.bench.task.settings import declarations, overrides_of
from sciml_data.bench.task.task import Task
from sciml_data.registry.options import value_schema
from sciml_data.registry.schema import expected

HEADINGS = ("setting", "default", "allowed", "unit")
MIN_WIDTH = 60  # characters of a line; narrower terminals wrap it themselves
MAX_WIDTH = 120
INDENT = "    "


def setting_rows(task: Task) -> list[dict[str, Any]]:
    """Return a row for each setting: name, default, allowed values, unit, help and overrides.

    Args:
        task: the task; if it has variants, as `choose_variant` returns it.
    """
    return [
        {
            "setting": name,
            "default": each.default,
            "allowed": "" if each.example is None else expected(value_schema(each)),
            "unit": each.unit,
            "help": each.help,
            "overrides": overrides_of(task, name),
        }
        for name, each in sorted(declarations(task).items())
    ]


def settings_help(task: Task) -> str:
    """Return the settings of a task as text: a line for each, its help and overrides below it."""
    rows = setting_rows(task)
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    variant = f" --variant {task.variant}" if task.variant else ""
    command = f"sciml-data run {task.name}{variant} --set SETTING=VALUE"
    lines = [f"`{command}` changes a setting.", ""]
    for line, row in zip(cells, [None, *rows], strict=True):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
        lines += _below(row) if row else []
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    default = "-" if row["default"] is None else _as_typed(row["default"])
    return (row["setting"], default, row["allowed"], row["unit"])


def _below(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the help of a setting, and its values for models, splits, datasets and the sample."""
    width = max(MIN_WIDTH, min(shutil.get_terminal_size().columns, MAX_WIDTH))
    overrides = (f"{place}: {_as_typed(value)}" for place, value in row["overrides"].items())
    for text in (row["help"], "; ".join(overrides)):
        yield from textwrap.wrap(
            text, width, initial_indent=INDENT, subsequent_indent=INDENT, break_long_words=False
        )


def _as_typed(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_as_typed, value)) if isinstance(value, list) else str(value)
