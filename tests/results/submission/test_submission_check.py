"""Each kind of tampering is refused by its name, also by whoever computes every digest anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.results.submission import verification
from tests.support.submissions import (
    FOLDER,
    Bench,
    better,
    change_record,
    change_text,
    commit_all,
    git,
    hide,
    kinds,
    list_anew,
    record_of,
    sha256,
    write_json,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
OTHER = f"sha256:{'9' * 64}"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def two(bench: Bench, tmp_path: Path) -> Path:
    """Return a submission of two runs, to be broken."""
    return bench.pack(tmp_path / "two", runs=bench.real[:2])


def test_an_untouched_submission_is_accepted_and_says_so(bench: Bench, one: Path) -> None:
    verdict = bench.check(one)

    assert verdict["problems"] == []
    assert verdict["state"] == "self_checked"
    assert verification.states(one) == {"record-1.json": "self_checked"}


def test_runs_of_an_earlier_version_in_the_history_are_accepted_and_others_are_not(
    bench: Bench, two: Path, tmp_path: Path
) -> None:
    """The records' digest is that of the toy runner here, which a later commit changes."""
    code, registry = tmp_path / "code", tmp_path / "registry"
    shutil.copytree(bench.code, code)
    shutil.copytree(bench.registry, registry)
    shutil.copytree(bench.registry / "runners" / "toy", code / "runners" / "toy")
    if (bench.registry / "metrics.py").is_file():
        shutil.copy(bench.registry / "metrics.py", code)
    with_runner = commit_all(code)
    for number in (1, 2):
        name = f"record-{number}.json"
        change_record(two, lambda record: record["code"].update(commit=with_runner), name)
    runner = registry / "runners" / "toy" / "runner.py"
    runner.write_text(f"{runner.read_text()}\n# changed\n")
    later = replace(bench, registry=registry)

    verdict = replace(later, code=code).check(two)
    assert "runner" not in kinds(verdict)
    diff = f"git diff {with_runner} HEAD -- runners/toy"
    assert sum(diff in warning for warning in verdict["warnings"]) == 2
    text = later.call("submit", "check", str(two), "--repository", str(code)).stdout
    assert text.count(diff) == 1
    assert "record-1.json, record-2.json: " in text
    assert "git diff" not in str(bench.check(two)["warnings"])
    assert "runner" in kinds(later.check(two))
    git(code, "checkout", "--quiet", "HEAD~1")
    assert "runner" in kinds(replace(later, code=code).check(two))


# The ten kinds that each have to be refused by name.


def test_a_changed_score_is_refused(bench: Bench, one: Path) -> None:
    record = record_of(one, "record-1.json")
    better(record)
    write_json(one / "record-1.json", record)

    assert {"digest", "log", "manifest", "readme"} <= kinds(bench.check(one))


def test_a_changed_score_with_a_new_digest_is_refused(bench: Bench, one: Path) -> None:
    change_record(one, better)
    list_anew(one)

    assert kinds(bench.check(one)) == {"log", "readme"}


def test_a_score_that_was_changed_everywhere_is_found_by_rescore(bench: Bench, one: Path) -> None:
    change_record(one, better)
    hide(one)

    verdict = bench.check(one)
    result = bench.call("rescore", str(one), "--home", str(bench.home))

    assert verdict["accepted"]  # nobody can see it without computing
    assert result.exit_code == 1
    assert "record-1.json  test  explained  model  record" in result.stdout
    assert verification.states(one) == {"record-1.json": "self_checked"}


def test_a_swapped_log_is_refused(bench: Bench, two: Path) -> None:
    first, second = two / "result-1.txt", two / "result-2.txt"
    texts = first.read_bytes(), second.read_bytes()
    first.write_bytes(texts[1])
    second.write_bytes(texts[0])
    list_anew(two)

    assert kinds(bench.check(two)) == {"log"}


def test_another_datasets_digest_is_refused(bench: Bench, one: Path) -> None:
    change_record(one, lambda record: record["dataset"].update(manifest_digest=OTHER))
    hide(one)
    change_text(one / "config.yaml", "manifest_digest: sha256:", "manifest_digest: sha256:0")

    verdict = bench.check(one)

    assert {"dataset", "config"} <= kinds(verdict)
    assert "record-1.json/dataset/manifest_digest" in {p["place"] for p in verdict["problems"]}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused(bench: Bench, one: Path, word: str) -> None:
    record = record_of(one, "record-1.json")
    record["metrics"][0]["score"] = float(word)
    write_json(one / "record-1.json", record)
    list_anew(one)

    assert "nan" in kinds(bench.check(one))


def test_a_nan_in_the_log_is_refused(bench: Bench, one: Path) -> None:
    change_text(one / "result-1.txt", '"value": null', '"value": NaN')
    list_anew(one)

    verdict = bench.check(one)

    assert kinds(verdict) == {"log"}
    assert any(problem["message"].startswith("nan") for problem in verdict["problems"])


@pytest.mark.parametrize("key", ["dataset", "metrics", "record_digest"])
def test_a_missing_key_is_refused(bench: Bench, one: Path, key: str) -> None:
    record = record_of(one, "record-1.json")
    del record[key]
    write_json(one / "record-1.json", record)

    assert "missing" in kinds(bench.check(one))


@pytest.mark.parametrize(("key", "value"), [("metrics", {}), ("synthetic", "no"), ("model", [])])
def test_a_wrong_type_is_refused(bench: Bench, one: Path, key: str, value: Any) -> None:
    change_record(one, lambda record: record.update({key: value}))

    assert "type" in kinds(bench.check(one))


def test_edited_predictions_are_refused(bench: Bench, one: Path) -> None:
    with (one / "predictions-1.nc").open("r+b") as stream:
        stream.seek(2000)
        stream.write(b"\x01\x02\x03")
    list_anew(one)

    assert kinds(bench.check(one)) == {"predictions"}


def test_predictions_edited_with_every_digest_are_found_by_rescore(bench: Bench, one: Path) -> None:
    path = one / "predictions-1.nc"
    parts = {
        part: Predictions(found.predicted.copy(), found.predicted, found.coords)
        for part, found in load_predictions(path).items()
    }
    save_predictions(path, parts, synthetic=False)  # as if all had been observed as predicted

    def perfect(record: dict[str, Any]) -> None:
        stated = record["outputs"]["predictions"]
        stated.update(sha256=sha256(path), size_bytes=path.stat().st_size)
        for row in record["metrics"]:
            row["score"] = 1.0 if row["metric_id"] == "explained" else 0.0
        for target in record["targets"]:
            target["score"] = 1.0

    change_record(one, perfect)
    hide(one)

    verdict = bench.check(one)
    result = bench.call("rescore", str(one), "--home", str(bench.home), "--json")
    found = json.loads(result.stdout)

    assert verdict["accepted"]
    assert result.exit_code == 1
    assert {"observed"} == {problem["kind"] for problem in found["problems"]}
    assert found["states"] == {"record-1.json": "self_checked"}


def test_a_wrong_commit_is_refused(bench: Bench, one: Path) -> None:
    change_record(one, lambda record: record["code"].update(commit="0" * 40))
    hide(one)

    assert {"commit", "config", "system"} == kinds(bench.check(one))


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("code", "version", "9.9.9"),
        ("dataset", "version", "1.1"),
        ("code", "runner_digest", OTHER),
        ("split", "members_digest", OTHER),
        ("model", "name", "noisy"),
    ],
)
def test_mixed_versions_are_refused(
    bench: Bench, two: Path, group: str, key: str, value: Any
) -> None:
    change_record(two, lambda record: record[group].update({key: value}), "record-2.json")

    assert "mixed" in kinds(bench.check(two))


def test_a_run_that_hides_its_budget_is_refused(bench: Bench, one: Path) -> None:
    """The record is that of a run of four epochs that stopped after two."""

    def stopped(record: dict[str, Any]) -> None:
        record["settings"]["epochs"] = 4
        record["budget"] = {
            "budget_seconds": 1.0, "is_reached": True, "epochs": 2, "planned_epochs": 4,
            "steps": None, "planned_steps": None, "training_seconds": 1.0,
            "whole_training_seconds": None,
        }  # fmt: skip

    def hidden(record: dict[str, Any]) -> None:
        del record["budget"]

    change_record(one, stopped)
    assert "curve" not in kinds(bench.check(one))
    change_record(one, hidden)
    assert "curve" in kinds(bench.check(one))


def test_a_duplicated_run_is_refused(bench: Bench, two: Path) -> None:
    for word, end in (("record", "json"), ("result", "txt"), ("predictions", "nc")):
        shutil.copyfile(two / f"{word}-1.{end}", two / f"{word}-2.{end}")
    list_anew(two)

    assert "duplicate" in kinds(bench.check(two))


def test_a_duplicated_run_with_another_id_and_seed_is_refused(bench: Bench, two: Path) -> None:
    def renamed(record: dict[str, Any]) -> None:
        record["run_id"] = "00000000-0000-4000-8000-000000000000"
        record["seeds"]["seed"] = 7

    for word, end in (("record", "json"), ("predictions", "nc")):
        shutil.copyfile(two / f"{word}-1.{end}", two / f"{word}-2.{end}")
    change_record(two, renamed, "record-2.json")

    assert "duplicate" in kinds(bench.check(two))


def test_a_run_that_another_submission_has_is_refused(bench: Bench, tmp_path: Path) -> None:
    bench.pack(tmp_path, runs=bench.real[:2])
    other = bench.pack(tmp_path, "--descriptor", "second", runs=bench.real[1:])

    found = json.loads(bench.call("submit", "check", str(tmp_path), "--json").stdout)
    places = {
        (verdict["folder"], problem["place"])
        for verdict in found
        for problem in verdict["problems"]
        if problem["kind"] == "duplicate"
    }

    assert places == {
        (str(FOLDER), "record-2.json"),
        (str(other.relative_to(tmp_path)), "record-1.json"),
    }
