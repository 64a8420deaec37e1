"""FAIRsFAIR metrics of A (accessible), each a function of the evidence."""

from __future__ import annotations

from urllib.parse import urlsplit

from sciml_data.metadata.datacite import COAR
from sciml_data.metadata.fair.evidence import Evidence, Finding, failed, passed

# scheme -> how it authenticates; F-UJI 3.5.1 counts the same ones as standard.
PROTOCOLS = {"https": "TLS, HTTP authentication", "http": "HTTP authentication", "ftp": "password"}


def access_level(evidence: Evidence) -> Finding:
    """FsF-A1-01M: a word of COAR's vocabulary in DataCite's form, the conditions in the page."""
    words = [
        one["rights"]
        for one in evidence.datacite["rightsList"]
        if one.get("rightsUri", "").startswith(COAR)
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
    """FsF-A1-02MD: needs a network: the page and the files are asked for."""
    return Finding(
        "not checked",
        f"{evidence.facts.identifier} and {_count(evidence)} are not asked for offline",
        "`sciml-data get` asks for the files; docs/fair.md has what F-UJI found on loopback",
    )


def standard_protocol(evidence: Evidence) -> Finding:
    """FsF-A1.1-01MD: the page and each entry of the data have an address of a standard protocol."""
    return _protocols(evidence, "standard protocols")


def authenticated_protocol(evidence: Evidence) -> Finding:
    """FsF-A1.2-01MD: those protocols can ask who it is."""
    return _protocols(evidence, "protocols that can authenticate", say_how=True)


def _protocols(evidence: Evidence, what: str, *, say_how: bool = False) -> Finding:
    """Judge the schemes of the page, of each file or group, and of a service."""
    there = list(evidence.addresses.values())
    if evidence.facts.service:
        there.append([evidence.facts.service])
    if not there:
        return failed(
            f"no address of the data. {evidence.facts.access.statement}",
            "a mirror that a program can read",
            "upstream",
        )
    found = [{urlsplit(url).scheme for url in urls} for urls in there]
    wrong = next((one for one in found if not one & set(PROTOCOLS)), None)
    if wrong is not None:
        return failed(f"{', '.join(wrong)} is none of {', '.join(PROTOCOLS)}", "a mirror", "ours")
    schemes = sorted({urlsplit(evidence.facts.identifier).scheme}.union(*found))
    named = [f"{one} ({PROTOCOLS[one]})" if say_how else one for one in schemes]
    remark = "; ftp sends passwords in the clear" if say_how and "ftp" in schemes else ""
    return passed(f"{what}: {', '.join(named)}{remark}")


def _count(evidence: Evidence) -> str:
    return f"{len(evidence.addresses)} addresses of the data"
