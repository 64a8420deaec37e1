"""`sciml-data cite`: the version, what upstream asks for, and the software, in three formats."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.metadata.cite import SOFTWARE, Work, parse_citation, to_bibtex, to_cff, to_text
from sciml_data.metadata.facts import Citation, Facts, Identifier, facts_of, find_identifier
from sciml_data.registry.descriptor import load_descriptor
from tests.support.paths import ROOT
from tests.support.versions import REGISTRY, every_version


def facts(*of: str) -> Facts:
    return facts_of(load_descriptor(REGISTRY, *of))


def test_a_citation_of_the_usual_form_is_split_into_its_parts() -> None:
    text = (
        "Zhu et al. (2021): Converting data. Scientific Reports 11, 11325. doi:10.1038/s41598-021"
    )

    assert parse_citation(Citation(text, find_identifier(text))) == Work(
        "Zhu et al.",
        "2021",
        "Converting data",
        "Scientific Reports 11, 11325",
        Identifier("DOI", "10.1038/s41598-021"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "Contains modified Copernicus Sentinel data 2019",
        "ECP-CANDLE Benchmarks, Pilot1 Uno. https://github.com/ECP-CANDLE/Benchmarks",
        "Diffuse multiple scattering. Acta Crystallographica A71 (2015), from page 20",
    ],
)
def test_a_sentence_of_another_form_is_not_interpreted(text: str) -> None:
    assert parse_citation(Citation(text, find_identifier(text))) is None


@pytest.mark.parametrize(
    ("end", "is_repeated"), [("", False), (" doi:10.1234/own", True), (" Second edition.", False)]
)
def test_a_dataset_that_cites_itself_is_one_entry(end: str, *, is_repeated: bool) -> None:
    known = facts("tevolop_socal")
    text = f"The office (2026): {known.title}.{end}"
    itself = replace(known, citations=(Citation(text, find_identifier(text)),))

    titles = re.findall(r"title = \{\{(.*)\}\}", to_bibtex(itself))
    assert titles.count(known.title) == 1 + is_repeated
    references = yaml.safe_load(to_cff(itself))["references"]
    assert [work["title"] for work in references[:-1]] == [known.title] * is_repeated
    assert text in to_text(itself)


@every_version
def test_every_citation_stands_in_every_format(of: tuple[str, str]) -> None:
    known = facts(*of)
    text, bibtex, document = to_text(known), to_bibtex(known), yaml.safe_load(to_cff(known))

    assert [work.text for work in known.citations if work.text not in text] == []
    works = [parse_citation(citation) for citation in known.citations]
    assert len(re.findall(r"^@misc\{", bibtex, re.MULTILINE)) == 2 + sum(map(bool, works))
    assert [work["title"] for work in document["references"][:-1]] == [
        work.title for work in works if work is not None
    ]
    assert bibtex.count("{") - bibtex.count(r"\{") == bibtex.count("}") - bibtex.count(r"\}")


@every_version
def test_the_citation_file_has_what_the_format_asks_for(of: tuple[str, str]) -> None:
    """A small check of our own; `nox -s citations` validates the files with cffconvert."""
    document = yaml.safe_load(to_cff(facts(*of)))

    assert {"cff-version", "message", "title", "authors"} <= set(document)
    assert document["cff-version"] == "1.2.0"
    assert document["type"] == "dataset"
    assert document.get("date-released", "2001-02-03").count("-") == 2
    assert len(document["keywords"]) == len(set(document["keywords"]))
    assert isinstance(document["version"], str)
    for work in [document, *document["references"]]:
        assert work["title"]
        assert all("name" in person or "family-names" in person for person in work["authors"])


def test_a_licence_stands_in_the_citation_file_only_where_all_are_of_spdx() -> None:
    assert yaml.safe_load(to_cff(facts("uno_almanac")))["license"] == [
        "GPL-3.0-only",
        "GPL-2.0-or-later",
        "MIT",
    ]
    assert "license" not in yaml.safe_load(to_cff(facts("uno_ccle")))


def test_a_doi_is_never_claimed() -> None:
    text = to_text(facts("tevolop_socal", "1.0"))

    assert "no DOI is registered for this version" in text
    assert "(2026): Earthquakes of Southern California" in text
    assert "https://sciml-data.github.io/sciml-data/datasets/tevolop_socal/1.0/" in text


def test_bibtex_escapes_what_latex_would_take_for_its_own() -> None:
    bibtex = to_bibtex(facts("dms_sim"))

    assert r"for the dms\_structure benchmark" in bibtex
    assert "author = {Butler, Keith and Nisbet, Gareth and " in bibtex


def test_the_software_is_cited_as_the_repository_says() -> None:
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8")

    for key in ("title", "version", "license"):
        assert re.search(rf'^{key}: "?{re.escape(SOFTWARE[key])}"?$', lines, re.MULTILINE)
    assert f'- name: "{SOFTWARE["author"]}"' in lines


@pytest.mark.parametrize(
    ("format_", "start"),
    [
        ("text", "The dataset, in this version:"),
        ("bibtex", "@misc{uno_ccle_1_0,"),
        ("cff", "cff-v"),
    ],
)
def test_the_command_prints_each_format(format_: str, start: str) -> None:
    result = CliRunner().invoke(group, ["cite", "uno_ccle", "--format", format_])

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(start)


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    result = CliRunner().invoke(group, ["cite", "uno_ccle", "--format", "ris"])

    assert result.exit_code == 2
    assert "'text', 'bibtex', 'cff'" in result.stderr
