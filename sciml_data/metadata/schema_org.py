"""Facts as schema.org JSON-LD: what search engines harvest, and what a landing page carries.

The context is inline, because assessors that may not fetch a remote context (F-UJI among them)
would read nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sciml_data.metadata.coverage import Coverage
from sciml_data.metadata.facts import Agent, Facts, Licence, NativeFile, Resource
from sciml_data.registry.descriptor import Variable


def to_schema_org(facts: Facts) -> dict[str, Any]:
    """Return a schema.org Dataset; a licence that is not stated is a work that says so."""
    document: dict[str, Any] = {
        "@context": {"@vocab": "https://schema.org/"},
        "@type": "Dataset",
        "@id": facts.identifier,
        "identifier": facts.identifier,
        "url": facts.page,
        "name": facts.title,
        "alternateName": facts.dataset,
        "description": facts.description,
        "version": facts.version,
        "keywords": list(facts.keywords),
        "creator": [agent_node(agent) for agent in facts.creators],
        "publisher": [agent_node(agent) for agent in facts.publishers],
        "datePublished": facts.issued,
        "license": [licence_node(licence) for licence in facts.licences],
        "conditionsOfAccess": facts.access_sentence,
        "citation": [citation.text for citation in facts.citations],
        "isBasedOn": [work.identifier.url for work in facts.sources],
        "variableMeasured": [
            variable_node(name, variable) for name, variable in facts.variables.items()
        ],
        **coverage_nodes(facts.coverage),
        "distribution": list(_distribution(facts)),
        "includedInDataCatalog": _named("DataCatalog", facts.registry.title, facts.registry.page),
        "sdDatePublished": facts.described,
        "sdPublisher": _named("Organization", facts.registry.publisher, facts.registry.page),
    }
    if facts.access.rights == "open":
        document["isAccessibleForFree"] = True
    if facts.total_bytes is not None:
        document["size"] = f"{facts.total_bytes} B"
    return {key: value for key, value in document.items() if value not in ([], None)}


def _named(kind: str, name: str, url: str) -> dict[str, str] | None:
    """Return a node with a name and an address; None without a name."""
    if not name:
        return None
    return {"@type": kind, "name": name} | ({"url": url} if url else {})


def coverage_nodes(coverage: Coverage) -> dict[str, Any]:
    """Return place, time, resolutions and instruments as properties of a Dataset."""
    nodes: dict[str, Any] = {
        "spatialCoverage": _place(coverage) if coverage.place else None,
        "temporalCoverage": coverage.interval,
        "measurementTechnique": [instrument.label for instrument in coverage.instruments],
        "additionalProperty": [
            {
                "@type": "PropertyValue",
                "name": name,
                "value": resolution.value,
                "unitText": resolution.unit,
            }
            for name, resolution in (
                ("spatial resolution", coverage.resolution),
                ("temporal resolution", coverage.step),
            )
            if resolution is not None
        ],
    }
    return {key: value for key, value in nodes.items() if value}


def _place(coverage: Coverage) -> dict[str, Any]:
    place: dict[str, Any] = {"@type": "Place", "name": coverage.place}
    if (box := coverage.box) is not None:
        # The order of schema.org: lower corner, upper corner, latitude first.
        corners = f"{box.south:g} {box.west:g} {box.north:g} {box.east:g}"
        place["geo"] = {"@type": "GeoShape", "box": corners}
    return place


def agent_node(agent: Agent) -> dict[str, Any]:
    """Return a Person or an Organization."""
    node = {
        "@type": "Person" if agent.is_person else "Organization",
        "name": agent.name,
        "givenName": agent.given_name,
        "familyName": agent.family_name,
        "affiliation": agent.organisation and {"@type": "Organization", "name": agent.organisation},
        "description": agent.remark,
        "url": agent.url,
    }
    return {key: value for key, value in node.items() if value}


def licence_node(licence: Licence) -> str | dict[str, str]:
    """Return the address of an SPDX licence, else a CreativeWork with the licence's name.

    A licence that is not stated is a CreativeWork too, which says so.
    """
    if licence.is_spdx and licence.url:
        return licence.url
    name = licence.name.removeprefix("LicenseRef-") if licence.is_stated else "licence not stated"
    node = {"@type": "CreativeWork", "name": name, "description": licence.text}
    if licence.is_stated and licence.url:
        node["url"] = licence.url
    return node


def variable_node(name: str, variable: Variable) -> dict[str, str]:
    """Return a PropertyValue of a variable in the ready form."""
    form = f"{variable.dtype} ({', '.join(variable.dims)})"
    node = {
        "@type": "PropertyValue",
        "name": name,
        "description": f"{variable.long_name}; {form} in the ready form",
    }
    if variable.units is not None:
        node["unitText"] = variable.units
    if variable.standard_name is not None:
        node["propertyID"] = variable.standard_name
    return node


def _distribution(facts: Facts) -> Iterator[dict[str, Any]]:
    yield {
        "@type": "DataDownload",
        "name": "datapackage.json",
        "description": "descriptor (Data Package v2)",
        "contentUrl": facts.descriptor_url,
        "encodingFormat": "application/json",
    }
    for resource in facts.resources:
        yield _resource_node(resource)
    if facts.lists_files:
        for file in facts.files:
            yield from _file_nodes(file)
    for group in facts.groups:
        for folder in group.folders:
            yield {
                "@type": "DataDownload",
                "name": group.glob,
                "description": group.sentence,
                "contentUrl": folder,
                "encodingFormat": group.media_type,
            }


def _resource_node(resource: Resource) -> dict[str, Any]:
    return {
        "@type": "DataDownload",
        "name": resource.path,
        "description": resource.title,
        "contentUrl": resource.url,
        "encodingFormat": resource.media_type,
        "contentSize": f"{resource.size_bytes} B",
        "sha256": resource.sha256,
    }


def _file_nodes(file: NativeFile) -> Iterator[dict[str, Any]]:
    """Yield a download with the address at each mirror; nothing if no mirror has the file."""
    if not file.urls:
        return
    node = {
        "@type": "DataDownload",
        "name": file.path,
        "contentUrl": file.urls[0] if len(file.urls) == 1 else list(file.urls),
        "encodingFormat": file.media_type,
        "contentSize": f"{file.size_bytes} B",
    }
    if file.sha256:
        node["sha256"] = file.sha256
    yield node
