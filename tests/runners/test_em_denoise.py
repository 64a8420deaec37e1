"""The benchmark em_denoise, shown on its synthetic sample."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.sample_runs import SampleRun, run_sample, sample_problem
from tests.support.shared_reading import require_own_rows

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    pytest.importorskip("skimage")
    return run_sample("em_denoise", tmp_path_factory.mktemp("home"), "epochs=12")


def test_a_sample_run_has_less_error_than_the_noisy_image(run: SampleRun) -> None:
    scores = run.scores("mse")

    assert set(scores) == {"noisy", "gaussian", "median", "model"}
    assert scores["model"] < scores["noisy"]
    assert scores["gaussian"] < scores["noisy"]


def test_scores_are_the_same_from_the_stored_predictions(run: SampleRun) -> None:
    count, differences = run.rescored()

    assert count > 0
    assert differences == []


def test_figures_are_drawn(run: SampleRun) -> None:
    assert run.figures() == {"curve", "images"}


def test_no_clean_image_and_no_scene_is_in_two_parts(run: SampleRun) -> None:
    leakage = run.record["facts"]["leakage"]

    for part in ("validation", "test"):
        assert leakage[part]["scene"]["shared"] == 0
        assert leakage[part]["clean_image"]["shared"] == 0


def test_blocks_that_share_a_clean_image_are_one_scene(run: SampleRun) -> None:
    problem = sample_problem(run, "block=4", split="scene")
    assert problem.table["scene"].nunique() == 6

    clean = problem.images["clean"].to_numpy().copy()
    clean[5] = clean[2]  # the second block has an image of the first
    problem.images = problem.images.assign(clean=(("sample", "row", "column"), clean))

    scenes = problem.keys()["scene"]
    assert scenes.nunique() == 5
    assert scenes.iloc[0] == scenes.iloc[7]


@pytest.mark.parametrize("part", ["train", "validation"])
def test_each_of_two_processes_reads_its_own_rows(run: SampleRun, part: str) -> None:
    require_own_rows(sample_problem(run, split="scene"), part, batch_size=4)


def test_training_squares_are_the_same_of_both_images(run: SampleRun) -> None:
    problem = sample_problem(run, "patch=64", split="scene")
    problem.images = problem.images.assign(noisy=problem.images["clean"])

    noisy, clean, weights = problem.batch(np.arange(3), np.random.default_rng(0))

    assert noisy.shape == (3, 64, 64, 1)
    assert np.array_equal(noisy, clean)
    assert weights.tolist() == [1, 1, 1]
