"""The Uno runner implements the engine interface, shown on small datasets."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sciml_data.bench import draw_figures
from sciml_data.bench.interface import check_problem, load_runner
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import load_record
from sciml_data.bench.run import rescoring
from sciml_data.bench.run.execution import prepare, run_once
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.staging import Source
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.bench.training.schedule import Progress, learning_rate
from sciml_data.errors import CallError
from sciml_data.home import Home
from sciml_data.registry.layout import find_registry
from tests.support.paths import ROOT
from tests.support.uno_samples import ready

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RUNNER = find_registry().runner("uno")
SMALL = (
    "epochs=2", "batch_size=64", "boosting_trees=5", "cell_widths=8", "drug_widths=8",
    "slot_width=4", "head_widths=6,5", "tower_widths=8,7,6", "components=5", "ridge_products=2",
    "process_share=0",  # fitting the Gaussian process takes longer than all else
)  # fmt: skip


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "uno")
    return importlib.import_module(f"sciml_runner_uno.{name}")


def problem_of(
    variant: str, *overrides: str, split: str = "row", model: str = "pooled", **size: int
) -> Any:
    task = choose_variant(load_task(RUNNER), variant)
    settings = resolve_settings(task, (*SMALL, *overrides), model=model, split=split)
    runner = load_runner(find_registry(), "uno")
    return runner.prepare(ready(variant, **size), load_split(RUNNER, split), settings)


@pytest.fixture(scope="module", params=["auc", "dose"])
def problem(request: pytest.FixtureRequest) -> Any:
    return problem_of(request.param)


def source(task: Task) -> Source:
    digest = f"sha256:{'0' * 64}"
    data = ready(str(task.variant), cells=40, drugs=30, rows=600)
    return Source(data, task.dataset, task.version, digest, None, True, 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of the dose variant."""
    request = Request(
        "uno", find_registry(), variant="dose", dataset="uno_almanac", split="drug",
        overrides=SMALL, is_sample=True,
    )  # fmt: skip
    folder = run_once(prepare(request, source), 0, home=Home(tmp_path_factory.mktemp("home")))
    assert folder is not None
    return folder


def flat(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in inputs.items() if k != "shared"}, **inputs["shared"]}


def test_prepare_returns_a_problem(problem: Any) -> None:
    assert check_problem(problem, "uno") is problem
    assert all(size > 0 for size in problem.sizes.values())


def test_batches_are_a_function_of_the_seed(problem: Any) -> None:
    first, again, other = (
        list(problem.batches("train", batch_size=50, seed=seed)) for seed in (3, 3, 4)
    )

    for (inputs, target, _), (repeated, same, _) in zip(first, again, strict=True):
        assert np.array_equal(target, same)
        assert all(np.array_equal(flat(inputs)[k], flat(repeated)[k]) for k in flat(inputs))
    assert not np.array_equal(first[0][1], other[0][1])
    assert sum(len(batch[1]) for batch in first) == problem.sizes["train"]


def test_a_batch_names_each_entity_once_and_rows_point_to_it(problem: Any) -> None:
    rows = np.arange(100)
    inputs = problem.rows.inputs(rows)
    responses, shared = problem.responses, inputs["shared"]

    assert len(np.unique(shared["cells"])) == len(shared["cells"]) < len(rows)
    assert np.array_equal(shared["cells"][inputs["cell"]], responses.cell[rows])
    has_drug = responses.drugs[rows, -1] >= 0
    slot = f"drug{responses.drugs.shape[1]}"
    assert np.array_equal(
        shared["drugs"][inputs[slot]][has_drug], responses.drugs[rows, -1][has_drug]
    )


def test_padding_adds_entities_that_no_row_points_to() -> None:
    rows = problem_of("auc", cells=400, drugs=200, rows=900).rows
    padded = replace(rows, is_compiled=True)
    plain, other = (version.inputs(np.arange(90)) for version in (rows, padded))

    assert len(other["shared"]["cells"]) == 128 > len(plain["shared"]["cells"])
    assert np.array_equal(plain["cell"], other["cell"])


def test_doses_are_standardised_by_the_training_part() -> None:
    problem = problem_of("dose")
    rows = problem.division.parts["train"]
    inputs = problem.rows.inputs(rows)
    known = np.concatenate([inputs["dose1"], inputs["dose2"][inputs["has_second"] > 0]])

    assert (float(known.mean()), float(known.std())) == pytest.approx((0, 1), abs=1e-4)


def test_the_reference_divides_single_doses_and_swaps_pairs_in_training_only() -> None:
    problem = problem_of("dose", model="reference")
    rows = problem.division.parts["train"]
    drugs, doses = problem.responses.drugs[rows], problem.responses.doses[rows]
    single = drugs[:, 1] < 0
    still = problem.rows.inputs(rows)
    drawn = problem.rows.inputs(rows, np.random.default_rng(0))

    for inputs in (still, drawn):
        assert np.array_equal(inputs["drug1"][single], inputs["drug2"][single])
        amount = 10.0 ** -inputs["dose1"] + 10.0 ** -inputs["dose2"]
        assert amount[single] == pytest.approx(10.0 ** -doses[single, 0], rel=1e-4)
    assert np.array_equal(still["dose1"][~single], doses[~single, 0])
    is_swapped = drawn["dose1"][~single] != doses[~single, 0]
    assert 0.2 < is_swapped.mean() < 0.6
    assert still["dose1"][single] == pytest.approx(doses[single, 0] + np.log10(2), abs=1e-5)


def test_the_reference_has_the_published_rates_of_learning() -> None:
    """From 1e-3 to 1e-4 over five epochs, then halved on a plateau, down to 1e-5."""
    task = choose_variant(load_task(RUNNER), "auc")
    chosen = resolve_settings(task, model="reference", split="row")
    rates = [learning_rate(chosen, Progress(epochs=epoch)) for epoch in (0, 5, 6)]

    assert rates == pytest.approx([1e-3, 1e-4, 1e-4])
    assert learning_rate(chosen, Progress(epochs=30, reductions=2)) == pytest.approx(2.5e-5)
    assert learning_rate(chosen, Progress(epochs=40, reductions=9)) == pytest.approx(1e-5)


def test_features_are_scaled_by_training_entities_alone() -> None:
    problem = problem_of("auc", "clip=0", split="cell")
    table = problem.features["cell"]["expression"]
    used = problem.training["cell"]
    unused = np.setdiff1d(np.arange(len(table)), used)

    assert np.abs(table[used].mean(axis=0)).max() < 1e-5
    assert table[used].std(axis=0) == pytest.approx(1, abs=1e-4)
    assert np.abs(table[unused].mean(axis=0)).max() > 0.05


def test_missing_values_and_constant_features_become_the_mean() -> None:
    entities = module("data").Entities(
        ("a", "b", "c"), pd.Categorical(["a", "b", "c"]),
        {"x": np.array([[1, np.nan, 5], [3, np.nan, 5], [9, 2, 7]], "f4")},
    )  # fmt: skip
    tables, facts = module("inputs").scale(entities, np.array([0, 1]), clip=4.0)

    assert tables["x"].tolist() == [[-1, 0, 0], [1, 0, 0], [4, 0, 0]]
    assert facts["x"]["constant_in_training"] == 2
    assert facts["x"]["missing_values"] == 2


@pytest.mark.parametrize("model", ["pooled", "reference"])
def test_predictions_by_entity_are_those_of_batches(model: str) -> None:
    problem = problem_of("dose", model=model)
    network = problem.build()
    rows = problem.division.parts["test"]

    predictions = problem.predict(network, "test")
    expected = network(problem.rows.inputs(rows), training=False).numpy()[:, 0]

    assert predictions.predicted == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert np.array_equal(predictions.observed, problem.responses.target[rows])


def test_the_pooled_network_begins_as_the_means_it_corrects() -> None:
    problem = problem_of("auc", "process_share=0")
    base = problem.predict(problem.build(), "test").predicted
    expected = problem.baselines()["drug_cell_mean"]["test"].predicted

    assert base == pytest.approx(expected, abs=1e-5)


def test_the_pooled_network_is_averaged_with_the_process_outside_of_training() -> None:
    problem = problem_of("auc", "process_share=0.25")
    network, rows = problem.build(), problem.division.parts["test"]
    means, process = (
        problem.baselines()[name]["test"].predicted
        for name in ("drug_cell_mean", "gaussian_process")
    )

    learns = network(problem.rows.inputs(rows), training=True).numpy()[:, 0]
    predicts = problem.predict(network, "test").predicted

    assert learns == pytest.approx(means, abs=1e-5)
    assert predicts == pytest.approx(0.75 * means + 0.25 * process, abs=1e-5)


def test_the_base_has_no_effects_of_held_out_entities() -> None:
    known = {
        split: problem_of("dose", split=split, cells=120, drugs=60, rows=2000).kinds
        for split in ("row", "cell", "drug", "cell+drug")
    }

    assert known == {
        "row": ("cell", "level", "drug", "dose"),
        "cell": ("level", "drug", "dose"),
        "drug": ("cell", "level"),
        "cell+drug": ("level",),
    }


def test_blocks_have_fewer_entities_and_every_row_once() -> None:
    problem = problem_of("auc", cells=200, drugs=100, rows=4000)
    inputs = module("inputs")
    rows = problem.division.parts["train"]

    def distinct(together: int) -> float:
        order = inputs.epoch_order(
            problem.responses, rows, rng=np.random.default_rng(0), together=together
        )
        assert np.array_equal(np.sort(order), rows)
        pieces = [order[first : first + 200] for first in range(0, len(order), 200)]
        return float(np.mean([len(np.unique(problem.responses.cell[piece])) for piece in pieces]))

    assert distinct(200) < 0.5 * distinct(0)


def test_every_baseline_scores_every_metric_of_the_task(problem: Any) -> None:
    task = load_task(RUNNER)
    baselines = problem.baselines()
    names = {"mean", "drug_mean", "cell_mean", "drug_cell_mean", "ridge", "boosting"}
    names.add("gaussian_process")
    more = (
        {"level_mean", "dose_mean", "dose_cell_mean"}
        if problem.responses.variant == "dose"
        else set()
    )

    assert set(baselines) == names | more
    scores = [problem.score(parts["test"]) for parts in baselines.values()]
    assert all(set(by_metric) == {metric.id for metric in task.metrics} for by_metric in scores)
    assert scores[0]["mse"] > min(by_metric["mse"] for by_metric in scores)


@pytest.mark.parametrize(
    ("overrides", "module_name", "reason"),
    [
        ((), "not_installed", "not_installed is not installed: pip install"),
        (("boosting_trees=0",), "lightgbm", "boosting_trees=0"),
    ],
)
def test_boosting_is_skipped_with_a_reason(
    overrides: tuple[str, ...], module_name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module("baselines"), "BOOSTING_MODULE", module_name)
    problem = problem_of("auc", *overrides)

    assert set(problem.baselines()) == {
        *module("baselines").MEANS, "ridge", "gaussian_process",
    }  # fmt: skip
    note = problem.diagnostics()["baselines"]["boosting"]
    assert note["skipped"].startswith(reason)


def test_ridge_predictions_do_not_depend_on_axes_without_variance() -> None:
    """Ids of one compound have equal features, so training drugs have fewer axes than drugs."""
    problem = problem_of("auc", "components=64")
    components = module("baselines")._components(
        problem.features["drug"], problem.training["drug"], 64
    )

    drugs = problem.training["drug"]
    assert components.shape[1] < len(drugs) - 1
    assert components[drugs].std(axis=0) == pytest.approx(1, rel=0.1)
    assert np.abs(components).max() < 20


@pytest.mark.parametrize("split", ["cell", "drug"])
@pytest.mark.parametrize("variant", ["auc", "dose"])
def test_the_process_is_that_of_a_dense_covariance_matrix(variant: str, split: str) -> None:
    """The textbook formula on the matrix of all pairs of rows, for known and for new drugs."""
    problem = problem_of(variant, split=split, cells=60, drugs=30, rows=600)
    process, train = problem.process, problem.division.parts["train"]
    target = problem.responses.target.astype(np.float64)
    means = module("effects").forecast(problem.responses, train, problem.kinds, penalty=2.0)
    place = problem.responses.cell[train], process._treatment[train]
    shape = len(problem.responses.cells), int(process._treatment.max()) + 1
    counts, average = np.zeros(shape), np.zeros(shape)
    np.add.at(counts, place, 1)
    np.add.at(average, place, (target - means)[train])
    average /= np.maximum(counts, 1)
    variance = np.square(average[counts > 0]).mean()

    terms = process._terms(process.choice, average, counts > 0, variance)
    cells, treatments = np.nonzero(counts)
    other = problem.responses.cell, process._treatment
    dense = sum(c[np.ix_(cells, cells)] * t[np.ix_(treatments, treatments)] for c, t in terms)
    cross = sum(c[np.ix_(other[0], cells)] * t[np.ix_(other[1], treatments)] for c, t in terms)
    noise = np.diag(process.choice.noise * variance / counts[cells, treatments])
    expected = means + cross @ np.linalg.solve(dense + noise, average[cells, treatments])

    assert process.choice.covariance == ("training residuals" if split == "cell" else "descriptors")
    assert process.forecast == pytest.approx(expected, abs=1e-5 * np.sqrt(variance))


def test_the_process_does_not_apply_to_too_many_treatments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module("gaussian_process"), "MAX_ENTITIES", 10)
    problem = problem_of("auc")

    assert "gaussian_process" not in problem.baselines()
    note = problem.diagnostics()["baselines"]["gaussian_process"]
    assert "more than 10" in note["skipped"]
    assert "process" not in problem.rows.inputs(np.arange(3))


def test_boosting_takes_the_drug_as_a_category_only_if_it_is_known() -> None:
    notes = {}
    for split in ("cell", "drug"):
        problem = problem_of("auc", split=split, cells=120, drugs=60, rows=3000)
        assert "boosting" in problem.baselines()
        notes[split] = problem.diagnostics()["baselines"]["boosting"]

    assert not notes["drug"]["drug_as_category"]
    assert notes["cell"]["trees"] > 0


def test_effects_are_recovered_from_rows_without_noise() -> None:
    random = np.random.default_rng(0)
    cell, drug = random.integers(0, 9, 4000), random.integers(0, 7, (4000, 2))
    cells, drugs = random.normal(size=9), random.normal(size=7)
    drug[:2000, 1] = -1
    target = cells[cell] + drugs[drug[:, 0]] + np.where(drug[:, 1] < 0, 0, drugs[drug[:, 1]])

    effects, centred = module("effects"), target - target.mean()
    fitted = effects.fit_additive_effects(centred, [cell, drug], penalty=1e-6)

    forecast = sum(map(effects.sum_of_effects, fitted, [cell, drug]))
    assert forecast == pytest.approx(centred, abs=1e-2)


def test_an_effect_of_few_rows_is_shrunk_and_an_unknown_one_is_zero() -> None:
    codes = np.array([0] * 50 + [1] * 50 + [2])
    target = np.array([1.0] * 50 + [-1.0] * 50 + [5.0])
    effects = module("effects")
    (effect,) = effects.fit_additive_effects(target - target.mean(), [codes], penalty=2.0)

    assert effect[2] == pytest.approx((5.0 - target.mean()) / 3, rel=1e-3)
    assert effects.sum_of_effects(effect, np.array([7])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation=noisy", "clean or reference-noisy is expected"),
        ("base=mean", "did you mean 'means'"),
    ],
)
def test_settings_that_are_not_valid_are_refused(override: str, message: str) -> None:
    with pytest.raises(CallError, match=message):
        problem_of("auc", override)


def test_noisy_evaluation_differs_from_a_clean_one() -> None:
    problem = problem_of("auc", "evaluation=reference-noisy", "dropout=0.5", model="reference")
    clean = problem_of("auc", "dropout=0.5", model="reference")
    network = problem.build()

    first, second = (problem.predict(network, "test").predicted for _ in range(2))

    assert not np.array_equal(first, second)
    assert first.shape == clean.predict(clean.build(), "test").predicted.shape


def test_the_network_knows_what_validation_rows_share() -> None:
    known = {}
    for name in ("row", "cell", "drug", "cell+drug"):
        knows = problem_of("dose", split=name, cells=120, drugs=60, rows=3000).knows
        known[name] = (knows["cell"], knows["drug"])

    assert known == {
        "row": (True, True),
        "cell": (False, True),
        "drug": (True, False),
        "cell+drug": (False, False),
    }


def test_a_run_is_recorded_with_its_leakage_and_scored_again(run: Path) -> None:
    record = load_record(run)
    again = rescoring.rescore(run, find_registry(), stage=source)

    assert record["benchmark"]["variant"] == "dose"
    assert record["dataset"]["id"] == "uno_almanac"
    assert record["facts"]["leakage"]["test"]["drug"]["percent"] == 0.0
    assert record["facts"]["parts"]["left_out"] > 0
    assert again[1] == []


def test_a_run_has_a_table_of_drugs_and_figures(run: Path) -> None:
    with (run / runs.OUTPUTS_FOLDER / "drugs-train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = draw_figures(find_registry(), run, load_record(run))

    assert all(row["compounds"] for row in rows)
    assert (
        sum(int(row["samples"]) for row in rows)
        == load_record(run)["dataset"]["n_samples"]["train"]
    )
    assert {"observed.png", "curve.png"} <= {path.name for path in paths}
    assert all(path.stat().st_size > 5000 for path in paths)


TRAINED_ON_SEVERAL = """
import json
from tests.runners.test_uno_runner import problem_of
from sciml_data.bench.training.tensorflow_backend import make_strategy
from sciml_data.bench.training.loop import Training, train
results = []
for strategy in (make_strategy("mirrored:2", {}), make_strategy("default", {})):
    for model in ("pooled", "reference"):
        problem = problem_of("dose", "dropout=0", "input_dropout=0", model=model)
        trained = train(problem, Training(problem.settings, 0, strategy))
        results.append([row[key] for row in trained.progress.curve
                      for key in ("train_loss", "validation_loss")])
print(json.dumps(results))
"""
TRAINED_ON_JAX = """
import json, sys
from tests.runners.test_uno_runner import problem_of
from sciml_data.bench.training import backend
from sciml_data.bench.training.loop import Training, train
backend.choose("jax")
results = []
for model, dropout in (("pooled", 0.1), ("reference", 0.1), ("reference", 0.0)):
    problem = problem_of("dose", f"dropout={dropout}", "learning_rate=0.01", model=model)
    strategy = backend.current().make_strategy("default", {})
    trained = train(problem, Training(problem.settings, 0, strategy))
    losses = [row["train_loss"] for row in trained.progress.curve]
    scores = problem.score(problem.predict(trained.model, "test"))
    results.append([*losses, scores["mse"], problem.rows.is_padded])
print(json.dumps(results))
"""


def printed_by(code: str, **variables: str) -> Any:
    """Return the last line that a new process prints, parsed as JSON."""
    root = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": root, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_have_the_losses_of_one() -> None:
    pooled, reference, *alone = printed_by(TRAINED_ON_SEVERAL)

    for losses, expected in zip((pooled, reference), alone, strict=True):
        assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="pip install 'sciml-data[jax]'")
def test_both_networks_train_on_jax() -> None:
    for first, last, mse, is_padded in printed_by(TRAINED_ON_JAX, KERAS_BACKEND="jax"):
        assert last < first
        assert np.isfinite(mse)
        assert is_padded


@pytest.mark.parametrize(
    ("split", "units"),
    [("cell", ["cell"]), ("drug", ["drug"]), ("cell+drug", ["cell", "drug"]), ("row", ["row"])],
)
def test_intervals_resample_what_a_split_holds_out(split: str, units: list[str]) -> None:
    problem = problem_of("dose", split=split, cells=80, drugs=40, rows=1500)
    numbers = problem.scored("test")
    predictions = problem.predictions(numbers, np.zeros(len(numbers)))

    sampling, found = problem.resample("test", predictions, "mse")

    assert list(sampling.units) == units
    table = problem.table.iloc[problem.division.parts["test"]]
    if "cell" in units:
        assert sampling.units["cell"] == table["cell"].nunique()
    if sampling.reason is None:
        assert {"mse", "r2"} <= set(found)
        assert len(found["mse"].values) == sum(found["mse"].groups)
