"""A synthetic scene: a sea, clouds above it, and the measurements of nine SLSTR channels.

The scene is ocean only, without land, ice or moonlight. Sea-surface temperature has the mean of its
latitude, eddies and fronts. Three kinds of cloud (low, frontal, cirrus) follow correlated random
fields that a common flow stirs. Their water is log-normal with the -5/3 law of stratocumulus
(Cahalan et al. 1994, J. Atmos. Sci. 51, 2434). Noise and quantisation are those of the instrument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import (
    BRIGHTNESS_TEMPERATURE_OFFSET_K,
    BRIGHTNESS_TEMPERATURE_STEP_K,
    REFLECTIVE,
    SOLAR_IRRADIANCE,
    THERMAL,
)
from sciml_data.synthetic.slstr_hdf5 import radiance as light
from sciml_data.synthetic.slstr_hdf5.fields import advected, gaussian_field
from sciml_data.synthetic.slstr_hdf5.orbit import Angles
from sciml_data.synthetic.slstr_hdf5.radiance import Field, Layer, Sea

# Beta distribution of the share of cloud in a scene. The share in the label then has mean 0.81 and
# standard deviation 0.12 (200 scenes of 256 x 256, seed 5). In the Bayesian mask of the 100
# inference scenes of cloud_slstr_ds1 they are 0.809 and 0.113 (research: cloudmask, section 0,
# fact 3).
CLOUD_SHARE_BETA = (8.0, 2.4)
WATER_SLOPE = 8 / 3  # of the two-dimensional power spectrum: the -5/3 law
NOISE_K = {"S7": 0.080, "S8": 0.050, "S9": 0.050}  # required at 270 K (Coppo et al. 2010)
# Required signal-to-noise ratio of S1 to S6 at a low signal (Coppo et al. 2010).
LOW_SIGNAL, SIGNAL_TO_NOISE = 0.005, 20.0
HOTTEST_K = 323.0  # saturation of the channels
COLDEST_K = 180.0  # noise would otherwise give the coldest tops a radiance below zero
TWILIGHT = 0.03  # width in cosine over which sunlight fades, as air refracts and scatters it
DARK = -0.12  # cosine of the sun's zenith angle below which nothing is measured: 7 degrees down
MAX_DEPTH = 120.0  # optical depth
OBLIQUE_VIEW = 0.57  # cosine of the zenith angle of the oblique view


@dataclass(frozen=True)
class Scene:
    """Measurements of a scene, and the true state of sea and clouds.

    Attributes:
        reflectance: (row, column, 6) float64, no unit.
        radiance: (row, column, 6) float32, mW m-2 sr-1 nm-1.
        brightness_temperature: (row, column, 3) float32, K.
        oblique_s8: (row, column) float32, brightness temperature of S8 in the oblique view, K.
        sea: true state of the sea.
        angles: angles of the pixels.
        depth: (row, column) float32, optical depth of all clouds.
    """

    reflectance: NDArray[np.float64]
    radiance: NDArray[np.float32]
    brightness_temperature: NDArray[np.float32]
    oblique_s8: Field
    sea: Sea
    angles: Angles
    depth: Field


def make_scene(random: np.random.Generator, angles: Angles) -> Scene:
    """Return a random scene for the angles of a granule."""
    shape = (angles.view.shape[0], angles.view.shape[1])
    flow = (
        gaussian_field(random, shape, outer_km=500, slope=4.5),
        gaussian_field(random, shape, outer_km=500, slope=4.5),
    )
    sea = _sea(random, angles, flow)
    layers = _clouds(random, shape, flow)
    sun = (angles.sun + np.sqrt(angles.sun**2 + np.float32(TWILIGHT**2))) / 2
    reflectance, radiance = _solar_channels(random, sea, layers, angles, sun=sun)
    temperature = np.stack(
        [_thermal_channel(random, name, sea, layers, angles, sun=sun) for name in THERMAL], axis=-1
    )
    oblique = light.thermal_radiance("S8", sea, layers, np.full(shape, OBLIQUE_VIEW, np.float32))
    noise = random.standard_normal(shape, dtype=np.float32) * np.float32(NOISE_K["S8"])
    depth = np.stack([layer.depth for layer in layers]).sum(axis=0)
    oblique_s8 = light.brightness_temperature("S8", oblique) + noise
    return Scene(reflectance, radiance, temperature, oblique_s8, sea, angles, depth)


def mean_sea_temperature(latitude: Field) -> Field:
    """Return the zonal mean in K: 300.5 at the equator, 285 at 45 degrees, never below freezing.

    Args:
        latitude: degrees, any shape.
    """
    curve = np.float32(300.5) - 31 * np.sin(np.radians(latitude)) ** 2
    return np.maximum(curve, np.float32(271.35)).astype(np.float32)


def _sea(random: np.random.Generator, angles: Angles, flow: tuple[Field, Field]) -> Sea:
    shape = (angles.view.shape[0], angles.view.shape[1])
    eddies = advected(gaussian_field(random, shape, outer_km=250, slope=3.2), flow, 25)
    temperature = mean_sea_temperature(angles.latitude) + np.float32(1.1) * eddies
    wind = 6.5 + 2.5 * gaussian_field(random, shape, outer_km=400, slope=3.5)
    weather = gaussian_field(random, shape, outer_km=600, slope=3.5)
    # 15 kg m-2 at 288 K, 6.9 % more for each kelvin (Clausius-Clapeyron), times exp(0.25 weather).
    vapour = 15 * np.exp(np.float32(0.069) * (temperature - 288) + np.float32(0.25) * weather)
    return Sea(
        np.maximum(temperature, np.float32(271.35)),
        np.clip(wind, 1, 16).astype(np.float32),
        vapour.astype(np.float32),
    )


def _clouds(
    random: np.random.Generator, shape: tuple[int, int], flow: tuple[Field, Field]
) -> list[Layer]:
    """Return the cloud layers, lowest first.

    There is cloud where the field of a layer exceeds a level. The level is common to all layers
    and follows from the share of cloud in the scene.
    """
    share = random.beta(*CLOUD_SHARE_BETA)
    bearing = random.uniform(0, np.pi)
    weather = advected(gaussian_field(random, shape, outer_km=700, slope=3.6), flow, 40)
    cells = gaussian_field(random, shape, outer_km=random.uniform(12, 60), slope=3.2)
    low = 0.75 * weather + 0.65 * advected(cells, flow, 15) + random.normal(0.4, 0.5)
    front = gaussian_field(random, shape, outer_km=500, slope=3.2, stretch=3, direction=bearing)
    front = advected(front, flow, 60) + random.normal(-0.5, 0.5)
    bearing += random.uniform(-0.5, 0.5)
    streaks = gaussian_field(random, shape, outer_km=300, slope=2.9, stretch=5, direction=bearing)
    cirrus = 0.8 * advected(streaks, flow, 30) + 0.5 * front + random.normal(-0.6, 0.5)
    level = np.quantile(np.maximum(np.maximum(low, front), cirrus), 1 - share)
    water = gaussian_field(random, shape, outer_km=60, slope=WATER_SLOPE)
    height = gaussian_field(random, shape, outer_km=300, slope=3.6)

    def depth(field: Field, scale: float, texture: float) -> Field:
        excess = np.maximum(field - level, 0)
        grown = scale * excess**1.3 * np.exp(np.float32(texture) * water)
        return np.asarray(np.minimum(grown, MAX_DEPTH), np.float32)

    thick = np.clip(front - level, 0, 2)
    return [
        Layer(depth(low, 9, 0.8), np.clip(1.3 + 0.5 * height, 0.3, 2.6).astype(np.float32), 0.0),
        Layer(depth(front, 14, 0.5), np.clip(2.5 + 3.2 * thick + 0.4 * height, 1.5, 10.0), 0.5),
        Layer(depth(cirrus, 1.3, 0.6), np.clip(9 + 1.0 * height, 6.5, 12).astype(np.float32), 1.0),
    ]


def _thermal_channel(
    random: np.random.Generator,
    channel: str,
    sea: Sea,
    layers: list[Layer],
    angles: Angles,
    *,
    sun: Field,
) -> Field:
    """Return the brightness temperature of a channel with noise and quantisation: float32, K."""
    emitted = light.thermal_radiance(channel, sea, layers, angles.view)
    if channel == "S7":
        lit = light.reflectance(channel, sea, layers, angles, sun)
        emitted = emitted + lit * np.float32(light.sunlight(channel) / np.pi) * sun
    slope = light.planck(channel, 270.5) - light.planck(channel, 269.5)
    noise = random.standard_normal(emitted.shape, dtype=np.float32)
    measured = emitted + noise * slope * np.float32(NOISE_K[channel])
    measured = np.maximum(measured, light.planck(channel, COLDEST_K))
    kelvin = np.minimum(light.brightness_temperature(channel, measured), np.float32(HOTTEST_K))
    steps = np.rint((kelvin - BRIGHTNESS_TEMPERATURE_OFFSET_K) / BRIGHTNESS_TEMPERATURE_STEP_K)
    stored = steps.astype(np.float64) * BRIGHTNESS_TEMPERATURE_STEP_K
    return np.asarray(stored + BRIGHTNESS_TEMPERATURE_OFFSET_K, np.float32)


def _solar_channels(
    random: np.random.Generator, sea: Sea, layers: list[Layer], angles: Angles, *, sun: Field
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return reflectance and radiance of S1 to S6; both are 0 in the dark, as published."""
    shape = (*angles.view.shape, len(REFLECTIVE))
    reflectance, radiance = np.zeros(shape, np.float64), np.zeros(shape, np.float32)
    lit = angles.sun > DARK
    if not lit.any():
        return reflectance, radiance
    cosine = np.where(angles.sun > 0, angles.sun, np.float32(1))
    for band, channel in enumerate(REFLECTIVE):
        signal = light.reflectance(channel, sea, layers, angles, sun) * sun
        noise = random.standard_normal(signal.shape, dtype=np.float32)
        spread = np.sqrt((LOW_SIGNAL**2 + LOW_SIGNAL * np.abs(signal)) / SIGNAL_TO_NOISE**2)
        measured = np.where(lit, signal + noise * spread, 0)
        radiance[..., band] = measured * (SOLAR_IRRADIANCE[channel] / np.pi)
        reflectance[..., band] = measured / cosine
    return reflectance, radiance
