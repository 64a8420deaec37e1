"""The benchmark optical_damage, shown on its synthetic sample."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.sample_runs import SampleRun, run_sample, sample_problem

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    return run_sample("optical_damage", tmp_path_factory.mktemp("home"))


def test_a_sample_run_finds_the_damage(run: SampleRun) -> None:
    scores = run.scores("balanced_accuracy")

    assert set(scores) == {"mean", "pca", "model"}
    assert scores["model"] > 0.85


def test_scores_are_the_same_from_the_stored_predictions(run: SampleRun) -> None:
    count, differences = run.rescored()

    assert count > 0
    assert differences == []


def test_figures_are_drawn(run: SampleRun) -> None:
    assert run.figures() == {"curve", "confusion"}


def test_no_damaged_picture_is_trained_on_or_chooses_the_threshold(run: SampleRun) -> None:
    facts = run.record["facts"]

    assert facts["damaged"] == {"train": 0, "validation": 0, "test": 40}
    for part in ("validation", "test"):
        assert facts["leakage"][part]["content"]["shared"] == 0


def test_false_alarms_are_those_of_the_setting(run: SampleRun) -> None:
    problem = sample_problem(run, split="published")
    validation = problem.division.parts["validation"]

    for baseline in problem.fit_baselines().values():
        alarms = np.mean(baseline(validation)[:, 0] > 0.5)
        assert alarms == pytest.approx(0.05, abs=0.026)  # of 40 pictures


def test_a_picture_that_is_in_two_parts_is_reported(run: SampleRun) -> None:
    problem = sample_problem(run, split="published")
    parts = problem.division.parts
    problem._hashes[parts["test"][0]] = problem._hashes[parts["train"][0]]

    assert problem.keys()["content"].nunique() == len(problem.keys()) - 1
