"""Radiance at the top of the atmosphere over sea or land with clouds: simple physics by channel.

This is not a full radiative transfer model. It has single scattering in clear air, two streams in
clouds, stacked layers that cover a share of each pixel, and water vapour as a loss that grows with
path, amount and the contrast between ground and air. Constants without a source are rounded values
of the order that the literature gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5 import CENTRE_UM
from sciml_data.synthetic.slstr_hdf5.orbit import Angles

if TYPE_CHECKING:
    from sciml_data.synthetic.slstr_hdf5.surface import Surface

Field = NDArray[np.floating[Any]]  # (row, column)

PLANCK_1 = 1.191042972e8  # 2 h c^2, W um4 m-2 sr-1 (CODATA 2018)
PLANCK_2 = 14_387.76877  # h c / k, um K (CODATA 2018)
SUN_K = 5772.0  # effective temperature (IAU 2015 resolution B3)
SUN_SR = 6.794e-5  # solid angle of the sun at one astronomical unit
LAPSE_K_KM = 6.5  # US Standard Atmosphere 1976
COLDEST_TOP_K = (
    195.0  # tropical cold point (Santer et al. 2003, J. Geophys. Res. 108, 4002: 190-195)
)
VAPOUR_SCALE_KM = 2.0
# Kelvin that clear air takes from the brightness temperature of the surface at nadir: a fixed part,
# and a part for each kg m-2 of water vapour. S9 loses most (the split window).
CLEAR_LOSS_K = {"S7": (0.5, 0.03), "S8": (0.3, 0.07), "S9": (0.4, 0.115)}
# Mean contrast in K between a sea surface and the vapour above it, which the loss is for. Over
# ground that is dT hotter than its air the vapour takes 1 + dT / VAPOUR_CONTRAST_K times as much.
VAPOUR_CONTRAST_K = 7.0
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
AEROSOL_ASYMMETRY = 0.7
DIFFUSE = 0.6  # mean cosine of light that the air scatters back to the ground
WATER_LEAVING = {"S1": 0.008, "S2": 0.002}  # reflectance of clear ocean water below the surface


@dataclass(frozen=True)
class Layer:
    """A layer of clouds.

    Attributes:
        depth: (row, column) visible optical depth, 0 without cloud.
        top_km: (row, column) height of the cloud tops.
        ice: share of ice, 0..1.
        cover: (row, column) share of the pixel that is cloud, 0..1.
        fineness: (row, column) factor of the reflectance of water in S7: small drops reflect more.
    """

    depth: Field
    top_km: Field
    ice: float
    cover: Field
    fineness: Field


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


def clear_loss(channel: str, surface: Surface, view: Field) -> Field:
    """Return by how many kelvin clear air lowers the brightness temperature of the surface."""
    fixed, each = CLEAR_LOSS_K[channel]
    contrast = 1 + (surface.temperature - surface.air) / np.float32(VAPOUR_CONTRAST_K)
    loss: Field = (np.float32(fixed) + np.float32(each) * surface.vapour * contrast) / view
    return loss


def thermal_radiance(channel: str, surface: Surface, layers: Sequence[Layer], view: Field) -> Field:
    """Return the thermal radiance of surface and clouds in W m-2 sr-1 um-1.

    Args:
        channel: S7, S8 or S9.
        surface: sea and land.
        layers: clouds, lowest first.
        view: (row, column) cosine of the satellite's zenith angle.
    """
    fixed, each = CLEAR_LOSS_K[channel]
    emitted = planck(channel, surface.temperature - clear_loss(channel, surface, view))
    radiance = surface.emissivity(channel) * emitted
    loss = (np.float32(fixed) + np.float32(each) * surface.vapour) / view
    for layer in layers:
        top = np.maximum(surface.air - np.float32(LAPSE_K_KM) * layer.top_km, COLDEST_TOP_K)
        loss_above = loss * np.exp(-layer.top_km / np.float32(VAPOUR_SCALE_KM))
        cloud = planck(channel, top - loss_above)
        through = np.exp(-np.float32(ABSORBED[channel]) * layer.depth / view)
        emissivity = 1 - through
        if channel == "S7":  # a reflector does not emit: thick water cloud looks cold at night
            emissivity *= 1 - _back(channel, layer, np.float32(0.5))
        radiance += layer.cover * (radiance * (through - 1) + emissivity * cloud)
    return radiance


def reflectance(
    channel: str, surface: Surface, layers: Sequence[Layer], angles: Angles, sun: Field
) -> Field:
    """Return the reflectance pi L / (E0 mu0) of surface, air and clouds.

    Args:
        channel: S1 to S7.
        surface: sea and land.
        layers: clouds, lowest first.
        angles: angles of the pixels.
        sun: (row, column) cosine mu0 of the sun's zenith angle, above zero.
    """
    path = 1 / sun + 1 / angles.view
    result = clear_reflectance(channel, surface, angles, sun)
    for layer in layers:
        back = _back(channel, layer, sun)
        down = np.exp(-np.float32(ABSORBED["S7"]) * layer.depth) if channel == "S7" else 1.0
        on_top = back + (1 - back) ** 2 * down * result / (1 - np.minimum(back * result, 0.9))
        if channel == "S4":
            above = surface.vapour * np.exp(-layer.top_km / np.float32(VAPOUR_SCALE_KM))
            transmitted = np.exp(-np.float32(VAPOUR_ABSORPTION_S4) * above * path)
            on_top = result * (1 - back) ** 2 + back * transmitted
        result = result + layer.cover * (on_top - result)
    return np.asarray(result)


def clear_reflectance(channel: str, surface: Surface, angles: Angles, sun: Field) -> Field:
    """Return the reflectance without clouds; arguments as those of `reflectance`."""
    sea = _glint(surface.wind, angles, sun) + np.float32(WATER_LEAVING.get(channel, 0.0))
    ground = np.where(surface.land, surface.albedo(channel), np.minimum(sea, np.float32(3.0)))
    if channel == "S7":
        return ground.astype(np.float32)
    scattered, passed, again = _clear_air(channel, surface, angles, sun)
    result = scattered + passed * ground / (1 - again * ground)
    if channel == "S4":
        path = 1 / sun + 1 / angles.view
        result *= np.exp(-np.float32(VAPOUR_ABSORPTION_S4) * surface.vapour * path)
    return np.asarray(result, np.float32)


def sunlight(channel: str) -> float:
    """Return the irradiance of the sun as a black body at the centre of a channel in W m-2 um-1."""
    return float(planck(channel, SUN_K)) * SUN_SR


def _back(channel: str, layer: Layer, sun: Field | np.float32) -> Field:
    """Return the share of sunlight that a layer scatters back, in the two-stream approximation.

    Coakley and Chylek 1975 (J. Atmos. Sci. 32, 409), with a backscatter independent of angle.
    """
    water, ice = WHITENESS[channel]
    drops = np.float32(water) * (layer.fineness if channel == "S7" else np.float32(1))
    whiteness = drops * np.float32(1 - layer.ice) + np.float32(ice * layer.ice)
    scattered = np.float32(BACKSCATTERED) * layer.depth / sun
    back: Field = whiteness * scattered / (1 + scattered)
    return back


def _clear_air(
    channel: str, surface: Surface, angles: Angles, sun: Field
) -> tuple[Field, Field, Field]:
    """Return the reflectance of air and aerosol, what they let through, and what they send back.

    The reflectance is that of single scattering, tau P / (4 mu mu0). Let through is the share of
    light that is scattered back on neither way; sent back is the share of the ground's light that
    returns to it. Rayleigh optical depth: Hansen and Travis 1974 (Space Sci. Rev. 16, 527),
    equation 2.30.
    """
    wavelength = CENTRE_UM[channel]
    inverse = wavelength**-2
    depth = 0.008569 * inverse**2 * (1 + 0.0113 * inverse + 0.00013 * inverse**2)
    rayleigh = np.float32(0.75 * depth) * (1 + angles.scattering**2)
    # Henyey-Greenstein phase function.
    asymmetry = AEROSOL_ASYMMETRY
    forward = np.float32(1 + asymmetry**2) - np.float32(2 * asymmetry) * angles.scattering
    dust = surface.aerosol * np.float32(0.55 / wavelength) ** surface.exponent
    aerosol = dust * np.float32(1 - asymmetry**2) * forward**-1.5
    slant = 4 * sun * angles.view
    scattered = 1 - np.exp(-(rayleigh + aerosol) / slant)
    behind = np.float32(depth / 2) + np.float32((1 - asymmetry) / 2) * dust
    down, up, again = (behind / (cosine + behind) for cosine in (sun, angles.view, DIFFUSE))
    return scattered, (1 - down) * (1 - up), again


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
