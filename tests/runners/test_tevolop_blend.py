"""The blend of the TEvolOp runner finds the weights and the gain with which data were made."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.registry.layout import find_registry

pytest.importorskip("sklearn")

SHAPE = (30, 400, 8)  # pixels, fortnights, windows
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def blend() -> Any:
    load_runner(find_registry(), "tevolop")
    return importlib.import_module("sciml_runner_tevolop.blend")


def forecasts() -> dict[str, np.ndarray]:
    """Return random magnitudes of the baselines."""
    return {name: 3.0 + RNG.normal(size=SHAPE) for name in ("climatology", "persistence")}


def test_weights_are_found(blend: Any) -> None:
    model, others = 3.0 + RNG.normal(size=SHAPE), forecasts()
    truth = 0.7 * model + 0.2 * others["climatology"] + 0.1 * others["persistence"]

    found = blend.fit_blend(truth, model, others)

    np.testing.assert_allclose(found.weights, np.tile([0.2, 0.1], (8, 1)), atol=1e-6)
    np.testing.assert_allclose(found.gain, 0, atol=1e-6)
    np.testing.assert_allclose(found.apply(model, others), truth, rtol=1e-5)


def test_weights_are_not_negative_and_at_most_1_together(blend: Any) -> None:
    model, others = 3.0 + RNG.normal(size=SHAPE), forecasts()
    away = 2.0 * model - others["climatology"]
    beyond = 0.9 * others["climatology"] + 0.9 * others["persistence"] - 0.8 * model

    assert not blend.fit_blend(away, model, others).weights.any()
    np.testing.assert_allclose(blend.fit_blend(beyond, model, others).weights.sum(axis=1), 1.0)


def test_a_gain_is_the_smaller_the_fewer_independent_windows_there_are(blend: Any) -> None:
    others = forecasts()
    model = blend.quiet_magnitude() + RNG.exponential(size=SHAPE)
    truth = blend.quiet_magnitude() + 1.5 * (model - blend.quiet_magnitude())
    truth[:, 200:] = np.nan

    gain = blend.fit_blend(truth, model, others).gain

    independent = 200 / np.array([1, 2, 4, 7, 13, 26, 52, 104])
    np.testing.assert_allclose(gain, 0.5 * independent / (independent + 5), rtol=0.05)


def test_a_quiet_window_stays_quiet(blend: Any) -> None:
    quiet = np.broadcast_to(blend.quiet_magnitude(), SHAPE)
    made = blend.Blend(np.zeros((8, 2)), np.full(8, 0.3))

    np.testing.assert_allclose(made.apply(quiet, forecasts()), quiet, rtol=1e-6)


def test_a_window_without_observations_keeps_the_model(blend: Any) -> None:
    model, others = 3.0 + RNG.normal(size=SHAPE), forecasts()
    truth = model.copy()
    truth[..., 7] = np.nan

    found = blend.fit_blend(truth, model, others)

    assert not found.weights[7].any()
    assert found.gain[7] == 0
