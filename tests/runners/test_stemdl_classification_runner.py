"""The STEMDL classifier implements the engine's interface, shown on small artificial stacks."""

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
from sciml_data.bench.record.report import run_table
from sciml_data.bench.run import execution, rescoring
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.staging import Source
from sciml_data.bench.scoring.predictions import load_predictions
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.errors import CallError, ConversionError
from sciml_data.home import Home
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Converted
from tests.support.shared_reading import require_own_rows
from tests.support.stemdl_samples import GROUPS, Stack, converted, patterns, write

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RUNNER = find_registry().runner("stemdl_classification")
SMALL = (
    "size=32", "widths=8,8", "blocks=1,1", "batch_size=8", "epochs=2", "evaluation_batch=32",
)  # fmt: skip


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "stemdl_classification")
    return importlib.import_module(f"sciml_runner_stemdl_classification.{name}")


def problem_of(
    ready: Converted, *overrides: str, split: str = "material", model: str = "small"
) -> Any:
    task = choose_variant(load_task(RUNNER), None, ready.descriptor.dataset)
    settings = resolve_settings(task, (*SMALL, *overrides), model=model, split=split)
    runner = load_runner(find_registry(), "stemdl_classification")
    return runner.prepare(ready, load_split(RUNNER, split), settings)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return converted(tmp_path_factory.mktemp("ready"))


@pytest.fixture(scope="module")
def log_intensity(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return converted(tmp_path_factory.mktemp("levels"), is_log_intensity=True)


@pytest.fixture(scope="module")
def problem(ready: Converted) -> Any:
    return problem_of(ready)


def epoch(problem: Any, part: str = "train", seed: int = 0) -> list[Any]:
    return list(problem.batches(part, batch_size=8, seed=seed))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_each_of_two_processes_reads_its_own_rows(problem: Any, part: str) -> None:
    require_own_rows(problem, part, batch_size=8)


def test_prepare_returns_a_problem(problem: Any) -> None:
    assert check_problem(problem, "stemdl_classification") is problem
    assert problem.parts == ("train", "validation", "test")
    assert problem.sizes == {"train": 72, "validation": 18, "test": 18}


def test_batches_are_a_function_of_the_seed(problem: Any) -> None:
    first, again, other = (epoch(problem, seed=seed) for seed in (3, 3, 4))

    assert all(
        np.array_equal(a, b)
        for pair in zip(first, again, strict=True)
        for a, b in zip(*pair, strict=True)
    )
    assert not np.array_equal(first[0][0], other[0][0])


def test_batches_hold_patterns_classes_and_weights(ready: Converted, problem: Any) -> None:
    inputs, targets, weights = epoch(problem)[0]

    assert inputs.shape == (8, 16, 32, 3)  # radii and angles
    assert epoch(problem_of(ready, "coordinates=square"))[0][0].shape == (8, 32, 32, 3)
    assert (inputs.dtype, targets.dtype, weights.dtype) == ("f4", "i4", "f4")
    assert 0 <= inputs.min() < inputs.max() <= 255
    assert set(targets.tolist()) <= set(range(len(GROUPS)))


def test_one_view_of_each_stack_can_be_drawn(ready: Converted) -> None:
    problem = problem_of(ready, "views=1", "augment=false", "coordinates=square")
    whole = problem.patterns.take(np.arange(len(problem.stacks)))
    inputs = np.concatenate([batch[0] for batch in epoch(problem)])

    assert inputs.shape[-1] == 1
    assert {image.tobytes() for image in inputs[..., 0]} < {
        image.tobytes() for image in np.moveaxis(whole, -1, 1).reshape(-1, 32, 32)
    }


def test_validation_comes_in_order_and_is_not_augmented(problem: Any) -> None:
    first, second = (epoch(problem, "validation", seed) for seed in (0, 9))
    numbers = problem.division.parts["validation"]

    assert np.array_equal(first[0][0], second[0][0])
    assert np.array_equal(first[0][0], problem.polar_grid.resample(problem.patterns.take(numbers)))


def test_patterns_read_for_each_batch_equal_those_in_memory(ready: Converted) -> None:
    cached, read = problem_of(ready), problem_of(ready, "memory_mib=0")
    numbers = np.array([40, 2, 2, 71, 0])

    first, again = cached.patterns.take(numbers), cached.patterns.take(numbers)
    assert np.array_equal(first, again)
    assert np.array_equal(first, read.patterns.take(numbers))
    assert (len(cached.patterns.cache), len(read.patterns.cache)) == (4, 0)
    assert read.patterns.describe()["in_memory"] is False
    assert cached.patterns.describe()["in_memory"] is True


def test_a_stack_is_read_as_it_was_written(problem: Any) -> None:
    stacks = problem.stacks
    number = int(np.flatnonzero(stacks["space_group"] == 136)[4])
    material = int(stacks["material"][number].split("-")[2])
    stack = Stack(136, material, float(stacks["energy"][number]))

    assert np.array_equal(stacks.read("cbed_stack", np.array([number]))[0], patterns(stack, 32))


def test_averaging_comes_before_the_logarithm_unless_the_setting_says_otherwise(
    ready: Converted,
) -> None:
    intensity = np.zeros((1, 3, 32, 32), np.float32)
    intensity[..., 0::2, 0::2] = np.exp(1)  # one pixel of each block of four
    first = problem_of(ready, "size=16").patterns.log_intensity(intensity)
    last = problem_of(ready, "size=16", "mean_of=levels").patterns.log_intensity(intensity)

    assert first[0, 0, 0, 0] == pytest.approx(10 * (1 + np.log(1 / 4) + 17), rel=1e-3)
    assert last[0, 0, 0, 0] == pytest.approx(10 * (1 + 17) / 4, rel=1e-3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("size=24", "cannot be averaged to 24 x 24"),
        ("mean_of=intensty", "did you mean 'intensity'"),
        ("storage=float8", "uint8 or float16"),
        ("effective_beta=1.0", "less than 1"),
        ("label_smoothing=1.0", "less than 1"),
        ("coordinates=ring", "did you mean 'rings'"),
        ("head=harmonic", "did you mean 'harmonics'"),
    ],
)
def test_settings_that_are_not_valid_are_refused(
    ready: Converted, override: str, message: str
) -> None:
    with pytest.raises(CallError, match=message):
        problem_of(ready, override)


@pytest.mark.parametrize("head", ["harmonics", "symmetry"])
def test_heads_of_polar_patterns_refuse_square_ones(ready: Converted, head: str) -> None:
    with pytest.raises(CallError, match="needs polar patterns"):
        problem_of(ready, "coordinates=square", f"head={head}")


def test_files_of_another_size_or_label_are_all_named(tmp_path: Path) -> None:
    odd = converted(tmp_path)
    write(tmp_path / "dev-batch_dev_0.nc", [Stack(231, 0, 100.0)], "dev", side=32)
    write(tmp_path / "test-batch_test_0.nc", [Stack(2, 0, 100.0)], "test", side=16)

    with pytest.raises(ConversionError) as caught:
        problem_of(odd)
    assert {(problem.kind, problem.place) for problem in caught.value.problems} == {
        ("space_group", "dev-batch_dev_0.nc"),
        ("cbed_stack", "test-batch_test_0.nc"),
    }


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    odd = converted(tmp_path)
    path = tmp_path / "dev-batch_dev_0.nc"
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(ConversionError) as caught:
        problem_of(odd)
    assert [problem.place for problem in caught.value.problems] == ["dev-batch_dev_0.nc"]


def test_every_baseline_scores_every_metric_of_the_task(problem: Any) -> None:
    task = load_task(RUNNER)
    baselines = problem.baselines()
    scores = [problem.score(parts["test"]) for parts in baselines.values()]

    assert {key.partition(".")[0] for key in scores[0]} == {metric.id for metric in task.metrics}
    assert len({frozenset(by_metric) for by_metric in scores}) == 1
    assert set(baselines) == {"majority", "nearest", "polar_linear"}
    assert {target.metric for target in task.targets} <= set(scores[0])


def test_the_majority_is_right_as_often_as_its_group_is_there(problem: Any) -> None:
    scores = problem.score(problem.baselines()["majority"]["test"])

    assert scores["top1"] == pytest.approx(1 / len(GROUPS))
    assert scores["macro_f1"] == pytest.approx(2 / (len(GROUPS) + 1) / len(GROUPS))


def test_the_nearest_stack_is_remembered_if_materials_are_in_both_parts(
    ready: Converted,
) -> None:
    apart, mixed = (problem_of(ready, split=split) for split in ("material", "random"))
    scores = [
        problem.score(problem.baselines()["nearest"]["test"])["top1"] for problem in (apart, mixed)
    ]

    assert scores[1] > scores[0] + 0.2
    assert problem_of(ready).score(apart.baselines()["nearest"]["train"])["top1"] == 1.0


def test_without_materials_there_are_no_scores_by_material(log_intensity: Converted) -> None:
    problem = problem_of(log_intensity, split="published")
    scores = problem.score(problem.baselines()["majority"]["test"])

    assert not {"material_top1", "material_macro_f1"} & set(scores)
    assert problem.patterns.describe()["floor"] is None
    assert problem.patterns.take(np.array([0])).max() > 150


@pytest.fixture(scope="module")
def source(ready: Converted) -> Source:
    digest = f"sha256:{ready.native_digest}"
    return Source(ready, "stemdl_cbed", "1.0", digest, is_synthetic=True, sample_seed=0)


@pytest.fixture(scope="module")
def run(source: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the folder of a run of two epochs, and the lines it logged."""
    lines: list[str] = []
    request = Request(
        "stemdl_classification", find_registry(), model="small", split="random",
        overrides=SMALL, strategy="default", is_sample=True,
    )  # fmt: skip
    prepared = execution.prepare(request, lambda _task: source, log=lines.append)
    folder = execution.run_once(prepared, 0, home=Home(tmp_path_factory.mktemp("runs")))
    assert folder is not None
    return folder, lines


def test_a_run_leaves_a_record_with_every_score(run: tuple[Path, list[str]]) -> None:
    record = load_record(run[0])
    rows = [row for row in record["metrics"] if row["part"] == "test"]

    assert record["status"] == "success"
    assert all(row["status"] == "computed" for row in rows)
    assert record["facts"]["classes"]["declared"] == list(GROUPS)
    assert record["curve"][-1]["monitored"] is not None


def test_leakage_is_logged_recorded_and_shown(run: tuple[Path, list[str]]) -> None:
    folder, logged = run
    record = load_record(folder)
    lines = record["facts"]["leakage"]["told"]

    assert any("test shares with train: material" in line for line in lines)
    assert set(lines) <= set(logged)
    assert all(line in run_table(record) for line in lines)


def test_the_table_shows_a_target_that_is_not_reached(run: tuple[Path, list[str]]) -> None:
    text = run_table(load_record(run[0]))

    assert "not reached; not comparable: synthetic data" in text


def test_scores_are_computed_again_from_what_is_stored(
    run: tuple[Path, list[str]], source: Source
) -> None:
    checked, differences = rescoring.rescore(run[0], find_registry(), stage=lambda _task: source)

    assert checked > 100
    assert differences == []


def test_stored_probabilities_add_up_to_one(run: tuple[Path, list[str]]) -> None:
    stored = load_predictions(run[0] / runs.PREDICTIONS_NAME)["test"]

    assert stored.predicted.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (stored.observed.sum(axis=1) == 1).all()


def test_each_group_has_a_row_in_a_table(run: tuple[Path, list[str]]) -> None:
    with (run[0] / runs.OUTPUTS_FOLDER / "groups-test.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [int(row["space_group"]) for row in rows] == list(GROUPS)
    assert sum(int(row["samples"]) for row in rows) == sum(int(row["said"]) for row in rows)


def test_figures_are_drawn_from_the_folder_alone(run: tuple[Path, list[str]]) -> None:
    pytest.importorskip("matplotlib")
    drawn = draw_figures(find_registry(), run[0], load_record(run[0]))

    assert [path.stem for path in drawn] == ["systems", "groups", "patterns", "curve"]
    assert all(path.stat().st_size > 10_000 for path in drawn)
