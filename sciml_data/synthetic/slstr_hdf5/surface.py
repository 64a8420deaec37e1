"""Sea and land below a scene, and the clear air above it.

Coasts are fractal, and there is no map: land is where a random field is high. What grows there
follows from the latitude (deserts around 24 degrees, forest near the equator and beyond 45) and
from chance. Land reflects as a mixture of three spectra: desert sand, soil and green canopy.
Snow, ice and lakes are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sciml_data.synthetic.slstr_hdf5.fields import advected, gaussian_field
from sciml_data.synthetic.slstr_hdf5.orbit import Angles
from sciml_data.synthetic.slstr_hdf5.radiance import Field

# Reflectance of S1 to S7 of a level surface. Sand: top-of-atmosphere values of the Saharan
# calibration sites (Cosnefroy, Leroy and Briottet 1996, Remote Sens. Environ. 58, 101), less the
# air's share in S1. Soil and canopy: ECOSTRESS spectral library (Meerdink et al. 2019, Remote Sens.
# Environ. 230, 111196), rounded. S7 is one minus the emissivity of bare and vegetated land in the
# channel at 3.9 um of SEVIRI (Peres and DaCamara 2005, IEEE TGRS 43, 1834).
SPECTRA: Mapping[str, tuple[float, float, float]] = {  # sand, soil, canopy
    "S1": (0.24, 0.09, 0.07),
    "S2": (0.38, 0.13, 0.045),
    "S3": (0.48, 0.21, 0.38),
    "S4": (0.55, 0.28, 0.28),
    "S5": (0.60, 0.30, 0.20),
    "S6": (0.57, 0.26, 0.09),
    "S7": (0.22, 0.12, 0.03),
}
# Emissivity of sand, soil and canopy at 10.8 and 12 um (Peres and DaCamara 2005).
EMISSIVITY = {"S8": (0.955, 0.965, 0.985), "S9": (0.975, 0.975, 0.985)}
TEXTURE = 0.15  # standard deviation of the logarithm of land's reflectance within a spectrum
DESERT_LATITUDE, DESERT_WIDTH = 24.0, 9.0  # degrees: the subtropical belt
# Skin less air temperature of bare land per cosine of the sun's zenith angle, and at night, K.
# Canopy has a fifth of the first and half of the second (Jin and Dickinson 2010, Environ. Res.
# Lett. 5, 044004: bare land differs by 15 to 25 K about noon, forest by a few).
HEATED_K, COOLED_K = 25.0, 4.0
HEIGHT_K = 4.0  # standard deviation of air temperature by height of the land: 600 m, 6.5 K/km
FREEZING_SEA_K = 271.35
# Aerosol depth at 0.55 um: median over sea and land, and its geometric standard deviation (Remer
# et al. 2008, J. Geophys. Res. 113, D14S07: means 0.13 and 0.19; O'Neill et al. 2000, J. Geophys.
# Res. 105, 9791: lognormal, factor 2). Dust adds up to DUST_DEPTH in and beside deserts (Holben et
# al. 2001, J. Geophys. Res. 106, 12067: 0.3 to 0.5 at Sahelian and Cape Verdean stations).
AEROSOL_DEPTH, AEROSOL_SPREAD, DUST_DEPTH = (0.10, 0.15), 2.0, 0.35
MAX_AEROSOL = 2.0
OUTFLOW = 0.4  # of the dust over sea far from land, as between Cape Verde and Barbados
# Exponent with which the depth falls with wavelength: sea salt and smoke 1, dust 0.2 (Holben 2001).
EXPONENT, DUST_EXPONENT = 1.0, 0.2


@dataclass(frozen=True)
class Surface:
    """The surface and the clear air above it, (row, column) float32 unless said otherwise.

    Attributes:
        land: bool, whether the pixel is land.
        temperature: of the skin, K.
        air: temperature of the air just above, K.
        wind: m/s, over sea.
        vapour: column of water vapour, kg m-2.
        sand: share of sand in the land's spectrum; soil and canopy share the rest.
        canopy: share of green canopy.
        texture: factor of the land's reflectance.
        aerosol: optical depth at 0.55 um.
        exponent: with which it falls with wavelength.
    """

    land: NDArray[np.bool_]
    temperature: Field
    air: Field
    wind: Field
    vapour: Field
    sand: Field
    canopy: Field
    texture: Field
    aerosol: Field
    exponent: Field

    def albedo(self, channel: str) -> Field:
        """Return the reflectance of the land below the air; see `SPECTRA`."""
        return self._mixed(SPECTRA[channel]) * self.texture

    def emissivity(self, channel: str) -> Field:
        """Return the emissivity of the surface; that of the sea is 1, as its loss says."""
        if channel in EMISSIVITY:
            mixed = self._mixed(EMISSIVITY[channel])
        else:
            mixed = 1 - self.albedo(channel)
        return np.where(self.land, mixed, np.float32(1))

    def _mixed(self, values: tuple[float, float, float]) -> Field:
        sand, soil, canopy = (np.float32(value) for value in values)
        bare: Field = self.sand * sand + (1 - self.sand) * soil
        return self.canopy * canopy + (1 - self.canopy) * bare


def make_surface(
    random: np.random.Generator,
    angles: Angles,
    flow: tuple[Field, Field],
    *,
    land_share: float,
    time: datetime,
) -> Surface:
    """Return the surface of a scene.

    Args:
        random: source of the fields.
        angles: latitude, and the height of the sun.
        flow: displacements that stir the sea.
        land_share: share of the pixels that are land.
        time: date of the scene, UTC.
    """
    shape = (angles.view.shape[0], angles.view.shape[1])

    def field(outer_km: float, slope: float = 3.2) -> Field:
        return gaussian_field(random, shape, outer_km=outer_km, slope=slope)

    relief = field(400, 3.0)
    land = relief > np.quantile(relief, 1 - land_share) if land_share else np.zeros(shape, bool)
    sea = mean_sea_temperature(angles.latitude) + np.float32(1.1) * advected(field(250), flow, 25)
    sea = np.maximum(sea, np.float32(FREEZING_SEA_K))
    dryness = dryness_of(angles.latitude) + np.float32(0.25) * field(500, 3.6)
    sand = np.clip(1.4 * dryness - 0.3, 0, 1)
    canopy = np.clip(0.95 - 1.2 * dryness + 0.2 * field(60, 2.8), 0, 1)
    on_land = mean_land_temperature(angles.latitude, time) + np.float32(HEIGHT_K) * field(200)
    day = np.clip(angles.sun, 0, 1)
    heating = HEATED_K * (1 - 0.8 * canopy) * day - COOLED_K * (1 - 0.5 * canopy) * (day == 0)
    air = np.where(land, on_land, sea)
    weather = field(600, 3.5)
    # 15 kg m-2 at 288 K, 6.9 % more for each kelvin (Clausius-Clapeyron), times exp(0.25 weather).
    vapour = 15 * np.exp(np.float32(0.069) * (air - 288) + np.float32(0.25) * weather)
    vapour *= np.where(land, 1 - 0.5 * np.clip(dryness, 0, 1), 1)  # dry air stays over deserts
    near = OUTFLOW + (1 - OUTFLOW) * land_share
    clean = by_surface(land, AEROSOL_DEPTH) * AEROSOL_SPREAD ** field(300)
    dust = DUST_DEPTH * np.clip(dryness, 0, 1) * near * AEROSOL_SPREAD ** field(300)
    aerosol, fine = np.minimum(clean + dust, MAX_AEROSOL), clean / (clean + dust)
    values = (
        air + np.where(land, heating, 0), air, np.clip(6.5 + 2.5 * field(400, 3.5), 1, 16), vapour,
        sand, canopy, np.exp(np.float32(TEXTURE) * field(60, 2.8)),
        aerosol, DUST_EXPONENT + (EXPONENT - DUST_EXPONENT) * fine,
    )  # fmt: skip
    return Surface(land, *(np.asarray(value, np.float32) for value in values))


def mean_aerosol(latitude: Field, land: NDArray[np.bool_]) -> Field:
    """Return the median optical depth at 0.55 um by latitude and surface, dust included."""
    clean, near = by_surface(land, AEROSOL_DEPTH), by_surface(land, (OUTFLOW, 1.0))
    return np.asarray(clean + np.float32(DUST_DEPTH) * dryness_of(latitude) * near, np.float32)


def by_surface(land: NDArray[np.bool_], values: tuple[float, float]) -> Field:
    """Return the first value over sea and the second over land: (row, column) float32."""
    over_sea, over_land = np.float32(values[0]), np.float32(values[1])
    return np.where(land, over_land, over_sea)


def dryness_of(latitude: Field) -> Field:
    """Return the mean dryness of land by latitude in degrees, 0 to 1: 1 in the desert belt."""
    away = (np.abs(latitude) - DESERT_LATITUDE) / DESERT_WIDTH
    return np.exp(-(away**2)).astype(np.float32)


def mean_sea_temperature(latitude: Field) -> Field:
    """Return the zonal mean in K: 300.5 at the equator, 285 at 45 degrees, never below freezing.

    Args:
        latitude: degrees, any shape.
    """
    curve = np.float32(300.5) - 31 * np.sin(np.radians(latitude)) ** 2
    return np.maximum(curve, np.float32(FREEZING_SEA_K)).astype(np.float32)


def mean_land_temperature(latitude: Field, time: datetime) -> Field:
    """Return the zonal mean of the air over land in K, with the season.

    The yearly mean is 300 K at the equator and 272 K at 60 degrees; summer and winter differ from
    it by a quarter of a kelvin for each degree of latitude (Legates and Willmott 1990, Theor. Appl.
    Climatol. 41, 11, rounded). The warmest day is about 20 July in the north.

    Args:
        latitude: degrees, any shape.
        time: date, UTC.
    """
    season = np.cos(2 * np.pi * (time.timetuple().tm_yday - 201) / 365.25)
    yearly = 300.0 - 38.0 * np.sin(np.radians(latitude)) ** 2
    return np.asarray(yearly + 0.25 * latitude * season, np.float32)
