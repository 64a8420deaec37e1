"""Set Markdown as PDF: the contribution document that the working group requires.

markdown-it-py parses the text and fpdf2 sets it. The fonts are DejaVu, which matplotlib ships, so
that symbols of units and formulas print. Equal texts give equal bytes, because the date is an
argument. Images and HTML in the text are ignored: no file of another person is fetched or opened.
"""

from __future__ import annotations

import datetime
import importlib.util
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, Problem, RecordError

TEXT, FIXED = "DejaVu", "DejaVuMono"
FONTS: Mapping[tuple[str, str], str] = {
    (TEXT, ""): "DejaVuSans",
    (TEXT, "B"): "DejaVuSans-Bold",
    (TEXT, "I"): "DejaVuSans-Oblique",
    (TEXT, "BI"): "DejaVuSans-BoldOblique",
    (FIXED, ""): "DejaVuSansMono",
    (FIXED, "B"): "DejaVuSansMono-Bold",
    (FIXED, "I"): "DejaVuSansMono-Oblique",
    (FIXED, "BI"): "DejaVuSansMono-BoldOblique",
}
MARGIN_MM = 22
BODY_PT = 10
HEADINGS_PT = {"h1": 18, "h2": 14, "h3": 12, "h4": 11, "h5": 10, "h6": 10}
BLACK = "#000000"
MISSING_EXTRA = "pip install 'sciml-data[submit]'"


def to_pdf(markdown: str, *, title: str, subject: str, date: datetime.datetime) -> bytes:
    """Return a Markdown text as PDF.

    Args:
        markdown: CommonMark, with tables.
        title: of the document.
        subject: ASCII text that is readable in the file's bytes.
        date: creation date in the file.

    Raises:
        CallError: a library or the fonts are not installed.
        RecordError: the fonts lack characters of the text; `.problems` lists each.
    """
    fonts = font_folder()
    try:
        from fpdf import FPDF
        from fpdf.errors import FPDFException
    except ImportError as error:
        raise CallError(f"{error.name} is not installed", hint=MISSING_EXTRA) from error
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # logs every table it subsets
    page = FPDF(format="A4")
    page.set_creation_date(date)
    page.set_title(title)
    page.set_subject(subject)
    page.set_lang("en")
    try:
        for (family, style), name in FONTS.items():
            page.add_font(family, style, fonts / f"{name}.ttf")
        check_characters(markdown, set(page.fonts[TEXT.lower()].cmap))
        page.set_margin(MARGIN_MM)
        page.set_auto_page_break(True, MARGIN_MM)
        page.add_page()
        page.set_font(TEXT, size=BODY_PT)
        page.write_html(_html(markdown), font_family=TEXT, tag_styles=_styles())
        return bytes(page.output())
    except (FPDFException, NotImplementedError, ValueError) as error:
        raise RecordError(
            f"the contribution cannot be set as PDF: {error}", untouched="nothing was written"
        ) from error
    finally:
        for font in page.fonts.values():  # fpdf2 2.8.9 leaves their files open
            font.ttfont.close()


def font_folder() -> Path:
    """Return matplotlib's folder of DejaVu fonts, without importing matplotlib.

    Raises:
        CallError: matplotlib is not installed.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise CallError("matplotlib, which has the fonts, is not installed", hint=MISSING_EXTRA)
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def check_characters(text: str, known: AbstractSet[int]) -> None:
    """Refuse characters that would be printed as empty boxes.

    Args:
        text: Markdown.
        known: code points that the font has.

    Raises:
        RecordError: `.problems` lists each character, with the first line that has it.
    """
    problems: dict[str, Problem] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        for sign in line:
            if ord(sign) not in known and sign != "\t":
                name = unicodedata.name(sign, f"U+{ord(sign):04X}")
                problems.setdefault(sign, Problem("character", f"line {number}", f"{sign} {name}"))
    if problems:
        raise RecordError(
            "the contribution has characters that the PDF's fonts lack",
            problems=list(problems.values()),
            untouched="nothing was written",
            hint="write them as words; the fonts have Latin, Greek, Cyrillic and mathematical "
            "characters",
        )


def _html(markdown: str) -> str:
    """Return a Markdown text as the HTML that fpdf2 reads."""
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise CallError(f"{error.name} is not installed", hint=MISSING_EXTRA) from error
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(markdown)
    _flatten_cells(tokens)
    _tighten_items(tokens)
    return str(reader.renderer.render(tokens, reader.options, {}))


def _flatten_cells(tokens: Sequence[Any]) -> None:
    """Replace markup in the cells of tables by plain text: fpdf2 sets one face in a cell."""
    is_cell = False
    for token in tokens:
        if token.type in {"td_open", "th_open"}:
            is_cell = True
        elif token.type in {"td_close", "th_close"}:
            is_cell = False
        elif is_cell and token.type == "inline":
            children = [child for child in token.children or [] if child.content]
            for child in children:
                child.type, child.tag, child.nesting = "text", "", 0
            token.children = children


def _tighten_items(tokens: Sequence[Any]) -> None:
    """Hide the first paragraph of a list's item, since fpdf2 sets a bullet before text only."""
    for before, opened, closed in zip(tokens, tokens[1:], tokens[3:], strict=False):
        if before.type == "list_item_open" and opened.type == "paragraph_open":
            opened.hidden = closed.hidden = True


def _styles() -> dict[str, Any]:
    from fpdf import FontFace, TextStyle

    headings = {
        tag: TextStyle(TEXT, "B", size, color=BLACK, t_margin=size / 4, b_margin=1.5)
        for tag, size in HEADINGS_PT.items()
    }
    return {
        **headings,
        "code": FontFace(family=FIXED),
        "pre": TextStyle(FIXED, "", BODY_PT - 1, t_margin=2, b_margin=2),
        "li": TextStyle(TEXT, "", BODY_PT, color=BLACK, l_margin=5),
        "blockquote": TextStyle(TEXT, "I", BODY_PT, color=BLACK, l_margin=8, t_margin=2),
    }
