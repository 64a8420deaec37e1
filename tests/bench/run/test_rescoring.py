"""Scores are computed again from stored predictions; changed files and data are noticed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from sciml_data.bench.record.record import load_record, write_record
from sciml_data.bench.record.runs import describe_output
from sciml_data.bench.run.rescoring import rescore
from sciml_data.bench.scoring.predictions import load_predictions, save_predictions
from sciml_data.errors import RecordError
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


def test_predictions_changed_since_the_run_are_refused(done: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(done, tmp_path / "copy"))
    with (copy / "predictions.nc").open("ab") as file:
        file.write(b"\0")

    with pytest.raises(RecordError, match="predictions was changed"):
        rescore(copy, REGISTRY, stage=toy_source)


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
