"""Facts as the metadata file of an RO-Crate 1.1: the native files as web-based data entities.

The crate is the description; the files stay where they are published. A file without a known
mirror, and files that nobody has pinned, have no address of their own: the crate has their folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sciml_data.metadata.coverage import Coverage
from sciml_data.metadata.facts import Agent, Facts, Licence

METADATA_NAME = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/crate/1.1"
# `sha256` was added to schema.org after the context of RO-Crate 1.1 was fixed.
CONTEXT = [f"{PROFILE}/context", {"sha256": "https://schema.org/sha256"}]
PLACE, MAKING = "#place", "#making"

Entity = dict[str, Any]


def to_rocrate(facts: Facts) -> dict[str, Any]:
    """Return the text of `ro-crate-metadata.json` as a mapping."""
    files = list(_files(facts))
    people = {_agent_id(agent): _agent(agent) for agent in facts.agents}
    licences = [_licence(number, item) for number, item in enumerate(facts.licences, start=1)]
    works = [
        _work(citation.identifier.url, citation.text)
        for citation in facts.citations
        if citation.identifier
    ]
    made = list(_coverage(facts.coverage))
    others = {
        entity["@id"]: entity for entity in [*files, *people.values(), *licences, *works, *made]
    }
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
        "url": facts.page,
        "name": facts.title,
        "alternateName": facts.dataset,
        "description": facts.description,
        "version": facts.version,
        "datePublished": facts.issued,
        "keywords": ", ".join(facts.keywords),
        "license": _references(licence["@id"] for licence in licences),
        "conditionsOfAccess": facts.access_sentence,
        "creator": _references(map(_agent_id, facts.creators)),
        "publisher": _references(map(_agent_id, facts.publishers)),
        "maintainer": _references(map(_agent_id, facts.curators)),
        "citation": _references(
            citation.identifier.url for citation in facts.citations if citation.identifier
        ),
        "isBasedOn": _references(work.identifier.url for work in facts.sources),
        "hasPart": _references(entity["@id"] for entity in files),
        "temporalCoverage": facts.coverage.interval,
        "spatialCoverage": [{"@id": PLACE}] if facts.coverage.place else [],
        "mentions": [{"@id": MAKING}] if facts.coverage.instruments else [],
        "creditText": "; ".join(citation.text for citation in facts.citations),
    }
    return {key: value for key, value in root.items() if value not in ([], None)}


def _coverage(coverage: Coverage) -> Iterator[Entity]:
    """Yield the place with its box, and the action that used the instruments."""
    if coverage.place:
        place: Entity = {"@id": PLACE, "@type": "Place", "name": coverage.place}
        yield place | ({"geo": {"@id": f"{PLACE}-box"}} if coverage.box else {})
    if (box := coverage.box) is not None:
        yield {
            "@id": f"{PLACE}-box",
            "@type": "GeoShape",
            "box": f"{box.south:g},{box.west:g} {box.north:g},{box.east:g}",
        }
    if not coverage.instruments:
        return
    resolutions = {"spatial": coverage.resolution, "temporal": coverage.step}
    known = [f"{name} resolution {value}" for name, value in resolutions.items() if value]
    instruments = [
        {
            "@id": f"#instrument-{number}",
            "@type": "SoftwareApplication" if instrument.is_simulation else "IndividualProduct",
            "name": instrument.name,
            **({"description": instrument.platform} if instrument.platform else {}),
        }
        for number, instrument in enumerate(coverage.instruments, start=1)
    ]
    yield {
        "@id": MAKING,
        "@type": "CreateAction",
        "name": "How the data were made",
        "description": "; ".join([*known, coverage.sampling or ""]).strip("; ") or "not stated",
        "instrument": _references(item["@id"] for item in instruments),
        "result": [{"@id": "./"}],
    }
    yield from instruments


def _references(identifiers: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": identifier} for identifier in dict.fromkeys(identifiers)]


def _files(facts: Facts) -> Iterator[Entity]:
    yield _file(facts.descriptor_url, "datapackage.json", "application/json")
    for resource in facts.resources:
        yield _file(resource.url, resource.title, resource.media_type) | {
            "contentSize": str(resource.size_bytes),
            "sha256": resource.sha256,
        }
    if facts.lists_files:
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
    """Return a folder on the web, or a file if the address does not end with a slash."""
    kind = "Dataset" if url.endswith("/") else "File"
    return {"@id": url, "@type": kind, "name": name, "description": description}


def _agent_id(agent: Agent) -> str:
    return "#" + "-".join(agent.name.split())


def _agent(agent: Agent) -> Entity:
    entity: Entity = {
        "@id": _agent_id(agent),
        "@type": "Person" if agent.is_person else "Organization",
        "name": agent.name,
        "givenName": agent.given_name,
        "familyName": agent.family_name,
        "description": agent.remark,
        "url": agent.url,
    }
    return {key: value for key, value in entity.items() if value}


def _licence(number: int, licence: Licence) -> Entity:
    """Return a licence as a contextual entity; if none is stated, the entity says so."""
    url = licence.url if licence.is_stated and licence.url else f"#licence-{number}"
    name = licence.name if licence.is_stated else "licence not stated"
    return {"@id": url, "@type": "CreativeWork", "name": name, "description": licence.text}


def _work(url: str, text: str) -> Entity:
    return {"@id": url, "@type": "CreativeWork", "name": text}
