"""A table that a script measured is stored with what a record states, and printed by a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sciml_data.errors import CallError
from sciml_data.results.pages import build_pages, script_table_problems, write_script_table
from tests.support.paths import ROOT
from tests.support.published_numbers import Reader

TOY = ROOT / "runners" / "uno"
DATA = {"toy_points 1.0": f"sha256:{'a' * 64}"}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    words = ["--home", "/home/ada/data", "--mirror", "file:/home/ada/mirror"]
    monkeypatch.setattr("sys.argv", ["/home/ada/benchmarks/draws.py", *words])
    columns = ["model", "draws", "score"]
    rows: list[list[float | str | None]] = [["ridge", 1200, 0.12345], ["mean", 3, None]]
    folder = tmp_path / "uno" / "draws"
    return write_script_table(folder, columns, rows, data=DATA, runner=TOY, remark="200 draws.")


def test_a_page_prints_the_table_with_where_it_comes_from(table: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('<!-- table\nscript = "uno/draws"\n-->\n<!-- end -->\n')

    build_pages([page], tmp_path)

    text = page.read_text()
    assert "| ridge | 1,200 | 0.123 |\n| mean | 3 | - |" in text
    assert "200 draws. Script table `uno/draws`: commit" in text
    assert "data toy_points 1.0 sha256:aaaaaaaaaaaa; Python 3" in text
    assert "`python benchmarks/draws.py --home .../data --mirror file:.../mirror`" in text


def test_texts_of_a_table_have_the_names_of_the_page(table: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    names = '<!-- labels\nmean = "mean of all"\ndraws = "number of draws"\n-->\n'
    page.write_text(f'{names}<!-- table\nscript = "uno/draws"\n-->\n<!-- end -->\n')

    build_pages([page], tmp_path)

    assert "| model | number of draws | score |" in page.read_text()
    assert "| mean of all | 3 | - |" in page.read_text()
    assert table.is_file()
    assert Reader(page, tmp_path, ROOT).check() > 0


def test_a_table_of_no_stored_data_names_none(tmp_path: Path) -> None:
    write_script_table(tmp_path / "uno" / "draws", ["model"], [["ridge"]], data={}, runner=TOY)
    page = tmp_path / "page.md"
    page.write_text('<!-- table\nscript = "uno/draws"\n-->\n<!-- end -->\n')

    build_pages([page], tmp_path)

    assert "data ;" not in page.read_text()
    assert "; Python 3" in page.read_text()


def test_a_changed_table_is_a_problem(table: Path, tmp_path: Path) -> None:
    document = json.loads(table.read_text())
    assert {problem.kind for problem in script_table_problems(tmp_path)} <= {"code"}

    table.write_text(json.dumps({**document, "rows": [["ridge", 1200, 0.2]]}))

    assert [problem.kind for problem in script_table_problems(tmp_path)] == ["table"]


def test_rows_of_another_length_and_private_texts_are_refused(tmp_path: Path) -> None:
    for rows in ([["ridge"]], [["ridge", "of ada@example.org"]]):
        with pytest.raises(CallError):
            write_script_table(tmp_path / "x", ["a", "b"], rows, data=DATA, runner=TOY)

    assert list(tmp_path.iterdir()) == []
