"""Result sets: records of repeats are stored whole, and private or doubtful ones are refused."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from sciml_data.errors import CallError
from sciml_data.results.pages import (
    add_runs,
    load_result_set,
    result_set_names,
    stored_problems,
    write_summaries,
)
from tests.support.board_samples import a_run

COMMITTED = {"code/commit": "c" * 40, "code/is_dirty": False, "code/reason": None}


def run(seed: int, score: float | None = 0.5, **places: Any) -> Any:
    """Return the record of a seed, made by committed code; places are `group/key`."""
    changed = {place.replace("/", "."): value for place, value in (COMMITTED | places).items()}
    return a_run(seed, score, **changed)


def test_records_are_stored_as_they_are_in_the_order_of_their_seeds(tmp_path: Path) -> None:
    records = [run(2), run(0), run(1)]

    folder = add_runs(records, name="small", results=tmp_path)

    assert folder == tmp_path / "toy" / "small"
    assert result_set_names(tmp_path) == ["toy/small"]
    stored = load_result_set(tmp_path, "toy/small")
    assert list(stored.records) == [records[1], records[2], records[0]]
    assert list(stored_problems(tmp_path)) == []
    summary = json.loads((folder / "summary.json").read_text())
    assert [row["seed"] for row in summary["runs"]] == [0, 1, 2]


def test_adding_a_name_again_replaces_all_of_its_records(tmp_path: Path) -> None:
    add_runs([run(0), run(1), run(2)], name="small", results=tmp_path)

    add_runs([run(5)], name="small", results=tmp_path)

    assert [path.name for path in (tmp_path / "toy" / "small").iterdir()] == ["record-1.json"]
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[1:5] for line in log[1:]] == [
        ["toy/small", "small", "thirds", "test"]
    ] * 2
    assert log[0].split(",")[0] == "date"
    assert list(stored_problems(tmp_path)) == []


@pytest.mark.parametrize(
    ("places", "kind"),
    [
        ({"code/is_dirty": True}, "code"),
        ({"code/commit": None, "code/is_dirty": None, "code/reason": "no checkout"}, "code"),
        ({"facts/origin": "read from /home/ada/data/x.nc"}, "private"),
        ({"facts/origin": r"read from C:\data\x.nc"}, "private"),
        ({"facts/contact": "ask ada@example.org"}, "private"),
        ({"extensions/of": {"on node-of-ada": 1}}, "private"),
    ],
)
def test_records_that_must_not_be_published_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, Any], kind: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node-of-ada.example.org")

    with pytest.raises(CallError) as caught:
        add_runs([run(0, **places)], name="small", results=tmp_path)

    assert {problem.kind for problem in caught.value.problems} == {kind}
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_the_user_is_refused_and_a_common_word_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(0, 0.5, **{"facts/note": "root mean square of ada's cells"})
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    add_runs([record], name="small", results=tmp_path)
    assert result_set_names(tmp_path) == ["toy/small"]

    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    with pytest.raises(CallError):
        add_runs([record], name="other", results=tmp_path)


def test_runs_that_are_not_repeats_are_not_one_set(tmp_path: Path) -> None:
    with pytest.raises(CallError):
        add_runs([run(0), run(1, **{"settings/epochs": 9})], name="small", results=tmp_path)
    with pytest.raises(CallError):
        add_runs([run(0), run(0)], name="small", results=tmp_path)


@pytest.mark.parametrize("name", ["record-1.json", "summary.json"])
def test_a_stored_number_that_was_changed_is_a_problem(tmp_path: Path, name: str) -> None:
    path = add_runs([run(0, 0.5), run(1, 0.25)], name="small", results=tmp_path) / name
    text = path.read_text()
    assert "0.5" in text
    path.write_text(text.replace("0.5", "0.4"))

    assert [problem.place.partition("/record_")[0] for problem in stored_problems(tmp_path)]


def test_a_set_that_the_log_does_not_name_is_a_problem(tmp_path: Path) -> None:
    add_runs([run(0)], name="small", results=tmp_path)
    log = tmp_path / "log.csv"
    log.write_text(log.read_text().splitlines()[0] + "\n")

    assert [problem.kind for problem in stored_problems(tmp_path)] == ["log"]


def test_a_summary_is_written_again_if_it_is_not_that_of_the_records(tmp_path: Path) -> None:
    folder = add_runs([run(0), run(1)], name="small", results=tmp_path)
    add_runs([run(0)], name="alone", results=tmp_path)
    assert write_summaries(tmp_path) == []

    (folder / "summary.json").write_text("{}")

    assert [problem.kind for problem in stored_problems(tmp_path)] == ["summary"]
    assert write_summaries(tmp_path) == [folder / "summary.json"]
    assert list(stored_problems(tmp_path)) == []
