"""The evidence that metrics are checked against: facts, the landing page read back, the exports.

The page is made and then read as a stranger's program would read it: only its text counts.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from typing import Any

from sciml_data.errors import CallError
from sciml_data.metadata.croissant import to_croissant
from sciml_data.metadata.datacite import to_datacite
from sciml_data.metadata.dcat import to_dcat
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.landing.page import landing_page
from sciml_data.registry.descriptor import Descriptor

JSON_LD = "application/ld+json"


@dataclass(frozen=True)
class Page:
    """What a page says to programs: its JSON-LD documents, and its typed links as (rel, href)."""

    json_ld: tuple[Any, ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Evidence:
    """What the facts, the landing page and the exports say about a version."""

    facts: Facts
    page: Page
    croissant: Mapping[str, Any] = field(repr=False)
    datacite: Mapping[str, Any] = field(repr=False)
    dcat: Mapping[str, Any] = field(repr=False)

    @property
    def dataset(self) -> Mapping[str, Any]:
        """Return the schema.org Dataset of the page, empty if the page has none."""
        for document in self.page.json_ld:
            if isinstance(document, dict) and document.get("@type") == "Dataset":
                return document
        return {}

    @property
    def addresses(self) -> dict[str, list[str]]:
        """Return the addresses of the data by file or group, as the page's JSON-LD has them.

        Files beside the page (descriptor, manifest) describe the data, and are not counted.
        """
        beside = {self.facts.descriptor_url, *(file.url for file in self.facts.resources)}
        addresses: dict[str, list[str]] = {}
        for download in self.dataset.get("distribution", ()):
            content = download["contentUrl"]
            for url in content if isinstance(content, list) else [content]:
                if url not in beside:
                    addresses.setdefault(download["name"], []).append(url)
        return addresses

    @cached_property
    def triples(self) -> dict[str, set[tuple[str, str, str]]]:
        """Return the RDF of the page's JSON-LD and of the DCAT export, by name of the form."""
        return {
            "schema.org": _triples(self.dataset),
            "DCAT": _triples(self.dcat),
        }

    def values_of(self, form: str, predicate: str) -> set[str]:
        """Return the objects of all triples of a form that have a predicate."""
        return {value for _, name, value in self.triples[form] if name == predicate}


def evidence_of(descriptor: Descriptor) -> Evidence:
    """Return the evidence about a version, without network access."""
    facts = facts_of(descriptor)
    page = read_page(landing_page(descriptor))
    return Evidence(facts, page, to_croissant(facts), to_datacite(facts), to_dcat(facts))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.is_in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "link" and attributes.get("rel"):
            self.links.append((str(attributes["rel"]), str(attributes.get("href"))))
        if tag == "script" and attributes.get("type") == JSON_LD:
            self.scripts.append("")
            self.is_in_script = True

    def handle_endtag(self, tag: str) -> None:
        self.is_in_script = self.is_in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.is_in_script:
            self.scripts[-1] += data


def read_page(html: str) -> Page:
    """Return what a program finds in a page; scripts that are not valid JSON are left out."""
    reader = _Reader()
    reader.feed(html)
    documents = []
    for script in reader.scripts:
        try:
            documents.append(json.loads(script))
        except ValueError:
            continue
    return Page(tuple(documents), tuple(reader.links))


def _triples(document: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    """Return a JSON-LD document as triples; an empty set if its context would have to be fetched.

    Raises:
        CallError: rdflib is not installed.
    """
    try:
        import rdflib
    except ImportError as error:
        raise CallError(
            "JSON-LD cannot be read back: rdflib is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[fair]'",
        ) from error
    if not isinstance(document.get("@context"), dict):
        return set()
    graph = rdflib.Graph()
    with warnings.catch_warnings():  # rdflib's own parser causes it
        warnings.filterwarnings("ignore", "ConjunctiveGraph is deprecated", DeprecationWarning)
        graph.parse(data=json.dumps(document), format="json-ld")
    return {(str(subject), str(predicate), str(value)) for subject, predicate, value in graph}
