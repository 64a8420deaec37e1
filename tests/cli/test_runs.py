"""`sciml-data runs` lists the runs of a home, and notes and removes runs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.scoring import row_key
from sciml_data.cli import group
from sciml_data.errors import CallError, SciMLDataError
from tests.support.paths import TOY_REGISTRY
from tests.support.toy import toy_source

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def call(*words: str) -> Result:
    result = CliRunner().invoke(group, words)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with two runs of a toy benchmark."""
    home = tmp_path_factory.mktemp("home")
    words = ("run", "toy", "--sample", "--seeds", "0-1", "--set", "epochs=1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciml_data.bench.stage", toy_source)
        result = call(*words, "--home", str(home), "--registry", str(TOY_REGISTRY))
    assert result.exception is None, result.output
    return home


def listed(home: Path, *words: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(
        call("runs", "--home", str(home), "--json", *words).stdout
    )
    return rows


def test_a_line_for_each_run_has_its_score(home: Path) -> None:
    rows = listed(home)

    assert [row["seed"] for row in rows] == [0, 1]
    assert all(row["synthetic"] and row["status"] == "success" for row in rows)
    head, first, _ = call("runs", "--home", str(home)).stdout.splitlines()
    assert head.split()[:3] == ["run", "benchmark", "split"]
    assert first.split()[0] == str(rows[0]["run_id"])[:8]
    assert first.endswith(str(rows[0]["run"]))
    assert f"{rows[0]['score']:.6g}" in first


def test_the_best_run_comes_first(home: Path) -> None:
    rows = listed(home, "--best")
    scores = [float(str(row["score"])) for row in rows]

    assert scores == sorted(scores, reverse=not rows[0]["lower_is_better"])


def test_runs_are_sorted_by_any_metric(home: Path) -> None:
    record = json.loads(next(home.rglob("record.json")).read_text())
    [metric, *_] = [
        row_key(row)
        for row in record["metrics"]
        if row["part"] == "test" and row_key(row) != record["benchmark"]["headline_metric"]
    ]

    rows = listed(home, "--sort", metric)
    scores = [float(str(row["score"])) for row in rows]

    assert {row["metric"] for row in rows} == {metric}
    assert scores == sorted(scores, reverse=not rows[0]["lower_is_better"])


def test_an_unknown_metric_is_a_wrong_call(home: Path) -> None:
    with pytest.raises(CallError, match="nothing") as error:
        call("runs", "--home", str(home), "--sort", "nothing")

    assert "--sort with one of" in error.value.hint


def test_a_filter_without_a_match_says_what_there_is(home: Path) -> None:
    model = str(listed(home)[0]["model"])

    result = call("runs", "--home", str(home), "--model", f"{model}x")

    assert result.stdout == ""
    assert f"did you mean '{model}'" in result.stderr


@pytest.mark.parametrize("columns", [80, 100])
def test_a_line_of_runs_fits_the_terminal(home: Path, columns: int) -> None:
    environment = os.environ | {"COLUMNS": str(columns), "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-m", "sciml_data", "runs", "--home", str(home)]
    done = subprocess.run(
        ["script", "-qec", shlex.join(words), "/dev/null"],
        env=environment,
        capture_output=True,
        check=True,
    )
    head, *lines = done.stdout.decode().splitlines()

    assert max(len(line) for line in (head, *lines)) <= columns
    assert {"run", "score", "status"} <= set(head.split())
    assert all("synthetic" in line for line in lines)


@pytest.mark.parametrize("option", ["--benchmark", "--split", "--model"])
def test_a_filter_leaves_only_what_has_its_value(home: Path, option: str) -> None:
    value = listed(home)[0][option.removeprefix("--")]

    assert len(listed(home, option, str(value))) == 2
    assert listed(home, option, "another") == []


def test_a_note_is_shown_and_the_record_stays(home: Path) -> None:
    run = str(listed(home)[0]["run"])
    record = next(home.rglob(f"{run}/record.json"))
    before = record.read_bytes()

    call("runs", "note", run, "twice the width", "--home", str(home))
    assert listed(home)[0]["note"] == "twice the width"
    call("runs", "note", run, "", "--home", str(home))
    assert listed(home)[0]["note"] == ""
    assert record.read_bytes() == before


def test_an_empty_home_says_how_to_make_a_run(tmp_path: Path) -> None:
    result = call("runs", "--home", str(tmp_path))

    assert result.stdout == ""
    assert "sciml-data run BENCHMARK" in result.stderr


def test_a_removed_run_is_gone_and_a_dry_run_removes_nothing(
    home: Path, home_copy: Callable[[Path], Path]
) -> None:
    copy = home_copy(home)
    run = str(listed(copy)[0]["run"])

    call("runs", "rm", run, "--dry-run", "--home", str(copy))
    assert len(listed(copy)) == 2
    refused = CliRunner().invoke(group, ["runs", "rm", run, "--home", str(copy)], input="n\n")
    assert refused.exit_code != 0
    assert len(listed(copy)) == 2
    call("runs", "rm", run, "--yes", "--home", str(copy))
    assert [row["run"] for row in listed(copy)] == [listed(home)[1]["run"]]


@pytest.fixture
def home_copy(tmp_path: Path) -> Callable[[Path], Path]:
    import shutil

    def copy(home: Path) -> Path:
        return Path(shutil.copytree(home, tmp_path / "copy"))

    return copy


def test_show_prints_a_record_file_without_its_run(home: Path, tmp_path: Path) -> None:
    (first, second) = (path.parent for path in sorted((home / "runs").glob("*/*/record.json")))
    stored = [tmp_path / f"record-{number}.json" for number in (1, 2)]
    for folder, file in zip((first, second), stored, strict=True):
        file.write_bytes((folder / "record.json").read_bytes())
    words = ("show", "--home", str(tmp_path / "empty"), "--registry", str(TOY_REGISTRY))

    alone = call(*words, str(stored[0])).stdout
    beside = call(*words, str(first / "record.json"), "--no-figures").stdout
    assert alone == beside.replace(f"{first}/record.json", str(stored[0]))
    assert f"sciml-data show {stored[0]} --all" in alone
    assert "median" in call(*words, *map(str, stored)).stdout
    assert sorted(tmp_path.iterdir()) == stored


def test_a_file_that_is_no_record_is_named(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text("{}", encoding="utf-8")

    with pytest.raises(SciMLDataError) as error:
        call("show", str(file), "--home", str(home))
    assert [problem.place for problem in error.value.problems] == [file.name]
    with pytest.raises(CallError, match=r"notes\.json.*is a file") as error:
        call("rescore", str(file), "--home", str(home))
    assert "sciml-data show" in error.value.hint
