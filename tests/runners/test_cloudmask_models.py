"""The models of CloudMask: the published U-Net layer by layer, normalisation and losses."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.task import load_task
from sciml_data.errors import SciMLDataError
from sciml_data.registry.layout import find_registry

keras = pytest.importorskip("keras")

RUNNER = find_registry().runner("cloudmask")
# Layers of mlcommons/science, benchmarks/cloudmask/model.py (research: cloudmask, 2.1).
PUBLISHED_LAYERS = {
    "InputLayer": 1, "Conv2D": 15, "ReLU": 14,
    "MaxPooling2D": 3, "UpSampling2D": 3, "Concatenate": 3,
}  # fmt: skip
PUBLISHED_CONVOLUTIONS = [
    2624, 9248, 18496, 36928, 73856, 147584, 295168, 590080,
    442496, 147584, 110656, 36928, 27680, 9248, 33,
]  # fmt: skip


def module(name: str) -> ModuleType:
    load_runner(find_registry(), "cloudmask")
    return importlib.import_module(f"sciml_runner_cloudmask.{name}")


def statistics() -> Any:
    """Return statistics and values of channels, two of which are correlated as thermal ones are."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(5000, 9)).astype(np.float32)
    base[:, 8] = 280 + 10 * base[:, 7] + 0.5 * base[:, 8]
    base[:, 7] = 280 + 10 * base[:, 7]
    return module("data").statistics_of(base), base


def test_the_reference_is_the_published_network() -> None:
    model = module("model").reference()
    kinds = [type(layer).__name__ for layer in model.layers]
    sizes = [layer.count_params() for layer in model.layers if layer.count_params()]

    assert len(model.layers) == 39
    assert model.count_params() == 1_948_609
    assert {kind: kinds.count(kind) for kind in set(kinds)} == PUBLISHED_LAYERS
    assert sizes == PUBLISHED_CONVOLUTIONS


def published_unet() -> Any:
    """Return the published U-Net, written out as in mlcommons/science with plain Keras."""
    layers = keras.layers

    def pair(values: Any, width: int) -> Any:
        for _ in range(2):
            values = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal")(values)
            values = layers.ReLU()(values)
        return values

    inputs = keras.Input((32, 48, 9))
    first = pair(inputs, 32)
    second = pair(layers.MaxPool2D(2)(first), 64)
    third = pair(layers.MaxPool2D(2)(second), 128)
    values = pair(layers.MaxPool2D(2)(third), 256)
    values = pair(layers.Concatenate(axis=-1)([layers.UpSampling2D(2)(values), third]), 128)
    values = pair(layers.Concatenate(axis=-1)([layers.UpSampling2D(2)(values), second]), 64)
    values = pair(layers.Concatenate(axis=-1)([layers.UpSampling2D(2)(values), first]), 32)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid", padding="same")(values))


def test_weights_of_the_published_network_give_its_output() -> None:
    published, model = published_unet(), module("model").reference()
    model.set_weights(published.get_weights())
    channels = np.random.default_rng(0).normal(size=(2, 32, 48, 9)).astype(np.float32)

    assert np.asarray(model(channels)) == pytest.approx(np.asarray(published(channels)), abs=1e-5)


def test_published_weights_fit_behind_the_normalising_layer() -> None:
    settings = {"model": "reference", "widths": (32, 64, 128, 256), "whiten": False}
    model, published = module("model").build_model(settings, statistics()[0]), published_unet()
    model.get_layer("reference").set_weights(published.get_weights())
    channels = np.random.default_rng(0).normal(size=(1, 32, 48, 9)).astype(np.float32)
    normalised = np.asarray(model.get_layer("normalise")(channels))

    assert np.asarray(model(channels)) == pytest.approx(np.asarray(published(normalised)), abs=1e-5)


def test_ours_costs_no_more_than_the_reference() -> None:
    models = module("model")
    settings = load_task(RUNNER).settings["model"]
    reference, ours = models.reference(), models.residual(settings["residual"]["widths"])

    assert settings["reference"]["widths"] == list(models.REFERENCE_WIDTHS)
    assert models.multiply_adds(reference, 256) == 10_741_612_544
    assert models.multiply_adds(ours, 256) == 8_837_398_528
    assert ours.count_params() == 1_720_769


@pytest.mark.parametrize("name", ["reference", "residual"])
def test_a_model_gives_a_probability_for_each_pixel_of_any_multiple_of_eight(name: str) -> None:
    settings = {"model": name, "widths": (2, 3, 4, 5), "whiten": name == "residual"}
    measured, _ = statistics()
    model = module("model").build_model(settings, measured)
    predicted = np.asarray(model(np.full((2, 16, 24, 9), np.nan, np.float32)))

    assert predicted.shape == (2, 16, 24, 1)
    assert predicted.dtype == np.float32
    assert ((predicted > 0) & (predicted < 1)).all()


def test_a_missing_channel_counts_as_the_mean() -> None:
    measured, pixels = statistics()
    layer = module("model").Normalise()
    layer.build((None, 9))
    layer.set_statistics(measured, whiten=False)
    values = pixels[:3].copy()
    values[0, 4], values[1] = np.nan, np.inf
    normal = np.asarray(layer(values))

    assert normal[0, 4] == 0.0
    assert (normal[1] == 0.0).all()
    assert normal[2] == pytest.approx((pixels[2] - measured.mean) / measured.deviation, abs=1e-4)


def test_whitened_channels_are_not_correlated() -> None:
    measured, pixels = statistics()
    layer = module("model").Normalise()
    layer.build((None, 9))
    layer.set_statistics(measured, whiten=True)
    white = np.cov(np.asarray(layer(pixels)).T)

    assert np.corrcoef(pixels[:, 7:].T)[0, 1] > 0.998
    assert np.abs(white - np.eye(9)).max() < 0.2


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
def test_normalisation_is_saved_with_the_model_and_not_trained(tmp_path: Path) -> None:
    measured, pixels = statistics()
    settings = {"model": "residual", "widths": (2, 3), "whiten": True}
    model = module("model").build_model(settings, measured)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    patch = pixels[:64].reshape(1, 8, 8, 9)

    assert np.asarray(again(patch)) == pytest.approx(np.asarray(model(patch)), abs=1e-6)
    assert model.get_layer("normalise").mean.numpy() == pytest.approx(measured.mean, rel=1e-5)
    assert not model.get_layer("normalise").trainable_weights


def test_statistics_leave_out_missing_channels() -> None:
    values = np.full((3, 9), 300.0, np.float32)
    values[1], values[2, 0] = 302.0, np.nan
    measured = module("data").statistics_of(values)

    assert measured.pixels == 3
    assert measured.mean[0] == pytest.approx(301.0)
    assert measured.mean[1] == pytest.approx(902 / 3)
    assert measured.covariance[0, 0] == pytest.approx(1.0)


def test_a_covariance_is_over_the_pixels_that_have_both_channels() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(300.0, 9.0, (60, 9)).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = np.nan
    known = np.isfinite(values)
    mean = np.nanmean(values.astype(np.float64), axis=0)
    centred = np.where(known, values - mean, 0.0)
    pairs = known.T.astype(int) @ known.astype(int)

    measured = module("data").statistics_of(values)

    assert measured.mean == pytest.approx(mean)
    assert measured.covariance == pytest.approx(centred.T @ centred / pairs)


def test_a_channel_without_any_value_is_named() -> None:
    values = np.full((3, 9), 300.0, np.float32)
    values[:, 8] = np.nan

    with pytest.raises(SciMLDataError, match="in channel S9"):
        module("data").statistics_of(values)


def test_losses_are_the_published_ones() -> None:
    losses = module("model")
    label = np.array([1.0, 0.0, 1.0], np.float32)
    predicted = np.array([0.8, 0.3, 0.1], np.float32)
    weight = np.array([1.0, 1.0, 0.0], np.float32)
    plain = losses.loss_sums(label, predicted, weight)
    weighted = losses.loss_sums(label, predicted, weight, pos_weight=0.5)

    assert [float(value) for value in plain] == pytest.approx([-np.log(0.8) - np.log(0.7), 2.0])
    assert [float(value) for value in weighted] == pytest.approx(
        [-0.5 * np.log(0.8) - np.log(0.7), 2.0]
    )


def test_a_sure_and_wrong_pixel_has_a_finite_loss() -> None:
    total, _ = module("model").loss_sums(np.ones(1, "f4"), np.zeros(1, "f4"), np.ones(1, "f4"))

    assert float(total) == pytest.approx(-np.log(1e-7), rel=1e-3)


def test_augmentation_applies_the_eight_symmetries_and_labels_rotate_along() -> None:
    augment = module("data")
    square = np.arange(9).reshape(3, 3)
    images = {augment.apply_symmetry(square, number).tobytes() for number in range(8)}
    patches = np.stack([square] * 40)
    batch = (patches, patches[..., None], patches)
    values, labels, weights = augment.augment_batch(batch, seed=(1, 2))

    assert len(images) == 8
    assert (augment.apply_symmetry(square, 0) == square).all()
    assert (values == labels[..., 0]).all()
    assert (values == weights).all()
    assert len({patch.tobytes() for patch in values}) == 8
    assert (values == augment.augment_batch(batch, seed=(1, 2))[0]).all()


def logistic(cloudy: Any) -> Any:
    """Return probabilities of the logistic baseline, fitted to the pixels that it predicts."""
    measured, pixels = statistics()
    mask = module("baselines").fit_logistic(pixels, cloudy, measured)
    return mask(SimpleNamespace(channels=pixels.reshape(50, 100, 9), cloud=cloudy.reshape(50, 100)))


def test_the_logistic_baseline_is_fitted_to_convergence() -> None:
    pytest.importorskip("sklearn")
    _, pixels = statistics()
    cloudy = pixels[:, 2] + np.random.default_rng(2).normal(size=5000) > 0.5
    probability = logistic(cloudy)

    # The intercept is not penalised, so its derivative is the sum of the residuals.
    assert probability.mean() == pytest.approx(cloudy.mean(), rel=1e-6)
    assert ((probability.ravel() > 0.5) == cloudy).mean() > 0.7


def boosting(pixels: Any, cloudy: Any) -> Any:
    """Return probabilities of the boosting baseline, fitted to the pixels that it predicts."""
    mask = module("baselines").fit_boosting(pixels, cloudy)
    channels = pixels.reshape(50, 100, -1)
    return mask(SimpleNamespace(channels=channels, cloud=cloudy.reshape(50, 100))).ravel()


def test_the_boosting_baseline_learns_from_a_channel_that_is_missing() -> None:
    pytest.importorskip("sklearn")
    _, pixels = statistics()
    lacking = np.random.default_rng(3).random(5000) < 0.3
    pixels = np.where(lacking[:, None] & (np.arange(9) == 6), np.float32("nan"), pixels)
    cloudy = lacking | (pixels[:, 2] > 1)

    assert ((boosting(pixels, cloudy) > 0.5) == cloudy).mean() > 0.99
    assert ((boosting(pixels[:, :7], cloudy) > 0.5) == cloudy).mean() > 0.99


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_pixels_of_one_class_have_a_boosting_baseline_too(label: float) -> None:
    pytest.importorskip("sklearn")

    assert (boosting(statistics()[1], np.full(5000, label > 0)) == label).all()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_pixels_of_one_class_have_a_logistic_baseline_too(label: float) -> None:
    pytest.importorskip("sklearn")

    assert (logistic(np.full(5000, label > 0)) == label).all()
