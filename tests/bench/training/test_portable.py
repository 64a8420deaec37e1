"""A runner's model becomes a model of stock Keras layers with the same outputs, or says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")
import keras

from sciml_data.bench.training.portable import (
    NotPortableError,
    portable_model,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# sciml_data cannot be imported in this process, nor any module of a runner.
LOAD = """
import sys
sys.modules["sciml_data"] = None
import keras, numpy
given = numpy.load(sys.argv[2])
model = keras.saving.load_model(sys.argv[1])
found = numpy.asarray(model(given["x"], training=False))
assert found.shape == given["y"].shape
assert numpy.abs(found - given["y"]).max() <= 1e-6 * max(1, numpy.abs(given["y"]).max())
"""


def load_elsewhere(model: Path, inputs: Any, outputs: Any) -> None:
    """Load a saved model in another process, and compare its outputs."""
    arrays = model.with_suffix(".npz")
    np.savez(arrays, x=inputs, y=outputs)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-P", "-c", LOAD, str(model), str(arrays)],
        check=True,
        cwd=model.parent,
        env=environment,
    )


class Scale(keras.layers.Layer):  # type: ignore[misc] # Keras ships no types
    """A layer of a runner with weights that are not trained."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(
            shape=(shape[-1],), initializer="random_normal", trainable=False
        )

    def call(self, values: Any) -> Any:
        return keras.ops.nan_to_num(values) * self.factor


class Trained(keras.layers.Layer):  # type: ignore[misc] # Keras ships no types
    """A layer of a runner with weights that are trained."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 2))

    def call(self, values: Any) -> Any:
        return keras.ops.matmul(values, self.kernel)


class PerView(keras.Model):  # type: ignore[misc] # Keras ships no types
    """A subclassed model around a functional one."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body, self.mean = body, 0.5

    def call(self, images: Any, *, training: bool = False) -> Any:
        flat = keras.ops.reshape(images - self.mean, (-1, 6))
        return keras.ops.reshape(self.body(flat, training=training), (-1, 3, 2))


def body(width: int, layer: Any) -> Any:
    inputs = keras.Input((width,))
    values = keras.layers.Dropout(0.5)(keras.layers.Dense(8, activation="gelu")(inputs))
    return keras.Model(inputs, layer(values))


def example(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_layers_of_a_runner_are_replaced_also_inside_of_other_models(tmp_path: Path) -> None:
    inner = body(6, Scale())
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inner(Scale()(inputs))))
    x = example(5, 6)
    x[0, 0] = np.nan
    portable = portable_model(model, x)
    portable.save(tmp_path / "model.keras")

    assert "Scale" not in portable.to_json()
    assert len(portable.trainable_weights) == len(model.trainable_weights)
    load_elsewhere(tmp_path / "model.keras", x, np.asarray(model(x, training=False)))


def test_a_sequential_model_is_portable() -> None:
    model = keras.Sequential([keras.layers.Input((6,)), Scale(), keras.layers.Dense(2)])
    x = example(4, 6)

    np.testing.assert_allclose(portable_model(model, x)(x), model(x), rtol=1e-6, atol=1e-6)


def test_a_subclassed_model_becomes_functional() -> None:
    model = PerView(body(6, keras.layers.Dense(2)))
    x = example(4, 3, 6)
    portable = portable_model(model, x)

    np.testing.assert_allclose(portable(x), model(x), rtol=1e-6, atol=1e-6)
    assert "PerView" not in portable.to_json()


@pytest.mark.parametrize(
    ("model", "inputs", "reason"),
    [
        (lambda: body(6, Trained()), example(4, 6), "Trained has trainable weights"),
        (lambda: body(6, keras.layers.Dense(2)), "text", "Error"),
        (lambda: body(6, keras.layers.Dense(2)), example(4, 5), "Error"),
    ],
)
def test_what_stock_keras_cannot_load_is_said(model: Any, inputs: Any, reason: str) -> None:
    with pytest.raises(NotPortableError, match=reason):
        portable_model(model(), inputs)


def test_random_outputs_are_not_taken_for_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = keras.Input((6,))
    noise = keras.layers.Lambda(lambda values: values + keras.random.normal((1, 6)))
    with pytest.raises(NotPortableError):
        portable_model(keras.Model(inputs, noise(inputs)), example(4, 6))
