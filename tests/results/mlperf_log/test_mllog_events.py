"""The MLPerf log of a run: what it says, in which order, and in which form."""

from __future__ import annotations

import importlib
import io
import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.record.record import write_record
from sciml_data.errors import CallError, RecordError
from sciml_data.results.mlperf_log import (
    Submitter,
    application,
    benchmark_of,
    check_lines,
    events_of,
    log_text,
    parse_lines,
)
from sciml_data.results.mlperf_log.lines import KEYS, Event, line_in_json, to_line
from sciml_data.results.mlperf_log.submitter import APPLICATIONS
from tests.support.mllog_records import BEGAN_MS, COMMIT, SUBMITTER, record_of, signed, timeline

BENCHMARKS = sorted(APPLICATIONS)


def events_with(
    key: str, record: dict[str, Any], by: Submitter = SUBMITTER
) -> list[dict[str, Any]]:
    return [event for event in parse_lines(log_text(record, by)) if event["key"] == key]


def event_with(key: str, record: dict[str, Any], by: Submitter = SUBMITTER) -> dict[str, Any]:
    (event,) = events_with(key, record, by)
    return event


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_log_of_each_benchmark_passes_our_check(benchmark: str) -> None:
    record = record_of(benchmark)

    assert check_lines(log_text(record, SUBMITTER), record) == []


def test_the_official_parser_reads_each_line_as_it_was_meant() -> None:
    parser = importlib.import_module("mlperf_logging.compliance_checker.mlp_parser.ruleset_610")
    record = record_of("uno")

    lines, errors = parser.parse_generator(io.StringIO(log_text(record, SUBMITTER)))

    assert errors == []
    expected = [(e.key, float(e.time_ms), e.value) for e in events_of(record, SUBMITTER)]
    assert expected == [(one.key, one.timestamp, one.value["value"]) for one in lines]


def test_a_line_has_the_bytes_that_mlperf_logging_writes(caplog: pytest.LogCaptureFixture) -> None:
    mllog = importlib.import_module("mlperf_logging.mllog.mllog")
    theirs = mllog.MLLogger(logger=logging.getLogger("sciml_data.test_mllog"))
    metadata = {"file": "record.json", "lineno": 7, "epoch_num": 1, "note": "naïve"}
    for write, key in ((theirs.start, "epoch_start"), (theirs.end, "epoch_stop")):
        write(key, None, metadata=metadata, time_ms=BEGAN_MS)
    theirs.event("eval_accuracy", 0.1 + 0.2, metadata=metadata, time_ms=BEGAN_MS)

    written = [one.getMessage() for one in caplog.records if "MLLOG" in one.getMessage()]

    rest = {key: metadata[key] for key in ("epoch_num", "note")}
    keys = (("epoch_start", None), ("epoch_stop", None), ("eval_accuracy", 0.1 + 0.2))
    assert written == [
        to_line(Event(key, BEGAN_MS, value, rest, "record.json", 7)) for key, value in keys
    ]


def test_the_samples_that_are_evaluated_are_those_that_epochs_are_scored_on() -> None:
    record = record_of("tevolop")
    samples = event_with("eval_samples", record)

    sizes = record["dataset"]["n_samples"]
    assert samples["metadata"]["part"] == "validation"
    assert samples["value"] == sizes["validation"]


def test_events_stand_in_the_order_that_every_rule_set_takes() -> None:
    keys = [event.key for event in events_of(record_of("tevolop"), SUBMITTER)]

    epoch = ["epoch_start", "train_loss", "epoch_stop", "eval_start", "eval_loss", "eval_accuracy"]
    shown = [key for key in keys if not key.startswith(("submi", "github", "opt_"))]
    assert shown == [
        *("cache_clear", "init_start", "seed", "config_filename", "global_batch_size"),
        *("gradient_accumulation_steps", "number_of_ranks", "accelerators_per_node"),
        *("init_stop", "run_start", "staging_start", "staging_stop"),
        *("train_samples", "eval_samples"),
        *(*epoch, "eval_stop", *epoch, "eval_stop"),
        *("eval_start", "eval_accuracy", "eval_accuracy", "eval_accuracy", "eval_stop"),
        *("tracked_stats", "run_stop", "result"),
    ]
    assert keys[0] == "submission_benchmark"


def test_both_spellings_of_version_and_commit_are_written() -> None:
    record = record_of("cloudmask")

    versions = [event_with(key, record) for key in ("submission_version", "submissiom_version")]
    commits = [
        event_with(key, record)
        for key in ("submission_github_commit_version", "github_commit_version")
    ]

    assert [event["value"] for event in versions] == ["sciml-data-cloudmask-v0.1.0"] * 2
    assert [event["value"] for event in commits] == [COMMIT] * 2
    assert [event["metadata"]["is_dirty"] for event in commits] == [False, False]


def test_the_result_stands_once_and_holds_the_scores_and_the_digests() -> None:
    record = record_of("stemdl_classification")

    result = event_with("result", record)["value"]

    assert result["name"] == "stemdl_classification"
    assert result["metrics"]["test"]["macro_f1"] == 0.75
    assert set(result["metrics"]) == {"train", "validation", "test"}
    assert result["record_digest"] == record["record_digest"]
    assert result["synthetic"] is True
    assert result["targets"][0]["is_reached"] is False


def test_a_score_that_failed_is_null_and_no_evaluation() -> None:
    record = record_of("uno")
    for row in record["metrics"]:
        if row["metric_id"] == "mse" and row["part"] == "test":
            row |= {"score": None, "status": "failed", "reason": "the score is nan"}
    signed(record)

    result = event_with("result", record)["value"]
    parts = [event["metadata"]["part"] for event in events_with("eval_error", record)]

    assert result["metrics"]["test"]["mse"] is None
    assert parts == ["validation", "validation", "train", "validation"]  # two epochs, then the best
    assert check_lines(log_text(record, SUBMITTER), record) == []


def test_synthetic_data_are_marked_where_the_log_begins_and_ends() -> None:
    record = record_of("cloudmask")

    marked = [event_with("submission_benchmark", record)["metadata"]["synthetic"]]
    marked += [event_with(key, record)["metadata"]["synthetic"] for key in ("train_samples",)]

    assert [*marked, event_with("result", record)["value"]["synthetic"]] == [True, True, True]


@pytest.mark.parametrize(
    ("done", "expected"), [(True, "mincore"), (False, "not asked for")], ids=["cleared", "not"]
)
def test_cache_clear_is_true_only_where_it_was_verified(*, done: bool, expected: str) -> None:
    record = record_of("uno")
    record["timing"]["cache_clear"] = {
        "done": done,
        "method": "posix_fadvise, verified by mincore" if done else None,
        "files": 3 if done else 0,
        "resident_fraction_after": 0.0 if done else None,
        "reason": None if done else "not asked for",
    }

    event = event_with("cache_clear", signed(record))

    assert event["value"] is done
    assert expected in json.dumps(event["metadata"])
    assert ("when" in event["metadata"]) is done


def test_an_error_is_better_when_lower_and_an_accuracy_when_higher() -> None:
    assert len(events_with("eval_error", record_of("uno"))) == 5
    assert len(events_with("eval_accuracy", record_of("uno"))) == 0
    assert len(events_with("eval_accuracy", record_of("cloudmask"))) == 5


def test_a_target_that_was_reached_is_logged_with_its_value() -> None:
    record = record_of("cloudmask")
    target = {"metric": "accuracy", "part": "test", "value": 0.5, "comparison": ">=", "score": 0.75}
    record["targets"] = [
        {**target, "source": "made up", "is_reached": True, "reached_by_baselines": ["all_cloud"]},
        {**target, "value": 0.9, "source": "x", "is_reached": False, "reached_by_baselines": []},
    ]

    event = event_with("target_accuracy_reached", signed(record))

    assert event["value"] == 0.5
    assert event["metadata"]["reached_by_baselines"] == ["all_cloud"]


def test_settings_have_mlperfs_names() -> None:
    record = record_of("uno")

    values = {event.key: event.value for event in events_of(record, SUBMITTER)}

    assert values["opt_name"] == "adamw"  # Adam with weight decay
    assert values["opt_weight_decay"] == record["settings"]["weight_decay"]
    assert values["global_batch_size"] == record["distribution"]["global_batch_size"]
    assert values["opt_learning_rate_decay_schedule"] == "cosine"
    echoed = event_with("config_filename", record)["metadata"]
    assert echoed["settings"] == record["settings"]


def test_each_line_says_where_in_the_record_its_fact_stands(tmp_path: Path) -> None:
    record = write_record(tmp_path, record_of("tevolop"))
    lines = (tmp_path / "record.json").read_text(encoding="utf-8").splitlines()

    found = {
        event["key"]: lines[event["metadata"]["lineno"] - 1].strip()
        for event in parse_lines(log_text(record, SUBMITTER))
        if event["metadata"]["file"] == "record.json"
    }

    assert found["seed"] == '"seed": 0,'
    assert found["github_commit_version"] == f'"commit": "{COMMIT}",'
    assert found["epoch_stop"] == f'"train_stop_time_ms": {BEGAN_MS + 10_000},'
    assert found["result"] == '"metrics": ['


def test_a_place_in_json_is_found_past_empty_and_nested_values() -> None:
    document = {"a": [], "b": {"c": [1, {"d": 2}], "e": {}}, "f": 3}
    lines = json.dumps(document, indent=2).splitlines()

    assert lines[line_in_json(document, ["b", "c", 1, "d"]) - 1].strip() == '"d": 2'
    assert lines[line_in_json(document, ["b", "e"]) - 1].strip() == '"e": {}'
    assert lines[line_in_json(document, ["f"]) - 1].strip() == '"f": 3'


def test_staging_that_seeds_share_stands_before_the_run() -> None:
    record = signed(record_of("tevolop") | {"timeline": timeline(is_staging_shared=True)})

    keys = [event.key for event in events_of(record, SUBMITTER)]

    assert keys.index("staging_stop") < keys.index("run_start")
    assert check_lines(log_text(record, SUBMITTER), record) == []


def test_a_run_without_validation_has_no_evaluation_in_its_epochs() -> None:
    record = record_of("uno")
    for row in record["curve"]:
        row |= {"validation_loss": None, "monitored": None}
    signed(record)

    assert len(events_with("eval_start", record)) == 1
    assert check_lines(log_text(record, SUBMITTER), record) == []


def test_the_same_record_has_the_same_log() -> None:
    assert log_text(record_of("uno"), SUBMITTER) == log_text(record_of("uno"), SUBMITTER)


@pytest.mark.parametrize("status", ["running", "aborted", "failed"])
def test_a_run_that_is_no_success_has_no_log(status: str) -> None:
    record = record_of("uno", status=status, reason="killed by SIGTERM")

    with pytest.raises(RecordError, match=f"is {status}, .*: killed by SIGTERM"):
        log_text(record, SUBMITTER)


def test_every_part_of_the_timeline_that_is_missing_is_named() -> None:
    record = record_of("uno")
    record["timeline"] = [
        m for m in record["timeline"] if m["key"] not in {"init_stop", "run_stop"}
    ]

    with pytest.raises(RecordError) as error:
        log_text(signed(record | {"curve": []}), SUBMITTER)

    assert [one.place for one in error.value.problems] == ["init_stop", "run_stop", "curve"]


def test_a_run_without_a_commit_is_logged_and_said_not_to_pass() -> None:
    record = record_of("uno")
    record["code"] |= {"commit": None, "is_dirty": None, "reason": "not run from a git checkout"}
    signed(record)

    problems = check_lines(log_text(record, SUBMITTER), record)

    assert [(one.kind, one.place) for one in problems[:1]] == [
        ("type", "line 6 submission_github_commit_version value")
    ]
    assert len(problems) == 2


def test_a_number_that_is_none_cannot_be_logged() -> None:
    with pytest.raises(RecordError, match="eval_error cannot be logged"):
        to_line(Event("eval_error", BEGAN_MS, math.nan))


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"org": " "}, ["org"]),
        ({"org": "two\nlines", "system": ""}, ["org", "system"]),
        ({"status": "success"}, ["status"]),
        ({"org": ":::MLLOG {}"}, ["org"]),
        ({"poc_name": "", "poc_email": "nobody"}, ["poc_name", "poc_email"]),
        ({"platform": "x" * 201}, ["platform"]),
    ],
)
def test_a_submitter_that_no_log_may_name_is_refused(
    changed: dict[str, str], fields: list[str]
) -> None:
    with pytest.raises(CallError) as error:
        Submitter(**{"org": "Example", "system": "node", **changed})

    assert fields == [problem.place for problem in error.value.problems]


def test_a_submitter_may_name_platform_and_contact() -> None:
    by = Submitter("Example", "node", "onprem", "2xH100", "A. Person", "a@example.org")
    record = record_of("uno")

    text = log_text(record, by)

    assert event_with("submission_platform", record, by)["value"] == "2xH100"
    assert event_with("submission_platform", record, by)["metadata"]["system"] == "node"
    assert event_with("submission_poc_email", record, by)["value"] == "a@example.org"
    assert check_lines(text, record) == []


def test_every_name_of_mlcommons_has_a_benchmark_of_the_registry() -> None:
    from sciml_data.registry.layout import find_registry

    assert set(BENCHMARKS) <= set(find_registry().benchmarks())
    assert application("tevolop") == "earthquake"
    assert application("toy") == "toy"


def test_a_log_says_which_benchmark_it_is_of() -> None:
    events = parse_lines(log_text(record_of("stemdl_reconstruction"), SUBMITTER))
    bare = {"key": "submission_benchmark", "metadata": {}}

    assert benchmark_of(events) == "stemdl_reconstruction"
    assert benchmark_of([{**bare, "value": "earthquake"}]) == "tevolop"
    with pytest.raises(CallError, match="stemdl_classification or stemdl_reconstruction"):
        benchmark_of([{**bare, "value": "stemdl"}])
    with pytest.raises(CallError, match="has no submission_benchmark"):
        benchmark_of([])


def test_keys_that_mlperf_has_are_spelled_as_it_spells_them() -> None:
    constants = importlib.import_module("mlperf_logging.mllog.constants")
    theirs = {value for name, value in vars(constants).items() if name.isupper()}

    ours = {
        # the working group's, and those that logs of MLPerf HPC have without a constant
        *("submission_version", "submissiom_version", "result"),
        *("submission_github_commit_version", "github_commit_version"),
        *("number_of_ranks", "accelerators_per_node", "tracked_stats", "target_accuracy_reached"),
        *("train_loss", "eval_loss", "eval_error"),
    }
    assert ours == set(KEYS) - theirs
