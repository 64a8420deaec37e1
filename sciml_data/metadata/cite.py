"""How to cite a version of a dataset and this software: as text, BibTeX and CFF.

What upstream asks to be cited stands in the descriptor as sentences. One of the form
``Authors (year): Title. Where.`` is taken apart; any other is passed on whole, not interpreted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data import __version__
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.metadata.facts import Facts
from sciml_data.metadata.parts import Agent, Citation, Identifier

# As CITATION.cff has it, which is not in the wheel (tests/metadata/test_cite.py holds them equal).
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
LATEX = str.maketrans({one: f"\\{one}" for one in "&%$#_{}"} | {"\\": r"\textbackslash{}"})


@dataclass(frozen=True)
class Work:
    """A citation taken apart; `rest` is where it came out."""

    authors: str
    year: str
    title: str
    rest: str
    identifier: Identifier | None


def work_of(citation: Citation) -> Work | None:
    """Return a citation's parts, or None where it is a sentence of another form."""
    found = SENTENCE.fullmatch(citation.text)
    if found is None:
        return None
    rest = re.sub(r"\s*(doi:\S+|arXiv:\S+|https?://\S+)\s*$", "", found["rest"]).strip(" .")
    return Work(found["authors"], found["year"], found["title"], rest, citation.identifier)


def to_text(facts: Facts) -> str:
    """Return sentences: the version itself, what upstream asks for, the software."""
    people = "; ".join(one.name for one in facts.creators) or NO_CREATOR
    publisher = "; ".join(one.name for one in facts.publishers)
    lines = [
        "The dataset, in this version:",
        f"  {people} ({facts.issued[:4]}): {facts.title}. Dataset {facts.dataset}, version "
        f"{facts.version}. {f'{publisher}. ' if publisher else ''}{facts.identifier}",
        f"  (year: {facts.issued_remark}; no DOI is registered for this version)",
    ]
    if facts.manifest_digest:
        lines.append(f"  (manifest: sha256 {facts.manifest_digest})")
    lines += ["", "What the data ask to be cited with:"]
    lines += [f"  {one.text}" for one in facts.citations]
    author, title, version, url = (SOFTWARE[key] for key in ("author", "title", "version", "url"))
    lines += ["", "The software:", f"  {author}: {title}. Version {version}. {url}"]
    return "\n".join(lines)


def to_bibtex(facts: Facts) -> str:
    """Return BibTeX entries: the version itself, what upstream asks for, the software."""
    key = f"{facts.dataset}_{facts.version}".replace(".", "_")
    notes = [f"Year: {facts.issued_remark}", *_sentences(facts)]
    entries = [
        _entry(
            "misc",
            key,
            {
                "author": " and ".join(_bibtex_name(one) for one in facts.creators)
                or f"{{{NO_CREATOR}}}",
                "title": f"{{{_latex(facts.title)}}}",
                "year": facts.issued[:4],
                "howpublished": _latex(f"Dataset {facts.dataset}, version {facts.version}"),
                "publisher": " and ".join(_latex(one.name) for one in facts.publishers),
                "url": facts.identifier,
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

    The licence stands in it only where all are of SPDX: CFF knows no other.
    """
    message = ["Cite the dataset in this version, what is among the references, and the software"]
    document: dict[str, Any] = {
        "cff-version": "1.2.0",
        "type": "dataset",
        "message": ". ".join([*message, *_sentences(facts)]),
        "title": facts.title,
        "abstract": facts.description,
        "authors": [_cff_name(one) for one in facts.creators] or [{"name": NO_CREATOR}],
        "version": facts.version,
        "url": facts.identifier,
        "keywords": list(dict.fromkeys(facts.keywords)),
        "references": [_cff_work(work) for work in _works(facts)] + [_cff_software()],
    }
    if len(facts.issued) == len("YYYY-MM-DD"):
        document["date-released"] = facts.issued
    if all(one.is_spdx for one in facts.licences):
        document["license"] = [one.name for one in facts.licences]
    return "\n".join(_yaml(document))


def _works(facts: Facts) -> Iterator[Work]:
    for citation in facts.citations:
        if work := work_of(citation):
            yield work


def _sentences(facts: Facts) -> list[str]:
    """Return the citations that are passed on whole."""
    return [one.text.rstrip(".") for one in facts.citations if work_of(one) is None]


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


def _bibtex_name(one: Agent) -> str:
    if one.is_person:
        return f"{_latex(one.family_name or '')}, {_latex(one.given_name or '')}".rstrip(", ")
    return f"{{{_latex(one.name)}}}"


def _yaml(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each key and each item of a list; the values in JSON: YAML contains it."""
    for key, value in document.items():
        if isinstance(value, list):
            yield f"{key}:"
            yield from (f"  - {json.dumps(one, ensure_ascii=False)}" for one in value)
        else:
            yield f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _cff_name(one: Agent) -> dict[str, str]:
    found = {"name": one.name, "website": one.url}
    if one.is_person:
        found = {
            "family-names": one.family_name,
            "given-names": one.given_name,
            "affiliation": one.organisation,
            "website": one.url,
        }
    return {key: value for key, value in found.items() if value}


def _cff_work(work: Work) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "generic",
        "title": work.title,
        "authors": [{"name": work.authors}],
        "year": int(work.year),
    }
    if work.rest:
        found["notes"] = work.rest
    if work.identifier:
        key = "doi" if work.identifier.kind == "DOI" else "url"
        found[key] = work.identifier.value if key == "doi" else work.identifier.url
    return found


def _cff_software() -> dict[str, Any]:
    return {
        "type": "software",
        "title": SOFTWARE["title"],
        "authors": [{"name": SOFTWARE["author"]}],
        "version": SOFTWARE["version"],
        "license": SOFTWARE["license"],
        "repository-code": SOFTWARE["url"],
    }
