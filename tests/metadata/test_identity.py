"""Identifiers, citations, pages and exports of a registry name that registry, and no other."""

from __future__ import annotations

import json
import uuid
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.check import check_registry
from sciml_data.errors import DescriptorError
from sciml_data.metadata import CITATIONS, FORMS, REPOSITORY, Facts, facts_of, write_form
from sciml_data.metadata.addresses import IDENTITY_NAME, registry_identity
from sciml_data.metadata.fair import assess
from sciml_data.metadata.landing import landing_page, page_folder
from sciml_data.registry import Descriptor, find_registry, load_descriptor
from tests.support.small_registry import small_registry

OURS = registry_identity(find_registry().root)
LAB = """
title = "Harbour laboratory"
base_url = "https://data.example.org/registry/"
publisher = "The harbour laboratory"
contact = "data@example.org"
repository = "https://git.example.org/harbour/registry"
"""


def described(root: Path, identity: str | None) -> Descriptor:
    registry = small_registry(root)
    if identity is not None:
        (root / IDENTITY_NAME).write_text(identity, encoding="utf-8")
    return load_descriptor(registry, "waves", "1.0")


def texts_of(descriptor: Descriptor) -> dict[str, str]:
    """Return every text that is written about a version, without the citation of this software."""
    facts = facts_of(descriptor)
    forms = [form for formats in (*FORMS.values(), CITATIONS) for form in formats.values()]
    texts = {form.file_name: write_form(facts, form) for form in forms}
    texts["index.html"] = landing_page(descriptor)
    return {name: _without_software(text) for name, text in texts.items()}


def _without_software(text: str) -> str:
    """Return a text without this software's own address, which is allowed as its citation only."""
    lines = [line for line in text.splitlines() if REPOSITORY not in line]
    assert len(text.splitlines()) - len(lines) <= 1
    return "\n".join(lines)


@pytest.mark.parametrize("identity", [None, 'title = "Harbour laboratory"', LAB])
def test_no_text_about_a_dataset_of_another_registry_names_our_address(
    tmp_path: Path, identity: str | None
) -> None:
    texts = texts_of(described(tmp_path / "registry", identity))
    # The profile of descriptors is a document of this software.
    wrong = [
        name for name, text in texts.items() if OURS.base_url in text or OURS.publisher in text
    ]

    assert not [name for name in wrong if name not in CITING]


# They cite this software and its developers.
CITING = {"citation.txt", "citation.bib", "CITATION.cff", "index.html", "croissant.json"}


def test_texts_that_cite_the_software_name_it_in_that_sentence_only(tmp_path: Path) -> None:
    texts = texts_of(described(tmp_path / "registry", None))

    for name in CITING:
        assert OURS.base_url not in texts[name], name
    assert facts_of(described(tmp_path / "other", None)).identifier in texts["citation.txt"]


def test_every_text_names_the_address_of_its_own_registry(tmp_path: Path) -> None:
    descriptor = described(tmp_path / "registry", LAB)
    page = "https://data.example.org/registry/datasets/waves/1.0/"

    assert facts_of(descriptor).identifier == page
    for name, text in texts_of(descriptor).items():
        assert page in text, name
    schema = json.loads(texts_of(descriptor)["schema.org.json"])
    assert schema["includedInDataCatalog"] == {
        "@type": "DataCatalog",
        "name": "Harbour laboratory",
        "url": "https://data.example.org/registry/",
    }
    assert schema["sdPublisher"]["name"] == "The harbour laboratory"
    assert "https://git.example.org/harbour/registry" in texts_of(descriptor)["index.html"]


def test_without_a_base_url_no_address_is_invented(tmp_path: Path) -> None:
    descriptor = described(tmp_path / "registry", None)
    facts = facts_of(descriptor)
    documents = {name: text for name, text in texts_of(descriptor).items() if "json" in name}
    parsed = {name: json.loads(text) for name, text in documents.items()}

    assert facts.page is None
    assert uuid.UUID(facts.identifier.removeprefix("urn:uuid:")).version == 5
    assert "url" not in parsed["schema.org.json"]
    assert "url" not in parsed["datacite.json"]
    assert parsed["datacite.json"]["alternateIdentifiers"][0] == {
        "alternateIdentifier": facts.identifier,
        "alternateIdentifierType": "URN",
    }
    assert "dcat:landingPage" not in parsed["dcat.json"]
    assert parsed["croissant.json"]["url"] == "https://example.org/buoys"
    assert facts.descriptor_url == "datapackage.json"
    assert 'rel="canonical"' not in texts_of(descriptor)["index.html"]
    assert set(page_folder(descriptor)) >= {"index.html", "datapackage.json", "dcat.ttl"}


def test_the_identifier_without_an_address_is_the_same_every_time_and_differs_by_version(
    tmp_path: Path,
) -> None:
    first = facts_of(described(tmp_path / "first", None)).identifier
    folder = tmp_path / "first" / "datapackages" / "waves"
    (folder / "1.0").rename(folder / "2.0")
    path = folder / "2.0" / "datapackage.json"
    path.write_text(path.read_text().replace('"version": "1.0"', '"version": "2.0"'))
    second = facts_of(load_descriptor(find_registry(tmp_path / "first"), "waves", "2.0"))

    assert facts_of(described(tmp_path / "again", None)).identifier == first
    assert second.identifier != first


def test_exports_without_an_address_are_valid_for_other_readers(tmp_path: Path) -> None:
    import mlcroissant
    import rdflib
    from datacite import schema45

    texts = texts_of(described(tmp_path / "registry", None))
    path = tmp_path / "croissant.json"
    path.write_text(texts["croissant.json"], encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        croissant: Any = mlcroissant.Dataset(jsonld=path)
        graph = rdflib.Graph().parse(data=texts["dcat.ttl"], format="turtle")

    assert croissant.metadata.ctx.issues.errors == set()
    assert schema45.validator.is_valid(json.loads(texts["datacite.json"]))
    addresses = [str(node) for node in graph.all_nodes() if isinstance(node, rdflib.URIRef)]
    assert not [text for text in addresses if text.startswith("file:")]


def test_fair_says_what_a_missing_address_costs(tmp_path: Path) -> None:
    def failed(identity: str | None, name: str) -> set[str]:
        report = assess(described(tmp_path / name, identity))
        return {item.metric.identifier for item in report.failures}

    costs = failed(None, "without") - failed(LAB, "with")

    assert costs == {"FsF-F1-01MD", "FsF-A1-02MD", "FsF-A1.1-01MD", "FsF-A1.2-01MD"}


WRONG = {
    "not TOML": ("[", "syntax", ""),
    "an unknown key": ('base-url = "https://x.org"', "unknown", "base-url"),
    "a number": ("title = 3", "value", "title"),
    "no web address": ('base_url = "data.example.org"', "value", "base_url"),
    "a query": ('base_url = "https://example.org/?a=1"', "value", "base_url"),
    "a user": ('base_url = "https://me:pw@example.org/"', "value", "base_url"),
    "a broken address": ('base_url = "https://[1/"', "value", "base_url"),
    "no contact": ('contact = "nobody"', "value", "contact"),
    "two lines": ('title = "a\\nb"', "value", "title"),
    "nothing": ('title = " "', "value", "title"),
}


@pytest.mark.parametrize(("text", "kind", "key"), WRONG.values(), ids=WRONG)
def test_a_wrong_identity_is_named_by_check_and_stops_exports(
    tmp_path: Path, text: str, kind: str, key: str
) -> None:
    descriptor = described(tmp_path / "registry", text)

    problems = check_registry(find_registry(tmp_path / "registry"))

    assert [(problem.kind, problem.place) for problem in problems] == [
        (kind, f"{IDENTITY_NAME}: {key}")
    ]
    with pytest.raises(DescriptorError, match=IDENTITY_NAME):
        facts_of(descriptor)
    words = ["cite", "waves", "--registry", str(tmp_path / "registry")]
    assert CliRunner().invoke(group, words).exit_code != 0


def test_the_built_in_registry_states_its_address_in_one_place() -> None:
    facts: Facts = facts_of(load_descriptor(find_registry(), "uno_ccle"))

    assert facts.identifier.startswith(OURS.page)
    assert OURS.repository == REPOSITORY
