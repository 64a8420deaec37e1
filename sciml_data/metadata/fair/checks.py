"""The FAIRsFAIR metrics, version 0.8, in our own words, each with the function that checks it.

These are the 17 metrics of FAIRsFAIR Data Object Assessment Metrics (doi:10.5281/zenodo.15045911)
that F-UJI 3.5.1 scores under `metrics_v0.8`; A2-01M (metadata outlive the data) is not among them.
Each check is our own, and often demands more than F-UJI's check of the same name:
docs/explanation/fair.md says where. A check gets the evidence and returns a finding; `METRICS`
at the end lists all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from sciml_data.metadata.addresses import SPDX_LICENCES
from sciml_data.metadata.croissant import CONFORMS_TO
from sciml_data.metadata.datacite import COAR, UNKNOWN
from sciml_data.metadata.facts import find_identifier
from sciml_data.metadata.fair.evidence import Evidence
from sciml_data.metadata.vocabularies import (
    CF_VERSION,
    cf_standard_names,
    is_spdx,
    is_unit,
    units_agree,
)
from sciml_data.progress import counted
from sciml_data.registry.descriptor import Variable

# Google's guide for datasets asks for 50 to 5,000 characters; our minimum is stricter.
MIN_SUMMARY, MAX_SUMMARY = 100, 5000
MIN_KEYWORDS = 3
SCHEMA_ORG = "https://schema.org/"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
ENDPOINT = "http://www.w3.org/ns/dcat#endpointURL"
DERIVED = "http://www.w3.org/ns/prov#wasDerivedFrom"
SOFTWARE = "http://www.w3.org/ns/prov#wasAssociatedWith"  # of the activity that made the data
DATASET_TYPES = {
    "schema.org": "https://schema.org/Dataset",
    "DCAT": "http://www.w3.org/ns/dcat#Dataset",
}
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
# scheme -> how it authenticates; F-UJI 3.5.1 counts the same schemes as standard.
PROTOCOLS = {"https": "TLS, HTTP authentication", "http": "HTTP authentication", "ftp": "password"}
# Properties that Croissant 1.1 requires of a dataset ("Dataset-level information").
CROISSANT_REQUIRED = (
    "name", "description", "license", "url", "creator", "datePublished", "version",
)  # fmt: skip
# Formats that anybody can read with public software, by media type. All of them are in F-UJI's
# lists of open, long-term and scientific formats.
OPEN_FORMATS = {
    "application/json": "JSON",
    "application/x-hdf5": "HDF5",
    "application/x-netcdf": "NetCDF",
    "image/tiff": "TIFF",
    "text/csv": "CSV",
    "text/plain": "plain text",
    "text/tab-separated-values": "TSV",
}

Owner = Literal["upstream", "ours"]


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        status: whether the metric passed.
        reason: what was found.
        remedy: how a failure can be fixed.
        owner: who can fix it: the publisher of the files ("upstream") or this registry ("ours").
    """

    status: Literal["passed", "failed", "not checked"]
    reason: str
    remedy: str = ""
    owner: Owner | None = None


@dataclass(frozen=True)
class Metric:
    """One metric: its identifier, a short title, and the check."""

    identifier: str
    title: str
    check: Callable[[Evidence], Finding]


def passed(reason: str) -> Finding:
    """Return the finding of a metric that is met."""
    return Finding("passed", reason)


def failed(reason: str, remedy: str, owner: Owner) -> Finding:
    """Return the finding of a metric that is not met.

    Args:
        reason: what was found.
        remedy: how it can be fixed.
        owner: who can fix it, upstream or this registry.
    """
    return Finding("failed", reason, remedy, owner)


# Of a version in a registry that is not published.
NO_PAGE = "the landing page has no address: registry.toml states no base_url"
PUBLISH = "publish the page (`sciml-data site build`), and set base_url in registry.toml"

# Findable


def unique_identifier(evidence: Evidence) -> Finding:
    """Check FsF-F1-01MD: the page and the data have absolute addresses as identifiers."""
    identifier = evidence.dataset.get("identifier")
    if evidence.facts.page is None:
        return failed(f"{identifier} identifies the version, but {NO_PAGE}", PUBLISH, "ours")
    if identifier != evidence.dataset.get("@id") or not _is_absolute(identifier):
        return failed(
            f"{identifier!r} does not identify the page", "set an absolute address", "ours"
        )
    urls = [url for group in evidence.addresses.values() for url in group]
    relative = [url for url in urls if not _is_absolute(url)]
    if relative:
        return failed(f"{relative[0]} is not an absolute address", "fix `mirrors`", "ours")
    service = evidence.facts.service
    data = [*_identical(evidence, "url"), *([service] if service else [])]
    data += [group[0] for group in evidence.addresses.values()]
    if not data:
        return failed("the data have no identifier", "name a mirror, or upstream's DOI", "ours")
    addresses = counted(len(data), "address", "addresses")
    return passed(f"{identifier}; the data by {addresses}, such as {data[0]}")


def persistent_identifier(evidence: Evidence) -> Finding:
    """Check FsF-F1-02MD: the version has a DOI, ARK or handle of its own, not only upstream's."""
    address = str(evidence.dataset.get("identifier"))
    identifier = find_identifier(address)
    if identifier is not None and identifier.kind == "DOI":
        return passed(f"DOI {identifier.value}")
    if re.search(r"(^|/)ark:|^https?://hdl\.handle\.net/", address):
        return passed(address)
    kind = "an address" if evidence.facts.page else "a UUID that no service resolves"
    reason = f"no persistent identifier is registered; {address} is only {kind}"
    if same := _identical(evidence, "value"):
        reason += f". Upstream's own identifier of the same data: {', '.join(same)}"
    remedy = "register a DOI for the version (`export datacite` is its record)"
    return failed(reason, remedy, "ours")


def core_elements(evidence: Evidence) -> Finding:
    """Check FsF-F2-01M: the page's JSON-LD and DataCite's form have the eight core elements."""
    dataset = evidence.dataset
    lacking = [element for element, name in CORE.items() if not dataset.get(name)]
    if evidence.datacite["publisher"]["name"] == UNKNOWN and "publisher" not in lacking:
        lacking.append("publisher (in DataCite)")
    summary, keywords = dataset.get("description", ""), dataset.get("keywords", ())
    if not MIN_SUMMARY <= len(summary) <= MAX_SUMMARY:
        lacking.append(f"summary of {MIN_SUMMARY} to {MAX_SUMMARY} characters")
    if len(keywords) < MIN_KEYWORDS:
        lacking.append(f"{MIN_KEYWORDS} keywords")
    if lacking:
        remedy = "fill it in the descriptor, where upstream states it"
        return failed(f"no {', no '.join(lacking)}", remedy, "ours")
    words = counted(len(keywords), "keyword")
    return passed(f"{', '.join(CORE)}; {len(summary)} characters, {words}")


def data_in_metadata(evidence: Evidence) -> Finding:
    """Check FsF-F3-01M: the metadata lead to each file, to its folder, or to a service."""
    facts, addresses = evidence.facts, evidence.addresses
    if facts.is_live:
        if facts.service in evidence.values_of("DCAT", ENDPOINT):
            return passed(f"the service {facts.service}, in DCAT")
        return failed("the metadata do not name the service", "fix dcat.py", "ours")
    if not facts.lists_files:
        return _data_in_manifest(evidence)
    names = [file.path for file in facts.files] or [group.glob for group in facts.groups]
    lacking = [name for name in names if name not in addresses]
    if lacking:
        return failed(
            f"no address of {len(lacking)} of {len(names)} entries. {facts.access.statement}",
            "a mirror that a program can read",
            "upstream",
        )
    if facts.groups:
        return passed(
            f"folders of {counted(len(names), 'group')} of files; single files are not pinned"
        )
    return passed(f"{counted(len(facts.files), 'file')} with address, size and hash")


def searchable(evidence: Evidence) -> Finding:
    """Check FsF-F4-01M: the page, read back, has a Dataset that search engines can index."""
    dataset, facts = evidence.dataset, evidence.facts
    if not dataset:
        return failed("the page has no JSON-LD of a Dataset", "fix landing.html", "ours")
    if dataset.get("@context") != {"@vocab": SCHEMA_ORG}:
        return failed("the JSON-LD's context is not inline", "fix schema_org.py", "ours")
    title = (facts.identifier, f"{SCHEMA_ORG}name", facts.title)
    if title not in evidence.triples["schema.org"]:
        return failed("the JSON-LD, read back, has another name", "fix landing.html", "ours")
    return passed(
        f"schema.org Dataset in the page, {len(evidence.triples['schema.org'])} triples read back"
    )


def _data_in_manifest(evidence: Evidence) -> Finding:
    """Check a version with too many files to list: only the manifest lists them."""
    facts = evidence.facts
    urls = {str(download["contentUrl"]) for download in evidence.dataset.get("distribution", ())}
    if facts.mirrors and facts.manifest and facts.manifest.url in urls:
        return passed(
            f"the manifest of {counted(len(facts.files), 'file')}, and "
            f"{counted(len(facts.mirrors), 'mirror')}"
        )
    return failed("the metadata name no manifest or no mirror", "sciml-data pin", "ours")


def _identical(evidence: Evidence, attribute: Literal["url", "value"]) -> list[str]:
    """Return the identifiers that upstream itself gave to the same data."""
    return [
        getattr(work.identifier, attribute)
        for work in evidence.facts.related
        if work.relation == "IsIdenticalTo"
    ]


def _is_absolute(address: object) -> bool:
    parts = urlsplit(str(address))
    return bool(parts.scheme and parts.netloc)


# Accessible


def access_level(evidence: Evidence) -> Finding:
    """Check FsF-A1-01M: DataCite's form has COAR's word for access, the page the conditions."""
    words = [
        rights["rights"]
        for rights in evidence.datacite["rightsList"]
        if rights.get("rightsUri", "").startswith(COAR)
    ]
    conditions = evidence.dataset.get("conditionsOfAccess", "")
    if not words or evidence.facts.access.statement not in conditions:
        return failed(
            "the descriptor does not say who may have the files",
            "fill sciml.access_rights, where it is known",
            "ours",
        )
    return passed(f"{words[0]}: {evidence.facts.access.statement}")


def retrievable(evidence: Evidence) -> Finding:
    """Return that FsF-A1-02MD is not checked, because a check needs network access."""
    count = f"{counted(len(evidence.addresses), 'address', 'addresses')} of the data"
    if evidence.facts.page is None:
        return failed(NO_PAGE, PUBLISH, "ours")
    return Finding(
        "not checked",
        f"{evidence.facts.identifier} and {count} are not requested offline",
        "`sciml-data get` requests the files; docs/explanation/fair.md has what F-UJI found on "
        "loopback",
    )


def standard_protocol(evidence: Evidence) -> Finding:
    """Check FsF-A1.1-01MD: the page and all data have an address of a standard protocol."""
    return _check_protocols(evidence, "standard protocols")


def authenticated_protocol(evidence: Evidence) -> Finding:
    """Check FsF-A1.2-01MD: these protocols can authenticate the user."""
    return _check_protocols(evidence, "protocols that can authenticate", say_how=True)


def _check_protocols(evidence: Evidence, title: str, *, say_how: bool = False) -> Finding:
    """Check the schemes of the page, of each file or group, and of a service."""
    if evidence.facts.page is None:
        return failed(NO_PAGE, PUBLISH, "ours")
    addresses = list(evidence.addresses.values())
    if evidence.facts.service:
        addresses.append([evidence.facts.service])
    if not addresses:
        return failed(
            f"no address of the data. {evidence.facts.access.statement}",
            "a mirror that a program can read",
            "upstream",
        )
    schemes = [{urlsplit(url).scheme for url in urls} for urls in addresses]
    for group in schemes:
        if not group & set(PROTOCOLS):
            reason = f"{', '.join(group)} is not one of {', '.join(PROTOCOLS)}"
            return failed(reason, "a mirror with a standard protocol", "ours")
    used = sorted({urlsplit(evidence.facts.identifier).scheme}.union(*schemes))
    names = [f"{scheme} ({PROTOCOLS[scheme]})" if say_how else scheme for scheme in used]
    remark = "; ftp sends passwords in the clear" if say_how and "ftp" in used else ""
    return passed(f"{title}: {', '.join(names)}{remark}")


# Interoperable


def formal_language(evidence: Evidence) -> Finding:
    """Check FsF-I1-01M: JSON-LD in the page and RDF by a typed link, both parsed as RDF."""
    identifier = evidence.facts.identifier
    for form, kind in DATASET_TYPES.items():
        if (identifier, RDF_TYPE, kind) not in evidence.triples[form]:
            return failed(f"{form}, parsed, has no {kind}", f"fix the export {form}", "ours")
    linked = {href for rel, href in evidence.page.links if rel == "describedby"}
    if not {"dcat.json", "dcat.ttl"} <= linked:
        return failed("the page links no RDF", "fix landing.html", "ours")
    counts = [f"{form} {len(evidence.triples[form])} triples" for form in DATASET_TYPES]
    return passed(f"JSON-LD in the page and RDF by typed link: {', '.join(counts)}")


def registered_vocabularies(evidence: Evidence) -> Finding:
    """Check FsF-I2-01M: units are UDUNITS-2's, and standard names are CF's.

    Every word is looked up. A variable without units is not wrong: a count or a name has none.
    """
    variables = evidence.facts.variables
    faults = [
        f"{name}: {fault}"
        for name, variable in variables.items()
        for fault in _variable_faults(variable)
    ]
    if faults:
        return failed("; ".join(faults), "fix the variables in descriptor and reader", "ours")
    if not variables:
        known = evidence.facts.native_format or ""
        remedy = "publish what the files hold; then a reader and `variables` can be written"
        return failed(f"no variable is described. {known}".strip(), remedy, "upstream")
    units = sum(variable.units is not None for variable in variables.values())
    names = sum(variable.standard_name is not None for variable in variables.values())
    if not units + names:
        return failed(
            f"none of {len(variables)} variables has units or a standard name",
            "add them, where it is known what was measured",
            "ours",
        )
    return passed(
        f"of {counted(len(variables), 'variable')} {units} have units of UDUNITS-2, {names} a "
        f"standard name of CF {CF_VERSION}"
    )


def qualified_links(evidence: Evidence) -> Finding:
    """Check FsF-I3-01M: related works have a relation of DataCite and a resolvable identifier."""
    related = evidence.datacite.get("relatedIdentifiers", ())
    dead = [
        work.identifier.value
        for work in evidence.facts.related
        if not _is_web_address(work.identifier.url)
    ]
    if not related or dead:
        return failed(
            f"no link to what the data are made of or described by {', '.join(dead)}".strip(),
            "fill sources, citation and sciml.related",
            "ours",
        )
    kinds = sorted({f"{work['relationType']} {work['relatedIdentifierType']}" for work in related})
    return passed(f"{len(related)} related: {', '.join(kinds)}")


def _variable_faults(variable: Variable) -> Iterator[str]:
    if variable.units is not None and not is_unit(variable.units):
        yield f"units {variable.units!r} are not of UDUNITS-2"
    if variable.standard_name is None:
        return
    canonical = cf_standard_names().get(variable.standard_name)
    if canonical is None:
        yield f"{variable.standard_name!r} is not a standard name of CF {CF_VERSION}"
    elif variable.units is not None and canonical and not units_agree(variable.units, canonical):
        yield (
            f"units {variable.units!r} do not agree with {canonical!r} of {variable.standard_name}"
        )


def _is_web_address(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.netloc)


# Reusable


def content_described(evidence: Evidence) -> Finding:
    """Check FsF-R1-01M: the variables, and size and type of the files, or the service."""
    facts = evidence.facts
    if not facts.variables:
        known = facts.native_format or "the native format is not known"
        return failed(
            f"no variable is described: {known}", "publish what the files hold", "upstream"
        )
    incomplete = [
        name
        for name, variable in facts.variables.items()
        if not (variable.dtype and variable.long_name)
    ]
    measured = {variable["name"] for variable in evidence.dataset.get("variableMeasured", ())}
    if incomplete or measured != set(facts.variables):
        lacking = incomplete or sorted(set(facts.variables) - measured)
        return failed(f"not fully described: {', '.join(lacking)}", "fix `variables`", "ours")
    described = f"{counted(len(measured), 'variable')} with type, dimensions and units"
    if facts.is_live:
        return passed(f"{described}; a service")
    if facts.total_bytes is not None:
        return passed(f"{described}; {counted(len(facts.files), 'file')} with size and type")
    if facts.groups and all(group.count and group.bytes_each for group in facts.groups):
        return passed(
            f"{described}; {counted(len(facts.groups), 'group')} with number, size and type"
        )
    return failed(
        f"{described}; but sizes of files are not known: nobody has pinned them",
        "fetch all files, then `sciml-data pin`",
        "ours",
    )


def standard_licence(evidence: Evidence) -> Finding:
    """Check FsF-R1.1-01M, and more: every licence is in SPDX's list, and in the page."""
    facts = evidence.facts
    unstated = [licence.text for licence in facts.licences if not licence.is_stated]
    if unstated:
        remedy = "state a licence, preferably of SPDX's list"
        return failed(f"not stated: {'; '.join(unstated)}", remedy, "upstream")
    own = [
        f"{licence.name}: {licence.text}" for licence in facts.licences if not is_spdx(licence.name)
    ]
    if own:
        reason = f"stated, but not in SPDX's list: {'; '.join(own)}"
        return failed(reason, "use a standard licence", "upstream")
    in_page = evidence.dataset.get("license", ())
    names = [licence.name for licence in facts.licences]
    if not names or any(f"{SPDX_LICENCES}{name}" not in in_page for name in names):
        return failed("the page does not have the licence", "fix schema_org.py", "ours")
    return passed(", ".join(names))


def provenance(evidence: Evidence) -> Finding:
    """Check FsF-R1.2-01M: sources or software by PROV, creator, date and version."""
    sources, software = (evidence.values_of("DCAT", name) for name in (DERIVED, SOFTWARE))
    dataset = evidence.dataset
    lacking = [name for name in ("creator", "datePublished", "version") if not dataset.get(name)]
    if not sources | software:
        lacking.append("prov:wasDerivedFrom or prov:wasGeneratedBy")
    if lacking:
        remedy = "name in `sources` what the data are made from or by, where upstream states it"
        return failed(f"no {', no '.join(lacking)}", remedy, "ours")
    counts = [f"prov:wasDerivedFrom {counted(len(sources), 'source')}"] if sources else []
    counts += [f"prov:wasGeneratedBy {counted(len(software), 'program')}"] if software else []
    digest = evidence.facts.manifest_digest
    pinned = f"; manifest sha256 {digest[:12]}…" if digest else "; files are not pinned"
    return passed(
        f"{', '.join(counts)}; creator, version, "
        f"date ({evidence.facts.issued_remark}){pinned if not evidence.facts.is_live else ''}"
    )


def community_metadata(evidence: Evidence) -> Finding:
    """Check FsF-R1.3-01M: complete Croissant 1.1, the standard of machine-learning datasets."""
    conforms_to = evidence.croissant.get("conformsTo", ())
    if CONFORMS_TO not in ([conforms_to] if isinstance(conforms_to, str) else conforms_to):
        return failed("no Croissant 1.1", "fix croissant.py", "ours")
    lacking = [name for name in CROISSANT_REQUIRED if not evidence.croissant.get(name)]
    if lacking:
        return failed(f"Croissant without {', '.join(lacking)}", "fix the descriptor", "ours")
    names = ", ".join(CROISSANT_REQUIRED)
    return passed(f"Croissant 1.1 with {names}; DCAT 3 and DataCite 4.5 too")


def community_format(evidence: Evidence) -> Finding:
    """Check FsF-R1.3-02D: open formats of the field, by stated type or ending, not by content."""
    facts = evidence.facts
    files = [(file.path, file.media_type) for file in facts.files]
    files = files or [(group.glob, group.media_type) for group in facts.groups]
    others = [(name, kind) for name, kind in files if kind not in OPEN_FORMATS]
    if others:
        name, kind = others[0]
        reason = (
            f"{len(others)} of {len(files)} entries have no open format that is known here: "
            f"{name} is {kind}. {facts.native_format or ''}"
        )
        return failed(reason.strip(), "publish HDF5, NetCDF, CSV or Parquet", "upstream")
    formats = sorted({OPEN_FORMATS[kind] for _, kind in files})
    return passed(f"{', '.join(formats)}, by stated type or ending")


METRICS = (
    Metric("FsF-F1-01MD", "unique identifier", unique_identifier),
    Metric("FsF-F1-02MD", "persistent identifier", persistent_identifier),
    Metric("FsF-F2-01M", "core descriptive elements", core_elements),
    Metric("FsF-F3-01M", "metadata lead to the data", data_in_metadata),
    Metric("FsF-F4-01M", "search engines can index it", searchable),
    Metric("FsF-A1-01M", "access level and conditions", access_level),
    Metric("FsF-A1-02MD", "retrievable by the identifier", retrievable),
    Metric("FsF-A1.1-01MD", "standard protocol", standard_protocol),
    Metric("FsF-A1.2-01MD", "protocol can authenticate", authenticated_protocol),
    Metric("FsF-I1-01M", "formal language", formal_language),
    Metric("FsF-I2-01M", "registered vocabularies", registered_vocabularies),
    Metric("FsF-I3-01M", "qualified links", qualified_links),
    Metric("FsF-R1-01M", "content is described", content_described),
    Metric("FsF-R1.1-01M", "standard licence", standard_licence),
    Metric("FsF-R1.2-01M", "provenance", provenance),
    Metric("FsF-R1.3-01M", "metadata standard of the community", community_metadata),
    Metric("FsF-R1.3-02D", "file format of the community", community_format),
)
