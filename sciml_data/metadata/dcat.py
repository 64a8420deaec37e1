"""Facts as DCAT 3: JSON-LD, and the same as Turtle.

A distribution is the whole dataset at one mirror. The manifest is a distribution of its own, and
lists the files with their hashes. A licence that is not stated is a statement of rights.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

from sciml_data.errors import CallError
from sciml_data.metadata.coverage import Coverage
from sciml_data.metadata.facts import Agent, Facts, Licence, Resource

AUTHORITY = "http://publications.europa.eu/resource/authority/"  # the EU's vocabularies
ACCESS = {"open": "PUBLIC", "restricted": "RESTRICTED"}
CURATOR = "http://id.loc.gov/vocabulary/relators/cur"  # MARC's roles of people, as DCAT 3 has roles
MEDIA_TYPES = "https://www.iana.org/assignments/media-types/"
CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "geosparql": "http://www.opengis.net/ont/geosparql#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

Node = dict[str, Any]


def to_dcat(facts: Facts) -> dict[str, Any]:
    """Return a JSON-LD document with a dcat:Dataset and its record in the registry's catalogue."""
    return {"@context": CONTEXT, "@graph": [_dataset(facts), _record(facts)]}


def to_turtle(facts: Facts) -> str:
    """Return the same as Turtle.

    Raises:
        CallError: rdflib is not installed.
    """
    try:
        import rdflib
        from rdflib.compare import to_canonical_graph
    except ImportError as error:
        raise CallError(
            "Turtle cannot be written: rdflib is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[fair]', or use --format json, which needs no extra",
        ) from error
    graph = rdflib.Graph()
    with warnings.catch_warnings():  # rdflib's own parser causes it
        warnings.filterwarnings("ignore", "ConjunctiveGraph is deprecated", DeprecationWarning)
        graph.parse(data=json.dumps(to_dcat(facts)), format="json-ld")
    # rdflib names blank nodes at random, and writes them in the order of their names.
    ordered = rdflib.Graph(namespace_manager=graph.namespace_manager)
    for triple in to_canonical_graph(graph):
        ordered.add(triple)
    return ordered.serialize(format="turtle").rstrip()


def _dataset(facts: Facts) -> Node:
    dataset: Node = {
        "@id": facts.identifier,
        "@type": "dcat:Dataset",
        "dct:identifier": facts.identifier,
        "dct:title": _english(facts.title),
        "dct:description": _english(facts.description),
        "dct:creator": [_agent(agent) for agent in facts.creators],
        "dct:publisher": [_agent(agent) for agent in facts.publishers[:1]],
        "dct:contributor": [_agent(agent) for agent in facts.publishers[1:]],
        "prov:qualifiedAttribution": [_curator(agent) for agent in facts.curators],
        "dct:issued": _date(facts.issued),
        "dcat:version": facts.version,
        "dcat:keyword": [_english(keyword) for keyword in facts.keywords],
        "dcat:landingPage": _document(facts.page) if facts.page else [],
        "foaf:page": [_document(facts.homepage)] if facts.homepage else [],
        "dct:license": [node for licence in facts.licences if (node := _licence(licence))],
        "dct:rights": [
            _statement(facts.access_sentence),
            *(_statement(licence.text) for licence in facts.licences if _licence(licence) is None),
        ],
        "dct:accessRights": _access(facts),
        "dct:bibliographicCitation": [citation.text for citation in facts.citations],
        "prov:wasDerivedFrom": [{"@id": work.identifier.url} for work in facts.sources],
        "prov:wasGeneratedBy": _generation(facts),
        **_coverage(facts.coverage),
        "dct:references": [
            {"@id": work.identifier.url} for work in facts.related if work not in facts.sources
        ],
        "dcat:distribution": _distributions(facts),
    }
    return {key: value for key, value in dataset.items() if value != []}


def _generation(facts: Facts) -> list[Node]:
    """Return the activity that made the data: the software, and the instruments that it used."""
    software = [
        {
            "@id": work.identifier.url,
            "@type": ["prov:Agent", "prov:SoftwareAgent"],
            "rdfs:label": work.title,
        }
        for work in facts.related
        if work.relation == "IsCompiledBy"
    ]
    instruments = facts.coverage.instruments
    if not software and not instruments:
        return []
    is_simulated = all(instrument.is_simulation for instrument in instruments)
    label = "simulation or processing by this software" if software else "measurement"
    label = "simulation" if instruments and is_simulated else label
    activity: Node = {
        "@type": "prov:Activity",
        "rdfs:label": _english(label),
        "prov:wasAssociatedWith": software,
        "prov:used": [
            {"@type": "prov:Entity", "rdfs:label": _english(instrument.label)}
            for instrument in instruments
        ],
    }
    return [{key: value for key, value in activity.items() if value}]


def _coverage(coverage: Coverage) -> Node:
    """Return place, time and resolutions; DCAT has metres for those in space, and no angles."""
    place: Node = {"@type": "dct:Location"}
    if coverage.place:
        place["rdfs:label"] = _english(coverage.place)
    if coverage.box is not None:
        place["dcat:bbox"] = {"@value": coverage.box.wkt, "@type": "geosparql:wktLiteral"}
    period: Node = {"@type": "dct:PeriodOfTime"}
    if coverage.start:
        period["dcat:startDate"] = _date(coverage.start)
    if coverage.end:
        period["dcat:endDate"] = _date(coverage.end)
    metres = coverage.resolution.metres if coverage.resolution else None
    duration = coverage.step.duration if coverage.step else None
    return {
        "dct:spatial": [place] if coverage.place else [],
        "dct:temporal": [period] if coverage.start else [],
        "dcat:spatialResolutionInMeters": []
        if metres is None
        else {"@value": str(float(metres)), "@type": "xsd:decimal"},
        "dcat:temporalResolution": []
        if duration is None
        else {"@value": duration, "@type": "xsd:duration"},
    }


def _record(facts: Facts) -> Node:
    """Return the catalogue with the record: who described the dataset, and when."""
    registry = facts.registry
    publisher = {"@type": "foaf:Agent", "foaf:name": registry.publisher}
    node: Node = {
        "@id": registry.page,
        "@type": "dcat:Catalog",
        "dct:title": _english(registry.title),
        "dct:description": _english(registry.description or registry.title),
        "dct:publisher": publisher if registry.publisher else "",
        "dcat:dataset": {"@id": facts.identifier},
        "dcat:record": {
            "@id": facts.descriptor_url if facts.page else "",
            "@type": "dcat:CatalogRecord",
            "foaf:primaryTopic": {"@id": facts.identifier},
            "dct:modified": _date(facts.described),
        },
    }
    # Without an address they are blank nodes: a relative address would be that of any document.
    record = {key: value for key, value in node["dcat:record"].items() if value}
    return {key: value for key, value in node.items() if value} | {"dcat:record": record}


def _distributions(facts: Facts) -> list[Node]:
    # A distribution has an absolute address; without a landing page these files have none.
    nodes = [_resource(resource) for resource in facts.resources] if facts.page else []
    for mirror in facts.mirrors:
        node: Node = {
            "@type": "dcat:Distribution",
            "dct:title": _english(f"native files, mirror {mirror.name}"),
            "dcat:accessURL": [{"@id": url} for url in dict.fromkeys(mirror.prefixes.values())],
        }
        if facts.total_bytes is not None:
            node["dcat:byteSize"] = _bytes(facts.total_bytes)
        else:
            sentences = (group.sentence for group in facts.groups)
            node["dct:description"] = _english("; ".join(sentences))
        nodes.append(node)
    if facts.service is not None:
        nodes.append(
            {
                "@type": "dcat:Distribution",
                "dct:title": _english("what the service answers, for any period"),
                "dcat:accessURL": {"@id": facts.service},
                "dcat:accessService": {
                    "@type": "dcat:DataService",
                    "dct:title": _english(f"service of {facts.dataset} {facts.version}"),
                    "dcat:endpointURL": {"@id": facts.service},
                },
            }
        )
    return nodes


def _resource(resource: Resource) -> Node:
    kind = {"@id": MEDIA_TYPES + resource.media_type, "@type": "dct:MediaType"}
    return {
        "@type": "dcat:Distribution",
        "dct:title": _english(resource.title),
        "dcat:accessURL": {"@id": resource.url},
        "dcat:downloadURL": {"@id": resource.url},
        "dcat:mediaType": kind,
        "dcat:byteSize": _bytes(resource.size_bytes),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": {"@value": resource.sha256, "@type": "xsd:hexBinary"},
        },
    }


def _agent(agent: Agent) -> Node:
    kind = "foaf:Person" if agent.is_person else "foaf:Organization"
    node: Node = {"@type": ["foaf:Agent", kind], "foaf:name": agent.name}
    if agent.url:
        node["foaf:homepage"] = _document(agent.url)
    return node


def _curator(agent: Agent) -> Node:
    """Return who keeps the description, which is neither dct:creator nor dct:publisher."""
    return {
        "@type": "prov:Attribution",
        "prov:agent": _agent(agent),
        "dcat:hadRole": {"@id": CURATOR, "@type": "dcat:Role"},
    }


def _licence(licence: Licence) -> Node | None:
    if not licence.is_stated or not licence.url:
        return None
    return {"@id": licence.url, "@type": "dct:LicenseDocument", "rdfs:label": licence.text}


def _access(facts: Facts) -> list[Node]:
    """Return a concept of the EU's vocabulary; the sentence is in dct:rights.

    DCAT-AP allows only one value of dct:accessRights.
    """
    if facts.access.rights is None:
        return []
    address = f"{AUTHORITY}access-right/{ACCESS[facts.access.rights]}"
    return [{"@id": address, "@type": "dct:RightsStatement"}]


def _statement(text: str) -> Node:
    return {"@type": "dct:RightsStatement", "rdfs:label": text}


def _document(url: str) -> Node:
    return {"@id": url, "@type": "foaf:Document"}


def _english(text: str) -> Node:
    return {"@value": text, "@language": "en"}


def _date(text: str) -> Node:
    return {"@value": text, "@type": "xsd:date" if len(text) > len("YYYY") else "xsd:gYear"}


def _bytes(size: int) -> Node:
    return {"@value": str(size), "@type": "xsd:nonNegativeInteger"}
