"""Tables as data: what a template draws, and a script may sort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

Text = str | Markup  # Markup is HTML; a str is escaped by the template


@dataclass(frozen=True)
class Column:
    """A column's title, and whether numbers stand in it."""

    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Cell:
    """What is shown, and what it is sorted by where that is not its text."""

    shown: Text
    key: float | str | None = None
    mark: str = ""  # class of the cell: "best", "quiet"


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of a row names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_sortable: bool = False


Columns = list[Column | str]  # a plain text is the title of a column of words
Rows = list[list[Cell | Text]]  # a plain text is a cell


def made_html(text: str) -> Markup:
    """Return HTML that the engine made of escaped texts, for a template to let through."""
    return Markup(text)  # noqa: S704 - only for what `fair` and `board` return


def table(
    caption: str,
    columns: Sequence[Column | str],
    rows: Sequence[Sequence[Cell | Text]],
    *,
    is_sortable: bool = False,
) -> Table:
    """Return a table; plain texts become columns and cells."""
    return Table(
        caption,
        tuple(one if isinstance(one, Column) else Column(one) for one in columns),
        tuple(
            tuple(one if isinstance(one, Cell) else Cell(one) for one in cells) for cells in rows
        ),
        is_sortable,
    )
