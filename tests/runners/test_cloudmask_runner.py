"""The CloudMask runner implements the engine's interface, shown on small synthetic scenes."""

from __future__ import annotations

import csv
import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.bench import draw_figures
from sciml_data.bench.interface import check_problem, load_runner
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import load_record
from sciml_data.bench.record.report import run_table
from sciml_data.bench.run import execution, rescoring
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.staging import Sample, Source, stage
from sciml_data.bench.scoring.predictions import load_predictions
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError, RecordError, SciMLDataError
from sciml_data.formats.slstr_hdf5 import FLAGS
from sciml_data.home import Home
from sciml_data.ready import convert
from sciml_data.ready.patches import Scenes, find_scenes
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Converted
from sciml_data.synthetic.make import make_sample
from sciml_data.transfer.verification import verify
from tests.support.shared_reading import require_own_rows

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RUNNER = find_registry().runner("cloudmask")
SHAPE = (70, 90)
SMALL = (
    "patch=32", "step=32", "window=32", "window_step=22", "widths=2,3,4", "batch_size=5",
    "epochs=2", "train_scored=2", "least_valid=0.2",
)  # fmt: skip


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Return twelve training and three inference scenes; the fourteenth has two rows less."""
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
    sample = {"count": {"training": 12, "inference": 3}, "shape": list(SHAPE)}
    descriptor = replace(descriptor, native={**descriptor.native, "sample": sample})
    return convert(verify(make_sample(descriptor, Home(tmp_path_factory.mktemp("home")))))


@pytest.fixture(scope="module")
def scenes(converted: Converted) -> Scenes:
    return find_scenes(converted)


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "cloudmask")
    return importlib.import_module(f"sciml_runner_cloudmask.{name}")


def problem_of(converted: Converted, *overrides: str, split: str = "orbit") -> Any:
    task = load_task(RUNNER)
    settings = resolve_settings(task, (*SMALL, *overrides), model="residual", split=split)
    runner = load_runner(find_registry(), "cloudmask")
    return runner.prepare(converted, load_split(RUNNER, split), settings)


@pytest.fixture(scope="module")
def problem(converted: Converted) -> Any:
    return problem_of(converted)


def short_scene(scenes: Scenes) -> int:
    """Return the number of a scene whose native file lacks two rows."""
    return int(np.flatnonzero(scenes.native_rows < SHAPE[0])[0])


def read_scene(scenes: Scenes, number: int) -> Any:
    return next(module("scenes").read_scenes(scenes, np.array([number])))


def shuffled(problem: Any, seed: int) -> list[Any]:
    return list(problem.batches("train", batch_size=5, seed=seed))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_each_of_two_processes_reads_its_own_rows(problem: Any, part: str) -> None:
    require_own_rows(problem, part, batch_size=5)


def test_prepare_returns_a_problem(problem: Any) -> None:
    assert check_problem(problem, "cloudmask") is problem
    assert problem.parts == ("train", "validation", "test")
    assert all(size > 0 for size in problem.sizes.values())


def test_batches_are_a_function_of_the_seed(problem: Any) -> None:
    first, again, other = (shuffled(problem, seed) for seed in (3, 3, 4))

    assert all(
        np.array_equal(a, b, equal_nan=True)
        for pair in zip(first, again, strict=True)
        for a, b in zip(*pair, strict=True)
    )
    assert not np.array_equal(first[0][0], other[0][0], equal_nan=True)


def test_batches_hold_channels_labels_and_weights(problem: Any) -> None:
    inputs, labels, weights = shuffled(problem, 0)[0]

    assert inputs.shape == (5, 32, 32, 9)
    assert labels.shape == weights.shape == (5, 32, 32, 1)
    assert {array.dtype for array in (inputs, labels, weights)} == {np.dtype(np.float32)}
    assert set(np.unique(labels)) <= {0.0, 1.0}
    assert 200 < np.nanmean(inputs[..., 6:]) < 320


def test_validation_comes_in_order_and_is_not_augmented(problem: Any) -> None:
    first, second = (list(problem.batches("validation", batch_size=4, seed=s)) for s in (0, 9))
    rows = sum(len(batch[0]) for batch in first)

    assert rows == problem.sizes["validation"]
    assert np.array_equal(first[0][0], second[0][0], equal_nan=True)


def test_the_grid_moves_from_epoch_to_epoch_and_keeps_its_patches(converted: Converted) -> None:
    still = problem_of(converted, "augment=false", "grid=corner", "least_valid=0")
    moving = problem_of(converted, "augment=false", "least_valid=0")

    def rows(problem: Any, seed: int) -> set[bytes]:
        return {patch.tobytes() for batch in shuffled(problem, seed) for patch in batch[0]}

    assert rows(still, 0) == rows(still, 1)
    assert len(rows(moving, 0)) == len(rows(moving, 1)) == moving.sizes["train"]
    assert rows(moving, 0) != rows(moving, 1)


def test_statistics_are_of_valid_pixels_of_the_training_part(problem: Any) -> None:
    patches = problem.patches["train"]
    values = []
    for number, row, column in zip(patches.scene, patches.row, patches.column, strict=True):
        scene = read_scene(patches.scenes, int(number))
        pixels = slice(row, row + 32, 4), slice(column, column + 32, 4)
        values.append(scene.channels[pixels][scene.valid[pixels]])
    expected = np.concatenate(values)

    assert np.array_equal(problem.training_pixels[0], expected, equal_nan=True)
    assert problem.statistics.pixels == len(expected)
    assert problem.statistics.mean == pytest.approx(np.nanmean(expected, axis=0), rel=1e-5)


def test_statistics_leave_out_the_border(converted: Converted) -> None:
    problem = problem_of(converted, "border=6")
    patches, pixels = problem.patches["train"], []
    for number, row, column in zip(patches.scene, patches.row, patches.column, strict=True):
        scene = read_scene(patches.scenes, int(number))
        inner = slice(row + 8, row + 26, 4), slice(column + 8, column + 26, 4)
        pixels.append(scene.channels[inner][scene.valid[inner]])

    assert np.array_equal(problem.training_pixels[0], np.concatenate(pixels), equal_nan=True)


def test_a_border_is_not_trained_on(converted: Converted) -> None:
    weights = shuffled(problem_of(converted, "border=15"), 0)[0][2]

    assert weights[:, 15:17, 15:17].any()
    assert weights.sum() == weights[:, 15:17, 15:17].sum()


def test_the_named_loss_weighs_cloud_by_half(converted: Converted) -> None:
    label, predicted = np.ones((1, 2, 2, 1), "f4"), np.full((1, 2, 2, 1), 0.5, "f4")
    plain, weighted = (
        problem_of(converted, f"loss={name}").sample_loss(label, predicted, label)
        for name in ("cross_entropy", "weighted_cross_entropy")
    )

    assert float(plain[0]) == pytest.approx(2 * float(weighted[0]))
    assert float(plain[1]) == float(weighted[1]) == 4.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss=cross_entrpy", "did you mean 'cross_entropy'"),
        ("border=16", "leaves no pixel"),
        ("window_step=33", "leave gaps"),
    ],
)
def test_settings_that_are_not_valid_are_refused(
    converted: Converted, override: str, message: str
) -> None:
    with pytest.raises(CallError, match=message):
        problem_of(converted, override)


def test_scenes_smaller_than_a_patch_are_an_error(converted: Converted) -> None:
    with pytest.raises(SciMLDataError, match="no patch of 96 x 96"):
        _ = problem_of(converted, "patch=96", "step=96").sizes


def test_a_scene_is_read_as_it_is_in_its_file(scenes: Scenes) -> None:
    scene = read_scene(scenes, short_scene(scenes))
    with xr.open_dataset(scenes.paths[short_scene(scenes)], engine="h5netcdf") as dataset:
        stored = dataset.isel(scene=0).load()
    channels = np.concatenate([stored.reflectance.values, stored.brightness_temperature.values], -1)

    assert np.array_equal(scene.channels, channels, equal_nan=True)
    assert np.array_equal(scene.valid, stored.valid.values > 0)
    assert np.array_equal(scene.cloud, (stored.cloud.values == 1) & scene.valid)
    assert np.array_equal(scene.summary, (stored.flags.values & FLAGS["summary_cloud"]) > 0)
    assert not scene.native[-2:].any()
    assert scene.native[:-2].all()
    assert (scene.granule, scene.light) == (
        stored.granule.item().decode(),
        int(stored.illumination),
    )


@pytest.mark.parametrize("rows", [1198, 1200])
def test_a_model_that_returns_its_input_returns_the_scene(rows: int) -> None:
    scene = np.random.default_rng(rows).random((rows, 1500, 1)).astype(np.float32)
    settings = resolve_settings(load_task(RUNNER), model="residual", split="orbit")
    blended = module("scenes").predict_scene(lambda batch, **_: batch, scene, settings)

    assert blended.shape == (rows, 1500)
    assert np.abs(blended - scene[..., 0]).max() < 1e-6


def test_all_cloud_scores_the_share_of_cloud(problem: Any) -> None:
    for part, predictions in problem.baselines()["all_cloud"].items():
        scores = problem.score(predictions)

        assert scores["accuracy"] == pytest.approx(scores["cloud_share"]), part
        assert scores["kuiper"] == 0.0


def test_every_baseline_scores_every_metric_of_the_task(problem: Any) -> None:
    task = load_task(RUNNER)
    scores = [problem.score(parts["test"]) for parts in problem.baselines().values()]

    assert {key.partition(".")[0] for key in scores[0]} == {metric.id for metric in task.metrics}
    assert len({frozenset(by_metric) for by_metric in scores}) == 1
    assert set(problem.baselines()) == {"all_cloud", "summary", "logistic", "boosting"}
    assert {target.metric for target in task.targets} <= set(scores[0])


def test_the_summary_baseline_is_the_summary_mask(problem: Any) -> None:
    predictions = problem.baselines()["summary"]["test"]
    hits = pixels = 0
    for number in problem.scored("test"):
        scene = read_scene(problem.scenes, int(number))
        hits += int((scene.summary == scene.cloud)[scene.valid].sum())
        pixels += int(scene.valid.sum())

    assert problem.score(predictions)["accuracy"] == pytest.approx(hits / pixels)


def test_pixels_without_a_label_count_as_the_reference_reads_them(scenes: Scenes) -> None:
    scene = read_scene(scenes, short_scene(scenes))
    positive, total = module("scenes").count_pixels(scene, np.full(SHAPE, 0.9, np.float32))

    assert total.sum() == (SHAPE[0] - 2) * SHAPE[1]  # padding is in no native file
    assert total[0].sum() == scene.valid.sum()
    assert positive[1].sum() == total[1].sum()  # 255 has every bit


def test_facts_say_what_parts_share(problem: Any) -> None:
    facts = problem.diagnostics()

    assert facts["leakage"]["test"]["orbit"]["percent"] == 0.0
    assert facts["parts"]["test"]["samples"] == 3
    assert facts["scored"]["train"] == 2


@pytest.fixture(scope="module")
def run(converted: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs."""
    source = Source(
        converted, "cloud_slstr_ds1", "1.0", f"sha256:{converted.native_digest}",
        is_synthetic=True, sample_seed=0,
    )  # fmt: skip
    request = Request(
        "cloudmask", find_registry(), overrides=SMALL, strategy="default", is_sample=True
    )
    prepared = execution.prepare(request, lambda _task: source)
    folder = execution.run_once(prepared, 0, home=Home(tmp_path_factory.mktemp("runs")))
    assert folder is not None
    return folder


def test_a_run_leaves_a_record_with_every_score(run: Path) -> None:
    record = load_record(run)
    rows = [row for row in record["metrics"] if row["part"] == "test" and not row["variant"]]

    assert record["status"] == "success"
    assert record["synthetic"]
    assert all(row["status"] == "computed" for row in rows if row["metric_id"] != "kuiper")
    assert {row["metric_id"] for row in rows} > {"accuracy", "iou", "weighted_cross_entropy"}
    assert record["curve"][-1]["monitored"] is not None
    assert record["facts"]["inference"]["test"]["s_per_scene"] > 0


def test_published_figures_are_not_said_to_be_reached_by_synthetic_data(run: Path) -> None:
    text = run_table(load_record(run))

    assert "not comparable: synthetic data" in text
    assert ", reached" not in text


def test_masks_are_cf_files_that_hold_what_was_scored(run: Path) -> None:
    stored = load_predictions(run / runs.PREDICTIONS_NAME)["test"]
    for number, granule in enumerate(stored.coords["scene"]):
        path = run / runs.OUTPUTS_FOLDER / "masks" / "test" / f"{granule}.nc"
        with xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False) as raw:
            attributes, packed = dict(raw["cloud_mask"].attrs), raw["cloud_probability"].dtype
            cloud, valid = raw["cloud_mask"].to_numpy(), raw["valid"].to_numpy()
            marks = dict(raw.attrs)
        with xr.open_dataset(path, engine="h5netcdf") as mask:
            probability = mask["cloud_probability"].to_numpy()

        assert attributes["flag_meanings"] == "clear cloud"
        assert attributes["standard_name"] == "cloud_binary_mask"
        assert (marks["Conventions"], int(marks["synthetic"])) == ("CF-1.11", 1)
        assert packed == np.uint8
        assert (cloud == 255).sum() == (valid == 0).sum()
        assert np.isnan(probability).sum() == (valid == 0).sum()
        level = stored.coords["level"]
        assert (cloud == 1).sum() == stored.predicted[number, 0, level >= 0.5].sum()
        assert valid.sum() == stored.predicted[number, 0].sum()


def test_each_scene_has_a_row_of_scores(run: Path) -> None:
    path = run / runs.OUTPUTS_FOLDER / "scenes-test.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == 3
    assert {row["light"] for row in rows} <= {"day", "night", "twilight"}
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows)


def test_scores_are_computed_again_from_what_is_stored(run: Path, converted: Converted) -> None:
    source = Source(
        converted, "cloud_slstr_ds1", "1.0", f"sha256:{converted.native_digest}",
        is_synthetic=True, sample_seed=0,
    )  # fmt: skip
    checked, differences = rescoring.rescore(run, find_registry(), stage=lambda _task: source)

    assert checked > 100
    assert differences == []


def test_a_mask_that_was_changed_is_noticed(run: Path) -> None:
    record = load_record(run)
    path = run / runs.OUTPUTS_FOLDER / "scenes-test.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n", encoding="utf-8")
    try:
        with pytest.raises(RecordError) as error:
            rescoring.check_outputs(run, record)
        (problem,) = error.value.problems
        assert (problem.kind, problem.place) == ("output", "scenes-test.csv")
    finally:
        path.write_text(text, encoding="utf-8")


def test_figures_are_drawn_from_the_folder_alone(run: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = draw_figures(find_registry(), run, load_record(run))

    assert [path.name for path in paths] == ["scenes.png", "reliability.png", "curve.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_staging_gives_this_runner_its_files(converted: Converted) -> None:
    home = Home(converted.root.parents[5])
    before = {path: path.stat().st_mtime_ns for path in converted.root.glob("*.nc")}
    source = stage(load_task(RUNNER), find_registry(), home=home, sample=Sample(0))

    assert isinstance(source.dataset, Converted)
    assert source.dataset.root == converted.root
    assert {path: path.stat().st_mtime_ns for path in before} == before
