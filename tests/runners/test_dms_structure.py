"""The benchmark dms_structure, shown on its synthetic sample."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.sample_runs import SampleRun, run_sample, sample_problem

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    return run_sample("dms_structure", tmp_path_factory.mktemp("home"))


def test_a_sample_run_learns_its_training_part(run: SampleRun) -> None:
    scores = run.scores("brier", "train")

    assert set(scores) == {"majority", "linear", "model"}
    assert scores["model"] < scores["majority"]


def test_of_sixteen_patterns_nothing_is_learnt_that_holds_on_others(run: SampleRun) -> None:
    # The card says so: the test part has 8 patterns, so one of them is an eighth of the accuracy.
    scores = run.scores("accuracy")

    assert scores["majority"] == pytest.approx(0.5)
    assert 0.125 <= scores["model"] <= 0.875


def test_scores_are_the_same_from_the_stored_predictions(run: SampleRun) -> None:
    count, differences = run.rescored()

    assert count > 0
    assert differences == []


def test_figures_are_drawn(run: SampleRun) -> None:
    assert run.figures() == {"curve", "confusion"}


def test_the_test_part_is_the_published_one_and_no_pattern_is_in_two_parts(run: SampleRun) -> None:
    facts = run.record["facts"]

    assert facts["parts"]["test"]["folder"] == {"test": 8}
    assert facts["parts"]["validation"]["folder"] == {"train": 4}
    for part in ("validation", "test"):
        assert facts["leakage"][part]["content"]["shared"] == 0


def test_a_pattern_that_is_in_both_parts_is_reported(run: SampleRun) -> None:
    problem = sample_problem(run, split="published")
    test = problem.division.parts["test"]
    train = problem.division.parts["train"]
    problem._hashes[test[0]] = problem._hashes[train[0]]

    from sciml_data.bench.task.splits import leakage

    report = leakage(problem.division, problem.keys(), meaning=problem.LEAKAGE)
    assert report["test"]["content"]["shared"] == 1


def test_binned_pixels_are_means_of_squares(run: SampleRun) -> None:
    problem = sample_problem(run, "bin=5", split="published")

    assert problem.patterns.shape == (24, 97, 39, 3)
    assert np.isfinite(problem.patterns).all()
    assert set(problem.labels) == {0, 1}
