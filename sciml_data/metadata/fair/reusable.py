"""FAIRsFAIR metrics of R (reusable), each a function of the evidence."""

from __future__ import annotations

from sciml_data.metadata.addresses import SPDX_LICENCES
from sciml_data.metadata.croissant import CONFORMS_TO
from sciml_data.metadata.fair.evidence import Evidence, Finding, failed, passed
from sciml_data.metadata.vocabularies import is_spdx

DERIVED = "http://www.w3.org/ns/prov#wasDerivedFrom"
SOFTWARE = "http://www.w3.org/ns/prov#wasAssociatedWith"  # of the activity that made the data
# What Croissant 1.1 asks of a dataset ("Dataset-level information", required).
CROISSANT_ASKS = ("name", "description", "license", "url", "creator", "datePublished", "version")
# Formats that anybody can read with public software, by media type; F-UJI's lists of open,
# long-term and scientific formats have all of them.
OPEN_FORMATS = {
    "application/json": "JSON",
    "application/x-hdf5": "HDF5",
    "application/x-netcdf": "NetCDF",
    "image/tiff": "TIFF",
    "text/csv": "CSV",
    "text/plain": "plain text",
    "text/tab-separated-values": "TSV",
}


def content_described(evidence: Evidence) -> Finding:
    """FsF-R1-01M: kind of resource; size and type of the files or the service; the variables."""
    facts = evidence.facts
    if not facts.variables:
        known = facts.native_format or "nothing is known of the files"
        return failed(
            f"no variable is described: {known}", "publish what the files hold", "upstream"
        )
    bare = [name for name, one in facts.variables.items() if not (one.dtype and one.long_name)]
    measured = {one["name"] for one in evidence.dataset.get("variableMeasured", ())}
    if bare or measured != set(facts.variables):
        lacking = bare or sorted(set(facts.variables) - measured)
        return failed(f"not described in full: {', '.join(lacking)}", "mend `variables`", "ours")
    described = f"{len(measured)} variables with type, dimensions and units"
    if facts.is_live:
        return passed(f"{described}; a service")
    if facts.total_bytes is None:
        return _without_sizes(evidence, described)
    return passed(f"{described}; {len(facts.files)} files with size and type")


def standard_licence(evidence: Evidence) -> Finding:
    """FsF-R1.1-01M, and stricter: every licence is one of SPDX's list, and stands in the page."""
    facts = evidence.facts
    unstated = [one.text for one in facts.licences if not one.is_stated]
    if unstated:
        return failed(f"not stated: {'; '.join(unstated)}", "state one, best of SPDX", "upstream")
    own = [f"{one.name}: {one.text}" for one in facts.licences if not is_spdx(one.name)]
    if own:
        return failed(
            f"stated, but none of SPDX's list: {'; '.join(own)}",
            "use a standard licence",
            "upstream",
        )
    there = evidence.dataset.get("license", ())
    names = [one.name for one in facts.licences]
    if not names or any(f"{SPDX_LICENCES}{name}" not in there for name in names):
        return failed("the page does not have the licence", "mend schema_org.py", "ours")
    return passed(", ".join(names))


def provenance(evidence: Evidence) -> Finding:
    """FsF-R1.2-01M: sources or software by PROV, who made it, when, and which version."""
    sources, software = (evidence.values_of("DCAT", verb) for verb in (DERIVED, SOFTWARE))
    dataset = evidence.dataset
    lacking = [name for name in ("creator", "datePublished", "version") if not dataset.get(name)]
    if not sources | software:
        lacking.append("prov:wasDerivedFrom or prov:wasGeneratedBy")
    if lacking:
        return failed(f"no {', no '.join(lacking)}", _SOURCES, "ours")
    digest = evidence.facts.manifest_digest
    pinned = f"; manifest sha256 {digest[:12]}…" if digest else "; files are not pinned"
    named = {"wasDerivedFrom": (sources, "sources"), "wasGeneratedBy": (software, "programs")}
    origin = ", ".join(
        f"prov:{verb} {len(found)} {what}" for verb, (found, what) in named.items() if found
    )
    return passed(
        f"{origin}; creator, version, "
        f"date ({evidence.facts.issued_remark}){pinned if not evidence.facts.is_live else ''}"
    )


def community_metadata(evidence: Evidence) -> Finding:
    """FsF-R1.3-01M: Croissant 1.1, the standard of machine-learning datasets, with all it asks."""
    if evidence.croissant.get("conformsTo") != CONFORMS_TO:
        return failed("no Croissant 1.1", "mend croissant.py", "ours")
    lacking = [name for name in CROISSANT_ASKS if not evidence.croissant.get(name)]
    if lacking:
        return failed(f"Croissant without {', '.join(lacking)}", "mend the descriptor", "ours")
    return passed(f"Croissant 1.1 with {', '.join(CROISSANT_ASKS)}; DCAT 3 and DataCite 4.5 too")


def community_format(evidence: Evidence) -> Finding:
    """FsF-R1.3-02D: open formats that the field reads; by stated type or ending, not by bytes."""
    facts = evidence.facts
    files = [(one.path, one.media_type) for one in facts.files]
    files = files or [(one.glob, one.media_type) for one in facts.groups]
    others = [(name, kind) for name, kind in files if kind not in OPEN_FORMATS]
    if others:
        name, kind = others[0]
        return failed(
            f"{len(others)} of {len(files)} entries are of no open format that is known here: "
            f"{name} is {kind}. {facts.native_format or ''}".strip(),
            "publish HDF5, NetCDF, CSV or Parquet",
            "upstream",
        )
    formats = sorted({OPEN_FORMATS[kind] for _, kind in files})
    return passed(f"{', '.join(formats)}, by stated type or ending")


_SOURCES = "name in `sources` what the data are made of or by, where upstream says it"


def _without_sizes(evidence: Evidence, described: str) -> Finding:
    groups = evidence.facts.groups
    if groups and all(one.count and one.bytes_each for one in groups):
        return passed(f"{described}; {len(groups)} groups with number, size and type")
    return failed(
        f"{described}; but sizes of files are not known: nobody has pinned them",
        "fetch all of it, then `sciml-data pin`",
        "ours",
    )
