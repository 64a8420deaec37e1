"""Pieces of HTML: escaped text, links, tables and lists with what assistive programs need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import urlsplit

WEB = ("http", "https", "")  # "" is relative; no other scheme becomes a link


def link(address: str, text: str | None = None) -> str:
    """Return a link; an address that no browser should follow (javascript:) is shown as text."""
    shown = escape(text or address)
    if urlsplit(address).scheme not in WEB:
        return shown
    return f'<a href="{escape(address)}">{shown}</a>'


def code(text: str) -> str:
    """Return text as code."""
    return f"<code>{escape(text)}</code>"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are HTML; the first of each row names it."""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in columns)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<section class="wide" tabindex="0" aria-label="{escape(caption)}"><table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table></section>"
    )


def items(cells: Iterable[str]) -> str:
    """Return a list of items that are HTML."""
    return "<ul>\n" + "\n".join(f"<li>{cell}</li>" for cell in cells) + "\n</ul>"


def terms(pairs: Mapping[str, str]) -> str:
    """Return terms with what each means, which is HTML."""
    lines = (f"<dt>{escape(term)}</dt><dd>{cell}</dd>" for term, cell in pairs.items())
    return "<dl>\n" + "\n".join(lines) + "\n</dl>"


def section(name: str, title: str, *parts: str) -> str:
    """Return a section with a heading of the second level; `name` is its anchor."""
    inside = "\n".join(part for part in parts if part)
    return (
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(title)}</h2>\n'
        f"{inside}\n</section>"
    )
