"""Facts as the metadata file of an RO-Crate 1.1: the native files as web-based data entities.

The crate is the description; the files stay where they are published. A file without a mirror that
is known, and files that nobody has pinned, have no address of their own: their folders stand there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sciml_data.metadata.facts import Facts
from sciml_data.metadata.parts import Agent, Licence
from sciml_data.metadata.schema_org import MOST_FILES

METADATA_NAME = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/crate/1.1"
# `sha256` came to schema.org after the context of RO-Crate 1.1 was fixed.
CONTEXT = [f"{PROFILE}/context", {"sha256": "https://schema.org/sha256"}]

Entity = dict[str, Any]


def to_rocrate(facts: Facts) -> dict[str, Any]:
    """Return the text of `ro-crate-metadata.json` as a mapping."""
    files = list(_files(facts))
    people = {_agent_id(one): _agent(one) for one in facts.agents}
    licences = [_licence(number, one) for number, one in enumerate(facts.licences, start=1)]
    works = [_work(one.identifier.url, one.text) for one in facts.citations if one.identifier]
    others = {one["@id"]: one for one in [*files, *people.values(), *licences, *works]}
    graph = [_descriptor(), _root(facts, files, licences), *others.values()]
    return {"@context": CONTEXT, "@graph": graph}


def _descriptor() -> Entity:
    return {
        "@id": METADATA_NAME,
        "@type": "CreativeWork",
        "conformsTo": {"@id": PROFILE},
        "about": {"@id": "./"},
    }


def _root(facts: Facts, files: list[Entity], licences: list[Entity]) -> Entity:
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "identifier": facts.identifier,
        "url": facts.identifier,
        "name": facts.title,
        "alternateName": facts.dataset,
        "description": facts.description,
        "version": facts.version,
        "datePublished": facts.issued,
        "keywords": ", ".join(facts.keywords),
        "license": _references(one["@id"] for one in licences),
        "conditionsOfAccess": facts.access_sentence,
        "creator": _references(_agent_id(one) for one in facts.creators),
        "publisher": _references(_agent_id(one) for one in facts.publishers),
        "maintainer": _references(_agent_id(one) for one in facts.curators),
        "citation": _references(
            one.identifier.url for one in facts.citations if one.identifier is not None
        ),
        "isBasedOn": _references(
            one.identifier.url for one in facts.related if one.relation == "IsDerivedFrom"
        ),
        "hasPart": _references(one["@id"] for one in files),
        "creditText": "; ".join(one.text for one in facts.citations),
    }
    return {key: value for key, value in root.items() if value != []}


def _references(identifiers: Iterator[str]) -> list[dict[str, str]]:
    return [{"@id": one} for one in dict.fromkeys(identifiers)]


def _files(facts: Facts) -> Iterator[Entity]:
    yield _file(facts.descriptor_url, "datapackage.json", "application/json")
    for one in facts.beside:
        yield _file(one.url, one.title, one.media_type) | {
            "contentSize": str(one.size_bytes),
            "sha256": one.sha256,
        }
    if len(facts.files) <= MOST_FILES:
        for file in facts.files:
            if file.urls:
                entity = _file(file.urls[0], file.path, file.media_type)
                entity["contentSize"] = str(file.size_bytes)
                yield entity | ({"sha256": file.sha256} if file.sha256 else {})
    else:
        yield from (
            _folder(url, f"native files at {mirror.name}", "named in manifest.csv")
            for mirror in facts.mirrors
            for url in mirror.prefixes.values()
        )
    for group in facts.groups:
        yield from (_folder(url, group.glob, group.sentence) for url in group.folders)


def _file(url: str, name: str, media_type: str) -> Entity:
    return {"@id": url, "@type": "File", "name": name, "encodingFormat": media_type}


def _folder(url: str, name: str, description: str) -> Entity:
    """Return a folder on the web, or the file where the address is one's."""
    kind = "Dataset" if url.endswith("/") else "File"
    return {"@id": url, "@type": kind, "name": name, "description": description}


def _agent_id(one: Agent) -> str:
    return "#" + "-".join(one.name.split())


def _agent(one: Agent) -> Entity:
    found: Entity = {
        "@id": _agent_id(one),
        "@type": "Person" if one.is_person else "Organization",
        "name": one.name,
        "givenName": one.given_name,
        "familyName": one.family_name,
        "description": one.remark,
        "url": one.url,
    }
    return {key: value for key, value in found.items() if value}


def _licence(number: int, one: Licence) -> Entity:
    """Return a licence as a contextual entity, also where none is stated: it then says so."""
    url = one.url if one.is_stated and one.url else f"#licence-{number}"
    name = one.name if one.is_stated else "licence not stated"
    return {"@id": url, "@type": "CreativeWork", "name": name, "description": one.text}


def _work(url: str, text: str) -> Entity:
    return {"@id": url, "@type": "CreativeWork", "name": text}
