"""The networks of the reconstruction benchmark: shapes, units, and the published widths."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError
from sciml_data.registry.layout import find_registry

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RUNNER = find_registry().runner("stemdl_reconstruction")
SCALE, OFFSET = np.array([20.0, 0.5]), np.array([15.0, 2.0])


def models() -> ModuleType:
    load_runner(find_registry(), "stemdl_reconstruction")
    return importlib.import_module("sciml_runner_stemdl_reconstruction.model")


def build(model: str, shape: tuple[int, int, int], view: int, *overrides: str) -> Any:
    settings = resolve_settings(load_task(RUNNER), overrides, model=model, split="material")
    keras.utils.set_random_seed(1)
    return models().build_model(settings, shape, (view, view), scale=SCALE, offset=OFFSET)


def published_parameters(probes: int, channels: int, growth: int) -> int:
    """Return the weights of the published network, block by block, from its description.

    Dense blocks add `growth` channels with each 5 x 5 convolution. Transitions keep the width; on
    the way up they take the channels that the last block added. Only the first convolution has a
    bias.
    """

    def block(inputs: int, count: int) -> tuple[int, int]:
        weights = sum(25 * (inputs + n * growth) * growth for n in range(count))
        return weights, inputs + count * growth

    total, width, skips = 25 * probes * growth + growth, growth, []
    for count in (1, 2, 4):
        weights, width = block(width, count)
        skips.append(width)
        total += weights + 2 * width + width * width  # normalisation and 1 x 1 convolution
    total += block(width, 3)[0]
    added = 3 * growth
    for count, skip in zip((4, 2, 1), reversed(skips), strict=True):
        total += added * added
        weights, width = block(added + skip, count)
        total += weights
        added = count * growth
    return total + width * channels


@pytest.mark.parametrize("model", ["small", "base"])
def test_a_network_gives_an_image_of_the_view_in_its_units(model: str) -> None:
    network = build(model, (16, 15, 15), 16)
    predicted = np.asarray(network(np.ones((3, 16, 15, 15), np.float32)))

    assert predicted.shape == (3, 16, 16, 2)
    assert np.abs((predicted - OFFSET) / SCALE).max() < 1.5  # a new network predicts about the mean
    assert all(
        np.array_equal(weight.numpy(), value.astype("f4"))
        for weight, value in zip(network.get_layer("units").weights, (SCALE, OFFSET), strict=True)
    )


def test_a_pattern_changes_the_image_at_the_position_of_its_probe() -> None:
    network = build("small", (64, 9, 9), 64, "blocks=0")
    scan = np.random.default_rng(0).random((1, 64, 9, 9)).astype(np.float32)
    other = scan.copy()
    other[0, 8 * 2 + 5] = 0.0  # row 2, column 5

    changed = np.abs(np.asarray(network(other)) - np.asarray(network(scan)))[0].max(axis=-1)

    inner = changed[18:22, 42:46].mean()
    assert inner > 5 * changed[:, :16].mean()
    assert inner > 5 * changed[48:].mean()


def test_the_reference_has_the_weights_of_its_description() -> None:
    network = models().reference((20, 16, 16), (16, 16), channels=2, growth=6)
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)

    assert trainable == published_parameters(20, 2, 6)
    assert network.output_shape == (None, 16, 16, 2)


def test_the_published_width_has_215_million_weights() -> None:
    assert published_parameters(256, 1, 256) == 215_491_072


@pytest.mark.slow
def test_the_reference_can_be_built_at_its_published_width() -> None:
    network = models().reference((256, 256, 256), (256, 256), channels=1)
    trainable = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)

    assert trainable == published_parameters(256, 1, 256)


@pytest.mark.parametrize(
    ("model", "shape", "view", "message"),
    [
        ("reference", (16, 16, 16), 32, "as large as patterns"),
        ("reference", (16, 12, 12), 12, "8 has to divide"),
        ("base", (15, 16, 16), 16, "square grid"),
        ("base", (16, 16, 16), 24, "2, 4, 8"),
    ],
)
def test_shapes_that_a_network_cannot_take_are_refused(
    model: str, shape: tuple[int, int, int], view: int, message: str
) -> None:
    with pytest.raises(CallError, match=message):
        build(model, shape, view, "growth=4")


def test_a_saved_model_predicts_the_same(tmp_path: Path) -> None:
    network = build("small", (4, 9, 9), 8)
    scan = np.random.default_rng(1).random((2, 4, 9, 9)).astype(np.float32)
    network.save(tmp_path / "model.keras")

    again = keras.models.load_model(tmp_path / "model.keras")

    assert np.array_equal(np.asarray(again(scan)), np.asarray(network(scan)))
