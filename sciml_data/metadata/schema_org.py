"""Facts as schema.org JSON-LD: what search engines harvest, and what a landing page carries.

The context is inline: assessors that may not fetch a remote one (F-UJI among them) read nothing
otherwise (research: tooling, section 9).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sciml_data.metadata.addresses import REGISTRY_PAGE
from sciml_data.metadata.cite import SOFTWARE
from sciml_data.metadata.facts import Facts
from sciml_data.metadata.parts import Agent, Beside, Licence, NativeFile
from sciml_data.registry.descriptor import Variable

MOST_FILES = 1000  # listed one by one; beyond, the manifest is what names them


def to_schema_org(facts: Facts) -> dict[str, Any]:
    """Return a schema.org Dataset; a licence that is not stated is a work that says so."""
    document: dict[str, Any] = {
        "@context": {"@vocab": "https://schema.org/"},
        "@type": "Dataset",
        "@id": facts.identifier,
        "identifier": facts.identifier,
        "url": facts.identifier,
        "name": facts.title,
        "alternateName": facts.dataset,
        "description": facts.description,
        "version": facts.version,
        "keywords": list(facts.keywords),
        "creator": [agent(one) for one in facts.creators],
        "publisher": [agent(one) for one in facts.publishers],
        "datePublished": facts.issued,
        "license": [licence(one) for one in facts.licences],
        "conditionsOfAccess": facts.access_sentence,
        "citation": [one.text for one in facts.citations],
        "isBasedOn": [
            one.identifier.url for one in facts.related if one.relation == "IsDerivedFrom"
        ],
        "variableMeasured": [variable(name, one) for name, one in facts.variables.items()],
        "distribution": list(_distribution(facts)),
        "includedInDataCatalog": {
            "@type": "DataCatalog",
            "name": "sciml-data",
            "url": REGISTRY_PAGE,
        },
        "sdDatePublished": facts.described,
        "sdPublisher": {"@type": "Organization", "name": SOFTWARE["author"], "url": REGISTRY_PAGE},
    }
    if facts.access.rights == "open":
        document["isAccessibleForFree"] = True
    if facts.total_bytes is not None:
        document["size"] = f"{facts.total_bytes} B"
    return {key: value for key, value in document.items() if value != []}


def agent(one: Agent) -> dict[str, Any]:
    """Return a Person or an Organization."""
    found = {
        "@type": "Person" if one.is_person else "Organization",
        "name": one.name,
        "givenName": one.given_name,
        "familyName": one.family_name,
        "affiliation": one.organisation and {"@type": "Organization", "name": one.organisation},
        "description": one.remark,
        "url": one.url,
    }
    return {key: value for key, value in found.items() if value}


def licence(one: Licence) -> str | dict[str, str]:
    """Return the address of a licence of SPDX, else a work with its name, also where none is."""
    if one.is_spdx and one.url:
        return one.url
    name = one.name.removeprefix("LicenseRef-") if one.is_stated else "licence not stated"
    found = {"@type": "CreativeWork", "name": name, "description": one.text}
    if one.is_stated and one.url:
        found["url"] = one.url
    return found


def variable(name: str, one: Variable) -> dict[str, str]:
    """Return a variable of the ready form, which `sciml-data convert` makes of the files."""
    found = {
        "@type": "PropertyValue",
        "name": name,
        "description": f"{one.long_name}; {one.dtype} ({', '.join(one.dims)}) in the ready form",
    }
    if one.units is not None:
        found["unitText"] = one.units
    if one.standard_name is not None:
        found["propertyID"] = one.standard_name
    return found


def _distribution(facts: Facts) -> Iterator[dict[str, Any]]:
    yield {
        "@type": "DataDownload",
        "name": "datapackage.json",
        "description": "descriptor (Data Package v2)",
        "contentUrl": facts.descriptor_url,
        "encodingFormat": "application/json",
    }
    for one in facts.beside:
        yield _beside(one)
    if len(facts.files) <= MOST_FILES:
        for file in facts.files:
            yield from _native(file)
    for group in facts.groups:
        for folder in group.folders:
            yield {
                "@type": "DataDownload",
                "name": group.glob,
                "description": group.sentence,
                "contentUrl": folder,
                "encodingFormat": group.media_type,
            }


def _beside(one: Beside) -> dict[str, Any]:
    return {
        "@type": "DataDownload",
        "name": one.path,
        "description": one.title,
        "contentUrl": one.url,
        "encodingFormat": one.media_type,
        "contentSize": f"{one.size_bytes} B",
        "sha256": one.sha256,
    }


def _native(file: NativeFile) -> Iterator[dict[str, Any]]:
    """Yield a download, with each mirror's address; nothing where no mirror has the file."""
    if not file.urls:
        return
    found = {
        "@type": "DataDownload",
        "name": file.path,
        "contentUrl": file.urls[0] if len(file.urls) == 1 else list(file.urls),
        "encodingFormat": file.media_type,
        "contentSize": f"{file.size_bytes} B",
    }
    if file.sha256:
        found["sha256"] = file.sha256
    yield found
