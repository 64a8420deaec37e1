"""Every number of docs/results is that of a stored record, by a reader of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sciml_data.results.pages import (
    build_pages,
    history_problems,
    page_problems,
    script_table_problems,
    stored_problems,
    unprinted_sets,
)
from tests.results.pages.test_pages import PAGE, page, results  # noqa: F401 - fixtures
from tests.support.paths import ROOT
from tests.support.published_numbers import Reader

PAGES = [*sorted((ROOT / "docs" / "results").glob("*.md")), ROOT / "README.md"]
RESULTS = ROOT / "results"


@pytest.mark.parametrize("published", PAGES, ids=lambda path: path.stem)
def test_every_number_of_a_page_is_computed_again_from_the_records(published: Path) -> None:
    assert Reader(published, RESULTS, ROOT).check() >= 0


def test_pages_and_stored_records_agree() -> None:
    assert PAGES
    assert [str(problem) for problem in page_problems(PAGES, RESULTS)] == []
    assert [str(problem) for problem in stored_problems(RESULTS)] == []
    assert [str(problem) for problem in script_table_problems(RESULTS)] == []
    assert [str(problem) for problem in history_problems(RESULTS)] == []
    assert [str(problem) for problem in unprinted_sets(PAGES, RESULTS)] == []


def test_stored_files_are_small() -> None:
    sizes = {path: path.stat().st_size for path in RESULTS.rglob("*.json")}

    assert [path.name for path, size in sizes.items() if size > 1 << 20] == []


def test_a_set_that_no_page_prints_is_a_problem(results: Path, page: Path) -> None:  # noqa: F811
    assert list(unprinted_sets([page], results)) == []
    page.write_text("toy/small is named, and not printed\n")

    assert [problem.place for problem in unprinted_sets([page], results)] == ["toy/small"]


def test_the_second_reader_counts_what_it_checks(results: Path, page: Path) -> None:  # noqa: F811
    build_pages([page], results)

    # Six inline, and in the tables: score, two ends of the seeds, baseline, twice.
    assert Reader(page, results, ROOT).check() == 3 + 1 + 4 + 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-->0.200<", "-->0.201<"),
        ("-->66<", "-->67<"),
        ("| **0.200** |", "| **0.201** |"),
        ("0.100 to 0.500 | 0.250 |", "0.100 to 0.501 | 0.250 |"),
        ("0.500 | 0.250 |", "0.500 | 0.251 |"),
        ("constant 0.250", "constant 0.249"),
        ("constant 0.250", "ridge 0.250"),
        ("ahead with 2 of 3 seeds", "ahead with all 3 seeds"),
        ("| b | not measured |", "| b | 0.100 |"),
        ("commit cccccccc", "commit dddddddd"),
        ("sha256:aaaaaaaaaaaa", "sha256:bbbbbbbbbbbb"),
    ],
)
def test_the_second_reader_finds_a_changed_number_of_a_page(
    results: Path,  # noqa: F811
    page: Path,  # noqa: F811
    old: str,
    new: str,
) -> None:
    build_pages([page], results)
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new, 1))

    with pytest.raises((AssertionError, ValueError)):
        Reader(page, results, ROOT).check()


def test_the_second_reader_finds_a_changed_number_of_a_record(
    results: Path,  # noqa: F811
    page: Path,  # noqa: F811
) -> None:
    build_pages([page], results)
    path = results / "toy" / "small" / "record-3.json"
    record = json.loads(path.read_text())
    record["metrics"][0]["score"] += 0.01
    path.write_text(json.dumps(record))

    with pytest.raises(AssertionError):
        Reader(page, results, ROOT).check()
    assert "record" in {problem.kind for problem in stored_problems(results)}
    assert PAGE
