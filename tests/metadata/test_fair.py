"""Each FAIRsFAIR metric is checked against something that was made and read back, and can fail."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli.fair import command
from sciml_data.curate.derive import FAIR_BEGIN, FAIR_END, drift, write_derived
from sciml_data.errors import CallError, SciMLDataError
from sciml_data.metadata.fair import METRICS, Evidence, Finding, assess, evidence_of
from sciml_data.metadata.fair.evidence import Page, read_page
from sciml_data.metadata.vocabularies import cf_standard_names, is_spdx, is_unit, units_agree
from sciml_data.registry.descriptor import Descriptor, read_descriptor
from sciml_data.registry.layout import Registry, find_registry
from sciml_data.testing.datasets import change_descriptor, write_unpinned
from tests.support.small_registry import small_registry

pytest.importorskip("cf_units")
CHECKS = {metric.identifier: metric.check for metric in METRICS}
PERSISTENT = "FsF-F1-02MD"


def improve(document: dict[str, Any]) -> None:
    """State what the small registry leaves out."""
    document["contributors"] = [{"title": "The crew", "roles": ["creator", "publisher"]}]
    document["sciml"]["access_rights"] = {
        "rights": "open",
        "statement": "Anybody reads them over https without an account",
    }


def small(root: Path, *changes: Callable[[dict[str, Any]], object]) -> Descriptor:
    folder = small_registry(root / "registry", base_url="https://data.example.org").package(
        "waves", "1.0"
    )
    for change in (improve, *changes):
        change_descriptor(folder, change)
    return read_descriptor(folder)


def check(root: Path, metric: str, *changes: Callable[[dict[str, Any]], object]) -> Finding:
    return CHECKS[metric](evidence_of(small(root, *changes)))


def in_block(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["sciml"].update(values)


def with_variable(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["sciml"]["variables"]["height"].update(values)


def test_the_seventeen_metrics_of_version_0_8_are_checked() -> None:
    assert [metric.identifier for metric in METRICS] == [
        "FsF-F1-01MD", "FsF-F1-02MD", "FsF-F2-01M", "FsF-F3-01M", "FsF-F4-01M",
        "FsF-A1-01M", "FsF-A1-02MD", "FsF-A1.1-01MD", "FsF-A1.2-01MD",
        "FsF-I1-01M", "FsF-I2-01M", "FsF-I3-01M",
        "FsF-R1-01M", "FsF-R1.1-01M", "FsF-R1.2-01M", "FsF-R1.3-01M", "FsF-R1.3-02D",
    ]  # fmt: skip


def test_a_dataset_that_says_everything_lacks_a_registered_identifier_only(tmp_path: Path) -> None:
    report = assess(small(tmp_path))

    assert [failure.metric.identifier for failure in report.failures] == [PERSISTENT]
    assert (report.passed, report.checked, report.percent) == (15, 16, 93.75)
    assert [
        assessment.metric.identifier
        for assessment in report.assessments
        if assessment.finding.status == "not checked"
    ] == ["FsF-A1-02MD"]


@pytest.mark.parametrize(
    ("metric", "change", "reason", "owner"),
    [
        (
            "FsF-F2-01M",
            lambda document: document.update(
                contributors=[{"title": "The crew", "roles": ["creator"]}]
            ),
            "no publisher",
            "ours",
        ),
        ("FsF-F3-01M", in_block(mirrors=[]), "no address of 2 of 2 entries", "upstream"),
        (
            "FsF-A1-01M",
            lambda document: document["sciml"].pop("access_rights"),
            "does not say who may have the files",
            "ours",
        ),
        ("FsF-A1.1-01MD", in_block(mirrors=[]), "no address of the data", "upstream"),
        ("FsF-A1.2-01MD", in_block(mirrors=[]), "no address of the data", "upstream"),
        ("FsF-F1-01MD", in_block(mirrors=[]), "the data have no identifier", "ours"),
        ("FsF-I2-01M", with_variable(units="smoots"), "'smoots' are not of UDUNITS-2", "ours"),
        (
            "FsF-I2-01M",
            with_variable(standard_name="wave_tallness"),
            "'wave_tallness' is not a standard name of CF 93",
            "ours",
        ),
        (
            "FsF-I2-01M",
            with_variable(standard_name="sea_surface_wave_significant_height", units="s"),
            "units 's' do not agree with 'm'",
            "ours",
        ),
        ("FsF-I2-01M", with_variable(units=None), "none of 1 variables has units", "ours"),
        (
            "FsF-I3-01M",
            lambda document: document.update(
                sources=[{"title": "The buoys", "path": "in-a-drawer"}]
            ),
            "no link to what the data are made of or described by in-a-drawer",
            "ours",
        ),
        (
            "FsF-R1.1-01M",
            lambda document: document.update(
                licenses=[{"name": "LicenseRef-not-stated", "title": "sought"}]
            ),
            "not stated: sought",
            "upstream",
        ),
        (
            "FsF-R1.1-01M",
            lambda document: document.update(
                licenses=[{"name": "CC0-9.9", "title": "of the future"}]
            ),
            "stated, but not in SPDX's list: CC0-9.9",
            "upstream",
        ),
        (
            "FsF-R1.2-01M",
            in_block(related=[{"identifier": "https://example.org/buoys", "relation": "IsPartOf"}]),
            "no prov:wasDerivedFrom or prov:wasGeneratedBy",
            "ours",
        ),
        (
            "FsF-R1.3-01M",
            lambda document: document.update(
                contributors=[{"title": "The crew", "roles": ["publisher"]}]
            ),
            "Croissant without creator",
            "ours",
        ),
        (
            "FsF-R1.3-02D",
            in_block(media_types={"deep/**": "application/octet-stream"}),
            "1 of 2 entries have no open format that is known here: deep/2001.csv",
            "upstream",
        ),
    ],
)
def test_each_check_fails_with_its_reason_and_its_owner(
    tmp_path: Path,
    metric: str,
    change: Callable[[dict[str, Any]], object],
    reason: str,
    owner: str,
) -> None:
    assert check(tmp_path / "good", metric).status == "passed"

    finding = check(tmp_path / "bad", metric, change)

    assert (finding.status, finding.owner) == ("failed", owner)
    assert reason in finding.reason
    assert finding.remedy


def broken(evidence: Evidence, change: Callable[[dict[str, Any]], object]) -> Evidence:
    """Return evidence whose page has other JSON-LD."""
    document = json.loads(json.dumps(evidence.dataset))
    change(document)
    return dataclasses.replace(evidence, page=Page((document,), evidence.page.links))


def test_search_engines_are_served_by_what_is_read_back_from_the_page(tmp_path: Path) -> None:
    evidence = evidence_of(small(tmp_path))
    remote = broken(evidence, lambda document: document.update({"@context": "https://schema.org/"}))
    renamed = broken(evidence, lambda document: document.update(name="something else"))
    empty = dataclasses.replace(evidence, page=read_page("<html></html>"))

    run_check = CHECKS["FsF-F4-01M"]
    assert run_check(evidence).status == "passed"
    assert "context is not inline" in run_check(remote).reason
    assert "another name" in run_check(renamed).reason
    assert "no JSON-LD" in run_check(empty).reason


def test_a_formal_language_needs_json_ld_and_rdf_that_the_page_links(tmp_path: Path) -> None:
    evidence = evidence_of(small(tmp_path))
    untyped = broken(
        evidence, lambda document: document.update({"@id": "https://example.org/else"})
    )
    unlinked = dataclasses.replace(evidence, page=Page(evidence.page.json_ld, ()))

    run_check = CHECKS["FsF-I1-01M"]
    assert run_check(evidence).status == "passed"
    assert "schema.org, parsed, has no" in run_check(untyped).reason
    assert "links no RDF" in run_check(unlinked).reason


def test_only_a_registered_identifier_is_persistent(tmp_path: Path) -> None:
    evidence = evidence_of(small(tmp_path))
    doi = broken(
        evidence, lambda document: document.update(identifier="https://doi.org/10.5072/waves")
    )
    ark = broken(
        evidence, lambda document: document.update(identifier="https://n2t.net/ark:/12345/waves")
    )

    run_check = CHECKS[PERSISTENT]
    assert run_check(evidence).owner == "ours"
    assert run_check(doi).reason == "DOI 10.5072/waves"
    assert run_check(ark).status == "passed"


def unpinned(root: Path, **expected: int) -> Finding:
    mirrors = [{"": "https://example.org/waves/"}]
    files = {"files": {"**": {"count": 2, **expected}}}
    descriptor = write_unpinned(root, mirrors=mirrors, expected=files)
    return CHECKS["FsF-R1-01M"](evidence_of(descriptor))


def test_software_that_made_the_data_is_provenance_where_they_come_from_nothing_else(
    tmp_path: Path,
) -> None:
    by_software = [{"identifier": "https://example.org/buoys", "relation": "IsCompiledBy"}]

    finding = check(tmp_path, "FsF-R1.2-01M", in_block(related=by_software))

    assert finding.status == "passed"
    assert finding.reason.startswith("prov:wasGeneratedBy 1 program; creator")


def test_content_that_nobody_has_pinned_is_described_where_its_sizes_are(tmp_path: Path) -> None:
    finding = unpinned(tmp_path / "unknown")

    assert (finding.status, finding.owner) == ("failed", "ours")
    assert "nobody has pinned them" in finding.reason
    assert unpinned(tmp_path / "known", bytes_each=5).status == "passed"


def test_units_names_and_licences_are_looked_up() -> None:
    assert len(cf_standard_names()) == 5023
    assert cf_standard_names()["depth"] == "m"
    assert [name for name in ("MIT", "mit", "CC0-1.0", "MIT OR CC0-1.0", "X") if is_spdx(name)] == [
        "MIT",
        "CC0-1.0",
    ]
    assert [text for text in ("km", "mW m-2 nm-1", "1", "dozens", "") if not is_unit(text)] == [
        "dozens"
    ]
    assert units_agree("degrees_north", "degree_north")
    assert not units_agree("km", "s")


def test_a_report_counts_the_checked_metrics_and_says_what_to_do(tmp_path: Path) -> None:
    report = assess(small(tmp_path))

    text = report.to_text()
    assert text.startswith(
        "waves 1.0: 15 of 16 metrics passed, 93.8 %, 1 not checked offline\n  FsF-F1-01MD"
    )
    assert "to do (ours): register a DOI" in text
    document = report.to_document()
    assert (document["passed"], document["asked"], document["percent"]) == (15, 16, 93.75)
    statuses = {metric["identifier"]: metric["status"] for metric in document["metrics"]}
    assert statuses[PERSISTENT] == "failed"


def run(*arguments: str) -> Any:
    return CliRunner(catch_exceptions=True).invoke(command, list(arguments))


def test_the_verb_fails_only_below_the_given_percentage(tmp_path: Path) -> None:
    small(tmp_path)
    registry = ("--registry", str(tmp_path / "registry"))

    assert run("waves", *registry).exit_code == 0
    assert json.loads(run("--all", "--json", *registry).stdout)[0]["dataset"] == "waves"
    assert run("waves", *registry, "--fail-below", "93.75").exit_code == 0
    failure = run("waves", *registry, "--fail-below", "94").exception
    assert isinstance(failure, SciMLDataError)
    assert (failure.exit_code, failure.message) == (1, "below 94 %: waves 1.0 (93.8 %)")


def test_the_verb_writes_the_page_of_one_version(tmp_path: Path) -> None:
    small(tmp_path)
    registry = ("--registry", str(tmp_path / "registry"))
    page = tmp_path / "index.html"

    result = run("waves", *registry, "--page", str(page))

    assert (result.exit_code, result.stdout) == (0, "")
    assert "<h1>Heights of waves at two buoys</h1>" in page.read_text()


def test_the_verb_makes_no_folder_for_a_page(tmp_path: Path) -> None:
    root = str(small_registry(tmp_path / "registry").root)
    page = tmp_path / "site" / "index.html"

    result = CliRunner().invoke(command, ["waves", "--registry", root, "--page", str(page)])

    assert isinstance(result.exception, CallError)
    assert result.exception.hint == f"mkdir -p {page.parent}"
    assert not page.parent.exists()


@pytest.mark.parametrize("arguments", [(), ("waves", "--all"), ("--all", "--version", "1.0")])
def test_the_verb_needs_a_dataset_or_all(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    small(tmp_path)

    assert isinstance(
        run(*arguments, "--registry", str(tmp_path / "registry")).exception, CallError
    )


def test_a_readme_with_markers_has_the_table_and_drifts_with_the_registry(tmp_path: Path) -> None:
    descriptor = small(tmp_path)
    registry = Registry(tmp_path / "registry")
    readme = registry.root / "README.md"
    marks = f"<!-- datasets:begin -->\n<!-- datasets:end -->\n{FAIR_BEGIN}\n{FAIR_END}\nend\n"
    readme.write_text(marks)

    write_derived(registry)

    assert readme.read_text().split(FAIR_BEGIN)[1] == (
        "\n| dataset | version | passed | to fix upstream | to fix in this registry |\n"
        "|---|---|---|---|---|\n"
        "| waves | 1.0 | 15 of 16 | - | persistent identifier (F1-02MD) |\n"
        f"{FAIR_END}\nend\n"
    )
    change_descriptor(descriptor.folder, with_variable(units="smoots"))
    assert [problem.place.split(":")[0] for problem in drift(registry)] == ["README.md"]


def test_the_page_of_datasets_says_what_the_reports_say() -> None:
    registry = find_registry()
    page = (registry.root / "docs/datasets/index.md").read_text(encoding="utf-8")
    table = page.split(FAIR_BEGIN)[1].split(FAIR_END)[0]
    versions = [
        (name, version) for name in registry.datasets() for version in registry.versions(name)
    ]

    rows: Mapping[tuple[str, str], str] = {
        (cells[1].strip(), cells[2].strip()): cells[3].strip()
        for cells in (line.split("|") for line in table.strip().splitlines()[2:])
    }

    assert list(rows) == versions
    report = assess(read_descriptor(registry.package("tevolop_socal", "1.0")))
    assert rows["tevolop_socal", "1.0"] == f"{report.passed} of {report.checked}"
