"""Scores without each unit are those of the other samples, however a metric is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.bench.scoring import compute_metrics
from sciml_data.bench.scoring.intervals import MAX_GROUPS, interval
from sciml_data.bench.scoring.metrics import Metric, task_metrics
from sciml_data.bench.scoring.resampling import replicate
from sciml_data.bench.task.units import Units

SPACE = {"last": ("time",)}
FORECAST = ("mse", "mae", "rmse", "r2", "pearson")


def metrics(*tables: Mapping[str, Any]) -> tuple[Metric, ...]:
    return task_metrics(tables, "a test")


def units(codes: Any, axis: str = "row", kind: str = "cell", *more: Any) -> Units:
    slots = (np.asarray(codes), *map(np.asarray, more))
    return Units(kind, axis, slots, int(max(each.max() for each in slots)) + 1)


@pytest.fixture
def rows() -> xr.Dataset:
    """Return 90 responses of 9 cells to 3 drugs, one of them missing."""
    random = np.random.default_rng(0)
    observed = random.normal(size=90)
    observed[4] = np.nan
    return xr.Dataset(
        {"observed": ("row", observed), "predicted": ("row", observed * 0.5 + 0.1)},
        {"row": np.arange(90), "drug": ("row", np.repeat(["a", "b", "c"], 30))},
    ).fillna({"predicted": 0.0})


def assert_explicit(
    chosen: tuple[Metric, ...], dataset: xr.Dataset, of: Units, keys: set[str]
) -> None:
    """Compare replicates with the scores of datasets from which each unit was removed by hand."""
    _, found = replicate(chosen, dataset, [of], headline=None)

    assert set(found) == keys
    for number in range(of.count):
        is_left = np.all([codes != number for codes in of.slots], axis=0)
        expected = compute_metrics(chosen, dataset.isel({of.axis: np.flatnonzero(is_left)}))
        computed = {key: each.values[number] for key, each in found.items()}
        assert computed == pytest.approx({key: expected[key] for key in keys})


def test_replicates_of_errors_are_the_scores_without_a_cell(rows: xr.Dataset) -> None:
    chosen = metrics(
        *({"id": name} for name in FORECAST),
        {"id": "by_drug", "metric": "mse", "by": "drug", "reduce": ["each", "mean"]},
        {"id": "r2_by_drug", "metric": "r2", "by": "drug", "reduce": "mean"},
    )
    keys = {*FORECAST, "by_drug.a", "by_drug.b", "by_drug.c", "by_drug.mean", "r2_by_drug"}

    assert_explicit(chosen, rows, units(np.arange(90) % 9), keys)


def test_replicates_are_weighted_as_scores_are(rows: xr.Dataset) -> None:
    weighted = rows.assign(weights=("row", np.linspace(0.1, 2.0, 90)))

    assert_explicit(metrics({"id": "mse"}), weighted, units(np.arange(90) % 9), {"mse"})


def test_a_row_with_two_drugs_is_left_out_with_either(rows: xr.Dataset) -> None:
    first, second = np.arange(90) % 9, np.arange(90) // 9 % 9
    second[:20] = -1

    assert_explicit(
        metrics({"id": "mse"}, {"id": "r2"}),
        rows,
        units(first, "row", "drug", second),
        {"mse", "r2"},
    )


def test_replicates_of_efficiencies_are_the_scores_without_half_a_year() -> None:
    random = np.random.default_rng(1)
    shape = {"pixel": 6, "time": 70, "window": 2}
    observed = random.normal(size=tuple(shape.values()))
    observed[2, 7, 1] = np.nan
    dataset = xr.Dataset(
        {
            "observed": (tuple(shape), observed),
            "predicted": (tuple(shape), np.nan_to_num(observed) * 0.3),
        },
        {
            **{name: np.arange(size) for name, size in shape.items()},
            "label": ("window", ["w1", "w2"]),
        },
    )
    tables = [
        {"id": name, "by": "label", "reduce": ["each", "mean"]}
        for name in ("nnse_averaged", "nnse_summed", "nnse_pooled")
    ]
    keys = {f"{table['id']}.{word}" for table in tables for word in ("w1", "w2", "mean")}

    assert_explicit(metrics(*tables), dataset, units(np.arange(70) // 13, "time"), keys)


def test_replicates_of_classes_are_the_scores_without_a_material() -> None:
    random = np.random.default_rng(2)
    true, material = np.arange(60) % 5, np.repeat(np.arange(12), 5)
    probability = random.dirichlet(np.ones(5), 60) + np.eye(5)[true]
    dataset = xr.Dataset(
        {
            "observed": (("stack", "class"), np.eye(5, dtype=np.uint8)[true]),
            "predicted": (("stack", "class"), probability),
        },
        {
            "stack": np.arange(60),
            "class": np.arange(5),
            "material": ("stack", material),
            "declared": ("class", np.ones(5, bool)),
        },
    )
    chosen = metrics(
        {"id": "macro_f1", "options": {"declared": "declared"}},
        {"id": "accuracy"},
        {"id": "of_materials", "metric": "accuracy", "options": {"average": "material"}},
        {"id": "brier"},
    )

    keys = {"macro_f1", "macro_f1.declared", "accuracy", "of_materials", "brier"}
    assert_explicit(chosen, dataset, units(material, "stack", "material"), keys)


def test_replicates_of_masks_are_the_scores_without_a_scene() -> None:
    random = np.random.default_rng(3)
    total = random.integers(1, 50, (8, 480))
    dataset = xr.Dataset(
        {
            "observed": (("scene", "level"), random.binomial(total, np.linspace(0, 1, 480))),
            "predicted": (("scene", "level"), total),
        },
        {"scene": np.arange(8), "level": np.arange(480.0)},
    )
    names = {"binary_accuracy", "iou", "kuiper", "binary_brier", "binary_ece"}

    assert_explicit(
        metrics(*({"id": name} for name in sorted(names))),
        dataset,
        units(np.arange(8), "scene"),
        names,
    )


def test_replicates_of_images_are_the_scores_without_a_material() -> None:
    random = np.random.default_rng(4)
    axes = ("sample", "channel", "row", "column")
    observed = random.normal(size=(10, 2, 9, 9))
    dataset = xr.Dataset(
        {
            "observed": (axes, observed),
            "predicted": (axes, observed + random.normal(size=observed.shape)),
        },
        {
            **{name: np.arange(size) for name, size in zip(axes, observed.shape, strict=True)},
            "scale": ("channel", [1.0, 2.0]),
        },
    )
    chosen = metrics(
        {"id": "mae_scaled", "options": {"scale": "scale"}},
        {"id": "image_pearson"},
        {"id": "ssim", "by": "channel"},
        {"id": "relative_l2", "by": "channel"},
    )

    keys = {"mae_scaled", "image_pearson", "ssim.0", "ssim.1", "relative_l2.0", "relative_l2.1"}
    assert_explicit(chosen, dataset, units(np.arange(10) // 2, "sample"), keys)


def test_medians_and_extremes_of_groups_have_no_replicates(rows: xr.Dataset) -> None:
    words = ["median", "worst", "best", "count"]
    _, found = replicate(
        metrics({"id": "mse", "by": "drug", "reduce": words}),
        rows,
        [units(np.arange(90) % 9)],
        headline=None,
    )

    assert found == {}


def test_too_few_units_are_named(rows: xr.Dataset) -> None:
    sampling, found = replicate(
        metrics({"id": "mse"}),
        rows,
        [units(np.arange(90) % 9), units(np.arange(90) % 4, "row", "drug")],
        headline="mse",
    )

    assert found == {}
    assert sampling.units == {"cell": 9, "drug": 4}
    assert "drug: 4" in str(sampling.reason)


def test_many_units_are_left_out_in_equal_groups() -> None:
    random = np.random.default_rng(5)
    observed = random.normal(size=1234)
    dataset = xr.Dataset(
        {"observed": ("row", observed), "predicted": ("row", np.zeros(1234))},
        {"row": np.arange(1234)},
    )
    of = units(np.arange(1234))

    sampling, found = replicate(metrics({"id": "mse"}), dataset, [of], headline=None)

    assert (sampling.units, sampling.groups) == ({"cell": 1234}, {"cell": MAX_GROUPS})
    assert sampling.seed == 0
    ends = interval(float((observed**2).mean()), found["mse"])
    assert ends is not None
    margin = 1.96 * (observed**2).std() / np.sqrt(1234)
    assert (ends[1] - ends[0]) / 2 == pytest.approx(margin, rel=0.25)  # 100 groups: 7 %, 1 s.e.


def test_blocks_without_an_observation_of_a_window_do_not_count(rows: xr.Dataset) -> None:
    observed = np.random.default_rng(6).normal(size=(60, 2))
    observed[30:, 1] = np.nan  # long windows end after the part
    dataset = xr.Dataset(
        {
            "observed": (("time", "window"), observed),
            "predicted": (("time", "window"), observed * 0),
        },
        {"time": np.arange(60), "window": np.arange(2), "label": ("window", ["short", "long"])},
    )
    chosen = metrics({"id": "mse", "by": "label", "reduce": ["each", "mean"]})

    def groups(size: int) -> dict[str, int]:
        of = units(np.arange(60) // size, "time")
        found = replicate(chosen, dataset, [of], headline=None)[1]
        return {key: len(each.values) for key, each in found.items()}

    assert groups(6) == {"mse.short": 10, "mse.long": 5, "mse.mean": 10}
    assert groups(10) == {"mse.short": 6, "mse.long": 0, "mse.mean": 6}


def test_other_samples_have_another_digest(rows: xr.Dataset) -> None:
    def digest(dataset: xr.Dataset, codes: Any) -> str:
        return replicate(metrics({"id": "mse"}), dataset, [units(codes)], headline=None)[0].digest

    cells = np.arange(90) % 9
    changed = rows.assign(predicted=rows["predicted"] + 1)
    gone = rows.assign(observed=rows["observed"].where(rows["row"] != 8))
    others = [
        digest(rows.assign_coords(row=np.arange(1, 91)), cells),
        digest(rows, cells[::-1].copy()),
        digest(gone, cells),
    ]

    assert digest(rows, cells) == digest(changed, cells)
    assert digest(rows, cells) not in others


def test_a_bootstrap_of_cells_has_nearly_the_same_standard_error() -> None:
    """The second method: explicit resampling with replacement, for a metric that is no mean."""
    random = np.random.default_rng(7)
    cells = np.repeat(np.arange(40), 20)
    observed = random.normal(size=800) + random.normal(size=40)[cells]
    predicted = observed + random.normal(size=800) * np.repeat(random.uniform(0.2, 1.0, 40), 20)
    dataset = xr.Dataset(
        {"observed": ("row", observed), "predicted": ("row", predicted)}, {"row": np.arange(800)}
    )
    chosen = metrics({"id": "r2"})
    of = units(cells)
    values = replicate(chosen, dataset, [of], headline=None)[1]["r2"].values
    error = np.sqrt(39 / 40 * ((values - values.mean()) ** 2).sum())

    resampled = []
    for _ in range(400):
        drawn = random.integers(40, size=40)
        places = (drawn[:, None] * 20 + np.arange(20)).ravel()
        resampled.append(compute_metrics(chosen, dataset.isel(row=places))["r2"])

    assert error == pytest.approx(np.std(resampled), rel=0.15)
