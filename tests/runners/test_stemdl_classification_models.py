"""The networks have the documented sizes, treat views alike, and have the documented losses."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.errors import CallError
from sciml_data.registry.layout import find_registry

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY = {
    "model": "small", "widths": [8, 8], "blocks": [1, 1], "dropout": 0.0, "standardise": True,
    "head": "mean", "orders": 4,
}  # fmt: skip


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "stemdl_classification")
    return importlib.import_module(f"sciml_runner_stemdl_classification.{name}")


def build(coordinates: str = "square", **settings: Any) -> Any:
    shape = (16, 16) if coordinates == "square" else (8, 16)
    return module("model").build_model(
        {**TINY, "coordinates": coordinates, **settings},
        shape=shape,
        classes=5,
        statistics=(80.0, 40.0),
    )


def weights_of(body: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in body.trainable_weights)


def multiply_adds(body: Any) -> int:
    """Return the multiply-adds of the convolutions and of the head for one input."""
    from keras import layers

    of_convolutions = sum(
        int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        for layer in body.layers
        if isinstance(layer, layers.Conv2D)
    )
    return of_convolutions + int(np.prod(body.layers[-1].kernel.shape))


def resnet50_parameters(classes: int) -> int:
    """Return the parameters of ResNet-50 by He et al. 2016, table 1: batch norms have two each."""

    def conv(kernel: int, inputs: int, outputs: int) -> int:
        return kernel**2 * inputs * outputs + 2 * outputs

    total, inputs = conv(7, 3, 64), 64
    for width, blocks in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
        for block in range(blocks):
            total += conv(1, inputs, width) + conv(3, width, width) + conv(1, width, 4 * width)
            total += 0 if block else conv(1, inputs, 4 * width)
            inputs = 4 * width
    return total + inputs * classes + classes


def test_the_reference_has_the_parameters_of_resnet50() -> None:
    body = module("model").resnet50((64, 64), 231)

    assert resnet50_parameters(1000) == 25_557_032  # as published
    assert weights_of(body) == resnet50_parameters(231) == 23_981_351
    assert body.input_shape == (None, 64, 64, 3)


def test_the_reference_has_the_published_classes_for_all_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = module("model")
    monkeypatch.setattr(models, "REFERENCE_BLOCKS", (1, 1, 1, 1))
    monkeypatch.setattr(models, "REFERENCE_WIDTHS", (8, 8, 8, 8))
    model = build(model="reference")

    assert model(np.zeros((2, 16, 16, 3), np.float32)).shape == (2, 1, 231)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("coordinates", ["square", "rings"])
def test_the_sizes_are_those_of_the_documentation(size: int, coordinates: str) -> None:
    models = module("model")
    small = {**TINY, "widths": [16, 32, 64, 96], "blocks": [1] * 4, "coordinates": coordinates}
    shape = (size, size) if coordinates == "square" else (size // 2, size)
    body = models.residual(shape, 20, small)
    counts = {("square", 64): 224_260, ("rings", 64): 230_020, ("square", 128): 224_260,
              ("rings", 128): 237_700}  # fmt: skip

    assert weights_of(body) == counts[coordinates, size]
    assert multiply_adds(body) == pytest.approx((size / 64) ** 2 * 14.8e6, rel=0.01)


@pytest.mark.parametrize("coordinates", ["square", "rings"])
def test_each_view_is_classified_alone_with_the_same_weights(coordinates: str) -> None:
    model = build(coordinates)
    shape = (8, 16) if coordinates == "rings" else (16, 16)
    patterns = np.random.default_rng(0).uniform(0, 255, (4, *shape, 3)).astype(np.float32)
    whole = np.asarray(model(patterns))
    alone = np.concatenate([np.asarray(model(patterns[..., v : v + 1])) for v in range(3)], axis=1)

    assert whole.shape == (4, 3, 5)
    assert whole == pytest.approx(alone, abs=1e-5)
    assert np.asarray(model(patterns[..., ::-1])) == pytest.approx(whole[:, ::-1], abs=1e-5)


def test_rotating_a_polar_pattern_by_the_networks_stride_changes_nothing() -> None:
    model = build("rings")
    patterns = np.random.default_rng(0).uniform(0, 255, (3, 8, 16, 1)).astype(np.float32)
    model.body.layers[-1].set_weights(
        [np.random.default_rng(1).normal(size=w.shape) for w in model.body.layers[-1].weights]
    )
    rotated = np.roll(patterns, 4, axis=2)  # two strides of two

    assert np.asarray(model(rotated)) == pytest.approx(np.asarray(model(patterns)), abs=1e-4)
    assert np.asarray(model(patterns)).std() > 0.1


def test_probabilities_are_the_mean_of_the_views_softmax() -> None:
    logits = np.log(np.array([[[0.5, 0.5], [0.9, 0.1], [0.1, 0.9]]]))

    assert module("model").probabilities(logits) == pytest.approx(np.array([[0.5, 0.5]]))


def test_the_loss_is_the_mean_cross_entropy_over_views() -> None:
    logits = np.log(np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.2, 0.8], [0.2, 0.8]]], np.float32))
    loss, weight = module("model").loss_sums(
        np.array([0, 1]), logits, np.array([1.0, 3.0], np.float32), smoothing=0.0
    )

    expected = -(np.log(0.5) + np.log(0.9)) / 2 - 3 * np.log(0.8)
    assert (float(loss), float(weight)) == pytest.approx((expected, 4.0))


def test_smoothing_prefers_some_probability_for_every_class() -> None:
    logits = np.log(np.array([[[0.95, 0.05]], [[1 - 1e-6, 1e-6]]], np.float32))
    loss = [
        float(module("model").loss_sums(np.array([0]), sample[None], np.ones(1), smoothing=0.1)[0])
        for sample in logits
    ]

    assert loss[0] < loss[1]


@pytest.mark.parametrize("beta", [0.0, 0.99, 0.999999])
def test_class_weights_are_one_in_the_mean_over_samples(beta: float) -> None:
    counts = np.array([1000, 100, 1])
    weights = module("runner").class_weights(counts, beta)

    assert float((weights * counts).sum()) == pytest.approx(counts.sum())
    assert (np.diff(weights) >= 0).all()


def test_effective_weights_lie_between_equal_and_inverse_ones() -> None:
    counts = np.array([1000, 10])
    plain, effective, inverse = (
        float(np.divide(*module("runner").class_weights(counts, beta)[::-1]))
        for beta in (0.0, 0.99, 1 - 1e-9)
    )

    assert plain == 1.0
    assert inverse == pytest.approx(100)
    assert effective == pytest.approx((1 - 0.99**1000) / (1 - 0.99**10), rel=1e-3)


def test_the_reference_takes_no_polar_patterns() -> None:
    with pytest.raises(CallError, match="square patterns"):
        module("runner").check_coordinates(
            {"model": "reference", "coordinates": "rings", "head": "mean"}
        )


def test_harmonics_are_the_absolute_fourier_coefficients_at_each_radius() -> None:
    random = np.random.default_rng(0)
    polar = random.normal(size=(2, 3, 16, 1)).astype(np.float32)
    layer = module("model").Harmonics(4)

    expected = np.abs(np.fft.rfft(polar[..., 0], axis=2))[:, :, :4] / 16
    coefficients = np.exp(np.asarray(layer(polar))) - 1e-2
    np.testing.assert_allclose(coefficients, expected.reshape(2, -1), atol=1e-3)


def test_a_head_of_harmonics_is_invariant_to_the_detectors_orientation() -> None:
    model = build("rings", head="harmonics", widths=[8], blocks=[1])
    patterns = np.random.default_rng(1).uniform(0, 255, (2, 8, 16, 3)).astype(np.float32)

    rotated = np.roll(patterns, 2, axis=2)  # angles are halved once, so by two of them
    np.testing.assert_allclose(model(rotated), model(patterns), atol=1e-4)


def test_a_head_of_harmonics_is_saved_and_loaded(tmp_path: Path) -> None:
    import keras

    model = build("rings", head="harmonics", widths=[8], blocks=[1])
    patterns = np.ones((1, 8, 16, 1), np.float32)
    model.body.save(tmp_path / "body.keras")

    again = keras.saving.load_model(tmp_path / "body.keras")
    np.testing.assert_array_equal(again(patterns), model.body(patterns))


def scores_of(pattern: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the scores of all radii together: axes 2, 3, 4, 6, then five mirror lines, ..."""
    layer = module("symmetry").SymmetryScores()
    scores = np.asarray(layer(pattern[None, :, :, None].astype(np.float32)))
    return np.asarray(scores.reshape(-1, 12)[0])


def turned(pattern: np.ndarray[Any, Any], order: int) -> np.ndarray[Any, Any]:
    """Return the sum of a pattern (radius, 96) and its images by an axis."""
    images = [np.roll(pattern, 96 // order * step, axis=1) for step in range(order)]
    return np.asarray(np.sum(images, axis=0))


@pytest.mark.parametrize(("order", "axes"), [(2, [1, 0, 0, 0]), (3, [0, 1, 0, 0]),
                                             (4, [1, 0, 1, 0]), (6, [1, 1, 0, 1])])  # fmt: skip
def test_scores_find_the_axis_of_a_pattern(order: int, axes: list[int]) -> None:
    noise = np.random.default_rng(order).normal(size=(16, 96))
    smooth = np.fft.irfft(np.fft.rfft(noise)[:, :20], n=96)

    assert (scores_of(turned(smooth, order))[:4] > 0.99).astype(int).tolist() == axes
    assert (scores_of(smooth)[:4] < 0.5).all()


def test_scores_find_mirror_lines_and_what_lies_between_them() -> None:
    noise = np.fft.irfft(np.fft.rfft(np.random.default_rng(0).normal(size=(16, 96)))[:, :20], n=96)
    four = turned(noise, 4)
    mirrored = four + np.roll(four[:, ::-1], 7, axis=1)

    assert scores_of(mirrored)[4:7] == pytest.approx(1, abs=1e-3)  # 0, 45 and 90 degrees
    assert scores_of(mirrored)[7] < 0.9
    assert scores_of(four)[4] < 0.9


def test_a_head_of_symmetry_does_not_depend_on_the_detectors_orientation(tmp_path: Path) -> None:
    import keras

    model = build("rings", head="symmetry")
    patterns = np.random.default_rng(1).uniform(0, 255, (2, 8, 16, 3)).astype(np.float32)
    scores = module("symmetry").SymmetryScores()

    np.testing.assert_allclose(scores(np.roll(patterns, 3, axis=2)), scores(patterns), atol=2e-2)
    np.testing.assert_array_equal(model(patterns[..., ::-1]), model(patterns))  # no order of views
    assert model(patterns).shape == (2, 1, 5)
    model.body.save(tmp_path / "body.keras")
    again = keras.saving.load_model(tmp_path / "body.keras")
    np.testing.assert_array_equal(again(patterns), model.body(patterns))
