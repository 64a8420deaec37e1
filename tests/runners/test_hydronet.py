"""The benchmark hydronet, shown on its synthetic sample."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.sample_runs import SampleRun, run_sample, sample_problem

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    return run_sample("hydronet", tmp_path_factory.mktemp("home"), "epochs=30")


def test_a_sample_run_is_better_than_mean_and_size_and_worse_than_ridge(run: SampleRun) -> None:
    # Energies of the sample are sums over pairs of atoms, in which ridge is linear.
    scores = run.scores("mae")

    assert set(scores) == {"mean", "molecules", "ridge", "model"}
    assert scores["ridge"] < scores["model"] < min(scores["mean"], scores["molecules"])


def test_scores_are_the_same_from_the_stored_predictions(run: SampleRun) -> None:
    count, differences = run.rescored()

    assert count > 0
    assert differences == []


def test_figures_are_drawn(run: SampleRun) -> None:
    assert run.figures() == {"curve", "energies"}


def test_no_geometry_is_in_two_parts(run: SampleRun) -> None:
    leakage = run.record["facts"]["leakage"]

    for part in ("validation", "test"):
        assert leakage[part]["geometry"]["shared"] == 0


def test_split_size_has_no_number_of_molecules_in_two_parts(run: SampleRun) -> None:
    problem = sample_problem(run, split="size")

    for part in ("validation", "test"):
        assert problem.leakage[part]["molecules"]["shared"] == 0
        assert problem.leakage[part]["geometry"]["shared"] == 0


def test_descriptor_and_hash_ignore_rotation_and_order_of_atoms(run: SampleRun) -> None:
    from sciml_runner_hydronet.runner import describe_clusters  # type: ignore[import-not-found]

    elements = np.array([[8, 1, 1, 8, 1, 1, 0]], np.uint8)
    places = np.random.default_rng(0).uniform(0, 4, (1, 7, 3))
    places[:, 6] = np.nan
    turned = places[..., [1, 2, 0]]
    order = [3, 5, 4, 0, 1, 2, 6]

    first = describe_clusters(places, elements, 8)
    second = describe_clusters(turned[:, order], elements[:, order], 8)
    padded = describe_clusters(places[:, :6], elements[:, :6], 8)

    np.testing.assert_allclose(first[0], second[0], rtol=1e-5)
    np.testing.assert_allclose(first[0], padded[0], rtol=1e-5)
    assert first[1] == second[1] == padded[1]
