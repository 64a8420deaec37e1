"""A board's tables for HTML: few columns that fit a screen, and facts that all rows share below.

A table of measured scores has the score, the best baseline and the verdict beside each model.
Columns that have the same text in all rows become facts below the table. Scores of others become
compact tables: a row for each model, a column for each measure. Numbered notes name their data and
source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sciml_data.bench.scoring.metrics import MISSING
from sciml_data.results.board.row import PUBLISHED, Row
from sciml_data.results.board.table import Column, Table

MODEL, RUNS = "Model", "Runs"
UNDER_MODEL = ("Metric", "Split, part")  # below the name of the model
LEAD = ("Median ± std", "Best baseline", "Beats it", "95 % interval", "Rank")  # beside it
MEASURE, VALUE, REPORTED = "Measure", "Value", "Reported"  # of scores of others

MIN_FILLED = 0.4  # share of cells with a value; a table of measures with fewer becomes a list


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


Facts = tuple[tuple[str, HtmlCell], ...]  # title and cell


@dataclass(frozen=True)
class HtmlTable:
    """A table whose first cells name the rows.

    Attributes:
        caption: of the table.
        columns: headings.
        rows: cells.
        facts: what all rows share.
    """

    caption: str
    columns: tuple[HtmlColumn, ...]
    rows: tuple[tuple[HtmlCell, ...], ...]
    facts: Facts = ()


@dataclass(frozen=True)
class HtmlTables:
    """The tables that show a table of a board, and numbered notes on data and source of rows."""

    tables: tuple[HtmlTable, ...]
    notes: tuple[Facts, ...] = ()


def html_tables(table: Table) -> HtmlTables:
    """Return the tables of HTML that show a table of a board."""
    if all(row.kind == PUBLISHED for row in table.rows):
        return _published(table)
    return HtmlTables((_measured(table),))


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


def _published(table: Table) -> HtmlTables:
    """Return a table for each family of measures, and a note for each source and kind of data."""
    columns = {column.title: column for column in table.columns}
    shared = [title for title in columns if title not in (MODEL, MEASURE, VALUE, REPORTED)]
    notes: dict[tuple[str, ...], Facts] = {}
    numbers: list[int] = []  # the note of each row
    for row in table.rows:
        key = tuple(columns[title].text(row) for title in shared)
        notes.setdefault(key, _facts(columns, shared, row))
        numbers.append(list(notes).index(key) + 1)
    families: dict[str, list[tuple[Row, int]]] = {}
    for row, number in zip(table.rows, numbers, strict=True):
        families.setdefault(row.metric.name.rpartition(", ")[0], []).append((row, number))
    single = [name for name, rows in families.items() if name and len(rows) == 1]
    for name in single:
        families.setdefault("", []).extend(families.pop(name))
    made = tuple(
        _family(columns, f"{table.title}: {name}" if name else table.title, name, rows)
        for name, rows in families.items()
    )
    return HtmlTables(made, tuple(notes.values()))


def _family(
    columns: Mapping[str, Column], caption: str, family: str, rows: Sequence[tuple[Row, int]]
) -> HtmlTable:
    """Return a table of a row for each model and note, and a column for each measure.

    A second value of a model, a note and a measure begins another row.
    """
    measures = list(dict.fromkeys((row.metric.name, *_place(row)) for row, _ in rows))
    lines: list[tuple[tuple[str, int], dict[tuple[str, ...], HtmlCell]]] = []
    for row, number in rows:
        name, measure = (columns[MODEL].text(row), number), (row.metric.name, *_place(row))
        free = (cells for other, cells in lines if other == name and measure not in cells)
        cells = next(free, None)
        if cells is None:
            cells = {}
            lines.append((name, cells))
        text, reported = columns[VALUE].text(row), columns[REPORTED].text(row)
        about = "" if reported in (text, MISSING) else reported
        cells[measure] = HtmlCell(text, about, row.score.median if row.score else None)
    if len(rows) < MIN_FILLED * len(lines) * len(measures):
        return _listed(columns, caption, rows)
    heads = [
        HtmlColumn(name.removeprefix(f"{family}, "), ", ".join(filter(None, place)), True)
        for name, *place in measures
    ]
    shown = tuple(
        (
            HtmlCell(model, f"note {number}"),
            *(cells.get(measure, HtmlCell(MISSING)) for measure in measures),
        )
        for (model, number), cells in lines
    )
    return HtmlTable(caption, (HtmlColumn(MODEL), *heads), shown)


def _listed(
    columns: Mapping[str, Column], caption: str, rows: Sequence[tuple[Row, int]]
) -> HtmlTable:
    """Return a table of a row for each value, for measures that few models share."""
    heads = (HtmlColumn(MODEL), HtmlColumn(MEASURE), HtmlColumn(VALUE, is_number=True))
    shown = tuple(
        (
            HtmlCell(columns[MODEL].text(row), f"note {number}"),
            HtmlCell(row.metric.name, ", ".join(filter(None, _place(row)))),
            HtmlCell(columns[VALUE].text(row), "", row.score.median if row.score else None),
            HtmlCell(columns[REPORTED].text(row)),
        )
        for row, number in rows
    )
    return HtmlTable(caption, (*heads, HtmlColumn(REPORTED)), shown)


def _place(row: Row) -> tuple[str, str]:
    """Return the metric and the part beside which a value of others is read."""
    return (row.metric.key or "", row.data.part or "" if row.metric.key else "")


def _facts(columns: Mapping[str, Column], titles: Sequence[str], row: Row) -> Facts:
    """Return the cells of a row that all rows share; missing ones are left out."""
    cells = ((title, _cell(columns[title], row)) for title in titles)
    return tuple((title, cell) for title, cell in cells if cell.text != MISSING)


def _cell(column: Column, row: Row) -> HtmlCell:
    key = column.key(row) if column.key else None
    return HtmlCell(column.text(row), "", key, row if column.links else None, column.links)


def _is_missing(texts: Sequence[str]) -> bool:
    return set(texts) <= {MISSING}
