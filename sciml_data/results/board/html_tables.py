"""A board's tables for HTML: few columns that fit a screen, and facts that all rows share below.

A table of measured scores has the score, the best baseline and the verdict beside each model.
Columns that have the same text in all rows become facts below the table. Scores of others become
compact tables: a row for each model, a column for each measure, and facts on data and source once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sciml_data.bench.scoring.metrics import MISSING
from sciml_data.results.board.rows import PUBLISHED, Row
from sciml_data.results.board.table import Column, Table

MODEL, RUNS = "Model", "Runs"
UNDER_MODEL = ("Metric", "Split, part")  # below the name of the model
LEAD = ("Median ± std", "Best baseline", "Beats it", "95 % interval", "Rank")  # beside it
MEASURE, VALUE, REPORTED = "Measure", "Value", "Reported"  # of scores of others


@dataclass(frozen=True)
class HtmlCell:
    """A cell.

    Attributes:
        text: what is shown.
        about: smaller text below it.
        key: number to sort by, or None.
        row: the row whose runs or source the cell links to; None links to nothing.
        links: "runs" or "source", as of a column.
    """

    text: str
    about: str = ""
    key: float | None = None
    row: Row | None = None
    links: str | None = None


@dataclass(frozen=True)
class HtmlColumn:
    """A heading: its title, smaller text below it, and whether the cells are numbers."""

    title: str
    about: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class HtmlTable:
    """A table whose first cells name the rows, and facts (title, cell) of all its rows."""

    caption: str
    columns: tuple[HtmlColumn, ...]
    rows: tuple[tuple[HtmlCell, ...], ...]
    facts: tuple[tuple[str, HtmlCell], ...]


def html_tables(table: Table) -> list[HtmlTable]:
    """Return the tables of HTML that show a table of a board."""
    if all(row.kind == PUBLISHED for row in table.rows):
        groups = list(_groups(table))
        return [
            _published(table, group, f", {number} of {len(groups)}" if len(groups) > 1 else "")
            for number, group in enumerate(groups, start=1)
        ]
    return [_measured(table)]


def _measured(table: Table) -> HtmlTable:
    columns = {column.title: column for column in table.columns}
    texts = {title: [column.text(row) for row in table.rows] for title, column in columns.items()}
    lead = [title for title in LEAD if title in columns and not _is_missing(texts[title])]
    rest = [title for title in columns if title not in (MODEL, *UNDER_MODEL, *LEAD)]
    shared = [title for title in rest if len(set(texts[title])) == 1 and title != RUNS]
    shown = [columns[title] for title in (*lead, *(t for t in rest if t not in shared))]
    about = [columns[title] for title in UNDER_MODEL if title in columns]
    rows = tuple(
        (
            HtmlCell(columns[MODEL].text(row), "; ".join(column.text(row) for column in about)),
            *(_cell(column, row) for column in shown),
        )
        for row in table.rows
    )
    heads = [HtmlColumn(column.title, "", column.key is not None) for column in shown]
    first = HtmlColumn(MODEL, "metric; split, part" if about else "")
    return HtmlTable(table.title, (first, *heads), rows, _facts(columns, shared, table.rows[0]))


def _groups(table: Table) -> Iterator[list[Row]]:
    """Yield the rows of others that share everything but model, measure and value."""
    shared = [
        column for column in table.columns if column.title not in (MODEL, MEASURE, VALUE, REPORTED)
    ]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in table.rows:
        groups.setdefault(tuple(column.text(row) for column in shared), []).append(row)
    yield from groups.values()


def _published(table: Table, group: Sequence[Row], which: str) -> HtmlTable:
    """Return a table of a row for each model and a column for each measure.

    A second value of a model and a measure begins another row of the model.
    """
    columns = {column.title: column for column in table.columns}
    measures = list(dict.fromkeys((row.metric.name, *_place(row)) for row in group))
    lines: list[tuple[str, dict[tuple[str, ...], HtmlCell]]] = []
    for row in group:
        model, measure = columns[MODEL].text(row), (row.metric.name, *_place(row))
        free = (cells for name, cells in lines if name == model and measure not in cells)
        cells = next(free, None)
        if cells is None:
            cells = {}
            lines.append((model, cells))
        text, reported = columns[VALUE].text(row), columns[REPORTED].text(row)
        about = "" if reported in (text, MISSING) else reported
        cells[measure] = HtmlCell(text, about, row.score.median if row.score else None)
    prefix = _prefix([name for name, *_ in measures])
    heads = [
        HtmlColumn(name.removeprefix(prefix) or name, ", ".join(filter(None, place)), True)
        for name, *place in measures
    ]
    rows = tuple(
        (HtmlCell(model), *(cells.get(measure, HtmlCell(MISSING)) for measure in measures))
        for model, cells in lines
    )
    shared = [title for title in columns if title not in (MODEL, MEASURE, VALUE, REPORTED)]
    facts = _facts(columns, shared, group[0])
    if prefix:
        facts = (("Measure", HtmlCell(prefix.rstrip(" ,:"))), *facts)
    return HtmlTable(f"{table.title}{which}", (HtmlColumn(MODEL), *heads), rows, facts)


def _place(row: Row) -> tuple[str, str]:
    """Return the metric and the part beside which a value of others is read."""
    return (row.metric.key or "", row.data.part or "" if row.metric.key else "")


def _prefix(names: Sequence[str]) -> str:
    """Return what all names begin with, up to a comma or a colon; "" for one name."""
    common = os.path.commonprefix(names) if len(names) > 1 else ""
    end = max(common.rfind(", "), common.rfind(": "))
    return common[: end + 2] if end > 0 else ""


def _facts(
    columns: Mapping[str, Column], titles: Sequence[str], row: Row
) -> tuple[tuple[str, HtmlCell], ...]:
    """Return the cells of a row that all rows share; missing ones are left out."""
    cells = ((title, _cell(columns[title], row)) for title in titles)
    return tuple((title, cell) for title, cell in cells if cell.text != MISSING)


def _cell(column: Column, row: Row) -> HtmlCell:
    key = column.key(row) if column.key else None
    return HtmlCell(column.text(row), "", key, row if column.links else None, column.links)


def _is_missing(texts: Sequence[str]) -> bool:
    return set(texts) <= {MISSING}
