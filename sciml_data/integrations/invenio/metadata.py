"""What a repository stores about a version: facts as the metadata of an InvenioRDM record.

Source: InvenioRDM, "Metadata reference" (inveniordm.docs.cern.ch/reference/metadata). Names of
roles, relations and date types are DataCite's in lower case.
"""

from __future__ import annotations

from html import escape
from typing import Any

from sciml_data.errors import CallError
from sciml_data.metadata import Facts
from sciml_data.metadata.facts import Agent, Licence, Related

SCHEMES = {"DOI": "doi", "arXiv": "arxiv", "URL": "url"}  # DataCite's kind -> InvenioRDM's scheme


def to_invenio(facts: Facts, publisher: str) -> dict[str, Any]:
    """Return the body of a draft: access, files and metadata.

    Args:
        facts: of the version.
        publisher: name of the repository; InvenioRDM needs one for a DOI.

    Raises:
        CallError: the descriptor names no creator, without whom a DOI cannot be registered.
    """
    creators = facts.creators or facts.publishers
    if not creators:
        raise CallError(
            f"the descriptor of {facts.dataset} {facts.version} names no creator",
            untouched="nothing was sent",
            hint='add a contributor with the role "creator" to datapackage.json',
        )
    access = "restricted" if facts.access.rights == "restricted" else "public"
    metadata = {
        "resource_type": {"id": "dataset"},
        "title": facts.title,
        "publication_date": facts.issued,
        "creators": [_person(agent) for agent in creators],
        "contributors": [
            _person(agent) | {"role": {"id": "datacurator"}} for agent in facts.curators
        ],
        "publisher": publisher,
        "version": facts.version,
        "description": _description(facts),
        "languages": [{"id": "eng"}],
        "subjects": [{"subject": word} for word in dict.fromkeys(facts.keywords)],
        "rights": [_rights(licence) for licence in facts.licences],
        "identifiers": [{"identifier": facts.page, "scheme": "url"}] if facts.page else [],
        "related_identifiers": [_related(work) for work in facts.related],
        "sizes": [] if facts.total_bytes is None else [f"{facts.total_bytes} bytes"],
        "formats": sorted({file.media_type for file in facts.files}),
    }
    return {
        "access": {"record": "public", "files": access},
        "files": {"enabled": True},
        "metadata": {key: value for key, value in metadata.items() if value != []},
    }


def _person(agent: Agent) -> dict[str, Any]:
    if not agent.is_person:
        return {"person_or_org": {"type": "organizational", "name": agent.name}}
    person = {"type": "personal", "family_name": agent.family_name}
    if agent.given_name:
        person["given_name"] = agent.given_name
    whole: dict[str, Any] = {"person_or_org": person}
    if agent.organisation:
        whole["affiliations"] = [{"name": agent.organisation}]
    return whole


def _rights(licence: Licence) -> dict[str, Any]:
    """Return a licence: by its id where SPDX lists it, else as a text with a link."""
    if licence.is_spdx:
        return {"id": licence.name.lower()}
    rights: dict[str, Any] = {
        "title": {"en": licence.label},
        "description": {"en": licence.text},
    }
    if licence.url:
        rights["link"] = licence.url
    return rights


def _related(work: Related) -> dict[str, Any]:
    return {
        "identifier": work.identifier.value,
        "scheme": SCHEMES[work.identifier.kind],
        "relation_type": {"id": work.relation.lower()},
    }


def _description(facts: Facts) -> str:
    """Return the description as HTML, which is how InvenioRDM stores it."""
    sentences = [facts.description, facts.access_sentence]
    if facts.manifest_digest:
        sentences.append(
            "manifest.csv names every file with its hash; "
            f"the sha256 of manifest.csv is {facts.manifest_digest}."
        )
    return "".join(f"<p>{escape(text)}</p>" for text in sentences)
