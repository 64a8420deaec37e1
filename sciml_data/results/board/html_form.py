"""A board as HTML: a fragment for a page of others, or a whole page of its own.

Tables have captions, scopes and a value to sort by in each cell of numbers (`data-value`), so that
a script can offer sorting (`aria-sort`); without one the order is that of the ranks. Nothing is
asked of any other host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from sciml_data.bench.record.record import SHORT
from sciml_data.bench.record.report import MISSING
from sciml_data.metadata.landing.html_parts import link
from sciml_data.metadata.landing.landing import STYLE
from sciml_data.results.board.columns import RUNS_TITLE, SOURCE_TITLE, Column, Table, tables
from sciml_data.results.board.forms import EMPTY
from sciml_data.results.board.row import Row

TITLE = "Board"
Address = Callable[[str], str | None]  # id of a run -> address of its page, None where it has none


def to_html(
    rows: Iterable[Row], *, is_page: bool = False, run_address: Address | None = None
) -> str:
    """Return a board as HTML.

    Args:
        rows: in order (`board_rows`).
        is_page: a whole page, not the sections alone; sections have headings of level 2 and 3.
        run_address: makes the ids of runs links.
    """
    address = run_address or (lambda _run_id: None)
    sections = [
        _section(number, name, found, address)
        for number, (name, found) in enumerate(tables(rows), start=1)
    ]
    body = "\n".join(sections) or f"<p>{EMPTY}</p>"
    return _page(body) if is_page else body + "\n"


def _section(number: int, name: str, found: Iterable[Table], address: Address) -> str:
    anchor = f"board-{number}"
    inside = "\n".join(_table(table, f"{anchor}-{at}", address) for at, table in enumerate(found))
    return (
        f'<section class="board" aria-labelledby="{anchor}">\n<h2 id="{anchor}">{escape(name)}</h2>'
        f"\n{inside}\n</section>"
    )


def _table(table: Table, anchor: str, address: Address) -> str:
    told = f"<p><strong>{escape(table.told)}</strong></p>\n" if table.told else ""
    head = "".join(
        f'<th scope="col" aria-sort="none" data-sort="{"number" if column.key else "text"}">'
        f"{escape(column.title)}</th>"
        for column in table.columns
    )
    body = "\n".join(_line(row, table.columns, address) for row in table.rows)
    heading = escape(table.title.partition(": ")[2].capitalize())
    return (
        f'<h3 id="{anchor}">{heading}</h3>\n{told}'
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(table.title)}">'
        f'<table class="sortable">\n<caption>{escape(table.title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _line(row: Row, columns: Iterable[Column], address: Address) -> str:
    first, *others = columns
    cells = "".join(f"<td{_value(one, row)}>{_cell(one, row, address)}</td>" for one in others)
    return f'<tr><th scope="row">{_cell(first, row, address)}</th>{cells}</tr>'


def _value(column: Column, row: Row) -> str:
    """Return the attribute that a number is sorted by; empty where there is none."""
    value = column.key(row) if column.key else None
    return "" if value is None else f' data-value="{value!r}"'


def _cell(column: Column, row: Row, address: Address) -> str:
    if column.title == RUNS_TITLE:
        return " ".join(_run(one, address) for one in row.made_by.run_ids) or MISSING
    if column.title == SOURCE_TITLE and row.published and row.published.url:
        return link(row.published.url, row.published.source)
    return escape(column.text(row))


def _run(run_id: str, address: Address) -> str:
    target = address(run_id)
    shown = run_id[:SHORT]
    return link(target, shown) if target else escape(shown)


def _page(body: str) -> str:
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{TITLE}</title>",
            f"<style>{STYLE}body{{max-width:none}}td,th{{min-width:5rem;overflow-wrap:anywhere}}</style>",
            "</head>",
            "<body>",
            f"<header>\n<h1>{TITLE}</h1>\n</header>",
            f"<main>\n{body}\n</main>",
            "</body>",
            "</html>\n",
        ]
    )
