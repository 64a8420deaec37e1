"""A dataset's card, which is Markdown, as HTML for its landing page.

Nothing in a card becomes markup of its own: HTML is shown as text. A picture would be a request to
elsewhere, so it becomes a link.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from sciml_data.errors import CallError

if TYPE_CHECKING:
    from markdown_it.token import Token

DEEPEST = 6  # HTML has no further heading


def card_html(text: str, address: str) -> str:
    """Return a card's HTML: its title left out, which the page has; links made absolute.

    Args:
        text: Markdown (CommonMark, and tables).
        address: of the card itself, to which its links are relative.

    Raises:
        CallError: markdown-it-py is not installed.
    """
    parser = _parser()
    tokens = list(_without_title(parser.parse(text)))
    for token in tokens:
        _adapt(token, address)
    _empty_headings_as_cells(tokens)
    html: str = parser.renderer.render(list(_tables_in_regions(tokens)), parser.options, {})
    return html


def _parser() -> Any:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise CallError(
            "a card's Markdown is read by markdown-it-py, which is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[fair]'",
        ) from error
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _without_title(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield all but the first heading where it is of the first level: three tokens."""
    is_title = bool(tokens) and tokens[0].type == "heading_open" and tokens[0].tag == "h1"
    yield from tokens[3 if is_title else 0 :]


def _empty_headings_as_cells(tokens: Sequence[Token]) -> None:
    """Make a heading without a word a cell: it names no column."""
    for opened, inside, closed in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opened.type == "th_open" and not inside.content:
            opened.tag = closed.tag = "td"
            opened.attrs.pop("scope", None)


def _tables_in_regions(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens, each table in a region of its own that scrolls and can be reached."""
    from markdown_it.token import Token

    count = 0
    for token in tokens:
        if token.type == "table_open":
            count += 1
            label = f'aria-label="Table {count} of the text"'
            region = f'<section class="wide" tabindex="0" {label}>\n'
            yield Token("html_block", "", 0, content=region)
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</section>\n")


def _adapt(token: Token, address: str) -> None:
    """Put headings one level deeper, make links absolute, and pictures links."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1:]) + 1, DEEPEST)}"
    if token.type == "th_open":
        token.attrSet("scope", "col")
    if token.type == "link_open":
        token.attrSet("href", _absolute(str(token.attrGet("href")), address))
    for child in token.children or ():
        _adapt(child, address)
    token.children = _pictures_as_links(token.children, address) if token.children else None


def _pictures_as_links(tokens: Sequence[Token], address: str) -> list[Token]:
    from markdown_it.token import Token

    found = []
    for token in tokens:
        if token.type != "image":
            found.append(token)
            continue
        target = _absolute(str(token.attrGet("src")), address)
        found += [
            Token("link_open", "a", 1, attrs={"href": target}),
            Token("text", "", 0, content=token.content or target),
            Token("link_close", "a", -1),
        ]
    return found


def _absolute(link: str, address: str) -> str:
    """Return a link as it is where it is absolute or within the page."""
    return link if link.startswith("#") or urlsplit(link).scheme else urljoin(address, link)
