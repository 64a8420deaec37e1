"""How to cite a version of a dataset and this software: as text, BibTeX and CFF.

The descriptor has sentences that upstream asks to be cited with. A sentence of the form
``Authors (year): Title. Where.`` is split into its parts. Any other is passed on unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data import __version__
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.metadata.facts import Agent, Citation, Facts, Identifier
from sciml_data.metadata.yaml_text import to_yaml

# The same as in CITATION.cff, which is not in the wheel (tests/metadata/test_cite.py compares).
SOFTWARE = {
    "title": "sciml-data: datasets and benchmarks of scientific machine learning, verified and "
    "scored",
    "author": "The sciml-data developers",
    "version": __version__,
    "license": "Apache-2.0",
    "url": REPOSITORY,
}
SENTENCE = re.compile(
    r"(?P<authors>[^()]+) \((?P<year>[0-9]{4})\): (?P<title>.+?)\.(?: |$)(?P<rest>.*)"
)
NO_CREATOR = "creator not stated"
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"} | {"\\": r"\textbackslash{}"}
)


@dataclass(frozen=True)
class Work:
    """A citation split into its parts; `rest` is the journal or the publisher."""

    authors: str
    year: str
    title: str
    rest: str
    identifier: Identifier | None


def parse_citation(citation: Citation) -> Work | None:
    """Return the parts of a citation, or None if it is a sentence of another form."""
    match = SENTENCE.fullmatch(citation.text)
    if match is None:
        return None
    rest = re.sub(r"\s*(doi:\S+|arXiv:\S+|https?://\S+)\s*$", "", match["rest"]).strip(" .")
    return Work(match["authors"], match["year"], match["title"], rest, citation.identifier)


def to_text(facts: Facts) -> str:
    """Return sentences that cite the version itself, what upstream asks for, and the software."""
    people = "; ".join(agent.name for agent in facts.creators) or NO_CREATOR
    publisher = "; ".join(agent.name for agent in facts.publishers)
    lines = [
        "The dataset, in this version:",
        f"  {people} ({facts.issued[:4]}): {facts.title}. Dataset {facts.dataset}, version "
        f"{facts.version}. {f'{publisher}. ' if publisher else ''}{facts.identifier}",
        f"  (year: {facts.issued_remark}; no DOI is registered for this version)",
    ]
    if facts.manifest_digest:
        lines.append(f"  (manifest: sha256 {facts.manifest_digest})")
    lines += ["", "What the data ask to be cited with:"]
    lines += [f"  {citation.text}" for citation in facts.citations]
    author, title, version, url = (SOFTWARE[key] for key in ("author", "title", "version", "url"))
    lines += ["", "The software:", f"  {author}: {title}. Version {version}. {url}"]
    return "\n".join(lines)


def to_bibtex(facts: Facts) -> str:
    """Return BibTeX entries of the version itself, what upstream asks for, and the software."""
    key = f"{facts.dataset}_{facts.version}".replace(".", "_")
    notes = [f"Year: {facts.issued_remark}", *_other_sentences(facts)]
    entries = [
        _entry(
            "misc",
            key,
            {
                "author": " and ".join(_bibtex_name(agent) for agent in facts.creators)
                or f"{{{NO_CREATOR}}}",
                "title": f"{{{_latex(facts.title)}}}",
                "year": facts.issued[:4],
                "howpublished": _latex(f"Dataset {facts.dataset}, version {facts.version}"),
                "publisher": " and ".join(_latex(agent.name) for agent in facts.publishers),
                "url": facts.page or "",
                "note": _latex(". ".join(notes)),
            },
        )
    ]
    for number, work in enumerate(_works(facts), start=1):
        entries.append(_entry("misc", f"{key}_{number}", _work_fields(work)))
    software = {
        "author": f"{{{SOFTWARE['author']}}}",
        "title": f"{{{SOFTWARE['title']}}}",
        "version": SOFTWARE["version"],
        "url": SOFTWARE["url"],
    }
    return "\n\n".join([*entries, _entry("misc", "sciml_data", software)])


def to_cff(facts: Facts) -> str:
    """Return a Citation File Format 1.2.0 text (YAML) of a version.

    The licence is included only where all licences are SPDX's, because CFF accepts no other.
    """
    message = ["Cite the dataset in this version, what is among the references, and the software"]
    document: dict[str, Any] = {
        "cff-version": "1.2.0",
        "type": "dataset",
        "message": ". ".join([*message, *_other_sentences(facts)]),
        "title": facts.title,
        "abstract": facts.description,
        "authors": [_cff_name(agent) for agent in facts.creators] or [{"name": NO_CREATOR}],
        "version": facts.version,
        **({"url": facts.page} if facts.page else {}),
        "keywords": list(dict.fromkeys(facts.keywords)),
        "references": [_cff_work(work) for work in _works(facts)] + [_cff_software()],
    }
    if len(facts.issued) == len("YYYY-MM-DD"):
        document["date-released"] = facts.issued
    if all(licence.is_spdx for licence in facts.licences):
        document["license"] = [licence.name for licence in facts.licences]
    return to_yaml(document).removesuffix("\n")


def _works(facts: Facts) -> Iterator[Work]:
    """Yield the works to cite beside the version; upstream may ask to cite the dataset itself."""
    for citation in facts.citations:
        work = parse_citation(citation)
        if work and not _is_itself(work, facts):
            yield work


def _is_itself(work: Work, facts: Facts) -> bool:
    """Return whether a work is the dataset, and has no identifier that its own entry lacks."""
    known = {None, facts.page}
    address = work.identifier.url if work.identifier else None
    return work.title.casefold() == facts.title.rstrip(".").casefold() and address in known


def _other_sentences(facts: Facts) -> list[str]:
    """Return the citations that cannot be split into parts."""
    return [
        citation.text.rstrip(".")
        for citation in facts.citations
        if parse_citation(citation) is None
    ]


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _work_fields(work: Work) -> dict[str, str]:
    identifier = work.identifier
    return {
        "author": f"{{{_latex(work.authors)}}}",
        "title": f"{{{_latex(work.title)}}}",
        "year": work.year,
        "howpublished": _latex(work.rest),
        "doi": identifier.value if identifier and identifier.kind == "DOI" else "",
        "url": identifier.url if identifier and identifier.kind != "DOI" else "",
    }


def _latex(text: str) -> str:
    return text.translate(LATEX)


def _bibtex_name(agent: Agent) -> str:
    if agent.is_person:
        names = _latex(agent.family_name or ""), _latex(agent.given_name or "")
        return ", ".join(names).rstrip(", ")
    return f"{{{_latex(agent.name)}}}"


def _cff_name(agent: Agent) -> dict[str, str]:
    fields = {"name": agent.name, "website": agent.url}
    if agent.is_person:
        fields = {
            "family-names": agent.family_name,
            "given-names": agent.given_name,
            "affiliation": agent.organisation,
            "website": agent.url,
        }
    return {key: value for key, value in fields.items() if value}


def _cff_work(work: Work) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": "generic",
        "title": work.title,
        "authors": [{"name": work.authors}],
        "year": int(work.year),
    }
    if work.rest:
        fields["notes"] = work.rest
    if work.identifier:
        key = "doi" if work.identifier.kind == "DOI" else "url"
        fields[key] = work.identifier.value if key == "doi" else work.identifier.url
    return fields


def _cff_software() -> dict[str, Any]:
    return {
        "type": "software",
        "title": SOFTWARE["title"],
        "authors": [{"name": SOFTWARE["author"]}],
        "version": SOFTWARE["version"],
        "license": SOFTWARE["license"],
        "repository-code": SOFTWARE["url"],
    }
