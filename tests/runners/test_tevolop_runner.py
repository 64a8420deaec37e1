"""The TEvolOp runner implements the engine interface, shown on a small artificial catalogue."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.bench.drawing import save_figure
from sciml_data.bench.interface import check_problem, load_runner
from sciml_data.bench.plots import Results
from sciml_data.bench.scoring.predictions import Predictions, save_predictions
from sciml_data.bench.scoring.scores import metric_rows, score_parts
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.registry.layout import find_registry
from tests.support.processes_of_keras import WITHOUT_TENSORFLOW, needs_jax, output_of
from tests.support.quake_catalogue import quake_catalogue
from tests.support.shared_reading import require_own_rows

tf = pytest.importorskip("tensorflow")

RUNNER = find_registry().runner("tevolop")
SPLITS = ("temporal", "spatial-400-100")
LOSS_TOLERANCE = 1e-3  # relative, after an epoch: other kernels, other order of float32 sums
SMALL = ("dense=3", "units=2", "head=3", "piece=60", "batch_size=32", "features=own,faults,dates")


@pytest.fixture(scope="module")
def catalogue() -> xr.Dataset:
    """Return a ready dataset of 1950 to mid-2026 with earthquakes in 12 pixels."""
    return quake_catalogue()


def settings_of(split: str, *overrides: str, model: str = "residual-lstm") -> Mapping[str, Any]:
    return resolve_settings(load_task(RUNNER), overrides, model=model, split=split)


def prepared(
    catalogue: xr.Dataset, split: str, *overrides: str, model: str = "residual-lstm"
) -> Any:
    """Return the problem of a split."""
    runner = load_runner(find_registry(), "tevolop")
    settings = settings_of(split, *overrides, model=model)
    return runner.prepare(catalogue, load_split(RUNNER, split), settings)


@pytest.fixture(scope="module")
def problems(catalogue: xr.Dataset) -> Mapping[str, Any]:
    """Return the problem of each split, without a blend."""
    return {split: prepared(catalogue, split, *SMALL, "blend=false") for split in SPLITS}


@pytest.fixture(scope="module")
def models(problems: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return an untrained model for each split."""
    import keras

    keras.utils.set_random_seed(0)
    yield {split: problem.build() for split, problem in problems.items()}
    keras.utils.clear_session()


@pytest.mark.parametrize("split", SPLITS)
def test_prepare_returns_a_problem(problems: Mapping[str, Any], split: str) -> None:
    problem = check_problem(problems[split], "tevolop")

    assert problem.parts[:2] == ("train", "validation")
    assert all(size > 0 for size in problem.sizes.values())


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("part", ["train", "validation"])
def test_each_of_two_processes_cuts_its_own_pieces(
    problems: Mapping[str, Any], split: str, part: str
) -> None:
    require_own_rows(problems[split], part, batch_size=7)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_epoch_has_every_sample_once(problems: Mapping[str, Any], split: str, seed: int) -> None:
    problem = problems[split]

    for part in problem.parts:
        batches = problem.batches(part, batch_size=16, seed=seed)
        counted = sum(int(problem.samples_in(weights)) for _, _, weights in batches)

        assert counted == problem.sizes[part]


def test_the_order_of_an_epoch_is_a_function_of_its_seed(problems: Mapping[str, Any]) -> None:
    def first(seed: int) -> np.ndarray:
        batches = problems["temporal"].batches("train", batch_size=8, seed=seed)
        return np.asarray(next(iter(batches))[1])

    np.testing.assert_array_equal(first(3), first(3))
    assert not np.array_equal(first(3), first(4))


def test_a_batch_has_the_targets_of_its_samples(
    problems: Mapping[str, Any],
) -> None:
    problem = problems["temporal"]
    observed = problem.predictions_of("validation", problem.observed).observed

    in_batches = np.zeros(0)
    for _, targets, weights in problem.batches("validation", batch_size=16, seed=0):
        magnitude = problem.scale.magnitude(np.asarray(targets))
        in_batches = np.append(in_batches, magnitude[np.asarray(weights) > 0])

    known = observed[np.isfinite(observed)]
    np.testing.assert_allclose(np.sort(known), np.sort(in_batches), rtol=1e-5)


@pytest.mark.parametrize("split", SPLITS)
def test_an_untrained_model_forecasts_as_the_ridge(
    problems: Mapping[str, Any], models: Mapping[str, Any], split: str
) -> None:
    problem = problems[split]
    ridge = problem.baselines()["ridge"]

    for part in problem.parts:
        predictions = problem.predict(models[split], part)

        known = np.isfinite(predictions.observed)
        np.testing.assert_allclose(
            predictions.predicted[known], ridge[part].predicted[known], atol=1e-4
        )


@pytest.mark.slow
def test_groups_of_locations_give_each_forecast_once(catalogue: xr.Dataset) -> None:
    small = ["locations_together=5", "width=4", "heads=1", "blocks=1", "feed_forward=4"]
    small += ["units=2", "head=3", "piece=60"]
    problem = prepared(catalogue, "spatial-400-100", *small, model="reference-transformer")

    counted = [
        int(problem.samples_in(weights))
        for _, _, weights in problem.batches("train", batch_size=4, seed=0)
    ]
    predictions = problem.predict(problem.build(), "validation")

    assert sum(counted) == problem.sizes["train"]
    known = np.isfinite(predictions.observed)
    assert np.isfinite(predictions.predicted[known]).all()
    assert (predictions.predicted[known] != problem.scale.centre[0]).any()


def test_the_reference_lstm_gets_windows_of_26_fortnights(catalogue: xr.Dataset) -> None:
    problem = prepared(catalogue, "temporal", model="reference-lstm")

    inputs, targets, weights = next(problem.batches("train", batch_size=3, seed=0))

    assert list(inputs) == ["series"]
    assert inputs["series"].shape == (3, 1, 26, 27)
    assert targets.shape == weights.shape == (3, 1, 26, 24)
    assert not weights[:, :, :25].any()
    np.testing.assert_array_equal(weights[:, 0, 25, 10:], 0.25)


def test_the_published_targets_are_later_windows_and_the_next_encodings(
    catalogue: xr.Dataset,
) -> None:
    problem = prepared(catalogue, "temporal", model="reference-lstm")
    place = list(problem.feature_names).index("cosine_8")
    column = 10 + [name for name in problem.feature_names if is_encoding(name)].index("cosine_8")
    energy = 10 ** (1.5 * problem.grid.magnitude[:, problem.pixels[0]].astype(float))

    year_later = np.log10(energy[500 + 27 : 500 + 53].sum()) / 1.5

    assert problem.ahead[0, 500, 8] == pytest.approx(year_later, abs=1e-4)
    np.testing.assert_allclose(
        problem.target_values[0, 500, column], problem.features[0, 501, place]
    )
    train = np.isfinite(problem.ahead) & problem.areas["train"].has_windows(
        len(problem.grid), problem.spans
    )
    assert problem.target_values[..., :10][train].min() == 0.0
    assert problem.target_values[..., :10][train].max() == 1.0


def is_encoding(name: str) -> bool:
    module: Any = importlib.import_module("sciml_runner_tevolop.features")
    return bool(module.is_encoding(name))


def test_the_loss_is_squared_or_absolute(problems: Mapping[str, Any]) -> None:
    problem = problems["temporal"]
    observed, predicted = np.zeros((1, 3), np.float32), np.array([[1.0, 3.0, 9.0]], np.float32)
    weights = np.array([[1.0, 2.0, 0.0]], np.float32)
    absolute = type("Absolute", (), {"settings": {"error": "absolute"}})()

    squared = problem.sample_loss(observed, predicted, weights)
    absolute = type(problem).sample_loss(absolute, observed, predicted, weights)

    assert [float(value) for value in squared] == [19.0, 3.0]
    assert [float(value) for value in absolute] == [7.0, 3.0]


def test_the_fresh_part_is_left_out_unless_it_is_wanted(
    catalogue: xr.Dataset, problems: Mapping[str, Any]
) -> None:
    wanted = prepared(catalogue, "temporal", *SMALL, "fresh=true")

    assert problems["temporal"].parts == ("train", "validation", "test")
    assert problems["temporal"].grid.end[-1] <= np.datetime64("2020-01-01")
    assert wanted.parts == ("train", "validation", "test", "fresh")
    assert wanted.areas["fresh"].first >= wanted.areas["test"].stop


def test_the_blend_is_learnt_on_the_validation_part_alone(
    catalogue: xr.Dataset, models: Mapping[str, Any]
) -> None:
    """Scrambled test years leave the forecast as it is; scrambled validation years do not."""
    problem = prepared(catalogue, "temporal", *SMALL)
    before = problem.predict(models["temporal"], "test").predicted
    stored = problem.observed.copy()

    problem.observed[:, problem.areas["test"].times] += 1.0
    after_test = problem.predict(models["temporal"], "test").predicted
    problem.observed[:] = stored
    problem.observed[:, problem.areas["validation"].times] += 1.0
    after_validation = problem.predict(models["temporal"], "test").predicted

    np.testing.assert_array_equal(before, after_test)
    assert np.abs(before - after_validation).max() > 0.01


def test_without_a_validation_part_nothing_is_blended(
    catalogue: xr.Dataset, models: Mapping[str, Any]
) -> None:
    problem = prepared(catalogue, "temporal-2005", *SMALL)
    ridge = problem.baselines()["ridge"]["test"]

    predictions = problem.predict(models["temporal"], "test")

    known = np.isfinite(predictions.observed)
    np.testing.assert_allclose(predictions.predicted[known], ridge.predicted[known], atol=1e-4)


@pytest.mark.parametrize("split", SPLITS)
def test_every_score_is_defined_by_the_task(problems: Mapping[str, Any], split: str) -> None:
    problem, task = problems[split], load_task(RUNNER)
    baselines = {
        name: score_parts(problem, task, parts) for name, parts in problem.baselines().items()
    }

    rows = metric_rows(task, baselines["ridge"], baselines)

    assert {row["metric_id"] for row in rows} == {metric.id for metric in task.metrics}
    assert {"persistence", "climatology", "ridge"} <= set(rows[0]["baselines"])
    assert ("same_date_mean" in rows[0]["baselines"]) == (split != "temporal")
    assert len(rows) == len(problem.parts) * (4 * 8 + 3)


def test_persistence_has_no_skill_against_itself(problems: Mapping[str, Any]) -> None:
    problem = problems["temporal"]

    scores = problem.score(problem.baselines()["persistence"]["test"])

    assert scores["skill_persistence.w1"] == pytest.approx(0.0)
    assert scores["skill_persistence.w26"] == pytest.approx(0.0)


def test_climatology_scores_one_half_in_training(problems: Mapping[str, Any]) -> None:
    problem = problems["temporal"]

    scores = problem.score(problem.baselines()["climatology"]["train"])

    assert scores["nnse_averaged.w1"] == pytest.approx(0.5, abs=1e-4)


def test_a_window_in_a_gap_of_the_catalogue_is_not_scored(problems: Mapping[str, Any]) -> None:
    test = problems["temporal"].baselines()["ridge"]["test"]
    start = test.coords["time"]
    touched = (start >= np.datetime64("2019-10-02")) & (start < np.datetime64("2019-12-12"))

    assert touched.any()
    assert np.isnan(test.observed[:, touched, 0]).all()
    assert np.isfinite(test.observed[:, ~touched, 0]).all()


def test_facts_can_be_written_as_json(problems: Mapping[str, Any]) -> None:
    facts = json.loads(json.dumps(problems["temporal"].diagnostics()))

    assert facts["leakage"]["test"]["date"]["percent"] == 0.0
    assert facts["targets"]["overlap_with_input"].startswith("none")
    assert len(facts["greatest_earthquakes"]) == 20


def record_of(problem: Any, parts: Mapping[str, Predictions]) -> dict[str, Any]:
    """Return the fields of a record that the figures use."""
    task = load_task(RUNNER)
    baselines = {
        name: score_parts(problem, task, of_parts) for name, of_parts in problem.baselines().items()
    }
    return {
        "synthetic": True,
        "benchmark": {"name": "tevolop", "variant": None},
        "model": {"name": "residual-lstm"},
        "split": {"name": "temporal"},
        "seeds": {"seed": 0},
        "dataset": {"id": "tevolop_socal", "version": "1.0"},
        "facts": problem.diagnostics(),
        "metrics": metric_rows(task, score_parts(problem, task, parts), baselines),
    }


@pytest.mark.slow
def test_a_run_has_three_figures(
    problems: Mapping[str, Any], models: Mapping[str, Any], tmp_path: Path
) -> None:
    problem = problems["temporal"]
    parts = {part: problem.predict(models["temporal"], part) for part in problem.parts}
    save_predictions(tmp_path / "predictions.nc", parts, synthetic=True)
    figures = importlib.import_module("sciml_runner_tevolop.figures")

    record = record_of(problem, parts)
    drawn = figures.draw(Results(tmp_path, record))
    paths = [save_figure(drawn[name], tmp_path / f"{name}.png", record) for name in drawn]

    assert list(drawn) == ["map", "series", "nnse"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_intervals_resample_half_years_in_time_and_pixels_in_space(
    problems: Mapping[str, Any],
) -> None:
    kinds = {}
    for split in ("temporal", "spatial-400-100"):
        problem = problems[split]
        predictions = problem.baselines()["climatology"]["validation"]
        sampling, found = problem.resample("validation", predictions, "nnse_averaged.mean")
        (kinds[split],) = sampling.units
        assert "nnse_averaged.w1" in found

    assert kinds == {"temporal": "block of 182 days", "spatial-400-100": "pixel"}


# With the same initial weights on each backend.
TRAIN = """
import hashlib, json, sys
import keras, numpy as np
from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.bench.training import backend
from sciml_data.bench.training.loop import Training, train
from sciml_data.registry.layout import find_registry
from tests.support.quake_catalogue import quake_catalogue
from tests.support.shared_reading import require_own_rows

RUNNER, catalogue = find_registry().runner("tevolop"), quake_catalogue()
SMALL = {"epochs": 1, "dropout": 0.0, "piece": 60, "batch_size": 64, "blend": False,
         "dense": 3, "units": 2, "head": 3, "features": ["own", "dates"], "monitor": "loss"}

resolved = resolve_settings(load_task(RUNNER), [], model="residual-lstm", split="temporal")
settings = {**resolved, **SMALL}
problem = load_runner(find_registry(), "tevolop").prepare(
    catalogue, load_split(RUNNER, "temporal"), settings)
digest = hashlib.sha256()
for part in problem.parts:
    for inputs, *others in problem.batches(part, batch_size=64, seed=3):
        for array in (*(inputs[name] for name in sorted(inputs)), *others):
            digest.update(np.ascontiguousarray(array).tobytes())
def build():
    built, random = problem.build(), np.random.default_rng(7)
    weights = [random.normal(0, 0.3, each.shape) for each in built.get_weights()]
    built.set_weights([each.astype("f4") for each in weights])
    return built
training = Training(settings, 0, backend.current().make_strategy("default", {}), build=build)
trained = train(problem, training)
predicted = problem.predict(trained.model, "test").predicted
losses = [[row["train_loss"], row["validation_loss"]] for row in trained.progress.curve]
print(json.dumps([digest.hexdigest(), losses, bool(np.isfinite(predicted).all())]))
"""


@needs_jax
@pytest.mark.slow
def test_it_trains_on_jax_with_the_batches_and_losses_of_tensorflow() -> None:
    digest, losses, is_finite = output_of(WITHOUT_TENSORFLOW + TRAIN, KERAS_BACKEND="jax")
    expected, reference, _ = output_of(TRAIN, KERAS_BACKEND="tensorflow")

    assert digest == expected
    np.testing.assert_allclose(losses, reference, rtol=LOSS_TOLERANCE)
    assert is_finite
