"""The submissions of this repository are accepted, and the site is built from them alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.home import read_json
from sciml_data.registry.layout import find_registry
from sciml_data.results.submission import check_submission, find_submissions, runs_below
from tests.support.paths import ROOT

SUBMISSIONS = ROOT / "results" / "submissions"
FOLDERS = find_submissions(SUBMISSIONS)
LIMIT = 5 << 20  # larger predictions are kept by digest


def test_files_of_submissions_are_small() -> None:
    sizes = {path: path.stat().st_size for path in SUBMISSIONS.rglob("*") if path.is_file()}

    assert FOLDERS
    assert [path.name for path, size in sizes.items() if size > LIMIT] == []


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_submission_is_accepted(folder: Path) -> None:
    before = (folder / "verification.json").read_bytes()
    try:
        verdict = check_submission(folder, find_registry(), known=runs_below(SUBMISSIONS))
    finally:
        (folder / "verification.json").write_bytes(before)

    assert verdict.problems == ()


@pytest.mark.slow
def test_the_site_has_a_page_for_each_run_of_the_submissions(tmp_path: Path) -> None:
    words = ["site", "build", str(SUBMISSIONS), "--to", str(tmp_path / "site")]

    built = CliRunner().invoke(group, [*words, "--home", str(tmp_path / "home")])

    assert built.exit_code == 0, built.output
    records = [read_json(path) for folder in FOLDERS for path in folder.glob("record-*.json")]
    for record in records:
        page = tmp_path / "site" / "runs" / record["run_id"] / "index.html"
        assert "sciml-data" in page.read_text(encoding="utf-8")
