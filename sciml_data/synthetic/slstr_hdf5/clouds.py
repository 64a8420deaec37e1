"""Clouds of a scene: three layers that cover pixels in part.

Low, frontal and cirrus clouds follow correlated random fields that a common flow stirs. Their water
is log-normal with the -5/3 law of stratocumulus (Cahalan et al. 1994, J. Atmos. Sci. 51, 2434).

A field goes on below the size of a pixel. So the edge of a cloud is not a line between pixels: the
share of a pixel that is cloud follows from the variance that the field's own spectrum leaves
inside a pixel. Fields of small cells give broken cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciml_data.synthetic.slstr_hdf5.fields import advected, gaussian_field
from sciml_data.synthetic.slstr_hdf5.radiance import Field, Layer
from sciml_data.synthetic.slstr_hdf5.surface import Surface, dryness_of

# Mean share of cloud by latitude, over sea and over land: zonal means of MODIS in King et al. 2013
# (IEEE TGRS 51, 3826), read from its figures and rounded; means are 0.72 over sea, 0.55 over land.
SHARE_LATITUDE = (0, 8, 20, 35, 50, 65, 90)
SHARE_SEA = (0.70, 0.68, 0.58, 0.68, 0.83, 0.88, 0.75)
SHARE_LAND = (0.72, 0.62, 0.40, 0.45, 0.62, 0.68, 0.65)
SHARE_DESERT = 0.20  # of land without rain, the same
# Sum of both parameters of the beta distribution of the share of cloud in a scene: it gives the
# standard deviation of 0.12 that the Bayesian mask of the 100 inference scenes of cloud_slstr_ds1
# has (research: cloudmask, section 0, fact 3).
SHARE_CERTAINTY = 10.4
WATER_SLOPE = 8 / 3  # of the two-dimensional power spectrum: the -5/3 law
MAX_DEPTH = 120.0  # optical depth
# Optical depth where a field exceeds its level by one standard deviation. With these, 45 % of low
# cloud is thinner than 3 (Leahy et al. 2012, J. Geophys. Res. 117, D22201: marine low cloud), and
# the median of cirrus is 0.5 (Sassen and Comstock 2001, J. Atmos. Sci. 58, 2113: 0.61 of cirrus
# above a lidar, which misses the thinnest).
LOW_DEPTH, FRONT_DEPTH, CIRRUS_DEPTH = 5.5, 14.0, 1.6
# Drops have radii of 11.4 um over sea and 8.5 um over land, with a standard deviation of a quarter
# (Han, Rossow and Lacis 1994, J. Climate 7, 465); absorption goes with the radius.
FINENESS_LAND, FINENESS_SPREAD = 11.4 / 8.5, 0.25
GROWTH = 1.3  # exponent of the excess over the level
# Height of the tropopause: 16.5 km at the equator, 9.5 at 60 degrees and beyond (Hoinka 1998,
# Mon. Weather Rev. 126, 3303).
TROPOPAUSE_KM = (16.5, 9.5)


def tropopause_km(latitude: Field) -> Field:
    """Return the height of the tropopause at a latitude in degrees."""
    high, low = TROPOPAUSE_KM
    return (low + (high - low) * np.exp(-((latitude / 32) ** 4))).astype(np.float32)


def mean_share(latitude: float, *, land: bool) -> float:
    """Return the mean share of cloud at a latitude in degrees."""
    at = abs(latitude)
    if not land:
        return float(np.interp(at, SHARE_LATITUDE, SHARE_SEA))
    dryness = float(dryness_of(np.array(at, np.float32)))
    moist = float(np.interp(at, SHARE_LATITUDE, SHARE_LAND))
    return dryness * SHARE_DESERT + (1 - dryness) * moist


@dataclass(frozen=True)
class _Kind:
    """A field of cloud with its level: there is cloud where the field exceeds it."""

    field: Field
    level: Field
    inner: float  # standard deviation of the field inside a pixel
    scale: float  # optical depth where the field exceeds the level by one
    texture: float  # standard deviation of the logarithm of the water
    ice: float

    def layer(self, water: Field, top_km: Field, fineness: Field) -> Layer:
        """Return the layer with a field of water, of mean 0 and variance 1."""
        cover = self.cover()
        excess = np.maximum(self.field - self.level, 0) + np.float32(0.4 * self.inner)
        grown = self.scale * excess**GROWTH * np.exp(np.float32(self.texture) * water)
        depth = np.where(cover > 0, np.minimum(grown, MAX_DEPTH), 0).astype(np.float32)
        return Layer(depth, np.asarray(top_km, np.float32), self.ice, cover, fineness)

    def cover(self) -> Field:
        """Return the share of each pixel that is cloud: of a normal distribution, above the level.

        The logistic function with a scale of 1.702 is the normal one to 0.01.
        """
        share = 1 / (1 + np.exp(np.clip((self.level - self.field) * (1.702 / self.inner), -40, 40)))
        return np.where(share < 0.01, 0, np.where(share > 0.99, 1, share)).astype(np.float32)


def make_clouds(
    random: np.random.Generator,
    latitude: Field,
    surface: Surface,
    flow: tuple[Field, Field],
) -> list[Layer]:
    """Return the cloud layers, lowest first.

    The level above which the fields are cloud is common to all layers. It follows from the share of
    cloud, which is drawn for sea and for land.

    Args:
        random: source of the fields.
        latitude: (row, column), degrees.
        surface: tells land from sea.
        flow: displacements of the common flow.
    """
    shape = (latitude.shape[0], latitude.shape[1])

    def field(outer_km: float, slope: float, stretch: float = 1, direction: float = 0) -> Field:
        return gaussian_field(
            random, shape, outer_km=outer_km, slope=slope, stretch=stretch, direction=direction
        )

    bearing = random.uniform(0, np.pi)
    weather = advected(field(700, 3.6), flow, 40)
    size_km = random.uniform(12, 60)
    cells = advected(field(size_km, 3.2), flow, 15)
    low = 0.75 * weather + 0.65 * cells + random.normal(0.4, 0.5)
    front = advected(field(500, 3.2, 3, bearing), flow, 60) + random.normal(-0.5, 0.5)
    streaks = field(300, 2.9, 5, bearing + random.uniform(-0.5, 0.5))
    cirrus = 0.8 * advected(streaks, flow, 30) + 0.5 * front + random.normal(-0.6, 0.5)
    level = _level(random, np.maximum(np.maximum(low, front), cirrus), latitude, surface)
    water = field(60, WATER_SLOPE)
    height = field(300, 3.6)
    kinds = (
        _Kind(low, level, 0.65 * _inside_pixel(size_km, 3.2), LOW_DEPTH, 0.8, 0.0),
        _Kind(front, level, _inside_pixel(500, 3.2), FRONT_DEPTH, 0.5, 0.5),
        _Kind(cirrus, level, 0.8 * _inside_pixel(300, 2.9), CIRRUS_DEPTH, 0.6, 1.0),
    )
    thick = np.clip(front - level, 0, 2)
    top = tropopause_km(latitude)
    heights = (
        np.clip(1.3 + 0.5 * height, 0.3, 2.6),
        np.clip(2.5 + 3.2 * thick + 0.4 * height, 1.5, top),
        np.clip(top - 1.5 + height, 6.5, top + 0.5),
    )
    fineness = np.exp(np.float32(FINENESS_SPREAD) * field(200, 3.2))
    fineness *= np.where(surface.land, np.float32(FINENESS_LAND), np.float32(1))
    pairs = zip(kinds, heights, strict=True)
    return [kind.layer(water, top_km, fineness) for kind, top_km in pairs]


def _level(random: np.random.Generator, field: Field, latitude: Field, surface: Surface) -> Field:
    """Return the level of each pixel above which a field is cloud, by surface."""
    level = np.zeros_like(field)
    middle = float(np.median(latitude))
    for is_land in (False, True):
        mean = mean_share(middle, land=is_land)
        share = random.beta(mean * SHARE_CERTAINTY, (1 - mean) * SHARE_CERTAINTY)
        where = surface.land == is_land
        if where.any():
            level[where] = np.quantile(field[where], 1 - share)
    return level


def _inside_pixel(outer_km: float, slope: float) -> float:
    """Return the standard deviation inside a pixel of 1 km of a field of variance one.

    Beyond the outer scale the variance above a wavenumber k falls as k^(2 - slope), and the pixels
    end at half a cycle per kilometre.
    """
    return float((outer_km / 2) ** (1 - slope / 2))
