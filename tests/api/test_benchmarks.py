"""A benchmark in Python: its parts as datasets and arrays, without Keras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sciml_data
from sciml_data import LoadedBenchmark
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError
from tests.support.paths import ROOT

pytest.importorskip("sklearn")

BENCHMARKS = (
    "cloudmask", "dms_structure", "em_denoise", "hydronet", "optical_damage",
    "stemdl_classification", "stemdl_reconstruction", "tevolop", "uno",
)  # fmt: skip
RUNNERS = ROOT / "runners"
QUICK = ("hydronet", "uno")  # samples of the others take longer to make


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def water(home: Path) -> LoadedBenchmark:
    return sciml_data.load_benchmark("hydronet", sample=True, home=home)


def test_every_benchmark_of_the_registry_is_listed() -> None:
    assert tuple(sciml_data.benchmarks()) == BENCHMARKS


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BENCHMARKS],
)
def test_every_benchmark_has_ids_features_and_targets(name: str, home: Path) -> None:
    benchmark = sciml_data.load_benchmark(name, sample=True, home=home)
    part = "validation"
    samples = benchmark.parts[part]
    target = samples[samples.attrs["target"]]
    ids, features, targets = benchmark.to_numpy(part)

    assert next(iter(benchmark.parts)) == "train"
    assert len(ids) == len(features) == len(targets) > 0
    assert len(np.unique(ids)) == len(ids)
    assert all(name in samples.coords for name in target.dims)
    assert features.dtype.kind == "f"
    scored = benchmark.opened.problem.scored_targets(part)
    assert np.array_equal(targets, scored.to_numpy(), equal_nan=True)
    assert scored.dims == tuple(load_task(RUNNERS / name).about["output"]["axes"])
    assert benchmark.leakage["told"]
    perfect = targets if name == "tevolop" else np.nan_to_num(targets, nan=0.5)
    scores = benchmark.score({part: perfect}, baselines=False)
    assert set(scores.index.get_level_values("part")) == {part}
    assert scores["model"].notna().any()


def test_features_are_read_on_access(water: LoadedBenchmark) -> None:
    samples = water.parts["train"]

    assert samples["descriptor"].chunks is not None
    assert np.isfinite(samples["descriptor"][:3].to_numpy()).all()


def test_keys_of_samples_are_coordinates(water: LoadedBenchmark) -> None:
    assert {"geometry", "molecules", "source"} <= set(water.parts["test"].coords)


def test_an_unknown_part_is_named_with_the_known_ones(water: LoadedBenchmark) -> None:
    with pytest.raises(KeyError, match=r"no part 'tset'.*did you mean 'test'"):
        water.parts["tset"]


def test_an_unknown_split_is_refused(home: Path) -> None:
    with pytest.raises(CallError, match="has no split 'sizes'"):
        sciml_data.load_benchmark("hydronet", sample=True, split="sizes", home=home)


def test_settings_change_the_features(home: Path) -> None:
    benchmark = sciml_data.load_benchmark(
        "hydronet", sample=True, settings={"centers": 8}, home=home
    )

    assert benchmark.settings["centers"] == 8
    assert benchmark.parts["test"].sizes["feature"] == 3 * 8


def test_a_notebook_shows_parts_metrics_and_that_data_are_synthetic(
    water: LoadedBenchmark,
) -> None:
    shown = water._repr_html_()

    assert "SYNTHETIC" in shown
    assert "part test" in shown
    assert "mean absolute error" in shown
    assert "hydronet" in repr(water)


def test_texts_of_a_descriptor_are_escaped_in_a_notebook() -> None:
    from dataclasses import replace

    descriptor = replace(sciml_data.describe("uno_ccle"), title="<script>alert(1)</script>")

    assert "<script>" not in descriptor._repr_html_()
    assert "&lt;script&gt;" in descriptor._repr_html_()


def test_no_backend_of_keras_is_imported(home: Path) -> None:
    code = (
        "import sys, sciml_data; "
        f"b = sciml_data.load_benchmark('uno', sample=True, home={str(home)!r}); "
        "b.to_numpy('test'); "
        "assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_load_fetches_converts_and_opens_in_one_call(home: Path) -> None:
    responses = sciml_data.load("uno_ccle", split="auc", sample=True, home=home)

    assert responses["auc"].sizes["response"] > 0
    again = sciml_data.load("uno_ccle", split="auc", sample=True, home=home)
    assert responses.equals(again)
