"""Facts as DataCite metadata 4.5: JSON as its REST interface takes it, and XML of the same.

No DOI is registered. The JSON schema asks for none, so it has none; the XML schema asks for an
identifier, which is then `:unas`, DataCite's word for a value that is not assigned (Metadata Schema
4.5, appendix 3). The landing page stands as an alternate identifier and as the `url`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from sciml_data.metadata.addresses import SPDX_LICENCES
from sciml_data.metadata.facts import Facts
from sciml_data.metadata.parts import Agent, Licence, Related

KERNEL = "http://datacite.org/schema/kernel-4"
SCHEMA_LOCATION = f"{KERNEL} http://schema.datacite.org/meta/kernel-4.5/metadata.xsd"
UNASSIGNED = ":unas"  # not assigned
UNKNOWN = ":unkn"  # known to be unknown
COAR = "http://purl.org/coar/access_right/"  # vocabulary of access rights
ACCESS = {
    "open": ("open access", f"{COAR}c_abf2"),
    "restricted": ("restricted access", f"{COAR}c_16ec"),
}
# List in JSON -> its element and the element of each item in XML; the items' attributes are those
# keys that are not the text. Order as in the schema's own example: the schema takes any.
LISTS = {
    "titles": ("titles", "title", "title"),
    "subjects": ("subjects", "subject", "subject"),
    "dates": ("dates", "date", "date"),
    "alternateIdentifiers": ("alternateIdentifiers", "alternateIdentifier", "alternateIdentifier"),
    "relatedIdentifiers": ("relatedIdentifiers", "relatedIdentifier", "relatedIdentifier"),
    "rightsList": ("rightsList", "rights", "rights"),
    "descriptions": ("descriptions", "description", "description"),
}
ATTRIBUTES = {"rightsUri": "rightsURI", "schemeUri": "schemeURI"}  # where XML spells otherwise


def to_datacite(facts: Facts) -> dict[str, Any]:
    """Return the JSON form of a version."""
    publishers = facts.publishers
    document = {
        "schemaVersion": KERNEL,
        "url": facts.identifier,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Dataset"},
        "creators": [_name(one) for one in facts.creators] or [{"name": UNKNOWN}],
        "titles": [{"title": facts.title}],
        "publisher": {"name": publishers[0].name if publishers else UNKNOWN},
        "publicationYear": facts.issued[:4],
        "subjects": [{"subject": one} for one in dict.fromkeys(facts.keywords)],
        "contributors": [
            *(_name(one) | {"contributorType": "Distributor"} for one in publishers[1:]),
            *(_name(one) | {"contributorType": "DataCurator"} for one in facts.curators),
        ],
        "dates": [
            {"date": facts.issued, "dateType": "Issued", "dateInformation": facts.issued_remark}
        ],
        "language": "en",
        "alternateIdentifiers": [
            {"alternateIdentifier": facts.identifier, "alternateIdentifierType": "URL"},
            {
                "alternateIdentifier": f"{facts.dataset}/{facts.version}",
                "alternateIdentifierType": "sciml-data",
            },
        ],
        "relatedIdentifiers": [_related(one) for one in facts.related],
        "sizes": _sizes(facts),
        "formats": _formats(facts),
        "version": facts.version,
        "rightsList": [*(_rights(one) for one in facts.licences), *_access(facts)],
        "descriptions": _descriptions(facts),
    }
    return {key: value for key, value in document.items() if value != []}


def to_xml(facts: Facts) -> str:
    """Return the XML form; made of the JSON one."""
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
            for one in document[key]:
                _text(inside, word, one)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _name(one: Agent) -> dict[str, Any]:
    if not one.is_person:
        return {"name": one.name, "nameType": "Organizational"}
    found: dict[str, Any] = {
        "name": f"{one.family_name}, {one.given_name}" if one.given_name else one.family_name,
        "nameType": "Personal",
        "familyName": one.family_name,
    }
    if one.given_name:
        found["givenName"] = one.given_name
    if one.organisation:
        found["affiliation"] = [{"name": one.organisation}]
    return found


def _related(one: Related) -> dict[str, str]:
    return {
        "relatedIdentifier": one.identifier.value,
        "relatedIdentifierType": one.identifier.kind,
        "relationType": one.relation,
    }


def _rights(one: Licence) -> dict[str, str]:
    """Return a licence; one that is not stated has a sentence, and no identifier."""
    if not one.is_stated:
        return {"rights": one.text}
    found = {"rights": one.text}
    if one.url:
        found["rightsUri"] = one.url
    if one.is_spdx:
        found |= {
            "rightsIdentifier": one.name,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": SPDX_LICENCES,
        }
    return found


def _access(facts: Facts) -> list[dict[str, str]]:
    if facts.access.rights is None:
        return []
    word, address = ACCESS[facts.access.rights]
    return [{"rights": word, "rightsUri": address}]


def _sizes(facts: Facts) -> list[str]:
    if facts.total_bytes is not None:
        return [f"{facts.total_bytes} bytes", f"{len(facts.files)} files"]
    return [] if facts.is_live else list(dict.fromkeys(one.sentence for one in facts.groups))


def _formats(facts: Facts) -> list[str]:
    files = {one.media_type for one in facts.files}
    return sorted(files | {one.media_type for one in facts.groups})


def _descriptions(facts: Facts) -> list[dict[str, str]]:
    found = [{"description": facts.description, "descriptionType": "Abstract"}]
    found.append({"description": facts.access_sentence, "descriptionType": "Other"})
    if facts.manifest_digest:
        digest = (
            f"manifest.csv names every file with its hash; its sha256 is {facts.manifest_digest}"
        )
        found.append({"description": digest, "descriptionType": "TechnicalInfo"})
    return found


def _people(root: ET.Element, word: str, people: Sequence[Mapping[str, Any]]) -> None:
    if not people:
        return
    above = ET.SubElement(root, word)
    for one in people:
        singular = word.removesuffix("s")
        kind = {"contributorType": one["contributorType"]} if "contributorType" in one else {}
        person = ET.SubElement(above, singular, kind)
        attributes = {"nameType": one["nameType"]} if "nameType" in one else {}
        _text(person, f"{singular}Name", one["name"], attributes)
        for key in ("givenName", "familyName"):
            if key in one:
                _text(person, key, one[key])
        for affiliation in one.get("affiliation", ()):
            _text(person, "affiliation", affiliation["name"])


def _list(
    root: ET.Element, words: tuple[str, str, str], items: Sequence[Mapping[str, str]]
) -> None:
    plural, singular, key = words
    above = ET.SubElement(root, plural)
    for item in items:
        others = {ATTRIBUTES.get(k, k): value for k, value in item.items() if k != key}
        _text(above, singular, item[key], others)


def _text(
    root: ET.Element, word: str, text: str, attributes: Mapping[str, str] | None = None
) -> None:
    ET.SubElement(root, word, dict(attributes or {})).text = text
