"""The reference models are causal and start from the base forecast."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.registry.layout import find_registry

keras = pytest.importorskip("keras")

MODELS = ("lstm", "transformer", "tft")
NAMES = ("magnitude_1", "count_1", "fault_0", "fault_1", "date")
LOCATIONS, LENGTH = 3, 7
SMALL = {"dense": 4, "units": 3, "head": 5, "width": 8, "heads": 2, "blocks": 1, "feed_forward": 8}
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True, scope="module")
def _forget_models() -> Iterator[None]:
    yield
    keras.utils.clear_session()


def package() -> Any:
    """Return the models of the runner in this registry."""
    load_runner(find_registry(), "tevolop")
    return importlib.import_module("sciml_runner_tevolop.model")


def build(name: str, *, is_open: bool = True) -> Any:
    """Return a small model; `is_open` gives its last layer weights, as training would."""
    keras.utils.set_random_seed(0)
    settings = {"model": name, "dropout": 0.0} | SMALL
    model = package().build_model(settings, names=NAMES, locations=LOCATIONS, length=LENGTH)
    if is_open:
        last = model.get_layer("windows")
        last.set_weights([RNG.normal(size=weight.shape) for weight in last.get_weights()])
    return model


def pieces() -> dict[str, np.ndarray]:
    """Return two pieces of random series, static features static."""
    series = RNG.normal(size=(2, LOCATIONS, LENGTH, len(NAMES))).astype(np.float32)
    series[..., 2:4] = series[:, :, :1, 2:4]
    return {"series": series, "base": RNG.normal(size=(2, LOCATIONS, LENGTH, 8)).astype(np.float32)}


def predict(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(model(inputs, training=False))


@pytest.mark.parametrize("name", MODELS)
def test_an_untrained_model_predicts_the_base(name: str) -> None:
    inputs = pieces()

    np.testing.assert_array_equal(inputs["base"], predict(build(name, is_open=False), inputs))


@pytest.mark.parametrize("name", MODELS)
def test_later_inputs_do_not_change_earlier_outputs(name: str) -> None:
    model, inputs = build(name), pieces()
    before = predict(model, inputs)
    changed = {key: values.copy() for key, values in inputs.items()}
    changed["series"][:, :, 5:, [0, 1, 4]] += 3.0

    after = predict(model, changed)

    np.testing.assert_allclose(before[:, :, :5], after[:, :, :5], atol=1e-5)
    assert np.abs(before[:, :, 5:] - after[:, :, 5:]).max() > 1e-3


@pytest.mark.parametrize(("name", "has_attention"), [("lstm", 0), ("tft", 0), ("transformer", 1)])
def test_only_the_transformer_has_attention_over_locations(name: str, has_attention: int) -> None:
    model, inputs = build(name), pieces()
    before = predict(model, inputs)
    changed = {key: values.copy() for key, values in inputs.items()}
    changed["series"][:, 0] += 1.0

    difference = np.abs(predict(model, changed) - before).max(axis=(0, 2, 3))

    assert difference[0] > 1e-3
    assert (difference[1:] > 1e-5).any() == bool(has_attention)


@pytest.mark.parametrize(
    "name", ["lstm", *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS[1:])]
)
def test_every_model_learns_a_little(name: str) -> None:
    model, inputs = build(name, is_open=False), pieces()
    targets = np.cumsum(inputs["series"][..., :1], axis=2).repeat(8, axis=-1) / 3
    inputs["base"][:] = 0
    model.compile(keras.optimizers.Adam(2e-2), "mse")

    first = model.evaluate(inputs, targets, verbose=0)
    model.fit(inputs, targets, epochs=25, verbose=0)

    assert model.evaluate(inputs, targets, verbose=0) < 0.7 * first


def test_static_features_are_left_out_of_variable_selection() -> None:
    model = build("tft")

    assert any(weight.shape[:1] == (3,) for weight in model.weights)
    assert not any(weight.shape[:1] == (5,) for weight in model.weights)


def test_the_tft_does_without_static_features() -> None:
    settings = {"model": "tft", "dropout": 0.0} | SMALL
    model = package().build_model(settings, names=NAMES[:2], locations=1, length=4)

    assert model.output_shape == (None, 1, 4, 8)


@pytest.mark.parametrize("name", MODELS)
def test_the_task_has_every_setting_a_model_asks_for(name: str) -> None:
    task = load_task(find_registry().runner("tevolop"))
    settings = resolve_settings(task, model=name, split="temporal")

    model = package().build_model(
        settings, names=NAMES, locations=settings["locations_together"], length=30
    )

    assert model.count_params() > 1000


def test_there_is_a_title_for_each_window() -> None:
    assert package() is not None
    data = importlib.import_module("sciml_runner_tevolop.data")

    assert len(data.WINDOWS) == len(data.WINDOW_TITLES)
