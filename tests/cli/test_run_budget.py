"""`run --budget`: stops in time, says how far it came, and can be continued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.record.record import load_record
from tests.support.toy import run_cli, toy_source

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SHORT = ("--budget", "0.000001s")


@pytest.fixture(autouse=True)
def _points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml_data.bench.stage", toy_source)


def run_json(*words: str, home: Path) -> Any:
    result = run_cli("run", "toy", *words, "--json", home=home)
    assert result.exception is None, result.output
    return json.loads(result.stdout)


def test_a_run_that_stops_is_scored_and_says_how_far_it_came(tmp_path: Path) -> None:
    result = run_cli("run", "toy", *SHORT, home=tmp_path)

    (path,) = (tmp_path / "runs").glob("*/*/record.json")
    record = load_record(path.parent)
    budget = record["budget"]
    assert result.exception is None
    assert (record["status"], len(record["metrics"])) == ("success", 9)
    assert (budget["epochs"], budget["steps"], budget["planned_steps"]) == (0, 1, 28)
    shown = run_cli("show", "latest", "--no-figures", home=tmp_path).stdout
    board = run_cli("board", home=tmp_path).stdout
    log = (path.parent / "log.txt").read_text()
    card = (path.parent / "model" / "README.md").read_text()
    for text in (result.stdout, shown, board, log, card):
        assert "stopped at its budget of 1e-06 s: 0 of 4 epochs (1 of 28 steps)" in text


def test_each_seed_has_the_whole_budget(tmp_path: Path) -> None:
    records = run_json("--seeds", "0-1", *SHORT, home=tmp_path)

    assert [record["budget"]["steps"] for record in records] == [1, 1]


def test_a_resumed_run_keeps_its_budget_and_a_longer_one_continues_it(tmp_path: Path) -> None:
    whole = run_json(home=tmp_path / "whole")
    run_json(*SHORT, home=tmp_path)

    again = run_json("--resume", "latest", home=tmp_path)
    longer = run_json("--resume", "latest", "--budget", "1h", home=tmp_path)

    assert again["budget"]["budget_seconds"] == 1e-6
    assert (again["budget"]["is_reached"], again["budget"]["steps"]) == (True, 1)
    assert not longer["budget"]["is_reached"]
    assert longer["metrics"] == whole["metrics"]


def test_a_model_with_a_fit_of_its_own_has_no_budget(tmp_path: Path) -> None:
    model = tmp_path / "mine.py"
    model.write_text(
        "from sklearn.linear_model import Ridge\n\n\ndef build(inputs, outputs):\n"
        "    return Ridge()\n"
    )

    result = run_cli("run", "toy", "--model", str(model), *SHORT, home=tmp_path)

    assert result.exit_code != 0
    assert "--budget" in str(getattr(result.exception, "hint", "")) + result.stderr


def test_what_is_not_a_duration_is_refused_before_anything_runs(tmp_path: Path) -> None:
    result = run_cli("run", "toy", "--budget", "10", home=tmp_path)

    assert "10min" in str(getattr(result.exception, "hint", "")) + result.stderr
    assert not (tmp_path / "runs").exists()
