"""The registry has a full definition of every metric, and task.toml is checked against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.scoring.metrics import (
    Metric,
    metric,
    registered_metrics,
    row_key,
    task_metrics,
)
from sciml_data.bench.task.task import load_task
from sciml_data.errors import DescriptorError
from tests.support.paths import ROOT

RUNNERS = sorted(path.parent for path in (ROOT / "runners").glob("*/task.toml"))


def problems_of(*tables: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(DescriptorError) as error:
        task_metrics(tables, "toy")
    return [(problem.kind, problem.place) for problem in error.value.problems]


def test_the_registry_has_the_metrics_of_every_kind_of_prediction() -> None:
    names = {"mse", "r2", "nnse_summed", "macro_f1", "top_k", "kuiper", "iou", "ssim", "peak_error"}

    assert names <= set(registered_metrics())


@pytest.mark.parametrize("definition", registered_metrics().values(), ids=lambda each: each.id)
def test_a_registered_metric_has_a_name_a_formula_and_bounds_in_order(definition: Metric) -> None:
    assert definition.name
    assert definition.formula
    assert definition.version == "1"
    if definition.minimum is not None and definition.maximum is not None:
        assert definition.minimum < definition.maximum


@pytest.mark.parametrize("runner", RUNNERS, ids=lambda path: path.name)
def test_the_engine_computes_every_metric_of_a_benchmark(runner: Path) -> None:
    assert all(each.function is not None for each in load_task(runner).metrics)


def test_a_name_alone_takes_everything_from_the_registry() -> None:
    (found,) = task_metrics([{"id": "mse"}], "toy")

    assert found == registered_metrics()["mse"]
    assert (found.name, found.lower_is_better, found.minimum) == ("mean squared error", True, 0.0)


def test_what_a_task_says_of_a_metric_replaces_the_registry() -> None:
    table = {"id": "error", "metric": "mae", "name": "E", "unit": "V", "max": 3.0, "formula": "f"}

    (found,) = task_metrics([table], "toy")

    assert (found.id, found.name, found.unit, found.formula) == ("error", "E", "V", "f")
    assert (found.minimum, found.maximum, found.registered) == (0.0, 3.0, "mae")


def test_an_extension_registers_a_metric_with_the_decorator() -> None:
    @metric("double_error", name="D", lower_is_better=True, formula="2 |o - p|")
    def double_error(observed: Any, predicted: Any) -> Any:
        return 2 * abs(observed - predicted)

    (found,) = task_metrics([{"id": "double_error"}], "toy")

    assert found.function is double_error
    assert (found.unit, found.version) == ("1", "1")


def test_every_problem_of_the_metrics_is_said_at_once() -> None:
    assert problems_of(
        {"id": "mse"},
        {"id": "error", "metric": "mes"},
        {"id": "rsme", "name": "E"},
        {"id": "mae", "reduce": "median"},
        {"id": "r2", "by": "drug", "reduce": ["all", "middle"]},
        {"id": "top_k", "options": {"kk": 5}},
    ) == [
        ("metric", "metric[1].metric"),
        *(("missing", f"metric[2].{key}")
          for key in ("version", "unit", "lower_is_better", "formula")),
        ("missing", "metric[3].by"),
        ("value", "metric[4].reduce"),
        ("unknown", "metric[5].options.kk"),
        ("missing", "metric[5].options.k"),
    ]  # fmt: skip


def test_a_typing_error_suggests_the_nearest_metric() -> None:
    with pytest.raises(DescriptorError, match="did you mean 'macro_f1'"):
        task_metrics([{"id": "f", "metric": "macro_f"}], "toy")


@pytest.mark.parametrize(("variant", "key"), [("w1", "nnse.w1"), (None, "nnse"), ("", "nnse")])
def test_the_key_of_a_row_is_metric_and_variant(variant: str | None, key: str) -> None:
    assert row_key({"metric_id": "nnse", "variant": variant}) == key
