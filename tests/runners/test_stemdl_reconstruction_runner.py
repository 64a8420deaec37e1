"""The reconstruction runner implements the engine interface, shown on small scans."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sciml_data.bench import draw_figures
from sciml_data.bench.interface import check_problem, load_runner
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import load_record
from sciml_data.bench.run import execution, rescoring
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.predictions import load_predictions
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError, ConversionError
from sciml_data.home import Home
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Converted
from tests.support.shared_reading import require_own_rows
from tests.support.stemdl_scans import WINDOW, scanned, sheet, window_of, write_ready

pytest.importorskip("tensorflow")
pytest.importorskip("skimage")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RUNNER = find_registry().runner("stemdl_reconstruction")
FOLDERS = {"train": [[f"syn{n}" for n in range(14)]], "test": [[f"syn{n}" for n in range(14, 18)]]}
SMALL = (
    "target=both", "augment=true", "thinning=1",
    "detector_widths=4", "detectors=8", "widths=8,6", "blocks=1",
    "batch_size=3", "epochs=2", "warmup_epochs=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return write_ready(tmp_path_factory.mktemp("ready"), FOLDERS)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return write_ready(tmp_path_factory.mktemp("published"), FOLDERS, published=True)


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "stemdl_reconstruction")
    return importlib.import_module(f"sciml_runner_stemdl_reconstruction.{name}")


def problem_of(converted: Converted, *overrides: str, split: str = "material") -> Any:
    settings = resolve_settings(load_task(RUNNER), (*SMALL, *overrides), model="small", split=split)
    runner = load_runner(find_registry(), "stemdl_reconstruction")
    return runner.prepare(converted, load_split(RUNNER, split), settings)


@pytest.fixture(scope="module")
def problem(converted: Converted) -> Any:
    return problem_of(converted)


def epoch(problem: Any, part: str, seed: int) -> list[Any]:
    return list(problem.batches(part, batch_size=3, seed=seed))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_each_of_two_processes_reads_its_own_rows(problem: Any, part: str) -> None:
    require_own_rows(problem, part, batch_size=3)


def test_prepare_returns_a_problem(problem: Any) -> None:
    assert problem.parts == ("train", "validation", "test")
    assert sum(problem.sizes.values()) == 36
    assert problem.messages == tuple(problem.diagnostics()["leakage"]["told"])
    assert check_problem(problem, "stemdl_reconstruction") is problem


def test_batches_are_a_function_of_the_seed(problem: Any) -> None:
    first, again, other = (epoch(problem, "train", seed) for seed in (3, 3, 4))

    assert all(
        np.array_equal(a, b)
        for pair in zip(first, again, strict=True)
        for a, b in zip(*pair, strict=True)
    )
    assert not np.array_equal(first[0][0], other[0][0])


def test_batches_hold_scans_and_targets_in_their_units(problem: Any) -> None:
    scans, targets, weights = epoch(problem, "validation", 0)[0]

    assert scans.shape == (3, 16, 16, 16)
    assert targets.shape == (3, 16, 16, 2)
    assert weights.tolist() == [1.0] * 3
    assert {array.dtype for array in (scans, targets, weights)} == {np.dtype(np.float32)}
    assert np.allclose((scans**2).mean(axis=(2, 3)), 1.0, rtol=1e-4)
    assert np.allclose(targets[..., 0], 50 * targets[..., 1])


def test_training_scans_are_augmented_and_others_are_not(
    problem: Any, converted: Converted
) -> None:
    still = problem_of(converted, "augment=false")

    def images(problem: Any, part: str, seed: int) -> set[bytes]:
        return {image.tobytes() for batch in epoch(problem, part, seed) for image in batch[1]}

    assert images(still, "train", 0) == images(still, "train", 1)
    assert images(problem, "train", 0) != images(problem, "train", 1)
    assert images(problem, "validation", 0) == images(problem, "validation", 1)


def test_little_memory_changes_nothing(problem: Any, converted: Converted) -> None:
    little = problem_of(converted, "memory_mib=0")

    assert all(
        np.array_equal(a, b)
        for pair in zip(epoch(problem, "train", 1), epoch(little, "train", 1), strict=True)
        for a, b in zip(*pair, strict=True)
    )
    assert len(little.cache) == 0


def test_the_loss_is_the_mean_error_in_units_of_the_deviation(problem: Any) -> None:
    scale = problem.statistics.deviation
    targets = np.zeros((2, 16, 16, 2), np.float32)
    predicted = targets + (3 * scale).astype(np.float32)

    total, weight = problem.sample_loss(targets, predicted, np.array([1.0, 0.0], np.float32))

    assert float(total) == pytest.approx(3.0, rel=1e-5)
    assert float(weight) == 1.0


def test_the_scale_is_of_the_training_part_alone(problem: Any) -> None:
    numbers = problem.division.parts["train"]
    values = problem.scans.read("potential", numbers).astype(np.float64)
    statistics = problem.statistics

    assert statistics.mean[0] == pytest.approx(values.mean())
    assert statistics.deviation[0] == pytest.approx(values.std())
    assert np.allclose(statistics.image[..., 0], values.mean(axis=0))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("target=potental", "did you mean 'potential'"),
        ("scale=rot", "did you mean 'root'"),
        ("thinning=2", "an odd number"),
        ("thinning=17", "at most the 16 pixels"),
    ],
)
def test_settings_that_are_not_valid_are_refused(
    converted: Converted, override: str, message: str
) -> None:
    with pytest.raises(CallError, match=message):
        problem_of(converted, override)


def test_published_files_have_no_physical_target(published: Converted) -> None:
    with pytest.raises(CallError, match="needs potential and electron_density") as error:
        problem_of(published, split="published")

    assert "target=legacy" in str(error.value)


def test_published_files_are_scored_by_the_legacy_target(published: Converted) -> None:
    problem = problem_of(published, "target=legacy", split="published")
    scores = problem.score(problem.baselines()["constant"]["test"])

    assert scores["legacy_l1"] == pytest.approx(
        np.abs(problem.scans.read("legacy_target", problem.scored("test"))).mean(),
        rel=1e-4,
    )
    assert not any(name.endswith(("_potential", "_density")) for name in scores)
    assert not problem.diagnostics()["has_physical_units"]


def test_a_scan_without_its_target_is_named(converted: Converted, tmp_path: Path) -> None:
    import h5py

    broken = write_ready(
        tmp_path, {"train": [["syn1", "syn2", "syn3", "syn4"]], "test": [["syn5"]]}
    )
    with h5py.File(next(tmp_path.glob("train-*.nc")), "r+") as file:
        file["potential"][:] = np.nan

    with pytest.raises(ConversionError, match="scans have no target"):
        _ = problem_of(broken, split="published").statistics


def test_binning_sums_intensity_about_the_middle() -> None:
    patterns = module("data")
    values = np.random.default_rng(0).random((2, 16, 16)).astype(np.float32)

    sums = patterns.binned(values, 3)

    assert sums.shape == (2, 5, 5) == (2, patterns.block_count(16, 3), patterns.block_count(16, 3))
    assert sums[:, 2, 2] == pytest.approx(values[:, 7:10, 7:10].sum(axis=(1, 2)))


def test_shares_recover_the_intensity_of_a_z_scored_pattern() -> None:
    intensity = scanned(sheet(np.random.default_rng(2), 64), probes=2, size=16)
    intensity[:, 0, 0] = 0.0  # past the band limit
    z = (intensity - intensity.mean(axis=(1, 2), keepdims=True)) / intensity.std(
        axis=(1, 2), keepdims=True
    )

    expected = intensity / intensity.sum(axis=(1, 2), keepdims=True)
    assert np.allclose(module("data").shares(z), expected, atol=1e-6)


def test_the_integrated_centre_of_mass_is_the_potential_of_a_thin_sheet() -> None:
    potential = 0.1 * sheet(np.random.default_rng(3), 128)  # weak: its phase is small
    detectors = module("virtual_detectors")
    images = detectors.virtual_images(scanned(potential, probes=12, size=32, aperture=0.6))

    icom = detectors.on_view(images, (32, 32))[..., detectors.ICOM]

    true = window_of(potential, 32)
    assert np.corrcoef(icom.ravel(), true.ravel())[0, 1] > 0.9


def test_the_centre_disc_is_found() -> None:
    scan = scanned(0 * sheet(np.random.default_rng(3), 64), probes=2, size=32, aperture=0.6)
    detectors = module("virtual_detectors")
    axis = np.arange(32) - 16

    radius = detectors.disc_radius(scan.mean(axis=0), np.hypot(axis[:, None], axis))

    assert radius == pytest.approx(0.6 * 2 * WINDOW, abs=1.0)  # in pixels of 1 / 8 Å


def test_a_gradient_is_integrated_to_its_image() -> None:
    y, x = np.mgrid[:6, :6] / 6
    image = 3 * y**2 + 2 * x - x * y
    gradient = np.stack([(6 * y - x) / 6, (2 - y) / 6], axis=-1)

    integrated = module("virtual_detectors").integrate_gradient(gradient)

    assert np.allclose(integrated, image - image.mean(), atol=1e-9)


def test_every_baseline_scores_every_metric_of_the_task(problem: Any) -> None:
    task = load_task(RUNNER)
    scores = {name: problem.score(parts["test"]) for name, parts in problem.baselines().items()}

    assert set(scores) == {"constant", "mean_image", "bright_field", "icom", "detectors"}
    assert {key.partition(".")[0] for key in scores["icom"]} == {m.id for m in task.metrics}
    assert len({frozenset(by_metric) for by_metric in scores.values()}) == 1


def test_baselines_are_fitted_on_the_training_part(problem: Any) -> None:
    errors = {
        name: problem.score(problem.baselines()[name]["train"])["relative_l2.potential"]
        for name in ("constant", "mean_image", "bright_field", "icom", "detectors")
    }

    assert errors["constant"] > errors["mean_image"]
    assert errors["constant"] > errors["icom"] > errors["detectors"]


def test_a_line_of_bright_field_solves_its_normal_equations(problem: Any) -> None:
    baselines, train = module("baselines"), problem.division.parts["train"]
    features = baselines.PixelFeatures(problem)
    x = np.concatenate([features.of("bright_field", number)[:, 0] for number in train])
    y = problem.scans.read("potential", train).reshape(-1).astype(np.float64)
    slope = np.mean((x - x.mean()) * (y - y.mean())) / (x.var() * (1 + 1e-4))

    images = problem.fit_baselines()["bright_field"](train)[..., 0]

    assert images.reshape(-1) == pytest.approx(y.mean() + slope * (x - x.mean()), rel=1e-4)


def test_a_ridge_takes_as_many_pixels_of_each_scan(problem: Any, converted: Converted) -> None:
    few = problem_of(converted, "ridge_pixels=1000")
    baselines, scans = module("baselines"), len(few.division.parts["train"])
    features = baselines.PixelFeatures(few)

    values, targets = baselines._training_pixels(few, features, "detectors")

    assert values.shape == (1000 // scans * scans, 33)
    assert targets.shape == (len(values), 2)
    errors = [p.score(p.baselines()["icom"]["test"])["mae_potential"] for p in (problem, few)]
    assert errors[1] == pytest.approx(errors[0], rel=0.02)


def test_the_record_has_the_penalty_that_validation_chose(problem: Any) -> None:
    problem.baselines()

    notes = problem.diagnostics()["baselines"]
    assert notes["detectors_penalty"] in module("baselines").PENALTIES["detectors"]
    assert set(problem.baselines()) < set(notes)


def test_the_legacy_target_follows_from_the_true_potential(problem: Any) -> None:
    true = problem.scans.read("potential", [0, 5])

    legacy = module("data").legacy_images(true)

    assert np.allclose(legacy.mean(axis=(1, 2)), 0, atol=1e-6)
    assert np.allclose(legacy.std(axis=(1, 2)), 1, atol=1e-5)
    assert not module("data").legacy_images(np.full((1, 8, 8), 12.0)).any()


def test_perfect_images_have_perfect_scores(problem: Any) -> None:
    numbers = problem.scored("test")
    true = module("data").read_targets(problem.scans, problem.channels, numbers)

    scores = problem.score(problem.predictions(numbers, true))

    assert scores["mae_scaled"] == scores["mae_potential"] == 0.0
    assert scores["pearson.electron_density"] == pytest.approx(1.0)
    assert scores["peak_error.potential"] == scores["peaks_missed.potential"] == 0.0
    assert scores["legacy_l1"] < 0.3  # the fixture's target is not blurred


def test_diagnostics_have_targets_and_leakage(problem: Any) -> None:
    facts = problem.diagnostics()

    assert facts["target"] == "both"
    assert facts["targets_in_files"] == ["potential", "electron_density", "legacy"]
    assert facts["leakage"]["test"]["material"]["shared"] == 0
    assert facts["pixel_angstrom"] == [0.25]
    assert facts["scale"]["potential"]["unit"] == "V"


@pytest.fixture(scope="module")
def run(converted: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs."""
    request = Request(
        "stemdl_reconstruction", find_registry(), overrides=SMALL, model="small",
        strategy="default", is_sample=True,
    )  # fmt: skip
    prepared = execution.prepare(request, lambda _task: source_of(converted))
    folder = execution.run_once(prepared, 0, home=Home(tmp_path_factory.mktemp("runs")))
    assert folder is not None
    return folder


def source_of(converted: Converted) -> Source:
    return Source(
        converted, "stemdl_reconst_ds1", "1.0", f"sha256:{converted.native_digest}",
        is_synthetic=True, sample_seed=0,
    )  # fmt: skip


def test_a_run_leaves_a_record_with_every_score(run: Path) -> None:
    record = load_record(run)
    rows = [row for row in record["metrics"] if row["part"] == "test"]

    assert record["status"] == "success"
    assert {row["metric_id"] for row in rows} == {m.id for m in load_task(RUNNER).metrics}
    assert all(row["status"] == "computed" for row in rows if "peak" not in row["metric_id"])
    assert record["facts"]["leakage"]["told"]


def test_scores_are_computed_again_from_what_is_stored(run: Path, converted: Converted) -> None:
    checked, differences = rescoring.rescore(
        run, find_registry(), stage=lambda _task: source_of(converted)
    )

    assert checked > 300
    assert differences == []


def test_predictions_hold_the_images_that_were_scored(run: Path, problem: Any) -> None:
    stored = load_predictions(run / runs.PREDICTIONS_NAME)["test"]
    numbers = problem.scored("test")

    assert list(stored.coords) == ["sample", "channel", "row", "column"]
    assert stored.coords["sample"].tolist() == problem.scans["name"][numbers].tolist()
    assert np.array_equal(stored.observed[:, 0], problem.scans.read("potential", numbers))


def test_each_scan_has_a_row_of_scores(run: Path) -> None:
    path = run / runs.OUTPUTS_FOLDER / "samples-test.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    record = load_record(run)
    (whole,) = [
        row["score"]
        for row in record["metrics"]
        if (row["part"], row["metric_id"]) == ("test", "mae_scaled")
    ]

    assert len(rows) == record["dataset"]["n_samples"]["test"]
    assert np.mean([float(row["mae_scaled"]) for row in rows]) == pytest.approx(whole, rel=1e-5)


def test_figures_are_drawn_from_the_folder_alone(run: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = draw_figures(find_registry(), run, load_record(run))

    assert [path.name for path in paths] == ["images.png", "pixels.png", "curve.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)
