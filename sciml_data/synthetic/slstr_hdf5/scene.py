"""A synthetic scene: sea or land, clouds above it, and the measurements of nine SLSTR channels.

Noise, quantisation, range and calibration are those of the instrument. Ice and moonlight are left
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import (
    BRIGHTNESS_TEMPERATURE_OFFSET_K,
    BRIGHTNESS_TEMPERATURE_STEP_K,
    REFLECTIVE,
    THERMAL,
    solar_irradiance,
    sun_distance,
)
from sciml_data.synthetic.slstr_hdf5 import radiance as light
from sciml_data.synthetic.slstr_hdf5.clouds import make_clouds
from sciml_data.synthetic.slstr_hdf5.fields import gaussian_field
from sciml_data.synthetic.slstr_hdf5.orbit import Angles
from sciml_data.synthetic.slstr_hdf5.radiance import Field, Layer
from sciml_data.synthetic.slstr_hdf5.surface import Surface, make_surface

NOISE_K = {"S7": 0.080, "S8": 0.050, "S9": 0.050}  # required at 270 K (Coppo et al. 2010)
# Required signal-to-noise ratio of S1 to S6 at a low signal (Coppo et al. 2010).
LOW_SIGNAL, SIGNAL_TO_NOISE = 0.005, 20.0
HOTTEST_K = 323.0  # saturation of S8 and S9
# S7 has no valid radiance above this (Xu et al. 2020, Remote Sens. Environ. 248, 111947): over hot
# ground, bright cloud and glint by day. Nor has it where noise takes the radiance below zero.
S7_HOTTEST_K = 311.0
# True radiance over that of the product (ESA and EUMETSAT product notice S3.PN-SLSTR-L1.08): the
# product's solar channels are not corrected.
CALIBRATION = {"S1": 0.97, "S2": 0.98, "S3": 0.98, "S4": 1.0, "S5": 1.11, "S6": 1.13}
COLDEST_K = 180.0  # noise would otherwise give the coldest tops a radiance below zero
TWILIGHT = 0.03  # width in cosine over which sunlight fades, as air refracts and scatters it
DARK = -0.12  # cosine of the sun's zenith angle below which nothing is measured: 7 degrees down
OBLIQUE_VIEW = 0.57  # cosine of the zenith angle of the oblique view


@dataclass(frozen=True)
class Scene:
    """Measurements of a scene, and the true state of sea and clouds.

    Attributes:
        reflectance: (row, column, 6) float64, no unit.
        radiance: (row, column, 6) float32, mW m-2 sr-1 nm-1.
        brightness_temperature: (row, column, 3) float32, K; S7 is NaN where it is out of range.
        oblique_s8: (row, column) float32, brightness temperature of S8 in the oblique view, K.
        surface: true state of sea and land.
        angles: angles of the pixels.
        time: middle of the scene, UTC.
        depth: (row, column) float32, optical depth of all clouds, mean of the pixel.
    """

    reflectance: NDArray[np.float64]
    radiance: NDArray[np.float32]
    brightness_temperature: NDArray[np.float32]
    oblique_s8: Field
    surface: Surface
    angles: Angles
    time: datetime
    depth: Field


@dataclass(frozen=True)
class _State:
    """What the instrument looks at, and from where; `sun` is a cosine above zero."""

    surface: Surface
    layers: list[Layer]
    angles: Angles
    sun: Field


def make_scene(
    random: np.random.Generator, angles: Angles, time: datetime, land_share: float = 0.0
) -> Scene:
    """Return a random scene.

    Args:
        random: source of the fields and of the noise.
        angles: angles of a granule.
        time: middle of the scene, UTC.
        land_share: share of the pixels that are land.
    """
    shape = (angles.view.shape[0], angles.view.shape[1])
    flow = (
        gaussian_field(random, shape, outer_km=500, slope=4.5),
        gaussian_field(random, shape, outer_km=500, slope=4.5),
    )
    surface = make_surface(random, angles, flow, land_share=land_share, time=time)
    layers = make_clouds(random, angles.latitude, surface, flow)
    sun = (angles.sun + np.sqrt(angles.sun**2 + np.float32(TWILIGHT**2))) / 2
    state = _State(surface, layers, angles, sun)
    reflectance = _solar_channels(random, state)
    irradiance = solar_irradiance(time)
    radiance = reflectance * np.where(angles.sun > 0, angles.sun, np.float32(1))[..., None]
    radiance *= np.array([irradiance[name] / np.pi for name in REFLECTIVE])
    nearness = sun_distance(time) ** -2
    temperature = np.stack(
        [_thermal_channel(random, name, state, nearness) for name in THERMAL], axis=-1
    )
    slant = np.full(shape, OBLIQUE_VIEW, np.float32)
    oblique = light.thermal_radiance("S8", surface, layers, slant)
    noise = random.standard_normal(shape, dtype=np.float32) * np.float32(NOISE_K["S8"])
    depth = np.stack([layer.depth * layer.cover for layer in layers]).sum(axis=0)
    oblique_s8 = light.brightness_temperature("S8", oblique) + noise
    return Scene(
        reflectance,
        radiance.astype(np.float32),
        temperature,
        oblique_s8,
        surface,
        angles,
        time,
        depth,
    )


def _thermal_channel(
    random: np.random.Generator, channel: str, state: _State, nearness: float
) -> Field:
    """Return the brightness temperature of a channel with noise and quantisation: float32, K.

    Args:
        random: of the noise.
        channel: S7, S8 or S9.
        state: surface, clouds and angles.
        nearness: inverse square of the distance of the sun in astronomical units.
    """
    emitted = light.thermal_radiance(channel, state.surface, state.layers, state.angles.view)
    if channel == "S7":
        lit = light.reflectance(channel, state.surface, state.layers, state.angles, state.sun)
        emitted += lit * np.float32(nearness * light.sunlight(channel) / np.pi) * state.sun
    slope = light.planck(channel, 270.5) - light.planck(channel, 269.5)
    noise = random.standard_normal(emitted.shape, dtype=np.float32)
    measured = emitted + noise * slope * np.float32(NOISE_K[channel])
    positive = np.maximum(measured, light.planck(channel, COLDEST_K))
    kelvin = light.brightness_temperature(channel, positive)
    is_missing = np.zeros(kelvin.shape, bool)
    if channel == "S7":
        is_missing = (measured <= 0) | (kelvin > np.float32(S7_HOTTEST_K))
    kelvin = np.minimum(kelvin, np.float32(HOTTEST_K))
    steps = np.rint((kelvin - BRIGHTNESS_TEMPERATURE_OFFSET_K) / BRIGHTNESS_TEMPERATURE_STEP_K)
    stored = steps.astype(np.float64) * BRIGHTNESS_TEMPERATURE_STEP_K
    values = (stored + BRIGHTNESS_TEMPERATURE_OFFSET_K).astype(np.float32)
    return np.where(is_missing, np.float32("nan"), values)


def _solar_channels(random: np.random.Generator, state: _State) -> NDArray[np.float64]:
    """Return the reflectance of S1 to S6; it is 0 in the dark, as published."""
    angles, sun = state.angles, state.sun
    reflectance = np.zeros((*angles.view.shape, len(REFLECTIVE)), np.float64)
    lit = angles.sun > DARK
    if not lit.any():
        return reflectance
    cosine = np.where(angles.sun > 0, angles.sun, np.float32(1))
    for band, channel in enumerate(REFLECTIVE):
        signal = light.reflectance(channel, state.surface, state.layers, angles, sun) * sun
        signal = signal / np.float32(CALIBRATION[channel])
        noise = random.standard_normal(signal.shape, dtype=np.float32)
        spread = np.sqrt((LOW_SIGNAL**2 + LOW_SIGNAL * np.abs(signal)) / SIGNAL_TO_NOISE**2)
        measured = np.where(lit, signal + noise * spread, 0)
        reflectance[..., band] = measured / cosine
    return reflectance
