"""The marks of a run are in order, and baselines do not count in its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.run.execution import prepare, run_once
from sciml_data.bench.run.journal import Baselines, Prepared
from sciml_data.bench.run.request import Request
from sciml_data.bench.training import timeline
from sciml_data.home import Home
from tests.support.toy import REGISTRY, toy_source

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    request = Request("toy", REGISTRY, strategy="default", overrides=("epochs=2",))
    return prepare(request, toy_source)


@pytest.fixture(scope="module")
def record(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = run_once(prepared, 0, home=Home(tmp_path_factory.mktemp("home")))
    assert folder is not None
    return load_record(folder)


def keys(marks: Any) -> list[str]:
    return [mark["key"] for mark in marks]


def test_the_measured_time_begins_before_staging(record: Mapping[str, Any]) -> None:
    assert keys(record["timeline"]) == [
        "init_start",
        "init_stop",
        "run_start",
        "staging_start",
        "staging_stop",
        "eval_start",
        "eval_stop",
        "run_stop",
    ]


def test_times_never_fall_over_timeline_and_curve(record: Mapping[str, Any]) -> None:
    times_of = {mark["key"]: mark["time_ms"] for mark in record["timeline"]}
    names = ("start_time_ms", "train_stop_time_ms", "stop_time_ms")
    epochs = [row[name] for row in record["curve"] for name in names]

    times = [times_of["staging_stop"], *epochs, times_of["eval_start"], times_of["run_stop"]]
    assert sorted(times) == times
    assert sorted(times_of.values()) == list(times_of.values())


def test_the_time_to_train_is_the_interval_of_the_run(record: Mapping[str, Any]) -> None:
    timing = record["timing"]
    times = {mark["key"]: mark["time_ms"] for mark in record["timeline"]}
    epochs = [row["train_s"] + row["evaluation_s"] for row in record["curve"]]
    parts = ("staging_s", "prepare_s", "predict_s", "score_s")

    interval_ms = times["run_stop"] - times["run_start"]
    assert round(timing["time_to_train_s"] * 1000) == interval_ms
    assert timing["time_to_train_s"] >= sum(timing[name] for name in parts) + sum(epochs) - 0.01
    without = timing["time_to_train_excl_staging_s"]
    assert timing["staging_s"] == pytest.approx(timing["time_to_train_s"] - without)


def test_runs_that_share_their_staging_begin_after_it(prepared: Prepared) -> None:
    marks = timeline.begin_run(prepared.marks, is_shared=True)

    assert keys(marks) == ["init_start", "init_stop", "staging_start", "staging_stop", "run_start"]


def test_a_resumed_run_began_once() -> None:
    before: list[timeline.Mark] = [
        {"key": key, "time_ms": 1, "metadata": {}} for key in ("run_start", "run_stop")
    ]

    assert keys(timeline.resume_run(before)) == ["run_start"]


def test_baselines_are_computed_once_and_at_the_first_use() -> None:
    calls: list[str] = []

    def compute() -> dict[str, Any]:
        calls.append("now")
        return {"mean": {}}

    baselines = Baselines(compute)

    assert (calls, baselines.seconds) == ([], None)
    assert {"mean": {}} == baselines.scores() == baselines.scores()
    assert (calls, baselines.seconds is not None) == (["now"], True)


def test_a_cache_that_was_not_cleared_is_recorded_as_such(record: Mapping[str, Any]) -> None:
    assert (
        record["timing"]["cache_clear"]["done"],
        record["timing"]["cache_clear"]["reason"],
    ) == (False, "not asked for")
    assert record["monitor"]["samples"] > 0
    assert record["energy"]["measured"] or record["energy"]["reason"]
