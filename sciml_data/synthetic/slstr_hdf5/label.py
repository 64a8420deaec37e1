"""Cloud masks from the measurements alone, so that labels have errors, as the published masks do.

The Bayesian mask compares each feature of a pixel with its densities over clear ground and over
cloud (naive Bayes). It does not use the true cloud. As the mask of the product, it knows sea from
land, and expects temperatures of a weather model and reflectances of a climatology, both with
errors. It misses thin cirrus and low cloud at night, and mistakes fronts in the sea, glint, dust,
twilight and unusual ground for cloud. The densities are simple normal distributions chosen for this
sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import BAYES_BITS
from sciml_data.synthetic.slstr_hdf5 import radiance as light
from sciml_data.synthetic.slstr_hdf5.fields import gaussian_field, local_spread
from sciml_data.synthetic.slstr_hdf5.orbit import OBLIQUE_HALF_WIDTH_KM
from sciml_data.synthetic.slstr_hdf5.radiance import Field
from sciml_data.synthetic.slstr_hdf5.scene import OBLIQUE_VIEW, Scene
from sciml_data.synthetic.slstr_hdf5.surface import EXPONENT, by_surface, mean_aerosol

CLOUD_PRIOR = 0.5
LOW, MODERATE = 0.5, 0.9  # probabilities of cloud above which the bits are set
# Errors of the forecast surface temperature, sea and land, and of the climatology of reflectance.
FORECAST_ERROR_K = (0.6, 2.5)
CLIMATOLOGY_ERROR = 0.12  # standard deviation of the logarithm
FORECAST_SCALE_KM = 150
DAYLIGHT = 0.1  # cosine of the sun's zenith angle above which reflectance is used
PARALLAX_ROWS = 6  # displacement of a cloud at 4 km in the oblique view
EVIDENCE_RANGE = (-4, 6)  # of the log-likelihood ratio: no single feature decides alone
MEAN_WIND = 6.5  # m/s, of the glint that is expected

Density = tuple[float, float]  # mean and standard deviation


@dataclass(frozen=True)
class _Expected:
    """What a weather model and a climatology expect of clear ground, (row, column) float32.

    Attributes:
        s8: brightness temperature, K.
        split: S8 less S9, K.
        fog: S7 less S8 at night, K.
        s2: reflectance of S2; S3 and S5 likewise.
    """

    s8: Field
    split: Field
    fog: Field
    s2: Field
    s3: Field
    s5: Field


def bayes_bits(random: np.random.Generator, scene: Scene) -> NDArray[np.uint8]:
    """Return the bits of the Bayesian mask (`BAYES_BITS`): (row, column) uint8."""
    expected = _expected(random, scene)
    evidence = np.where(scene.surface.land, _over_land(scene, expected), _over_sea(scene, expected))
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
    expected, land = _expected(random, scene), scene.surface.land
    s7, s8, _ = np.moveaxis(scene.brightness_temperature, -1, 0)
    day, night = scene.angles.sun > DAYLIGHT, scene.angles.sun < 0

    def beyond(value: Field, over_sea: float, over_land: float) -> NDArray[np.bool_]:
        return np.asarray(value > by_surface(land, (over_sea, over_land)))

    cold = beyond(expected.s8 - s8, 2.5, 10.0)
    rough = beyond(local_spread(s8), 0.35, 2.5)
    bright = beyond(scene.reflectance[..., 2] - expected.s3, 0.10, 0.15) & day
    high = beyond(scene.reflectance[..., 3], 0.02, 0.03) & day
    low = beyond(expected.fog - (s7 - s8), 0.6, 1.5) & night  # False where S7 is missing
    return np.asarray(cold | rough | bright | high | low)


def _expected(random: np.random.Generator, scene: Scene) -> _Expected:
    surface, angles = scene.surface, scene.angles
    shape = (scene.depth.shape[0], scene.depth.shape[1])
    land = surface.land
    error = gaussian_field(random, shape, outer_km=FORECAST_SCALE_KM, slope=3.2)
    unusual = gaussian_field(random, shape, outer_km=FORECAST_SCALE_KM, slope=2.8)
    by_model = surface.temperature + error * by_surface(land, FORECAST_ERROR_K)
    known = replace(
        surface,
        temperature=by_model.astype(np.float32),
        wind=np.full(shape, MEAN_WIND, np.float32),
        texture=np.exp(np.float32(CLIMATOLOGY_ERROR) * unusual),
        aerosol=mean_aerosol(angles.latitude, land),
        exponent=np.full(shape, EXPONENT, np.float32),
    )
    clear = {
        channel: light.brightness_temperature(
            channel, light.thermal_radiance(channel, known, (), angles.view)
        )
        for channel in ("S7", "S8", "S9")
    }
    sun = np.maximum(angles.sun, np.float32(DAYLIGHT))
    lit = [light.clear_reflectance(channel, known, angles, sun) for channel in ("S2", "S3", "S5")]
    return _Expected(clear["S8"], clear["S8"] - clear["S9"], clear["S7"] - clear["S8"], *lit)


def _over_sea(scene: Scene, expected: _Expected) -> Field:
    """Return the log-odds of cloud over sea from all features of the nadir view."""
    s7, s8, s9 = np.moveaxis(scene.brightness_temperature, -1, 0)
    odds = _prior(s8)
    odds += _evidence(s8 - expected.s8, clear=(0, 0.9), cloud=(-12, 13))
    odds += _evidence(_roughness(s8), clear=(-2.4, 0.8), cloud=(-0.9, 1.1))
    odds += _evidence(s8 - s9 - expected.split, clear=(0, 0.25), cloud=(-0.2, 1.2))
    odds += _at_night(scene, s7 - s8 - expected.fog, clear=(0, 0.3), cloud=(-1, 2.5))
    s3, s5 = scene.reflectance[..., 2], scene.reflectance[..., 4]
    wide = 0.02 + 0.3 * np.maximum(expected.s3, 0)  # glint is less certain than dark water
    odds += _by_day(scene, s3 - expected.s3, clear=(0.01, wide), cloud=(0.3, 0.25))
    return odds + _by_day(scene, s5 - expected.s5, clear=(0.005, wide), cloud=(0.22, 0.2))


def _over_land(scene: Scene, expected: _Expected) -> Field:
    """Return the log-odds of cloud over land; ground varies more than sea, so they are weaker."""
    s7, s8, s9 = np.moveaxis(scene.brightness_temperature, -1, 0)
    odds = _prior(s8)
    odds += _evidence(s8 - expected.s8, clear=(0, 3.5), cloud=(-20, 15))
    odds += _evidence(_roughness(s8), clear=(-1.0, 0.8), cloud=(-0.3, 1.1))
    odds += _evidence(s8 - s9 - expected.split, clear=(0, 0.5), cloud=(0.5, 1.5))
    odds += _at_night(scene, s7 - s8 - expected.fog, clear=(0, 1.0), cloud=(-1, 3))
    s2, s4 = scene.reflectance[..., 1], scene.reflectance[..., 3]
    wide = 0.03 + 0.12 * np.maximum(expected.s2, 0)
    odds += _by_day(scene, s2 - expected.s2, clear=(0.01, wide), cloud=(0.3, 0.2))
    return odds + _by_day(scene, s4, clear=(0.002, 0.006), cloud=(0.06, 0.1))


def _prior(like: Field) -> Field:
    return np.full(like.shape, np.log(CLOUD_PRIOR / (1 - CLOUD_PRIOR)), np.float32)


def _roughness(s8: Field) -> Field:
    return np.asarray(np.log(np.maximum(local_spread(s8), 0.01)))


def _at_night(scene: Scene, value: Field, clear: Density, cloud: Density) -> Field:
    """Return the evidence of a feature of S7, at night and where S7 has a value."""
    usable = (scene.angles.sun < 0) & np.isfinite(value)
    return np.where(usable, _evidence(np.where(usable, value, 0), clear, cloud), np.float32(0))


def _by_day(
    scene: Scene, value: Field, clear: tuple[float, float | Field], cloud: Density
) -> Field:
    evidence = _evidence(value, clear, cloud)
    return np.where(scene.angles.sun > DAYLIGHT, evidence, np.float32(0))


def _dual_view(scene: Scene) -> Field:
    """Return the log-likelihood ratio of the oblique view: clear ground is colder, cloud moves."""
    here = np.full(scene.depth.shape, OBLIQUE_VIEW, np.float32)
    clear = [
        light.brightness_temperature("S8", light.thermal_radiance("S8", scene.surface, (), view))
        for view in (scene.angles.view, here)
    ]
    oblique = np.roll(scene.oblique_s8, PARALLAX_ROWS, axis=0)
    difference = scene.brightness_temperature[..., 1] - oblique - (clear[0] - clear[1])
    width = by_surface(scene.surface.land, (0.7, 2.5))  # ground varies from row to row
    return _evidence(difference, clear=(0, width), cloud=(1, 4))


def _evidence(value: Field, clear: tuple[float, float | Field], cloud: Density) -> Field:
    """Return the log-likelihood ratio of cloud to clear sky for a value, within `EVIDENCE_RANGE`.

    Args:
        value: (row, column) feature.
        clear: mean and standard deviation of its normal density over clear ground.
        cloud: the same over cloud.
    """
    clear_score = (value - np.float32(clear[0])) / np.asarray(clear[1], np.float32)
    cloud_score = (value - np.float32(cloud[0])) / np.float32(cloud[1])
    width = np.log(np.asarray(clear[1], np.float32) / np.float32(cloud[1]))
    ratio = (clear_score**2 - cloud_score**2) / 2 + width
    limited: Field = np.clip(ratio, *EVIDENCE_RANGE).astype(np.float32)
    return limited


def _probability(log_odds: Field) -> Field:
    probability: Field = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
    return probability
