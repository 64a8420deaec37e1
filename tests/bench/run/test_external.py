"""Predictions of another program are aligned by their ids, scored, stored and scored again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sciml_data
from sciml_data import LoadedBenchmark, Run
from sciml_data.bench.record.record import load_record, record_problems
from sciml_data.bench.run.external import align
from sciml_data.errors import CallError, RecordError
from sciml_data.home import Home
from tests.support.external import predict, table_of

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def water(place: Path) -> LoadedBenchmark:
    return sciml_data.load_benchmark("hydronet", sample=True, home=place)


@pytest.fixture(scope="module")
def run(water: LoadedBenchmark, place: Path) -> Run:
    return sciml_data.score(water, table_of(water), model="ridge", seed=3, home=place)


def problems_of(water: LoadedBenchmark, given: Any, **options: Any) -> dict[str, str]:
    """Return place -> message of what is wrong with predictions."""
    with pytest.raises(RecordError) as error:
        align(water.opened, given, **options)
    assert error.value.untouched == "nothing was scored or written"
    found: dict[str, str] = {}
    for problem in error.value.problems:
        text = f"{problem.kind}: {problem.message}"
        found[problem.place] = f"{found[problem.place]}; {text}" if problem.place in found else text
    return found


# Forms


def test_the_same_predictions_in_every_form_have_the_same_scores(
    water: LoadedBenchmark, tmp_path: Path
) -> None:
    table = table_of(water, ("test",))
    ids, predicted = table["cluster"].to_numpy(), table["predicted"].to_numpy()
    shuffled = table.sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "table.csv", index=False)
    shuffled.to_parquet(tmp_path / "table.parquet")
    array = xr.DataArray(predicted, [("cluster", ids)], name="predicted")
    array.to_dataset().to_netcdf(tmp_path / "flat.nc", engine="h5netcdf")
    array.to_dataset().to_netcdf(tmp_path / "parts.nc", group="test", engine="h5netcdf")
    forms = [
        tmp_path / "table.csv",
        str(tmp_path / "table.parquet"),
        tmp_path / "flat.nc",
        tmp_path / "parts.nc",
        shuffled,
        {"test": predicted},
        {"test": predicted[:, None]},
        {"test": array[::-1]},
        {"test": pd.Series(predicted, index=ids)},
    ]

    first, *others = (water.score(form, baselines=False) for form in forms)

    assert first["model"].gt(0).all()
    for other in others:
        pd.testing.assert_frame_equal(first, other)


def test_a_table_of_all_parts_is_divided_by_its_ids(water: LoadedBenchmark) -> None:
    aligned = align(water.opened, table_of(water))

    assert list(aligned) == ["train", "validation", "test"]
    assert aligned["test"].predicted.dtype == np.float32
    assert np.array_equal(aligned["test"].observed, water.to_numpy("test")[2])


def test_a_column_names_the_part(water: LoadedBenchmark) -> None:
    table = table_of(water, ("test",)).assign(part="validation")

    assert "not of this part" in problems_of(water, table)["validation/cluster"]


def test_values_of_classes_may_be_columns(place: Path, water: LoadedBenchmark) -> None:
    from sciml_data.bench.scoring.external import Expected, read_predictions

    labels = np.array(["monoclinic", "tetragonal"], object)
    ids = np.array(["a", "b"], object)
    targets = xr.DataArray(np.eye(2), [("sample", ids), ("structure", labels)], name="probability")
    expected = {"test": Expected(targets, pd.Index(ids))}
    wide = pd.DataFrame({"sample": ["b", "a"], "tetragonal": [0.9, 0.2], "monoclinic": [0.1, 0.8]})

    values = read_predictions(wide, expected)["test"]

    assert values.to_numpy().tolist() == [[0.8, 0.2], [0.1, 0.9]]


# Wrong predictions


def test_missing_ids_are_named(water: LoadedBenchmark) -> None:
    table = table_of(water, ("test",))
    first = table["cluster"][0]

    problems = problems_of(water, table.iloc[1:])

    assert problems == {"test/cluster": f"ids: 1 id ({first}) missing"}


def test_duplicated_ids_are_named(water: LoadedBenchmark) -> None:
    table = table_of(water, ("test",))
    twice = pd.concat([table, table.iloc[:2]])

    assert "2 ids" in problems_of(water, twice)["test/cluster"]
    assert "more than once" in problems_of(water, twice)["test/cluster"]


def test_foreign_ids_are_named(water: LoadedBenchmark) -> None:
    table = table_of(water, ("test",))
    table.loc[0, "cluster"] = "min_data/999999"

    assert "1 id (min_data/999999) not of this part" in problems_of(water, table)["test/cluster"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named_with_the_first_id(
    water: LoadedBenchmark, value: float
) -> None:
    table = table_of(water, ("test",))
    table.loc[1, "predicted"] = value

    message = problems_of(water, table)["test"]

    assert f"cluster {table['cluster'][1]}" in message
    assert message.startswith("values: 1 of ")


def test_a_wrong_shape_is_named(water: LoadedBenchmark) -> None:
    size = water.opened.problem.sizes["test"]

    assert problems_of(water, {"test": np.zeros(size + 1)}) == {
        "test": f"shape: {(size + 1,)} found, {(size,)} expected: cluster"
    }
    ids = water.to_numpy("test")[0]
    two = xr.DataArray(np.zeros((size, 2)), dims=("cluster", "output"), coords={"cluster": ids})
    assert (
        "axes cluster, output found, cluster expected" in problems_of(water, {"test": two})["test"]
    )


def test_another_unit_is_refused(water: LoadedBenchmark) -> None:
    from dataclasses import replace

    from sciml_data.bench.run.external import expected_of
    from sciml_data.bench.scoring.external import read_predictions

    table = table_of(water, ("test",))
    expected = expected_of(water.opened)
    expected["test"] = replace(
        expected["test"], targets=expected["test"].targets.assign_attrs(units="kcal mol-1")
    )

    with pytest.raises(RecordError) as error:
        read_predictions(table, expected, units="eV")

    assert "'eV' found, 'kcal mol-1' expected" in str(error.value.problems[0])
    assert read_predictions(table, expected, units="kcal mol-1")


def test_the_test_part_is_required(water: LoadedBenchmark) -> None:
    given = {"validation": predict(water)("validation")}

    assert problems_of(water, given) == {"test": "part: has no predictions"}
    assert "model" in water.score(given, baselines=False)  # nothing is stored


def test_an_unknown_part_is_named_with_the_nearest(water: LoadedBenchmark) -> None:
    given = {"test": predict(water)("test"), "valdation": np.zeros(3)}

    assert "did you mean 'validation'" in problems_of(water, given)["valdation"]


def test_text_is_no_prediction(water: LoadedBenchmark) -> None:
    table = table_of(water, ("test",)).astype({"predicted": object})
    table.loc[0, "predicted"] = "high"

    problems = problems_of(water, table)

    assert list(problems) == ["test"]
    assert problems["test"].startswith("type: 1 value is not a number, first 'high' at cluster ")
    assert problems["test"].endswith(table["cluster"][0])


def test_a_text_in_a_file_blames_its_own_part(water: LoadedBenchmark, tmp_path: Path) -> None:
    table = table_of(water).astype({"predicted": object})
    last = table["cluster"].iloc[-1]
    table.loc[table.index[-1], "predicted"] = "abc"  # of the test part
    table.to_csv(tmp_path / "predicted.csv", index=False)
    series = table.set_index("cluster")["predicted"].iloc[-water.opened.problem.sizes["test"] :]

    for given in (tmp_path / "predicted.csv", table, {"test": series}):
        assert problems_of(water, given) == {
            "test": f"type: 1 value is not a number, first 'abc' at cluster {last}"
        }


@pytest.mark.parametrize("name", ["prediction", "Predicted", "energy"])
def test_values_under_another_name_are_refused(
    water: LoadedBenchmark, tmp_path: Path, name: str
) -> None:
    table = table_of(water, ("test",)).rename(columns={"predicted": name})
    table.to_csv(tmp_path / "predicted.csv", index=False)
    table.to_parquet(tmp_path / "predicted.parquet")
    dataset = table.set_index("cluster").to_xarray()
    dataset.to_netcdf(tmp_path / "flat.nc", engine="h5netcdf")
    dataset.to_netcdf(tmp_path / "parts.nc", group="test", engine="h5netcdf")
    files = [tmp_path / each for each in ("predicted.csv", "predicted.parquet", "flat.nc")]

    for given in (*files, tmp_path / "parts.nc", table):
        with pytest.raises(CallError, match="'predicted'") as error:
            align(water.opened, given)
        assert name in error.value.message.partition("s are ")[2]
        assert ("did you mean" in error.value.message) == (name != "energy")


def test_a_part_in_other_letters_is_named_with_the_parts(
    water: LoadedBenchmark, tmp_path: Path
) -> None:
    table = table_of(water, ("test",)).assign(part="TEST")
    table.set_index("cluster")[["predicted"]].to_xarray().to_netcdf(
        tmp_path / "predicted.nc", group="TEST", engine="h5netcdf"
    )

    for given in (table, tmp_path / "predicted.nc"):
        message = problems_of(water, given)["TEST"]
        assert "did you mean 'test'" in message
        assert message.endswith("parts are train, validation, test")


def test_a_hint_is_the_command_of_this_benchmark(water: LoadedBenchmark) -> None:
    with pytest.raises(RecordError) as error:
        align(water.opened, table_of(water, ("test",)).iloc[1:])

    assert "`sciml-data split export hydronet --sample --to ids.csv`" in error.value.hint


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_named(water: LoadedBenchmark, tmp_path: Path, separator: str) -> None:
    path = tmp_path / "predicted.csv"
    table_of(water, ("test",)).to_csv(path, index=False, sep=separator, decimal=",")

    with pytest.raises(CallError, match="commas are expected") as error:
        align(water.opened, path)

    assert repr(separator) in error.value.message


def test_baselines_are_computed_once_for_each_part(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    water = sciml_data.load_benchmark("hydronet", sample=True, home=place)
    fits, fit = [], water.opened.problem.baselines

    def count() -> Any:
        fits.append(1)
        return fit()

    monkeypatch.setattr(water.opened.problem, "baselines", count)
    table = table_of(water)

    first = water.score(table)
    again = water.score(table)
    stored = sciml_data.score(water, table, home=place, runs=tmp_path)
    alone = water.score(table_of(water, ("test",)))

    assert len(fits) == 1
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(first, stored.scores)
    assert set(alone.index.get_level_values(0)) == {"test"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "no such file"),
        (lambda path: path.mkdir() or path, "is a folder"),
        (
            lambda path: path.with_suffix(".txt").touch() or path.with_suffix(".txt"),
            "known endings",
        ),
        (lambda path: path.touch() or path, "cannot be read"),
        (lambda path: path.write_text("a,b\n1,2\n") and path, "no column 'cluster'"),
        (lambda path: path.write_text("cluster,b,c\nx,2,3\n") and path, "no column 'predicted'"),
    ],
)
def test_another_file_is_refused(
    water: LoadedBenchmark, tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(CallError, match=message):
        align(water.opened, make(tmp_path / "predicted.csv"))


def test_a_damaged_netcdf_file_is_refused(water: LoadedBenchmark, tmp_path: Path) -> None:
    (tmp_path / "predicted.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))

    with pytest.raises(CallError, match=r"predicted\.nc"):
        align(water.opened, tmp_path / "predicted.nc")


def test_nothing_is_written_for_wrong_predictions(water: LoadedBenchmark, tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        sciml_data.score(water, table_of(water, ("test",)).iloc[1:], home=tmp_path)
    with pytest.raises(CallError, match="cannot be the name of a model"):
        sciml_data.score(water, table_of(water), model="../x", home=tmp_path)

    assert list(tmp_path.rglob("*.json")) == []
    assert not any(Home(tmp_path).runs_folder.glob("*/*"))


# The record


def test_the_record_says_external_and_has_no_duration(run: Run) -> None:
    record = load_record(run.folder)

    assert record["training"] == "external"
    assert record["model"]["name"] == "ridge"
    durations = {key: v for key, v in record["timing"].items() if key.endswith("_s")}
    assert set(durations.values()) == {None}
    assert record["throughput"]["train_samples_per_s"] is None
    assert set(record["hardware"].values()) == {None}
    assert record["curve"] == record["timeline"] == []
    assert record["facts"]["leakage"]["told"]


def test_scores_stand_beside_the_baselines(run: Run) -> None:
    scores: Any = run.scores.loc[("test", "mae")]

    assert scores["model"] < scores["mean"]
    assert {"mean", "molecules", "ridge"} <= set(run.scores.columns)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [("timing", "predict_s", 0.0), ("distribution", "replicas", 1), ("timing", "staging_s", 1.0)],
)
def test_a_record_of_external_predictions_cannot_have_durations(
    run: Run, group: str, name: str, value: float
) -> None:
    record = json.loads(json.dumps(dict(run.record)))
    record[group][name] = value

    assert f"{group}/{name}" in {problem.place for problem in record_problems(record)}


def test_scores_are_the_same_from_the_stored_predictions(run: Run, place: Path) -> None:
    checked, differences = sciml_data.rescore(run, home=place)

    assert checked > 0
    assert differences == []
    assert load_record(run.folder)["verification"]["state"] == "rescored"


def test_predictions_of_the_test_part_alone_are_scored_again(
    water: LoadedBenchmark, place: Path, tmp_path: Path
) -> None:
    run = sciml_data.score(
        water, {"test": predict(water)("test")}, model="alone", home=place, runs=tmp_path
    )

    assert set(run.record["dataset"]["n_samples"]) == {"test"}
    assert sciml_data.rescore(run, home=place)[1] == []


def test_changed_observations_are_found(run: Run, place: Path, tmp_path: Path) -> None:
    import shutil

    from sciml_data.bench.record import runs
    from sciml_data.bench.record.record import write_record
    from sciml_data.bench.scoring.predictions import (
        Predictions,
        load_predictions,
        save_predictions,
    )

    folder = tmp_path / "hydronet" / "changed"
    shutil.copytree(run.folder, folder)
    stored = load_predictions(folder / runs.PREDICTIONS_NAME)
    test = stored["test"]
    stored["test"] = Predictions(test.predicted, test.predicted, test.coords)
    save_predictions(folder / runs.PREDICTIONS_NAME, stored, synthetic=True)
    record = load_record(folder)
    record["outputs"]["predictions"] = runs.describe_output(
        folder, runs.PREDICTIONS_NAME, "NetCDF-4, one group for each part"
    )
    write_record(folder, record)

    with pytest.raises(RecordError, match="the stored observations differ"):
        sciml_data.rescore(folder, home=place)
