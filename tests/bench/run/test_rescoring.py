"""Scores are computed again from stored predictions; changed files and data are noticed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sciml_data.bench.record.record import load_record, record_digest, write_record
from sciml_data.bench.record.runs import describe_output
from sciml_data.bench.run.rescoring import check_outputs, rescore
from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.errors import RecordError
from tests.support.hostile_predictions import ONE_OF_EACH, OUTSIDE
from tests.support.problems import kinds_and_places
from tests.support.toy import REGISTRY, toy_source

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_stored_predictions_give_the_recorded_scores_again(done: Path) -> None:
    checked, differences = rescore(done, REGISTRY, stage=toy_source)

    assert (checked, differences) == (18, [])
    assert load_record(done)["verification"]["state"] == "rescored"


def test_a_typed_score_is_found_by_rescoring(done: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    record = load_record(copy)
    record["metrics"][0]["score"] += 0.01
    record["metrics"][1]["baselines"]["mean"] = None
    write_record(copy, record)

    _, differences = rescore(copy, REGISTRY, stage=toy_source)

    assert {("model", "train"), ("mean", "train")} == {
        (one.predictor, one.part) for one in differences
    }
    assert load_record(copy)["verification"]["state"] == "unchecked"


def test_a_typed_interval_is_found_by_rescoring(done: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    record = load_record(copy)
    row = next(row for row in record["metrics"] if "replicates" in row)
    row["interval"]["lower"] -= 0.01
    row["comparisons"]["mean"]["upper"] += 0.01
    row["replicates"]["scores"]["model"][3] += 0.01
    write_record(copy, record)

    _, differences = rescore(copy, REGISTRY, stage=toy_source)

    assert {(one.metric, one.predictor) for one in differences} == {
        ("explained, lower end", "model"),
        ("explained, upper end", "model - mean"),
        ("explained, without group 3", "model"),
    }


def test_rescoring_adds_intervals_to_a_record_without_them(done: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    before = load_record(copy)
    record = load_record(copy)
    del record["resampling"]
    for row in record["metrics"]:
        for name in ("interval", "comparisons", "replicates"):
            row.pop(name, None)
    write_record(copy, record)

    _, differences = rescore(copy, REGISTRY, stage=toy_source)

    after = load_record(copy)
    assert differences == []
    assert after["resampling"] == before["resampling"]
    assert after["metrics"] == before["metrics"]
    assert {row["part"] for row in after["metrics"] if "interval" in row} == {"validation", "test"}


def test_predictions_changed_since_the_run_are_refused(done: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    with (copy / "predictions.nc").open("ab") as file:
        file.write(b"\0")

    with pytest.raises(RecordError) as error:
        rescore(copy, REGISTRY, stage=toy_source)

    assert kinds_and_places(error) == [("output", "predictions")]


def with_predictions(folder: Path, make: Callable[[Path], None]) -> Path:
    """Replace a run's predictions, and let its record name the new ones, as a forger would."""
    path = folder / "predictions.nc"
    make(path)
    record = load_record(folder)
    if path.is_file():
        stated = record["outputs"]["predictions"]
        record["outputs"]["predictions"] = describe_output(folder, path.name, stated["format"])
    write_record(folder, record)
    return folder


@pytest.mark.parametrize("make", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_a_run_whose_predictions_are_none_is_a_sentence(
    done: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    copy = with_predictions(Path(shutil.copytree(done, tmp_path / "copy")), make)

    with pytest.raises(RecordError) as error:
        rescore(copy, REGISTRY, stage=toy_source)

    assert "predictions" in str(error.value)
    assert OUTSIDE not in str(error.value)


def test_predictions_of_other_axes_are_refused_by_part(done: Path, tmp_path: Path) -> None:
    def flatten(path: Path) -> None:
        parts = {
            part: Predictions(
                found.observed[:, 0], found.predicted[:, 0], {"row": found.coords["row"]}
            )
            for part, found in load_predictions(path).items()
        }
        save_predictions(path, {**parts, "more": parts["test"]}, synthetic=False)

    copy = with_predictions(Path(shutil.copytree(done, tmp_path / "copy")), flatten)

    with pytest.raises(RecordError) as error:
        rescore(copy, REGISTRY, stage=toy_source)

    assert set(kinds_and_places(error)) == {
        ("shape", "predictions.nc/test"),
        ("shape", "predictions.nc/train"),
        ("shape", "predictions.nc/validation"),
        ("part", "predictions.nc/more"),
    }


@pytest.mark.parametrize(
    "path", ["../outside.bin", "/etc/hostname", "outputs.csv/x", "link/predictions.nc", "a\x00b"]
)
def test_a_record_names_only_files_of_its_run(done: Path, tmp_path: Path, path: str) -> None:
    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    (tmp_path / "outside.bin").write_bytes(b"not of the run")
    (copy / "link").symlink_to(copy)
    record = load_record(copy)
    record["outputs"]["curve"]["path"] = path
    record["record_digest"] = record_digest(record)
    (copy / "record.json").write_text(json.dumps(record), encoding="utf-8")

    with pytest.raises(RecordError) as error:
        check_outputs(copy, record)

    assert kinds_and_places(error) == [("output", "curve")]


def test_observations_made_to_please_the_predictions_are_refused(
    done: Path, tmp_path: Path
) -> None:
    import dataclasses

    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    path = copy / "predictions.nc"
    parts = {
        part: dataclasses.replace(one, observed=one.predicted)
        for part, one in load_predictions(path).items()
    }
    save_predictions(path, parts, synthetic=False)
    record = load_record(copy)
    stated = record["outputs"]["predictions"]
    record["outputs"]["predictions"] = describe_output(copy, stated["path"], stated["format"])
    write_record(copy, record)

    with pytest.raises(RecordError, match="observations") as error:
        rescore(copy, REGISTRY, stage=toy_source)

    assert {"observed"} == {problem.kind for problem in error.value.problems}
    assert load_record(copy)["verification"]["state"] == "unchecked"


def test_other_data_are_not_scored_against(done: Path) -> None:
    other = dataclasses.replace(toy_source(), manifest_digest="sha256:" + "1" * 64)

    with pytest.raises(RecordError) as error:
        rescore(done, REGISTRY, stage=lambda _: other)

    places = [(problem.kind, problem.place) for problem in error.value.problems]
    assert places == [("digest", "dataset")]
