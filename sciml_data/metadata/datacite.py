"""Facts as DataCite metadata 4.5: JSON for DataCite's REST interface, and the same as XML.

No DOI is registered. The JSON schema does not require one. The XML schema requires an identifier,
which is `:unas`, DataCite's word for a value that is not assigned (Metadata Schema 4.5, appendix
3). The landing page is an alternate identifier and the `url`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from sciml_data.metadata.addresses import SPDX_LICENCES
from sciml_data.metadata.facts import Agent, Facts, Licence, Related
from sciml_data.progress import counted

KERNEL = "http://datacite.org/schema/kernel-4"
SCHEMA_LOCATION = f"{KERNEL} http://schema.datacite.org/meta/kernel-4.5/metadata.xsd"
UNASSIGNED = ":unas"  # not assigned
UNKNOWN = ":unkn"  # known to be unknown
COAR = "http://purl.org/coar/access_right/"  # vocabulary of access rights
ACCESS = {
    "open": ("open access", f"{COAR}c_abf2"),
    "restricted": ("restricted access", f"{COAR}c_16ec"),
}
# List in JSON -> its XML element, the element of each item, and the key of the item's text. All
# other keys of an item become attributes. The order is that of the schema's own example.
LISTS = {
    "titles": ("titles", "title", "title"),
    "subjects": ("subjects", "subject", "subject"),
    "dates": ("dates", "date", "date"),
    "alternateIdentifiers": ("alternateIdentifiers", "alternateIdentifier", "alternateIdentifier"),
    "relatedIdentifiers": ("relatedIdentifiers", "relatedIdentifier", "relatedIdentifier"),
    "rightsList": ("rightsList", "rights", "rights"),
    "descriptions": ("descriptions", "description", "description"),
}
# Names of attributes that XML spells differently.
ATTRIBUTES = {"rightsUri": "rightsURI", "schemeUri": "schemeURI"}


def to_datacite(facts: Facts) -> dict[str, Any]:
    """Return the JSON form of a version."""
    publishers = facts.publishers
    document = {
        "schemaVersion": KERNEL,
        "url": facts.page,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Dataset"},
        "creators": [_name(agent) for agent in facts.creators] or [{"name": UNKNOWN}],
        "titles": [{"title": facts.title}],
        "publisher": {"name": publishers[0].name if publishers else UNKNOWN},
        "publicationYear": facts.issued[:4],
        "subjects": [{"subject": keyword} for keyword in dict.fromkeys(facts.keywords)],
        "contributors": [
            *(_name(agent) | {"contributorType": "Distributor"} for agent in publishers[1:]),
            *(_name(agent) | {"contributorType": "DataCurator"} for agent in facts.curators),
        ],
        "dates": [
            {"date": facts.issued, "dateType": "Issued", "dateInformation": facts.issued_remark},
            *_period(facts),
        ],
        "language": "en",
        "alternateIdentifiers": [
            {
                "alternateIdentifier": facts.identifier,
                "alternateIdentifierType": "URL" if facts.page else "URN",
            },
            {
                "alternateIdentifier": f"{facts.dataset}/{facts.version}",
                "alternateIdentifierType": "sciml-data",
            },
        ],
        "relatedIdentifiers": [_related(work) for work in facts.related],
        "sizes": _sizes(facts),
        "formats": _formats(facts),
        "version": facts.version,
        "rightsList": [*(_rights(licence) for licence in facts.licences), *_access(facts)],
        "descriptions": _descriptions(facts),
        "geoLocations": _places(facts),
    }
    return {key: value for key, value in document.items() if value not in ([], None)}


def to_xml(facts: Facts) -> str:
    """Return the XML form, which is made from the JSON form."""
    document = to_datacite(facts)
    root = ET.Element(
        "resource",
        {
            "xmlns": KERNEL,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": SCHEMA_LOCATION,
        },
    )
    _text(root, "identifier", UNASSIGNED, {"identifierType": "DOI"})
    _people(root, "creators", document["creators"])
    for key, words in LISTS.items():
        if key in document:
            _list(root, words, document[key])
    _text(root, "publisher", document["publisher"]["name"])
    _text(root, "publicationYear", document["publicationYear"])
    kind = document["types"]
    attributes = {"resourceTypeGeneral": kind["resourceTypeGeneral"]}
    _text(root, "resourceType", kind["resourceType"], attributes)
    _people(root, "contributors", document.get("contributors", ()))
    _text(root, "language", document["language"])
    _text(root, "version", document["version"])
    for key, word in (("sizes", "size"), ("formats", "format")):
        if key in document:
            inside = ET.SubElement(root, key)
            for text in document[key]:
                _text(inside, word, text)
    _locations(root, document.get("geoLocations", ()))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _name(agent: Agent) -> dict[str, Any]:
    if not agent.is_person:
        return {"name": agent.name, "nameType": "Organizational"}
    family, given = agent.family_name, agent.given_name
    name: dict[str, Any] = {
        "name": f"{family}, {given}" if given else family,
        "nameType": "Personal",
        "familyName": family,
    }
    if given:
        name["givenName"] = given
    if agent.organisation:
        name["affiliation"] = [{"name": agent.organisation}]
    return name


def _related(work: Related) -> dict[str, str]:
    return {
        "relatedIdentifier": work.identifier.value,
        "relatedIdentifierType": work.identifier.kind,
        "relationType": work.relation,
    }


def _rights(licence: Licence) -> dict[str, str]:
    """Return a licence; a licence that is not stated has a sentence, and no identifier."""
    rights = {"rights": licence.text}
    if not licence.is_stated:
        return rights
    if licence.url:
        rights["rightsUri"] = licence.url
    if licence.is_spdx:
        rights |= {
            "rightsIdentifier": licence.name,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": SPDX_LICENCES,
        }
    return rights


def _access(facts: Facts) -> list[dict[str, str]]:
    if facts.access.rights is None:
        return []
    word, address = ACCESS[facts.access.rights]
    return [{"rights": word, "rightsUri": address}]


def _sizes(facts: Facts) -> list[str]:
    if facts.total_bytes is not None:
        return [f"{facts.total_bytes} bytes", counted(len(facts.files), "file")]
    return [] if facts.is_live else list(dict.fromkeys(group.sentence for group in facts.groups))


def _formats(facts: Facts) -> list[str]:
    files = {file.media_type for file in facts.files}
    return sorted(files | {group.media_type for group in facts.groups})


def _period(facts: Facts) -> list[dict[str, str]]:
    """Return the time of the data; DataCite 4.5 has no word for an end that is open."""
    coverage = facts.coverage
    if coverage.start is None:
        return []
    date = f"{coverage.start}/{coverage.end}" if coverage.end else f"{coverage.start}/"
    return [
        {"date": date, "dateType": "Collected", "dateInformation": "time that the data are from"}
    ]


def _places(facts: Facts) -> list[dict[str, Any]]:
    coverage = facts.coverage
    if coverage.place is None:
        return []
    place: dict[str, Any] = {"geoLocationPlace": coverage.place}
    if (box := coverage.box) is not None:
        place["geoLocationBox"] = {
            "westBoundLongitude": box.west,
            "eastBoundLongitude": box.east,
            "southBoundLatitude": box.south,
            "northBoundLatitude": box.north,
        }
    return [place]


def _locations(root: ET.Element, places: Sequence[Mapping[str, Any]]) -> None:
    if not places:
        return
    parent = ET.SubElement(root, "geoLocations")
    for place in places:
        element = ET.SubElement(parent, "geoLocation")
        _text(element, "geoLocationPlace", place["geoLocationPlace"])
        if "geoLocationBox" in place:
            box = ET.SubElement(element, "geoLocationBox")
            for side, degrees in place["geoLocationBox"].items():
                _text(box, side, str(degrees))


def _methods(facts: Facts) -> str:
    """Return instruments, resolutions and sampling in sentences."""
    coverage = facts.coverage
    sentences = [
        *(f"Instrument: {instrument.label}." for instrument in coverage.instruments),
        f"Spatial resolution: {coverage.resolution}." if coverage.resolution else "",
        f"Temporal resolution: {coverage.step}." if coverage.step else "",
        coverage.sampling or "",
    ]
    return " ".join(filter(None, sentences))


def _descriptions(facts: Facts) -> list[dict[str, str]]:
    descriptions = [
        {"description": facts.description, "descriptionType": "Abstract"},
        {"description": facts.access_sentence, "descriptionType": "Other"},
    ]
    if methods := _methods(facts):
        descriptions.append({"description": methods, "descriptionType": "Methods"})
    if facts.manifest_digest:
        digest = (
            f"manifest.csv names every file with its hash; its sha256 is {facts.manifest_digest}"
        )
        descriptions.append({"description": digest, "descriptionType": "TechnicalInfo"})
    return descriptions


def _people(root: ET.Element, word: str, people: Sequence[Mapping[str, Any]]) -> None:
    if not people:
        return
    parent, singular = ET.SubElement(root, word), word.removesuffix("s")
    for person in people:
        kinds = {key: person[key] for key in ("contributorType",) if key in person}
        element = ET.SubElement(parent, singular, kinds)
        attributes = {key: person[key] for key in ("nameType",) if key in person}
        _text(element, f"{singular}Name", person["name"], attributes)
        for key in ("givenName", "familyName"):
            if key in person:
                _text(element, key, person[key])
        for affiliation in person.get("affiliation", ()):
            _text(element, "affiliation", affiliation["name"])


def _list(
    root: ET.Element, words: tuple[str, str, str], items: Sequence[Mapping[str, str]]
) -> None:
    plural, singular, key = words
    parent = ET.SubElement(root, plural)
    for item in items:
        others = {ATTRIBUTES.get(k, k): value for k, value in item.items() if k != key}
        _text(parent, singular, item[key], others)


def _text(
    root: ET.Element, word: str, text: str, attributes: Mapping[str, str] | None = None
) -> None:
    ET.SubElement(root, word, dict(attributes or {})).text = text
