"""FAIRsFAIR metrics of I (interoperable), each a function of the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from sciml_data.metadata.fair.evidence import Evidence, Finding, failed, passed
from sciml_data.metadata.vocabularies import CF_VERSION, cf_standard_names, is_unit, units_agree
from sciml_data.registry.descriptor import Variable

TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
DATASETS = {"schema.org": "https://schema.org/Dataset", "DCAT": "http://www.w3.org/ns/dcat#Dataset"}


def formal_language(evidence: Evidence) -> Finding:
    """FsF-I1-01M: JSON-LD in the page, and RDF by a typed link; both parsed as RDF."""
    identifier = evidence.facts.identifier
    for form, kind in DATASETS.items():
        if (identifier, TYPE, kind) not in evidence.triples[form]:
            return failed(f"{form}, parsed, has no {kind}", f"mend the export {form}", "ours")
    linked = {href for rel, href in evidence.page.links if rel == "describedby"}
    if not {"dcat.json", "dcat.ttl"} <= linked:
        return failed("the page links no RDF", "mend landing.py", "ours")
    counts = [f"{form} {len(evidence.triples[form])} triples" for form in DATASETS]
    return passed(f"JSON-LD in the page and RDF by typed link: {', '.join(counts)}")


def registered_vocabularies(evidence: Evidence) -> Finding:
    """FsF-I2-01M: variables have units of UDUNITS, and CF standard names where they have any.

    Every word is looked up; a variable without units is not wrong: a count or a name has none.
    """
    variables = evidence.facts.variables
    wrong = [
        f"{name}: {fault}" for name, one in variables.items() for fault in _variable_faults(one)
    ]
    if wrong:
        return failed("; ".join(wrong), "mend the variables in descriptor and reader", "ours")
    units = sum(one.units is not None for one in variables.values())
    names = sum(one.standard_name is not None for one in variables.values())
    if not variables:
        known = evidence.facts.native_format or ""
        return failed(f"no variable is described. {known}".strip(), _NO_READER, "upstream")
    if not units + names:
        return failed(
            f"none of {len(variables)} variables has units or a standard name",
            "give them, where it is known what was measured",
            "ours",
        )
    return passed(
        f"of {len(variables)} variables {units} have units of UDUNITS-2, {names} a standard name "
        f"of CF {CF_VERSION}"
    )


def qualified_links(evidence: Evidence) -> Finding:
    """FsF-I3-01M: related things with a relation of DataCite and an identifier that resolves."""
    related = evidence.datacite.get("relatedIdentifiers", ())
    dead = [
        one.identifier.value for one in evidence.facts.related if not _leads(one.identifier.url)
    ]
    if not related or dead:
        return failed(
            f"no link to what the data are made of or described by {', '.join(dead)}".strip(),
            "fill sources, citation and sciml.related",
            "ours",
        )
    kinds = sorted({f"{one['relationType']} {one['relatedIdentifierType']}" for one in related})
    return passed(f"{len(related)} related: {', '.join(kinds)}")


_NO_READER = "publish what the files hold; then a reader and `variables` can be written"


def _variable_faults(one: Variable) -> Iterator[str]:
    if one.units is not None and not is_unit(one.units):
        yield f"units {one.units!r} are not of UDUNITS-2"
    if one.standard_name is None:
        return
    canonical = cf_standard_names().get(one.standard_name)
    if canonical is None:
        yield f"{one.standard_name!r} is no standard name of CF {CF_VERSION}"
    elif one.units is not None and canonical and not units_agree(one.units, canonical):
        yield f"units {one.units!r} do not agree with {canonical!r} of {one.standard_name}"


def _leads(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.netloc)
