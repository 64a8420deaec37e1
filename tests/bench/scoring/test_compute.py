"""Scores of groups, selections and intervals are those of the metric on the same samples."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.bench.scoring import forecast, segmentation
from sciml_data.bench.scoring.compute import (
    compute_metrics,
    write_group_table,
    write_table,
)
from sciml_data.bench.scoring.metrics import Metric, task_metrics
from sciml_data.errors import SciMLDataError

DRUGS = np.array(["b"] * 12 + ["a"] * 12 + ["c"] * 3)


def metrics(*tables: dict[str, Any]) -> tuple[Metric, ...]:
    return task_metrics(tables, "toy")


def scores(dataset: xr.Dataset, *tables: dict[str, Any]) -> dict[str, float]:
    return compute_metrics(metrics(*tables), dataset)


@pytest.fixture
def rows() -> xr.Dataset:
    """Return predictions of 27 rows of three drugs; the third drug has three rows."""
    observed = np.arange(27.0)
    predicted = observed + np.where(np.arange(27) % 2, 0.5, -0.5)
    return xr.Dataset(
        {"observed": ("row", observed), "predicted": ("row", predicted)},
        coords={"row": np.arange(27), "drug": ("row", DRUGS)},
    )


def test_scores_are_those_of_the_definitions(rows: xr.Dataset) -> None:
    computed = scores(rows, *({"id": name} for name in ("mse", "mae", "rmse", "r2", "pearson")))

    assert computed == pytest.approx(
        {
            "mse": 0.25, "mae": 0.5, "rmse": 0.5, "r2": 1 - 0.25 * 27 / ((27**3 - 27) / 12),
            "pearson": np.corrcoef(rows["observed"], rows["predicted"])[0, 1],
        }
    )  # fmt: skip


def test_the_mean_of_batches_of_32_is_that_of_the_published_code() -> None:
    observed = np.arange(40.0)
    of_batches = [1 - n * 0.25 / ((n**3 - n) / 12 + 1e-7) for n in (32, 8)]

    assert forecast.r2_batch_averaged(observed, observed + 0.5) == pytest.approx(
        np.mean(of_batches)
    )


@pytest.mark.parametrize(("offset", "unit"), [(1e6, 1e-3), (0.0, 1e-12), (-1e9, 1.0)])
def test_a_large_offset_and_a_small_unit_do_not_change_a_correlation(
    offset: float, unit: float
) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 50))

    shifted = forecast.pearson(x, offset + unit * y)

    assert shifted == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-6)


def test_r2_and_correlation_of_equal_values_are_not_defined() -> None:
    equal = np.full(5, 0.1)

    assert np.isnan(forecast.r2(equal, np.arange(5.0)))
    assert np.isnan(forecast.pearson(np.arange(5.0), equal))
    assert np.isnan(forecast.pearson(np.zeros(0), np.zeros(0)))
    assert np.isnan(forecast.r2_batch_averaged(np.zeros(0), np.zeros(0)))


def test_groups_with_few_samples_are_left_out_of_a_median(rows: xr.Dataset) -> None:
    grouped = {"metric": "r2", "by": "drug", "min_samples": 10}
    computed = scores(
        rows,
        {"id": "middle", **grouped, "reduce": "median"},
        {"id": "number", **grouped, "reduce": "count"},
        {"id": "of", **grouped},
    )

    expected = 1 - 0.25 * 12 / ((12**3 - 12) / 12)
    assert computed == pytest.approx(
        {"middle": expected, "number": 2.0, "of.b": expected, "of.a": expected}
    )


def test_the_number_of_groups_has_no_upper_bound_and_no_unit() -> None:
    (count,) = metrics({"id": "n", "metric": "r2", "by": "drug", "reduce": "count", "name": "N"})

    assert (count.minimum, count.maximum, count.unit, count.name) == (0.0, None, "1", "N")


def test_groups_without_a_score_are_left_out_and_no_group_has_no_score(rows: xr.Dataset) -> None:
    rows["observed"][:12] = 1.0  # R2 of the first drug is not defined
    words = ["mean", "count", "each"]

    some = scores(rows, {"id": "r2", "by": "drug", "reduce": words})
    none = scores(rows, {"id": "r2", "by": "drug", "reduce": words, "min_samples": 99})

    assert some["r2.count"] == 2.0
    assert np.isnan(some["r2.b"])
    assert some["r2.mean"] == pytest.approx((some["r2.a"] + some["r2.c"]) / 2)
    assert none == pytest.approx({"r2.mean": np.nan, "r2.count": 0.0}, nan_ok=True)


def test_the_best_group_has_the_lowest_error_and_the_highest_r2(rows: xr.Dataset) -> None:
    rows["predicted"][:12] += 3.0
    words = ["worst", "best", "each", "all"]

    computed = scores(
        rows, *({"id": name, "by": "drug", "reduce": words} for name in ("mse", "r2"))
    )

    assert computed["mse.worst"] == computed["mse.b"] > computed["mse"] > computed["mse.best"]
    assert computed["mse.best"] == computed["mse.a"]
    assert computed["r2.best"] == computed["r2.a"] > computed["r2.worst"] == computed["r2.b"]


def test_an_axis_can_be_the_group_and_a_statistic_gets_its_axes_last() -> None:
    random = np.random.default_rng(0)
    observed, predicted = random.normal(size=(2, 5, 30, 3))
    observed[0, 3, 1] = np.nan
    dataset = xr.Dataset(
        {name: (("pixel", "time", "window"), v) for name, v in
         (("observed", observed), ("predicted", predicted), ("reference", predicted + 1))},
        coords={"window": [1, 2, 26]},
    )  # fmt: skip

    computed = scores(
        dataset,
        *({"id": f"nnse_{kind}", "by": "window", "reduce": ["each", "mean"]}
          for kind in ("averaged", "summed", "pooled")),
        {"id": "skill", "by": "window", "options": {"reference": "reference"}},
    )  # fmt: skip

    for number, name in enumerate((1, 2, 26)):
        pair = observed[..., number], predicted[..., number]
        assert computed[f"nnse_averaged.{name}"] == forecast.nnse_averaged(*pair)
        assert computed[f"nnse_summed.{name}"] == forecast.nnse_summed(*pair)
        assert computed[f"nnse_pooled.{name}"] == forecast.nnse_pooled(*pair)
        assert computed[f"skill.{name}"] == forecast.skill(*pair, pair[1] + 1)
    each = [computed[f"nnse_summed.{name}"] for name in (1, 2, 26)]
    assert computed["nnse_summed.mean"] == np.mean(each)


def test_scenes_are_summed_up_by_mean_median_worst_and_best() -> None:
    labels = [np.ones(4, bool), np.zeros(4, bool), np.ones(4, bool), np.ones(4, bool)]
    where = [np.ones(4, bool)] * 3 + [np.zeros(4, bool)]  # the last scene has no pixel
    predicted = np.array([0.9, 0.9, 0.9, 0.1])
    tables = [
        segmentation.tabulate(predicted, label, part)
        for label, part in zip(labels, where, strict=True)
    ]
    positive, total = (np.stack(rows) for rows in zip(*tables, strict=True))
    dataset = xr.Dataset(
        {"observed": (("scene", "level"), positive), "predicted": (("scene", "level"), total)},
        coords={"scene": list("abcd"), "light": ("scene", ["day", "night", "day", "day"])},
    )
    words = ["mean", "median", "worst", "best"]

    computed = scores(dataset, {"id": "s", "metric": "binary_accuracy", "by": "scene",
                                "reduce": words})  # fmt: skip
    nothing = scores(
        dataset * 0, {"id": "s", "metric": "binary_accuracy", "by": "scene", "reduce": words}
    )
    by_day = scores(dataset, {"id": "s", "metric": "binary_accuracy", "by": "light",
                              "reduce": ["all", "each"]})  # fmt: skip

    assert list(computed) == [f"s.{word}" for word in words]
    assert list(computed.values()) == pytest.approx([(0.75 + 0.25 + 0.75) / 3, 0.75, 0.25, 0.75])
    assert np.isnan(list(nothing.values())).all()
    assert by_day == pytest.approx({"s": 7 / 12, "s.day": 0.75, "s.night": 0.25})


def test_only_the_selected_samples_are_scored(rows: xr.Dataset) -> None:
    rows["predicted"][:12] += 3.0

    computed = scores(rows, {"id": "mse", "where": {"drug": "a"}})

    assert computed == {"mse": 0.25}


@pytest.mark.parametrize(
    "table",
    [
        {"id": "mse", "by": "cell"},
        {"id": "mse", "where": {"cell": "x"}},
        {"id": "mse", "where": {"drug": "x"}},
        {"id": "skill", "options": {"reference": "persistence"}},
        {"id": "ssim"},
    ],
)
def test_a_metric_of_names_that_the_predictions_lack_is_left_out(
    rows: xr.Dataset, table: dict[str, Any]
) -> None:
    assert scores(rows, table) == {}


def test_a_metric_that_the_benchmark_computes_itself_is_left_out(rows: xr.Dataset) -> None:
    own = {"id": "own", "name": "N", "version": "1", "unit": "1", "lower_is_better": True,
           "formula": "f"}  # fmt: skip

    assert scores(rows, own, {"id": "mse"}) == {"mse": 0.25}


def test_weights_weigh_the_samples(rows: xr.Dataset) -> None:
    rows["predicted"][0] += 3.0
    weighted = rows.assign(weights=("row", np.where(np.arange(27) == 0, 0.0, 2.0)))

    assert scores(weighted, {"id": "mse"}) == {"mse": 0.25}


def test_a_missing_prediction_is_an_error_where_something_was_observed(rows: xr.Dataset) -> None:
    rows["predicted"][3] = np.nan

    with pytest.raises(SciMLDataError, match="1 of 27 observations have no finite prediction"):
        scores(rows, {"id": "mse"})
    rows["observed"][3] = np.nan
    assert scores(rows, {"id": "mse"}) == {"mse": 0.25}


def test_a_table_has_a_row_for_each_group(tmp_path: Path, rows: xr.Dataset) -> None:
    chosen = metrics(
        {"id": "mse", "by": "drug", "reduce": ["all", "worst"]},
        {"id": "r2_per_drug", "metric": "r2", "by": "drug", "reduce": "median", "min_samples": 10},
    )

    write_group_table(tmp_path / "new" / "t.csv", chosen, rows, by="drug", columns=("drug",))

    with (tmp_path / "new" / "t.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["drug"] for row in table] == ["b", "a", "c"]
    assert [row["samples"] for row in table] == ["12", "12", "3"]
    assert [row["mse"] for row in table] == ["0.25"] * 3
    assert [row["r2_per_drug"] for row in table] == ["0.979021", "0.979021", ""]
    assert list(table[0]) == ["drug", "samples", "mse", "r2_per_drug"]


def test_a_table_of_samples_has_a_column_for_each_group_of_another_axis(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, 2, 8, 8))
    axes = ("sample", "channel", "row", "column")
    dataset = xr.Dataset(
        {"observed": (axes, images[0]), "predicted": (axes, images[1])},
        coords={"sample": list("xyz"), "channel": ["u", "v"], "row": range(8), "column": range(8)},
    )

    chosen = metrics({"id": "pearson", "metric": "image_pearson", "by": "channel"})
    write_group_table(tmp_path / "t.csv", chosen, dataset, by="sample", columns=("sample",))

    lines = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
    expected = np.corrcoef(images[0, 1, 0].ravel(), images[1, 1, 0].ravel())[0, 1]
    assert lines[0] == "sample,pearson.u,pearson.v"
    assert lines[2].split(",")[:2] == ["y", f"{expected:.6g}"]


def test_a_table_without_rows_is_empty(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [])

    assert (tmp_path / "t.csv").read_text(encoding="utf-8").strip() == ""
