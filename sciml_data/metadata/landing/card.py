"""A card, which is Markdown, as HTML for a page.

HTML in a card is shown as text and never becomes markup. A picture would be a request to another
host, so it becomes a link.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from markupsafe import Markup

from sciml_data.errors import CallError

if TYPE_CHECKING:
    from markdown_it.token import Token

DEEPEST_HEADING = 6  # HTML's limit


def card_html(text: str, address: str) -> Markup:
    """Return a card's HTML without its title, which the page shows, and with absolute links.

    Args:
        text: Markdown (CommonMark with tables).
        address: address of the card itself, to which its links are relative.

    Raises:
        CallError: markdown-it-py is not installed.
    """
    parser = _parser()
    tokens = list(_without_title(parser.parse(text)))
    for token in tokens:
        _adapt(token, address)
    _empty_headings_as_cells(tokens)
    html: str = parser.renderer.render(list(_tables_in_regions(tokens)), parser.options, {})
    return Markup(html)  # noqa: S704 - the parser escapes all HTML in the card


def _parser() -> Any:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise CallError(
            "a card's Markdown cannot be read: markdown-it-py is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[fair]'",
        ) from error
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _without_title(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield all tokens but those of a title: a first heading of level 1 has three tokens."""
    is_title = bool(tokens) and tokens[0].type == "heading_open" and tokens[0].tag == "h1"
    yield from tokens[3 if is_title else 0 :]


def _empty_headings_as_cells(tokens: Sequence[Token]) -> None:
    """Turn empty heading cells of tables into plain cells, because they name no column."""
    for opening, content, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "th_open" and not content.content:
            opening.tag = closing.tag = "td"
            opening.attrs.pop("scope", None)


def _tables_in_regions(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens, each table inside a region that scrolls and that the keyboard reaches."""
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
    """Move headings one level down, make links absolute, and turn pictures into links."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1:]) + 1, DEEPEST_HEADING)}"
    if token.type == "th_open":
        token.attrSet("scope", "col")
    if token.type == "link_open":
        token.attrSet("href", _absolute(str(token.attrGet("href")), address))
    for child in token.children or ():
        _adapt(child, address)
    token.children = _pictures_as_links(token.children, address) if token.children else None


def _pictures_as_links(tokens: Sequence[Token], address: str) -> list[Token]:
    from markdown_it.token import Token

    adapted = []
    for token in tokens:
        if token.type != "image":
            adapted.append(token)
            continue
        target = _absolute(str(token.attrGet("src")), address)
        adapted += [
            Token("link_open", "a", 1, attrs={"href": target}),
            Token("text", "", 0, content=token.content or target),
            Token("link_close", "a", -1),
        ]
    return adapted


def _absolute(link: str, address: str) -> str:
    """Return an absolute link; a link within the page stays as it is."""
    return link if link.startswith("#") or urlsplit(link).scheme else urljoin(address, link)
