"""Radiance at the top of the atmosphere over a sea with clouds: simple physics for each channel.

This is not a full radiative transfer model. It has single scattering in clear air, two streams in
clouds, stacked layers, and water vapour as a loss that grows with path and amount. Constants
without a source are rounded values of the order that the literature gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import CENTRE_UM
from sciml_data.synthetic.slstr_hdf5.orbit import Angles

Field = NDArray[np.floating[Any]]  # (row, column)

PLANCK_1 = 1.191042972e8  # 2 h c^2, W um4 m-2 sr-1 (CODATA 2018)
PLANCK_2 = 14_387.76877  # h c / k, um K (CODATA 2018)
SUN_K = 5772.0  # effective temperature (IAU 2015 resolution B3)
SUN_SR = 6.794e-5  # solid angle of the sun at one astronomical unit
LAPSE_K_KM = 6.5  # US Standard Atmosphere 1976
TROPOPAUSE_K = 210.0
VAPOUR_SCALE_KM = 2.0
# Kelvin that clear air takes from the brightness temperature of the surface at nadir: a fixed part,
# and a part for each kg m-2 of water vapour. S9 loses most (the split window).
CLEAR_LOSS_K = {"S7": (0.5, 0.03), "S8": (0.3, 0.07), "S9": (0.4, 0.115)}
# Absorption optical depth in the channel over extinction in the visible, for cloud drops.
ABSORBED = {"S7": 0.35, "S8": 0.50, "S9": 0.58}
# Share of backscattered light that a cloud of water or of ice does not absorb.
WHITENESS = {
    "S1": (1.0, 1.0),
    "S2": (1.0, 1.0),
    "S3": (1.0, 1.0),
    "S4": (0.95, 0.7),
    "S5": (0.85, 0.45),
    "S6": (0.7, 0.3),
    "S7": (0.25, 0.04),
}
BACKSCATTERED = 0.075  # half of 1 - g, with g = 0.85 for cloud drops
VAPOUR_ABSORPTION_S4 = 0.5  # per kg m-2 at 1.375 um: black below some 4 km, clear at cirrus
REFRACTIVE_INDEX = 1.34  # of sea water
AEROSOL_DEPTH = 0.1  # marine, at 0.55 um; it falls as 1 / wavelength
AEROSOL_ASYMMETRY = 0.7
WATER_LEAVING = {"S1": 0.008, "S2": 0.002}  # reflectance of clear ocean water below the surface


@dataclass(frozen=True)
class Layer:
    """A layer of clouds.

    Attributes:
        depth: (row, column) visible optical depth, 0 without cloud.
        top_km: (row, column) height of the cloud tops.
        ice: share of ice, 0..1.
    """

    depth: Field
    top_km: Field
    ice: float


@dataclass(frozen=True)
class Sea:
    """The sea surface and the air above it, (row, column) float32.

    Attributes:
        temperature: of the surface, K.
        wind: m/s.
        vapour: column of water vapour, kg m-2.
    """

    temperature: Field
    wind: Field
    vapour: Field


def planck(channel: str, temperature: Field | float) -> Field:
    """Return black-body radiance at the centre of a channel in W m-2 sr-1 um-1."""
    wavelength = CENTRE_UM[channel]
    exponent = np.float32(PLANCK_2 / wavelength) / np.asarray(temperature, np.float32)
    radiance: Field = np.float32(PLANCK_1 / wavelength**5) / np.expm1(exponent)
    return radiance


def brightness_temperature(channel: str, radiance: Field) -> Field:
    """Return the temperature in K of a black body with a radiance at the centre of a channel."""
    wavelength = CENTRE_UM[channel]
    ratio = np.float32(PLANCK_1 / wavelength**5) / radiance
    temperature: Field = np.float32(PLANCK_2 / wavelength) / np.log1p(ratio)
    return temperature


def thermal_radiance(channel: str, sea: Sea, layers: Sequence[Layer], view: Field) -> Field:
    """Return the thermal radiance of sea and clouds in W m-2 sr-1 um-1.

    Args:
        channel: S7, S8 or S9.
        sea: the surface.
        layers: clouds, lowest first.
        view: (row, column) cosine of the satellite's zenith angle.
    """
    fixed, each = CLEAR_LOSS_K[channel]
    loss = (np.float32(fixed) + np.float32(each) * sea.vapour) / view
    radiance = planck(channel, sea.temperature - loss)
    for layer in layers:
        top = np.maximum(sea.temperature - np.float32(LAPSE_K_KM) * layer.top_km, TROPOPAUSE_K)
        loss_above = loss * np.exp(-layer.top_km / np.float32(VAPOUR_SCALE_KM))
        cloud = planck(channel, top - loss_above)
        through = np.exp(-np.float32(ABSORBED[channel]) * layer.depth / view)
        emissivity = 1 - through
        if channel == "S7":  # a reflector does not emit: thick water cloud looks cold at night
            emissivity *= 1 - _back(channel, layer, np.float32(0.5))
        radiance = radiance * through + emissivity * cloud
    return radiance


def reflectance(
    channel: str, sea: Sea, layers: Sequence[Layer], angles: Angles, sun: Field
) -> Field:
    """Return the reflectance pi L / (E0 mu0) of sea, air and clouds.

    Args:
        channel: S1 to S7.
        sea: the surface.
        layers: clouds, lowest first.
        angles: angles of the pixels.
        sun: (row, column) cosine mu0 of the sun's zenith angle, above zero.
    """
    path = 1 / sun + 1 / angles.view
    result = _glint(sea.wind, angles, sun) + np.float32(WATER_LEAVING.get(channel, 0.0))
    result = np.minimum(result, np.float32(3.0))
    if channel != "S7":
        result += _clear_air(channel, angles, sun)
    if channel == "S4":
        result *= np.exp(-np.float32(VAPOUR_ABSORPTION_S4) * sea.vapour * path)
    for layer in layers:
        back = _back(channel, layer, sun)
        down = np.exp(-np.float32(ABSORBED["S7"]) * layer.depth) if channel == "S7" else 1.0
        on_top = back + (1 - back) ** 2 * down * result / (1 - np.minimum(back * result, 0.9))
        if channel == "S4":
            above = sea.vapour * np.exp(-layer.top_km / np.float32(VAPOUR_SCALE_KM))
            transmitted = np.exp(-np.float32(VAPOUR_ABSORPTION_S4) * above * path)
            on_top = result * (1 - back) ** 2 + back * transmitted
        result = on_top
    return np.asarray(result)


def sunlight(channel: str) -> float:
    """Return the irradiance of the sun as a black body at the centre of a channel in W m-2 um-1."""
    return float(planck(channel, SUN_K)) * SUN_SR


def _back(channel: str, layer: Layer, sun: Field | np.float32) -> Field:
    """Return the share of sunlight that a layer scatters back, in the two-stream approximation.

    Coakley and Chylek 1975 (J. Atmos. Sci. 32, 409), with a backscatter independent of angle.
    """
    water, ice = WHITENESS[channel]
    whiteness = np.float32(water * (1 - layer.ice) + ice * layer.ice)
    scattered = np.float32(BACKSCATTERED) * layer.depth / sun
    back: Field = whiteness * scattered / (1 + scattered)
    return back


def _clear_air(channel: str, angles: Angles, sun: Field) -> Field:
    """Return the reflectance of single scattering by air and aerosol: tau P / (4 mu mu0).

    Rayleigh optical depth: Hansen and Travis 1974 (Space Sci. Rev. 16, 527), equation 2.30.
    """
    wavelength = CENTRE_UM[channel]
    inverse = wavelength**-2
    depth = 0.008569 * inverse**2 * (1 + 0.0113 * inverse + 0.00013 * inverse**2)
    rayleigh = np.float32(0.75 * depth) * (1 + angles.scattering**2)
    # Henyey-Greenstein phase function.
    asymmetry = AEROSOL_ASYMMETRY
    forward = np.float32(1 + asymmetry**2) - np.float32(2 * asymmetry) * angles.scattering
    aerosol = np.float32(AEROSOL_DEPTH * 0.55 / wavelength * (1 - asymmetry**2)) * forward**-1.5
    slant = 4 * sun * angles.view
    scattered: Field = 1 - np.exp(-(rayleigh + aerosol) / slant)
    return scattered


def _glint(wind: Field, angles: Angles, sun: Field) -> Field:
    """Return the reflectance of sun glint on waves.

    Slopes of waves follow Cox and Munk 1954 (J. Opt. Soc. Am. 44, 838); the facets reflect by
    Fresnel's formulae for unpolarised light.
    """
    spread = np.float32(0.003) + np.float32(0.00512) * wind
    tilt = np.clip(angles.tilt, 0.05, 1)
    slope = (1 - tilt**2) / tilt**2
    facets = np.exp(-slope / spread) / (np.float32(np.pi) * spread)
    facet = np.clip(angles.facet, 0, 1)
    refracted = np.sqrt(1 - (1 - facet**2) / np.float32(REFRACTIVE_INDEX**2))
    across = (facet - REFRACTIVE_INDEX * refracted) / (facet + REFRACTIVE_INDEX * refracted)
    along = (REFRACTIVE_INDEX * facet - refracted) / (REFRACTIVE_INDEX * facet + refracted)
    fresnel = (across**2 + along**2) / 2
    glint: Field = np.float32(np.pi) * facets * fresnel / (4 * sun * angles.view * tilt**4)
    return glint
