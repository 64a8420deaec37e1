"""FAIRsFAIR metrics of F (findable), each a function of the evidence."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sciml_data.metadata.datacite import UNKNOWN
from sciml_data.metadata.facts import MAX_LISTED_FILES, find_identifier
from sciml_data.metadata.fair.evidence import Evidence, Finding, failed, passed

LEAST_SUMMARY, MOST_SUMMARY = 100, 5000  # Google's guide for datasets: 50 to 5,000 characters
LEAST_KEYWORDS = 3
SCHEMA_ORG = "https://schema.org/"
ENDPOINT = "http://www.w3.org/ns/dcat#endpointURL"
# element -> its property in schema.org: FAIRsFAIR's list for FsF-F2-01M
CORE = {
    "creator": "creator",
    "title": "name",
    "identifier": "identifier",
    "publication date": "datePublished",
    "publisher": "publisher",
    "type": "@type",
    "summary": "description",
    "keywords": "keywords",
}


def unique_identifier(evidence: Evidence) -> Finding:
    """FsF-F1-01MD: the page's identifier is one, and so are the addresses of the data."""
    identifier = evidence.dataset.get("identifier")
    if identifier != evidence.dataset.get("@id") or not _is_address(identifier):
        return failed(f"{identifier!r} identifies nothing", "give it an absolute address", "ours")
    wrong = [url for urls in evidence.addresses.values() for url in urls if not _is_address(url)]
    if wrong:
        return failed(f"{wrong[0]} is no absolute address", "mend `mirrors`", "ours")
    facts = evidence.facts
    same = [one.identifier.url for one in facts.related if one.relation == "IsIdenticalTo"]
    data = [*same, *([facts.service] if facts.service else [])]
    data += [urls[0] for urls in evidence.addresses.values()]
    if not data:
        return failed("nothing identifies the data", "name a mirror, or upstream's DOI", "ours")
    return passed(f"{identifier}; the data by {len(data)} addresses, such as {data[0]}")


def persistent_identifier(evidence: Evidence) -> Finding:
    """FsF-F1-02MD: a DOI, ARK or handle of this version; upstream's are of something else."""
    identifier = str(evidence.dataset.get("identifier"))
    found = find_identifier(identifier)
    if found is not None and found.kind == "DOI":
        return passed(f"DOI {found.value}")
    if re.search(r"(^|/)ark:|^https?://hdl\.handle\.net/", identifier):
        return passed(identifier)
    reason = f"no persistent identifier is registered; {identifier} is an address only"
    same = [
        one.identifier.value for one in evidence.facts.related if one.relation == "IsIdenticalTo"
    ]
    if same:
        reason += f". Upstream's own, of the same data: {', '.join(same)}"
    return failed(
        reason, "register a DOI for the version (`export datacite` is its record)", "ours"
    )


def core_elements(evidence: Evidence) -> Finding:
    """FsF-F2-01M: the eight core elements stand in the page's JSON-LD, and in DataCite's form."""
    dataset = evidence.dataset
    lacking = [element for element, name in CORE.items() if not dataset.get(name)]
    if evidence.datacite["publisher"]["name"] == UNKNOWN and "publisher" not in lacking:
        lacking.append("publisher (in DataCite)")
    summary, keywords = dataset.get("description", ""), dataset.get("keywords", ())
    if not LEAST_SUMMARY <= len(summary) <= MOST_SUMMARY:
        lacking.append(f"summary of {LEAST_SUMMARY} to {MOST_SUMMARY} characters")
    if len(keywords) < LEAST_KEYWORDS:
        lacking.append(f"{LEAST_KEYWORDS} keywords")
    if lacking:
        remedy = "name it in the descriptor, where upstream says it"
        return failed(f"no {', no '.join(lacking)}", remedy, "ours")
    return passed(f"{', '.join(CORE)}; {len(summary)} characters, {len(keywords)} keywords")


def data_in_metadata(evidence: Evidence) -> Finding:
    """FsF-F3-01M: the metadata lead to the data: each file, its folder, or a service."""
    facts, there = evidence.facts, evidence.addresses
    if facts.is_live:
        if facts.service in evidence.values_of("DCAT", ENDPOINT):
            return passed(f"the service {facts.service}, in DCAT")
        return failed("the service does not stand in the metadata", "mend dcat.py", "ours")
    if len(facts.files) > MAX_LISTED_FILES:
        return _manifest(evidence)
    names = [one.path for one in facts.files] or [one.glob for one in facts.groups]
    lacking = [name for name in names if name not in there]
    if lacking:
        return failed(
            f"no address of {len(lacking)} of {len(names)} entries. {facts.access.statement}",
            "a mirror that a program can read",
            "upstream",
        )
    if facts.groups:
        return passed(f"folders of {len(names)} groups of files; single files are not pinned")
    return passed(f"{len(facts.files)} files with address, size and hash")


def searchable(evidence: Evidence) -> Finding:
    """FsF-F4-01M: the page, read back, has a Dataset that search engines take up."""
    dataset, facts = evidence.dataset, evidence.facts
    if not dataset:
        return failed("the page has no JSON-LD of a Dataset", "mend landing.py", "ours")
    if dataset.get("@context") != {"@vocab": SCHEMA_ORG}:
        return failed("the JSON-LD's context is not inline", "mend schema_org.py", "ours")
    said = (facts.identifier, f"{SCHEMA_ORG}name", facts.title)
    if said not in evidence.triples["schema.org"]:
        return failed("the JSON-LD, read back, has another name", "mend landing.py", "ours")
    return passed(
        f"schema.org Dataset in the page, {len(evidence.triples['schema.org'])} triples read back"
    )


def _manifest(evidence: Evidence) -> Finding:
    """Judge a version of so many files that only the manifest names them."""
    facts = evidence.facts
    urls = {str(one["contentUrl"]) for one in evidence.dataset.get("distribution", ())}
    if facts.mirrors and facts.manifest and facts.manifest.url in urls:
        return passed(f"the manifest of {len(facts.files)} files, and {len(facts.mirrors)} mirrors")
    return failed("no manifest or no mirror stands in the metadata", "sciml-data pin", "ours")


def _is_address(text: object) -> bool:
    parts = urlsplit(str(text))
    return bool(parts.scheme and parts.netloc)
