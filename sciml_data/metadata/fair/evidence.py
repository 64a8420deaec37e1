"""What the metrics are judged on: a version's facts, its landing page read back, its exports.

The page is made, then read as a stranger would: only what is in its text counts.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from typing import Any, Literal

from sciml_data.errors import CallError
from sciml_data.metadata.croissant import to_croissant
from sciml_data.metadata.datacite import to_datacite
from sciml_data.metadata.dcat import to_dcat
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.landing.page import landing_page
from sciml_data.registry.descriptor import Descriptor

Whose = Literal["upstream", "ours"]
JSON_LD = "application/ld+json"


@dataclass(frozen=True)
class Finding:
    """What a check found; `whose` says who can mend a failure, and `remedy` how."""

    status: Literal["passed", "failed", "not checked"]
    reason: str
    remedy: str = ""
    whose: Whose | None = None


def passed(reason: str) -> Finding:
    """Return that a metric is met, and by what."""
    return Finding("passed", reason)


def failed(reason: str, remedy: str, whose: Whose) -> Finding:
    """Return that a metric is not met, what to do, and who can."""
    return Finding("failed", reason, remedy, whose)


@dataclass(frozen=True)
class Page:
    """What stands in a page for programs: its JSON-LD, and its typed links as (rel, href)."""

    json_ld: tuple[Any, ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Evidence:
    """A version as its descriptor, its landing page and its exports have it."""

    facts: Facts
    page: Page
    croissant: Mapping[str, Any] = field(repr=False)
    datacite: Mapping[str, Any] = field(repr=False)
    dcat: Mapping[str, Any] = field(repr=False)

    @property
    def dataset(self) -> Mapping[str, Any]:
        """Return the schema.org Dataset of the page, empty where it has none."""
        found = [one for one in self.page.json_ld if isinstance(one, dict)]
        return next((one for one in found if one.get("@type") == "Dataset"), {})

    @property
    def addresses(self) -> dict[str, list[str]]:
        """Return the addresses of the data by what they lead to, as the page's JSON-LD has them.

        What lies beside the page (descriptor, manifest) describes the data, and is not counted.
        """
        beside = {self.facts.descriptor_url, *(one.url for one in self.facts.resources)}
        found: dict[str, list[str]] = {}
        for one in self.dataset.get("distribution", ()):
            urls = one["contentUrl"] if isinstance(one["contentUrl"], list) else [one["contentUrl"]]
            for url in urls:
                if url not in beside:
                    found.setdefault(one["name"], []).append(url)
        return found

    @cached_property
    def triples(self) -> dict[str, set[tuple[str, str, str]]]:
        """Return what the page's JSON-LD and the DCAT export say as RDF, by name."""
        return {
            "schema.org": _triples(self.dataset),
            "DCAT": _triples(self.dcat),
        }

    def values_of(self, form: str, verb: str) -> set[str]:
        """Return what a form says by one property, of anything."""
        return {thing for _, said, thing in self.triples[form] if said == verb}


def evidence_of(descriptor: Descriptor) -> Evidence:
    """Return what there is to judge; nothing is asked of the network."""
    facts = facts_of(descriptor)
    page = read_page(landing_page(descriptor))
    return Evidence(facts, page, to_croissant(facts), to_datacite(facts), to_dcat(facts))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "link" and found.get("rel"):
            self.links.append((str(found["rel"]), str(found.get("href"))))
        if tag == "script" and found.get("type") == JSON_LD:
            self.scripts.append("")
            self.is_inside = True

    def handle_endtag(self, tag: str) -> None:
        self.is_inside = self.is_inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.is_inside:
            self.scripts[-1] += data


def read_page(html: str) -> Page:
    """Return what a program finds in a page; JSON that is none is left out."""
    reader = _Reader()
    reader.feed(html)
    found = []
    for script in reader.scripts:
        try:
            found.append(json.loads(script))
        except ValueError:
            continue
    return Page(tuple(found), tuple(reader.links))


def _triples(document: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    """Return a JSON-LD document as triples; none where its context would have to be fetched.

    Raises:
        CallError: rdflib is not installed.
    """
    try:
        import rdflib
    except ImportError as error:
        raise CallError(
            "JSON-LD is read back by rdflib, which is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[fair]'",
        ) from error
    if not isinstance(document.get("@context"), dict):
        return set()
    graph = rdflib.Graph()
    with warnings.catch_warnings():  # rdflib's own parser makes one
        warnings.filterwarnings("ignore", "ConjunctiveGraph is deprecated", DeprecationWarning)
        graph.parse(data=json.dumps(document), format="json-ld")
    return {(str(subject), str(verb), str(thing)) for subject, verb, thing in graph}
