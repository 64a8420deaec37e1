"""The models are causal; ours start from the base forecast, others are as published."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.registry.layout import find_registry

keras = pytest.importorskip("keras")

REFERENCES = ("reference-lstm", "reference-transformer", "reference-tft")
MODELS = ("residual-lstm", *REFERENCES)
ENCODINGS = (
    *("linear_space", "constant", "date", "legendre_2", "legendre_3", "legendre_4"),
    *(f"{wave}_{period}" for period in (8, 16, 32, 64) for wave in ("cosine", "sine")),
)
PUBLISHED = (
    *(f"fault_{index}" for index in range(4)),
    *(f"magnitude_{steps}" for steps in (1, 2, 4, 7, 13, 26)),
    *("depth", "multiplicity", "strong"),
    *ENCODINGS,
)
NAMES = ("magnitude_1", "count_1", "fault_0", "fault_1", "date", "cosine_8")
LOCATIONS, LENGTH = 3, 7
SMALL = {"dense": 4, "units": 3, "head": 5, "width": 8, "heads": 2, "blocks": 2, "feed_forward": 8}
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True, scope="module")
def _forget_models() -> Iterator[None]:
    yield
    keras.utils.clear_session()


def package() -> Any:
    """Return the models of the runner in this registry."""
    load_runner(find_registry(), "tevolop")
    return importlib.import_module("sciml_runner_tevolop.model")


def build(name: str) -> Any:
    """Return a small model; a last layer that starts at 0 gets weights, as by training."""
    keras.utils.set_random_seed(0)
    settings = {"model": name, "dropout": 0.0} | SMALL
    model = package().build_model(settings, names=NAMES, locations=LOCATIONS, length=LENGTH)
    if name == "residual-lstm":
        last = model.get_layer("windows")
        last.set_weights([RNG.normal(size=weight.shape) for weight in last.get_weights()])
    return model


def as_set(name: str) -> Mapping[str, Any]:
    """Return the settings of the task."""
    return resolve_settings(
        load_task(find_registry().runner("tevolop")), model=name, split="temporal"
    )


def inputs_of(name: str) -> dict[str, np.ndarray]:
    """Return the inputs of two pieces that a model takes."""
    return pieces() if name == "residual-lstm" else {"series": pieces()["series"]}


def pieces() -> dict[str, np.ndarray]:
    """Return two pieces of random series, static features static."""
    series = RNG.normal(size=(2, LOCATIONS, LENGTH, len(NAMES))).astype(np.float32)
    series[..., 2:4] = series[:, :, :1, 2:4]
    return {"series": series, "base": RNG.normal(size=(2, LOCATIONS, LENGTH, 8)).astype(np.float32)}


def predict(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(model(inputs, training=False))


def test_an_untrained_residual_model_predicts_the_base() -> None:
    inputs, settings = pieces(), {"model": "residual-lstm", "dropout": 0.0} | SMALL
    model = package().build_model(settings, names=NAMES, locations=LOCATIONS, length=LENGTH)

    np.testing.assert_array_equal(inputs["base"], predict(model, inputs))


@pytest.mark.parametrize("name", MODELS)
def test_later_inputs_do_not_change_earlier_outputs(name: str) -> None:
    model, inputs = build(name), inputs_of(name)
    before = predict(model, inputs)
    changed = {key: values.copy() for key, values in inputs.items()}
    changed["series"][:, :, 5:, [0, 1, 4]] += 3.0

    after = predict(model, changed)

    np.testing.assert_allclose(before[:, :, :5], after[:, :, :5], atol=1e-5)
    assert np.abs(before[:, :, 5:] - after[:, :, 5:]).max() > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_only_the_transformer_has_attention_over_locations(name: str) -> None:
    model, inputs = build(name), inputs_of(name)
    before = predict(model, inputs)
    changed = {key: values.copy() for key, values in inputs.items()}
    changed["series"][:, 0] += 1.0

    difference = np.abs(predict(model, changed) - before).max(axis=(0, 2, 3))

    assert difference[0] > 1e-3
    assert (difference[1:] > 1e-5).any() == (name == "reference-transformer")


@pytest.mark.parametrize(
    "name",
    [*MODELS[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS[2:])],
)
def test_every_model_learns_a_little(name: str) -> None:
    model, inputs = build(name), inputs_of(name)
    targets = np.cumsum(inputs["series"][..., :1], axis=2).repeat(8, axis=-1) / 3
    if "base" in inputs:
        inputs["base"][:] = 0
    model.compile(keras.optimizers.Adam(2e-2), "mse")

    first = model.evaluate(inputs, targets, verbose=0)
    model.fit(inputs, targets, epochs=25, verbose=0)

    assert model.evaluate(inputs, targets, verbose=0) < 0.7 * first


@pytest.mark.parametrize(
    ("name", "outputs", "parameters"),
    [
        # By hand: Dense 27-32, LSTM 32-16 and 16-16, Dense 16-64-24.
        ("reference-lstm", 24, 896 + 3136 + 2112 + 1088 + 1560),
        # Embedding; 4 encoder layers, the first with a narrower input; merge; decoder.
        (
            "reference-transformer",
            24,
            3584 + (559_360 + 3 * 592_128) + 49_280 + 49_408 + 33_024 + 8_320 + 3_096,
        ),
        # The published network has 7.87 million: 4 outputs, and a second bias in CUDA's LSTM.
        ("reference-tft", 8, 7_866_293),
    ],
)
def test_a_reference_model_has_the_published_number_of_parameters(
    name: str, outputs: int, parameters: int
) -> None:
    settings = as_set(name)
    length = settings["warmup"] + settings["piece"]

    model = package().build_model(
        settings, names=PUBLISHED, locations=2, length=length, outputs=outputs
    )

    assert len(PUBLISHED) == 27
    assert model.count_params() == parameters
    assert model.output_shape == (None, 2, length, outputs)


def test_the_reference_lstm_has_the_published_layers() -> None:
    model = package().build_model(
        as_set("reference-lstm"), names=PUBLISHED, locations=1, length=26, outputs=24
    )

    recurrent = [layer for layer in model.layers if isinstance(layer, keras.layers.LSTM)]
    assert [layer.units for layer in recurrent] == [16, 16]
    for layer in recurrent:
        assert layer.activation is keras.activations.selu
        assert layer.recurrent_activation is keras.activations.sigmoid
        assert (layer.dropout, layer.recurrent_dropout) == (0.2, 0.2)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [(layer.units, layer.activation.__name__) for layer in dense] == [
        (32, "selu"),
        (64, "selu"),
        (24, "linear"),
    ]


def test_the_decoder_of_the_tft_starts_from_both_states_of_the_encoder() -> None:
    package()
    cell = importlib.import_module("sciml_runner_tevolop.reference").StateCell(3)
    sequence = RNG.normal(size=(2, 4, 5)).astype(np.float32)
    both = keras.layers.RNN(cell, return_sequences=True)(sequence)

    plain = keras.layers.LSTMCell(3)
    plain.build((2, 5))
    plain.set_weights(cell.get_weights())
    _, hidden, state = keras.layers.RNN(plain, return_state=True)(sequence)

    np.testing.assert_allclose(both[:, -1, :3], hidden, rtol=1e-5)
    np.testing.assert_allclose(both[:, -1, 3:], state, rtol=1e-5)


@pytest.mark.parametrize("name", ["residual-lstm", "residual-lstm-dated"])
def test_the_task_has_every_setting_a_model_asks_for(name: str) -> None:
    model = package().build_model(as_set(name), names=NAMES, locations=1, length=30)

    assert model.count_params() > 1000


def test_there_is_a_title_for_each_window() -> None:
    assert package() is not None
    data = importlib.import_module("sciml_runner_tevolop.data")

    assert len(data.WINDOWS) == len(data.WINDOW_TITLES)
