"""A packed submission stands on a board under its organisation, in the state that checks found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.errors import RecordError
from sciml_data.results.board import from_json
from tests.support.submissions import Bench

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = [
    pytest.mark.slow,  # four runs of the toy benchmark are packed
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def board(folder: Path, bench: Bench) -> Any:
    words = ["board", str(folder), "--format", "json", "--registry", str(bench.registry)]
    return CliRunner().invoke(group, words)


def test_a_submission_is_a_row_of_its_organisation(bench: Bench, tmp_path: Path) -> None:
    bench.pack(tmp_path)

    rows = from_json(board(tmp_path, bench).stdout)

    assert {row.made_by.submitter for row in rows} == {"lab"}
    assert {row.score.runs for row in rows if row.score} == {3}
    assert {row.state for row in rows} == {"unchecked"}


def test_a_state_is_what_was_found_here_and_not_what_is_claimed(
    bench: Bench, tmp_path: Path
) -> None:
    bench.check(bench.pack(tmp_path))

    rows = from_json(board(tmp_path, bench).stdout)

    assert {row.state for row in rows} == {"self_checked"}


def test_a_submission_that_was_touched_has_no_place(bench: Bench, tmp_path: Path) -> None:
    (bench.pack(tmp_path) / "README.md").write_text("better than it was", encoding="utf-8")

    result = board(tmp_path, bench)

    assert isinstance(result.exception, RecordError)
    assert [problem.place for problem in result.exception.problems] == ["first"]
