"""Tables as data, which templates render and a script can sort; and values formatted as text."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

NOT_KNOWN = "not known"
NONE = "-"
SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB")
Text = str | Markup  # Markup is HTML; a str is escaped by the template


@dataclass(frozen=True)
class Column:
    """A column's title, and whether its cells are numbers."""

    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what is shown.
        key: what the cell is sorted by, if that is not its text.
        mark: CSS class of the cell, such as "best".
    """

    text: Text
    key: float | str | None = None
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of a row names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_sortable: bool = False


Columns = list[Column | str]  # a plain text is the title of a column of words
Rows = list[list[Cell | Text]]  # a plain text is a cell


def make_table(
    caption: str,
    columns: Sequence[Column | str],
    rows: Sequence[Sequence[Cell | Text]],
    *,
    is_sortable: bool = False,
) -> Table:
    """Return a table.

    Args:
        caption: caption of the table.
        columns: the columns; a plain text becomes a column of words.
        rows: a list of cells for each row; a plain text becomes a cell.
        is_sortable: let the site's script sort the table.
    """
    return Table(
        caption,
        tuple(column if isinstance(column, Column) else Column(column) for column in columns),
        tuple(
            tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)
            for cells in rows
        ),
        is_sortable,
    )


def format_score(value: float | None) -> str:
    """Return a score as `sciml-data show` prints it, and a dash for None."""
    if value is None:
        return NONE
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def format_size(value: float) -> str:
    """Return a number of bytes in the unit that leaves one to three digits before the point."""
    unit = 0
    while value >= 1000 and unit < len(SIZE_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.3g} {SIZE_UNITS[unit]}" if value < 1000 else f"{value:,.0f} {SIZE_UNITS[unit]}"


def format_seconds(value: float | None) -> str:
    """Return a duration in s, min or h."""
    if value is None:
        return NOT_KNOWN
    if value < 120:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def format_day(text: str) -> str:
    """Return the date of an ISO time."""
    return text[:10]


def format_time(epoch_ms: int) -> str:
    """Return milliseconds since 1970 as a time in UTC."""
    time = datetime.datetime.fromtimestamp(epoch_ms / 1000, datetime.UTC)
    return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03} UTC"


def format_field(name: str, value: Any) -> str:
    """Return a field of a record as text; the ending of its name tells the unit."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _format_number(name, value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {format_field(key, v)}" for key, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(format_field(name, item) for item in value) or "none"
    return str(value)


def _format_number(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return f"{format_size(value)} ({value:,})" if value >= 1000 else f"{value:,} bytes"
    if name.endswith("_ms"):
        return format_time(int(value))
    if name.endswith("_s") and not name.endswith("_per_s"):
        return format_seconds(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}"
