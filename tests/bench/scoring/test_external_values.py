"""Predictions of another program are found by their ids, with ids of any axes and types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciml_data.bench.scoring.external import Expected, read_predictions
from sciml_data.errors import CallError, RecordError

TIMES = np.array(["2015-01-07", "2015-01-21"], "M8[ns]")
PIXELS = np.array([20, 23, 88])
WINDOWS = np.array([1, 2])


@pytest.fixture
def forecast() -> xr.DataArray:
    values = np.arange(12.0).reshape(3, 2, 2)
    values[0, 0, 0] = np.nan
    axes = [("pixel", PIXELS), ("time", TIMES), ("window", WINDOWS)]
    return xr.DataArray(values, axes, name="magnitude", attrs={"units": "1"})


def expected_of(targets: xr.DataArray) -> dict[str, Expected]:
    ids = targets[targets.dims[0]].to_index()
    return {"train": Expected(targets, ids), "test": Expected(targets + 1, ids)}


def test_numbers_and_times_are_ids(forecast: xr.DataArray, tmp_path: Path) -> None:
    table = forecast.rename("predicted").fillna(0).to_dataframe().reset_index()
    table.sample(frac=1, random_state=1).assign(part="test").to_csv(
        tmp_path / "predicted.csv", index=False
    )

    values = read_predictions(tmp_path / "predicted.csv", expected_of(forecast))

    assert list(values) == ["test"]
    assert np.array_equal(values["test"], forecast.fillna(0))


def test_ids_of_several_parts_need_a_column_part(forecast: xr.DataArray) -> None:
    table = forecast.rename("predicted").fillna(0).to_dataframe().reset_index()

    with pytest.raises(CallError, match="no column 'part'"):
        read_predictions(table, expected_of(forecast))


def test_a_value_may_be_missing_where_the_target_is(forecast: xr.DataArray) -> None:
    assert read_predictions({"test": forecast}, expected_of(forecast))

    with pytest.raises(RecordError) as error:
        read_predictions({"test": forecast.where(forecast != 5)}, expected_of(forecast))
    (problem,) = error.value.problems
    assert problem.message.startswith("1 of 11 values")
    assert "pixel 23, time 2015-01-07T00:00:00.000000000, window 2" in problem.message


def test_axes_may_be_in_another_order(forecast: xr.DataArray) -> None:
    moved = forecast.fillna(0).transpose("window", "pixel", "time")[::-1]

    values = read_predictions({"test": moved}, expected_of(forecast))["test"]

    assert values.dims == forecast.dims
    assert np.array_equal(values, forecast.fillna(0))


def test_another_unit_of_an_attribute_is_refused(forecast: xr.DataArray) -> None:
    with pytest.raises(RecordError) as error:
        read_predictions({"test": forecast.assign_attrs(units="J")}, expected_of(forecast))

    (problem,) = error.value.problems
    assert (problem.kind, problem.place) == ("units", "test")


def scored_in_part() -> dict[str, Expected]:
    """Return a part of four samples, two of which are scored."""
    targets = xr.DataArray([1.0, 3.0], [("sample", np.array(["007", "9"], object))])
    return {"test": Expected(targets, pd.Index(["007", "8", "9", "10"]))}


def test_predictions_of_samples_that_are_not_scored_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("sample,predicted\n10,4\n9,3\n8,nan\n007,1\n")
    forms = [tmp_path / "all.csv", {"test": [1, 2, 3, 4]}, {"test": [1, 3]}]

    for form in forms:
        assert read_predictions(form, scored_in_part())["test"].to_numpy().tolist() == [1, 3]


def test_an_id_keeps_its_zeros(tmp_path: Path) -> None:
    (tmp_path / "cut.csv").write_text("sample,predicted\n9,3\n7,1\n")

    with pytest.raises(RecordError) as error:
        read_predictions(tmp_path / "cut.csv", scored_in_part())

    messages = [problem.message for problem in error.value.problems]
    assert messages == ["1 id (7) not of this part", "1 id (007) missing"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"\n\n", "empty"), (b"\x87PNG\xff\n" * 9, "UTF-8")],
    ids=["nothing", "blank", "binary"],
)
def test_a_file_without_a_table_is_a_plain_sentence(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "predicted.csv"
    path.write_bytes(content)

    with pytest.raises(CallError, match=f"predicted.csv.*{reason}") as error:
        read_predictions(path, scored_in_part())

    assert "codec" not in str(error.value)


def test_rows_without_an_id_are_counted() -> None:
    table = pd.DataFrame({"pixel": [1, None], "predicted": [0.0, 0.0]})
    targets = xr.DataArray([0.0], [("pixel", np.array([1]))])

    with pytest.raises(RecordError) as error:
        read_predictions(table, {"test": Expected(targets, pd.Index([1]))})

    assert "1 row is without a valid id" in error.value.problems[0].message


def test_numbers_as_text_are_numbers_and_missing_ones_are_missing() -> None:
    targets = xr.DataArray([1.0, 3.0], [("sample", np.array(["a", "b"], object))])
    expected = {"test": Expected(targets, pd.Index(["a", "b"]))}
    table = pd.DataFrame({"sample": ["b", "a"], "predicted": ["3e0", 1]})

    assert read_predictions(table, expected)["test"].to_numpy().tolist() == [1, 3]
    nothing: list[Any] = [None, pd.NA, np.nan]
    for missing in nothing:
        with pytest.raises(RecordError) as error:
            read_predictions(table.assign(predicted=["3", missing]), expected)
        assert [problem.kind for problem in error.value.problems] == ["values"]


@pytest.mark.parametrize("value", [[1], {}, "1,5", "", pd.Timestamp("2020-01-01"), 1j])
def test_other_objects_are_not_numbers(value: object) -> None:
    targets = xr.DataArray([1.0, 3.0], [("sample", np.array(["a", "b"], object))])
    series = pd.Series([value, 1.0], index=["a", "b"], dtype=object)

    with pytest.raises(RecordError) as error:
        read_predictions({"test": series}, {"test": Expected(targets, pd.Index(["a", "b"]))})

    (problem,) = error.value.problems
    assert (problem.kind, problem.place) == ("type", "test")
    assert problem.message.endswith("at sample a")
