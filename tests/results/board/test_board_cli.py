"""`board`: of a home, of runs, of folders; stdout is the board, stderr is talk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.results.board import from_json
from tests.support.board_samples import a_run, repeats
from tests.support.paths import TOY_REGISTRY
from tests.support.run_samples import write_as_run

TOY = TOY_REGISTRY


def call(*words: str, home: Path) -> Result:
    rest = ["--registry", str(TOY), "--home", str(home)]
    return CliRunner().invoke(group, ["board", *words, *rest])


def keep(home: Path, records: list[Any]) -> list[Path]:
    """Write records as runs of a home and return their folders."""
    folders = []
    for record in records:
        folder = home / "runs" / record["benchmark"]["name"] / record["run_id"]
        write_as_run(folder, record)
        folders.append(folder)
    return folders


def read(result: Result) -> list[Any]:
    assert isinstance(result.stdout, str)
    return from_json(result.stdout)


def test_the_runs_of_a_home_are_a_board(tmp_path: Path) -> None:
    keep(tmp_path, repeats([0.1, 0.2, 0.3]))

    result = call(home=tmp_path)

    assert (result.exit_code, result.stderr) == (0, "")
    assert "toy: toy_points 1.0, split thirds (headline), part test" in result.stdout
    assert ["1", "small", "3", "0.2000", "better", "10.0", "s"] in [
        line.split() for line in result.stdout.splitlines()
    ]


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json", "html"])
def test_a_board_is_written_in_every_form_and_twice_the_same(tmp_path: Path, form: str) -> None:
    keep(tmp_path, repeats([0.1, 0.2, 0.3]))
    output = tmp_path / "out" / "board"

    result = call("--format", form, "--output", str(output), home=tmp_path)

    assert (result.exit_code, result.stdout) == (0, "")
    assert output.read_text(encoding="utf-8") == call("--format", form, home=tmp_path).stdout


def test_runs_and_folders_are_taken_instead_of_the_home(tmp_path: Path) -> None:
    first, *others = keep(tmp_path, repeats([0.1, 0.2, 0.3]))

    by_run = read(call(first.name, "--format", "json", home=tmp_path))
    by_folder = read(call(str(tmp_path / "runs"), "--format", "json", home=tmp_path / "none"))

    assert [rows[0].score.runs for rows in (by_run, by_folder)] == [1, 3]
    assert len(others) == 2


def test_a_folder_and_a_run_in_it_are_one_run(tmp_path: Path) -> None:
    first, *_ = keep(tmp_path, repeats([0.1, 0.2]))

    (row,) = read(call(str(tmp_path), str(first), "--format", "json", home=tmp_path))

    assert row.score.runs == 2


def test_a_copy_of_a_run_counts_once_and_is_named(tmp_path: Path) -> None:
    keep(tmp_path / "one", [a_run(0, 0.1)])
    keep(tmp_path / "two", [a_run(0, 0.1)])
    (copy,) = (path.parent.name for path in (tmp_path / "two").rglob("record.json"))

    result = call(str(tmp_path), "--format", "json", home=tmp_path / "none")

    assert f"1 run left out: {copy}: a copy of" in result.stderr
    assert [row.score.runs for row in read(result)] == [1]


def test_every_record_that_was_touched_is_named_counted_and_left_out(tmp_path: Path) -> None:
    touched = keep(tmp_path, repeats([0.125, 0.25, 0.375]))[:2]
    for folder in touched:
        path = folder / "record.json"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"score": 0.', '"score": 0.0'), encoding="utf-8")

    result = call("--format", "json", home=tmp_path)

    assert result.exit_code == 0
    assert [row.score.runs for row in read(result)] == [1]
    head, *lines = result.stderr.splitlines()
    assert head == "2 runs left out:"
    assert [line.split(":")[0].strip() for line in lines] == [folder.name for folder in touched]
    assert all("digest" in line for line in lines)


def test_a_board_of_named_runs_of_which_none_is_left_is_an_error(tmp_path: Path) -> None:
    (folder,) = keep(tmp_path, [a_run(0, 0.1)])
    (folder / "record.json").write_text("[]", encoding="utf-8")
    output = tmp_path / "board.md"

    result = call(str(tmp_path), "--output", str(output), home=tmp_path / "none")

    assert isinstance(result.exception, RecordError)
    assert [problem.place for problem in result.exception.problems] == [folder.name]
    assert not output.exists()


def test_one_benchmark_is_shown_where_it_is_named(tmp_path: Path) -> None:
    other = {**a_run(5, 0.1), "benchmark": {**a_run(5, 0.1)["benchmark"], "name": "other"}}
    keep(tmp_path, [a_run(0, 0.1), other])

    assert len(read(call("--format", "json", home=tmp_path))) == 2
    assert [
        row.benchmark for row in read(call("--benchmark", "toy", "--format", "json", home=tmp_path))
    ] == ["toy"]
    assert isinstance(call("--benchmark", "tpy", home=tmp_path).exception, CallError)


def test_runs_without_a_row_are_told_on_stderr(tmp_path: Path) -> None:
    keep(tmp_path, [a_run(0, 0.1), a_run(1, None, status="failed", reason="x")])

    result = call("--format", "json", home=tmp_path)

    assert "1 of 2 runs" in result.stderr
    assert len(json.loads(result.stdout)["rows"]) == 1


@pytest.mark.parametrize("verb", ["board", "aggregate"])
def test_help_has_examples(verb: str) -> None:
    command = group.get_command(click.Context(group), verb)

    assert command is not None
    assert f"sciml-data {verb}" in (command.epilog or "")
