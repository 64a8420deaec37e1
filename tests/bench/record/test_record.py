"""A record is valid, whole, and contains nothing but facts of the run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sciml_data.bench.monitoring.machine import not_monitored
from sciml_data.bench.record.record import (
    RECORD_NAME,
    SCHEMA_PATH,
    as_json,
    check_repeats,
    load_record,
    record_digest,
    schema_problems,
    write_record,
)
from sciml_data.errors import CallError, RecordError
from tests.support.records import HASH, sample_record, seeded


def test_the_schema_is_a_schema() -> None:
    import jsonschema

    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_record(tmp_path, sample_record())

    assert written == load_record(tmp_path)
    assert record_digest(written) == written["record_digest"]
    assert [path.name for path in tmp_path.iterdir()] == [RECORD_NAME]


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_none_is_not_written(tmp_path: Path, number: float) -> None:
    record = sample_record(resources={**not_monitored()["resources"], "cpu_s": number})

    with pytest.raises(RecordError, match="finite"):
        write_record(tmp_path, record)

    assert list(tmp_path.iterdir()) == []


def test_unknown_fields_stand_in_extensions_or_nowhere(tmp_path: Path) -> None:
    write_record(tmp_path, sample_record(extensions={"lab": {"shift": 3}}))

    with pytest.raises(RecordError) as error:
        write_record(tmp_path, sample_record(shift=3, status="fine"))

    assert {"shift", "status"} == {problem.place for problem in error.value.problems}


def test_no_absolute_path_goes_into_a_record(tmp_path: Path) -> None:
    record = sample_record(
        status="failed",
        reason="cannot read /home/somebody/data/x.nc (see https://example.org/a/b), 3 km/h",
        facts={"source": ["/scratch/user/run/"]},
    )

    written = write_record(tmp_path, record)

    assert written["reason"] == "cannot read .../x.nc (see https://example.org/a/b), 3 km/h"
    assert "somebody" not in json.dumps(written)
    assert "/scratch" not in json.dumps(written)


def test_a_record_that_was_touched_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, sample_record())
    path = tmp_path / RECORD_NAME
    path.write_text(path.read_text(encoding="utf-8").replace("0.125", "0.126"), encoding="utf-8")

    with pytest.raises(RecordError) as error:
        load_record(tmp_path)

    assert [problem.kind for problem in error.value.problems] == ["digest"]


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file"):
        load_record(tmp_path)


def test_what_a_runner_reports_becomes_json() -> None:
    facts = {"n": np.int64(3), "scale": np.array([1.5, np.nan]), "kept": (True, None), 4: Path("a")}

    assert as_json(facts) == {"n": 3, "scale": [1.5, None], "kept": [True, None], "4": "a"}
    assert schema_problems(sample_record(record_digest=HASH, facts=as_json(facts))) == []


def test_runs_that_are_no_repeats_are_refused_with_every_difference() -> None:
    other_data = {**sample_record()["dataset"], "version": "2.0"}

    with pytest.raises(CallError) as error:
        check_repeats(
            [
                seeded(0, 0.1),
                seeded(1, 0.1, dataset=other_data),
                seeded(2, 0.1, synthetic=True),
                seeded(2, 0.1, settings={"epochs": 2}),
                seeded(4, 0.1, status="aborted", reason="stopped"),
            ]
        )

    assert [problem.kind for problem in error.value.problems] == [
        "dataset",
        "synthetic",
        "settings",
        "status",
        "seed",
    ]


CONTRADICTIONS: dict[str, tuple[str, dict[str, object]]] = {
    "a metric that is not defined": ("metrics/0/metric_id", {"metric_definitions": []}),
    "a success without a score": ("metrics", {"metrics": []}),
    "an override of no setting": ("settings_overridden", {"settings_overridden": ["epoch"]}),
    "a time after the year 9999": (
        "timeline/0/time_ms",
        {"timeline": [{"key": "run_start", "time_ms": 10**18, "metadata": {}}]},
    ),
    "a time that is none": (
        "timing/end_time",
        {"timing": {**sample_record()["timing"], "end_time": "2026-99-99T99:99:99.999Z"}},
    ),
}


@pytest.mark.parametrize(("place", "changed"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_record_that_contradicts_itself_is_not_read(
    tmp_path: Path, place: str, changed: dict[str, object]
) -> None:
    write_record(tmp_path, sample_record(**changed))

    with pytest.raises(RecordError) as error:
        load_record(tmp_path)

    assert place in {problem.place for problem in error.value.problems}
