"""The landing page of a version: one HTML file that people, search engines and assessors read.

The page needs no script, no other file and no other host. Its address is the version's identifier.
Beside it are the exports (`forms.py` has their file names), the descriptor, and the files that the
descriptor names in `resources`. The head holds what programs look for: JSON-LD of schema.org with
its context inline, and typed links of FAIR Signposting (signposting.org/FAIR, level 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from markupsafe import Markup

from sciml_data.metadata.addresses import source_address
from sciml_data.metadata.cite import to_text
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.forms import CITATIONS, FORMS, Form, write_form
from sciml_data.metadata.html import template_environment
from sciml_data.metadata.landing.card import card_html
from sciml_data.metadata.schema_org import to_schema_org
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, Descriptor

PAGE_NAME = "index.html"
CARD_NAME = "README.md"
SCHEMA_ORG = "https://schema.org/"
# Up to this many native files are linked in the head one by one. For more files the link to the
# manifest has to be enough.
MAX_ITEM_LINKS = 100


@dataclass(frozen=True)
class TypedLink:
    """A link in a page's head, with its relation."""

    relation: str
    address: str
    media_type: str = ""


@dataclass(frozen=True)
class DatasetPage:
    """What the templates of a dataset's page show; the site makes its own page from it too."""

    descriptor: Descriptor
    facts: Facts
    descriptor_name: str = DESCRIPTOR_NAME

    @property
    def exports(self) -> Mapping[str, Mapping[str, Form]]:
        """Return the exports beside the page."""
        return FORMS

    @property
    def citations(self) -> Mapping[str, Form]:
        """Return the forms of the citation beside the page."""
        return CITATIONS

    @property
    def citation(self) -> str:
        """Return how to cite the version, as text."""
        return to_text(self.facts)

    @cached_property
    def json_ld(self) -> dict[str, Any]:
        """Return the schema.org document of the version."""
        return to_schema_org(self.facts)

    @property
    def card(self) -> Markup:
        """Return the dataset's card as HTML.

        Raises:
            CallError: markdown-it-py, which reads the card, is not installed.
        """
        path = self.descriptor.folder.parent / CARD_NAME
        if not path.is_file():
            return Markup("<p>This dataset has no card.</p>")
        file = f"datapackages/{self.descriptor.dataset}/{CARD_NAME}"
        address = source_address(self.facts.registry, file)
        return card_html(path.read_text(encoding="utf-8", errors="replace"), address)

    @property
    def typed_links(self) -> list[TypedLink]:
        """Return the links for programs in the head; the canonical link is the page's own."""
        facts = self.facts
        return [
            *([TypedLink("cite-as", facts.page)] if facts.page else []),
            TypedLink("type", f"{SCHEMA_ORG}AboutPage"),
            TypedLink("type", f"{SCHEMA_ORG}Dataset"),
            *(
                TypedLink("license", licence.url)
                for licence in facts.licences
                if licence.is_stated and licence.url
            ),
            *(TypedLink("author", agent.url) for agent in facts.creators if agent.url),
            *(TypedLink("describedby", form.file_name, form.media_type) for form in _all_forms()),
            *(TypedLink("item", resource.url, resource.media_type) for resource in facts.resources),
            *_file_links(facts),
        ]


def dataset_page(descriptor: Descriptor) -> DatasetPage:
    """Return what the templates show of a version."""
    return DatasetPage(descriptor, facts_of(descriptor))


def landing_page(descriptor: Descriptor) -> str:
    """Return the HTML of a version's landing page.

    Raises:
        CallError: markdown-it-py, which reads the card, is not installed.
    """
    page = dataset_page(descriptor)
    template = template_environment("sciml_data.metadata").get_template("landing.html")
    return template.render(page=page, facts=page.facts, registry=page.facts.registry)


def page_folder(descriptor: Descriptor) -> dict[str, bytes]:
    """Return the files that are served at a version's address, by name.

    These are the landing page, the exports, the citations, the descriptor and the files that it
    names in `resources`.

    Raises:
        CallError: the extra `fair` is not installed.
    """
    facts = facts_of(descriptor)
    texts = {PAGE_NAME: landing_page(descriptor)}
    texts |= {form.file_name: write_form(facts, form) for form in _all_forms()}
    names = [DESCRIPTOR_NAME, *(resource.path for resource in facts.resources)]
    files = {name: (descriptor.folder / name).read_bytes() for name in names}
    return files | {name: text.encode("utf-8") for name, text in texts.items()}


def _all_forms() -> Iterator[Form]:
    for formats in (*FORMS.values(), CITATIONS):
        yield from formats.values()


def _file_links(facts: Facts) -> Iterator[TypedLink]:
    """Yield a link to the first address of each native file, if there are few."""
    if len(facts.files) <= MAX_ITEM_LINKS:
        for file in facts.files:
            if file.urls:
                yield TypedLink("item", file.urls[0], file.media_type)
