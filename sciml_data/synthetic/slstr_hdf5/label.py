"""Cloud masks from the measurements alone, so that labels have errors, as the published masks do.

The Bayesian mask compares each feature of a pixel with its densities over clear sea and over cloud
(naive Bayes). It does not use the true cloud. It misses thin cirrus and low cloud at night, and
mistakes fronts in the sea, glint and twilight for cloud. The densities are simple normal
distributions chosen for this sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import BAYES_BITS
from sciml_data.synthetic.slstr_hdf5 import radiance as light
from sciml_data.synthetic.slstr_hdf5.fields import gaussian_field, local_spread
from sciml_data.synthetic.slstr_hdf5.orbit import OBLIQUE_HALF_WIDTH_KM
from sciml_data.synthetic.slstr_hdf5.radiance import Field
from sciml_data.synthetic.slstr_hdf5.scene import OBLIQUE_VIEW, Scene

CLOUD_PRIOR = 0.5
LOW, MODERATE = 0.5, 0.9  # probabilities of cloud above which the bits are set
FORECAST_ERROR_K = 0.6  # of the sea-surface temperature that a weather model forecasts
FORECAST_SCALE_KM = 150
DAYLIGHT = 0.1  # cosine of the sun's zenith angle above which reflectance is used
PARALLAX_ROWS = 6  # displacement of a cloud at 4 km in the oblique view
EVIDENCE_RANGE = (-4, 6)  # of the log-likelihood ratio: no single feature decides alone


def bayes_bits(random: np.random.Generator, scene: Scene) -> NDArray[np.uint8]:
    """Return the bits of the Bayesian mask (`BAYES_BITS`): (row, column) uint8."""
    expected = _expected_s8(random, scene)
    evidence = _single_view(scene, expected)
    single = _probability(evidence)
    dual = _probability(evidence + _dual_view(scene))
    wide = np.abs(scene.angles.across_km)[None, :] > OBLIQUE_HALF_WIDTH_KM
    bits = np.zeros(single.shape, np.uint8)
    for name, probability, threshold in (
        ("single_low", single, LOW),
        ("single_moderate", single, MODERATE),
        ("dual_low", np.where(wide, 0, dual), LOW),
        ("dual_moderate", np.where(wide, 0, dual), MODERATE),
    ):
        bits |= np.where(probability > threshold, np.uint8(BAYES_BITS[name]), np.uint8(0))
    return bits


def summary_mask(random: np.random.Generator, scene: Scene) -> NDArray[np.bool_]:
    """Return the mask of threshold tests, which reports more cloud: (row, column) bool."""
    s8 = scene.brightness_temperature[..., 1]
    cold = s8 < _expected_s8(random, scene) - 2.5
    rough = local_spread(s8) > 0.35
    bright = (scene.reflectance[..., 2] > 0.15) & (scene.angles.sun > DAYLIGHT)
    low = (s8 - scene.brightness_temperature[..., 0] > 0.6) & (scene.angles.sun < 0)
    return cold | rough | bright | low


def _expected_s8(random: np.random.Generator, scene: Scene) -> Field:
    """Return the forecast brightness temperature of S8 over clear sea in K, with a smooth error."""
    shape = (scene.depth.shape[0], scene.depth.shape[1])
    error = gaussian_field(random, shape, outer_km=FORECAST_SCALE_KM, slope=3.2)
    fixed, each = light.CLEAR_LOSS_K["S8"]
    loss = (fixed + each * scene.sea.vapour) / scene.angles.view
    expected: Field = scene.sea.temperature - loss + np.float32(FORECAST_ERROR_K) * error
    return expected


def _single_view(scene: Scene, expected: Field) -> Field:
    """Return the log-odds of cloud from all features of the nadir view."""
    s7, s8, s9 = (scene.brightness_temperature[..., band] for band in range(3))
    odds = np.full(s8.shape, np.log(CLOUD_PRIOR / (1 - CLOUD_PRIOR)), np.float32)
    odds += _evidence(s8 - expected, clear=(0, 0.9), cloud=(-12, 13))
    roughness = np.log(np.maximum(local_spread(s8), 0.01))
    odds += _evidence(roughness, clear=(-2.4, 0.8), cloud=(-0.9, 1.1))
    fixed, each = light.CLEAR_LOSS_K["S9"]
    split = (fixed - 0.3 + (each - 0.07) * scene.sea.vapour) / scene.angles.view
    odds += _evidence(s8 - s9 - split, clear=(0, 0.25), cloud=(-0.2, 1.2))
    night = scene.angles.sun < 0
    fog = _evidence(
        s7 - s8 - (scene.sea.vapour * 0.04 - 0.2) / scene.angles.view, (0, 0.3), (-1, 2.5)
    )
    odds += np.where(night, fog, 0)
    day = scene.angles.sun > DAYLIGHT
    visible = _evidence(scene.reflectance[..., 2], clear=(0.03, 0.02), cloud=(0.35, 0.25))
    visible += _evidence(scene.reflectance[..., 4], clear=(0.015, 0.02), cloud=(0.25, 0.2))
    return odds + np.where(day, visible, 0).astype(np.float32)


def _dual_view(scene: Scene) -> Field:
    """Return the log-likelihood ratio of the oblique view: clear sea is colder, cloud is moved."""
    fixed, each = light.CLEAR_LOSS_K["S8"]
    slant = 1 / np.float32(OBLIQUE_VIEW) - 1 / scene.angles.view
    expected = (fixed + each * scene.sea.vapour) * slant
    oblique = np.roll(scene.oblique_s8, PARALLAX_ROWS, axis=0)
    difference = scene.brightness_temperature[..., 1] - oblique - expected
    return _evidence(difference, clear=(0, 0.7), cloud=(1, 4))


def _evidence(value: Field, clear: tuple[float, float], cloud: tuple[float, float]) -> Field:
    """Return the log-likelihood ratio of cloud to clear sky for a value, within `EVIDENCE_RANGE`.

    Args:
        value: (row, column) feature.
        clear: mean and standard deviation of its normal density over clear sea.
        cloud: the same over cloud.
    """
    clear_score = (value - np.float32(clear[0])) / np.float32(clear[1])
    cloud_score = (value - np.float32(cloud[0])) / np.float32(cloud[1])
    ratio = (clear_score**2 - cloud_score**2) / 2 + np.float32(np.log(clear[1] / cloud[1]))
    return np.clip(ratio, *EVIDENCE_RANGE).astype(np.float32)


def _probability(log_odds: Field) -> Field:
    return (1 / (1 + np.exp(-log_odds))).astype(np.float32)
