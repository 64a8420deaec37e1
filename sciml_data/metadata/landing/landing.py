"""The landing page of a version: one HTML file that people, search engines and assessors read.

It needs no script, no other file and no other host. Its address is the version's identifier; the
exports lie beside it (`forms.py` has their names), and so do the descriptor and what it names in
`resources`. What a machine looks for stands in the head: JSON-LD of schema.org with its context
inline, and typed links as FAIR Signposting has them (signposting.org/FAIR, level 1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from sciml_data.metadata.addresses import REGISTRY_PAGE, REPOSITORY
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.forms import CITATIONS, FORMS
from sciml_data.metadata.landing.card import card_html
from sciml_data.metadata.landing.html_parts import link, section
from sciml_data.metadata.landing.page_parts import (
    about,
    access,
    citation,
    descriptions,
    files,
    licences,
    variables,
)
from sciml_data.metadata.schema_org import to_schema_org
from sciml_data.registry.descriptor import Descriptor

PAGE_NAME = "index.html"
CARD_NAME = "README.md"
SCHEMA_ORG = "https://schema.org/"
MOST_ITEMS = 100  # files named in the head; beyond, the manifest stands for them
STYLE = (
    "body{max-width:60rem;margin:0 auto;padding:1rem;font:1rem/1.5 sans-serif;color:#1a1a1a;"
    "background:#fff}table{border-collapse:collapse}caption{text-align:left;font-weight:bold}"
    "th,td{border:1px solid #767676;padding:.2rem .5rem;text-align:left;vertical-align:top}"
    "tbody th{font-weight:normal}code,pre{font:.9rem/1.4 monospace}"
    "pre,.wide{overflow-x:auto}dt{font-weight:bold}a{color:#0b4a8f}"
)


def landing_page(descriptor: Descriptor) -> str:
    """Return the whole page of a version.

    Raises:
        CallError: markdown-it-py, which reads the card, is not installed.
    """
    facts = facts_of(descriptor)
    title = f"{facts.title} ({facts.dataset} {facts.version})"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f'<meta name="description" content="{escape(facts.description)}">',
            *typed_links(facts),
            f"<style>{STYLE}</style>",
            f'<script type="application/ld+json">\n{inline_json(to_schema_org(facts))}\n</script>',
            "</head>",
            "<body>",
            f"<header>\n<p>{link(REGISTRY_PAGE, 'sciml-data')}: datasets of scientific machine "
            f"learning</p>\n<h1>{escape(facts.title)}</h1>\n</header>",
            "<main>",
            *sections(facts, card_of(descriptor)),
            "</main>",
            f"<footer>\n<p>Described {facts.described}. {link(REPOSITORY, 'Registry and engine')}"
            "</p>\n</footer>",
            "</body>",
            "</html>\n",
        ]
    )


def inline_json(document: dict[str, Any]) -> str:
    """Return JSON that may stand in a script element: nothing in it ends the element."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def card_of(descriptor: Descriptor) -> str:
    """Return a version's card as HTML.

    Raises:
        CallError: markdown-it-py, which reads the card, is not installed.
    """
    path = descriptor.folder.parent / CARD_NAME
    if not path.is_file():
        return "<p>This dataset has no card.</p>"
    address = f"{REPOSITORY}/blob/main/datapackages/{descriptor.dataset}/{CARD_NAME}"
    return card_html(path.read_text(encoding="utf-8"), address)


def sections(facts: Facts, card: str) -> Iterator[str]:
    """Yield the sections of a page, each with a heading of the second level."""
    yield section("about", "About", about(facts))
    yield section("get", "How to get it", access(facts))
    yield section("licence", "Licence", licences(facts))
    yield section("cite", "How to cite it", citation(facts))
    yield section("card", "Card", card)
    yield section("variables", "Variables", variables(facts))
    yield section("files", "Files", files(facts))
    yield section("descriptions", "This page for programs", descriptions(facts))


def typed_links(facts: Facts) -> Iterator[str]:
    """Yield the links that a page's head has for programs."""
    yield _typed("canonical", facts.identifier)
    yield _typed("cite-as", facts.identifier)
    yield _typed("type", f"{SCHEMA_ORG}AboutPage")
    yield _typed("type", f"{SCHEMA_ORG}Dataset")
    for licence in facts.licences:
        if licence.is_stated and licence.url:
            yield _typed("license", licence.url)
    for agent in facts.creators:
        if agent.url:
            yield _typed("author", agent.url)
    for form in (one for formats in (*FORMS.values(), CITATIONS) for one in formats.values()):
        yield _typed("describedby", form.file_name, form.media_type)
    for url, media_type in _items(facts):
        yield _typed("item", url, media_type)


def _items(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the first address and the type of what the data are, as far as they are files."""
    for beside in facts.beside:
        yield beside.url, beside.media_type
    if len(facts.files) <= MOST_ITEMS:
        yield from ((file.urls[0], file.media_type) for file in facts.files if file.urls)


def _typed(relation: str, address: str, media_type: str | None = None) -> str:
    kind = f' type="{escape(media_type)}"' if media_type else ""
    return f'<link rel="{relation}" href="{escape(address)}"{kind}>'
