"""The paths of submitter and reviewer, as the documents tell them to type them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.errors import RecordError
from sciml_data.registry.layout import REGISTRY_VARIABLE
from sciml_data.results.submission import check, verification
from tests.support.paths import ROOT
from tests.support.submissions import FOLDER, Bench, repository

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
DOCS = ROOT / "docs" / "how-to"
TOY = {"tevolop": "toy", "earthquake": "toy"}  # what stands for the benchmark of the documents


@pytest.fixture(autouse=True)
def _here(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(REGISTRY_VARIABLE, str(bench.registry))
    monkeypatch.setattr(check, "CODE_REPOSITORY", bench.code)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")


def commands(name: str) -> list[str]:
    """Return the commands of a document, of the toy benchmark."""
    text = (DOCS / name).read_text(encoding="utf-8")
    for word, stands_for in TOY.items():
        text = re.sub(rf"\b{word}\b", stands_for, text)
    return re.findall(r"^ {4}(sciml-data .*)$", text, re.MULTILINE)


def typed(command: str) -> Result:
    result = CliRunner().invoke(group, shlex.split(command)[1:])
    assert result.exception is None, (command, result.exception)
    return result


def test_both_paths_as_told_end_in_a_verdict(tmp_path: Path) -> None:
    run, pack, first_check, dry_run, branch, mlperf = commands("submit.md")
    repository(tmp_path / "science_results")

    typed(run)
    folder = Path(typed(pack).stdout.strip())
    told = typed(first_check).stdout
    body = typed(dry_run).stdout
    made = typed(branch).stdout
    programs = typed(mlperf).stdout

    assert folder == Path("results") / FOLDER
    assert told.splitlines()[0] == f"{folder}: accepted, 3 runs, self_checked"
    assert told.splitlines()[-1].split(maxsplit=1) == ["next", f"sciml-data rescore {folder}"]
    assert "| Measurement name |" in body
    assert made.startswith(f"submission/{FOLDER} ")
    assert programs.count(": passed") == 3


def test_a_reviewer_types_three_commands(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = commands("review.md")[:3]
    bench.pack(tmp_path, runs=bench.real[:2])

    said = [typed(command).stdout for command in review]
    scores = [re.findall(r"^  scores .*", text, re.MULTILINE)[0] for text in said[::2]]

    assert said[0].splitlines()[0] == f"{FOLDER}: accepted, 2 runs, self_checked"
    assert said[1].splitlines()[-1] == "36 scores recomputed, 0 differ from the records"
    assert said[2].splitlines()[0] == f"{FOLDER}: accepted, 2 runs, rescored"
    assert "verification.json" in scores[1]  # which has the state, and comes with the folder
    assert "verification.json" not in scores[0]
    assert verification.state_of(tmp_path / FOLDER) == "rescored"


def test_a_submission_that_was_not_checked_is_named_by_its_path(
    bench: Bench, tmp_path: Path
) -> None:
    folder = bench.pack(tmp_path / "with space", runs=bench.real[:1])

    for words in (["rescore", str(folder)], ["submit", "compare", str(folder), str(bench.real[1])]):
        error = CliRunner().invoke(group, words).exception

        assert isinstance(error, RecordError)
        assert f"sciml-data submit check {shlex.quote(str(folder))}" in error.hint
