"""One granule in memory, whatever format it came in, with a flag for all that is wrong.

What is missing is not a number here, and a flag says why; nothing that stands for "missing" in a
native file gets past this form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.slstr_hdf5.channels import (
    BRIGHTNESS_TEMPERATURE_OFFSET_K,
    BRIGHTNESS_TEMPERATURE_STEP_K,
    PACKED_MOST,
    REFLECTANCE_OFFSET,
    REFLECTANCE_STEP,
)
from sciml_data.formats.slstr_hdf5.granule_name import GranuleName
from sciml_data.formats.slstr_hdf5.options import FLAGS, NOT_COMPUTED

if TYPE_CHECKING:
    import xarray as xr

# Colder than any cloud top, hotter than any ground a thermal channel can follow (they saturate
# near 320 K: ESA, SLSTR user guide, "Radiometric Resolution").
COLDEST_K, HOTTEST_K = 150.0, 350.0
# What 16 bits hold.
BRIGHTNESS_TEMPERATURE_RANGE = (
    BRIGHTNESS_TEMPERATURE_OFFSET_K - PACKED_MOST * BRIGHTNESS_TEMPERATURE_STEP_K,
    BRIGHTNESS_TEMPERATURE_OFFSET_K + PACKED_MOST * BRIGHTNESS_TEMPERATURE_STEP_K,
)
REFLECTANCE_RANGE = (
    REFLECTANCE_OFFSET - PACKED_MOST * REFLECTANCE_STEP,
    REFLECTANCE_OFFSET + PACKED_MOST * REFLECTANCE_STEP,
)
# Air alone scatters 3 % and more of green light under any sun (Rayleigh optical depth 0.094 at 555
# nm, Hansen and Travis 1974, Space Sci. Rev. 16, 527, eq. 2.30): less in S1 is not lit.
LEAST_LIT_S1 = 0.02


@dataclass(frozen=True)
class Granule:
    """One granule.

    Attributes:
        name: what its file name says.
        reflectance: (row, column, reflective_band=6) float32, 1, NaN where missing.
        brightness_temperature: (row, column, thermal_band=3) float32, kelvin, NaN where missing.
        bayes: (row, column) uint8, bits of the Bayesian mask, 255 where not computed.
        flags: (row, column) uint16, see `options.FLAGS`.
        extras: more variables on (row, column), attributes included, as far as the format has them.
    """

    name: GranuleName
    reflectance: NDArray[np.float32]
    brightness_temperature: NDArray[np.float32]
    bayes: NDArray[np.uint8]
    flags: NDArray[np.uint16]
    extras: Mapping[str, xr.Variable] = field(default_factory=dict)


def flagged(
    reflectance: NDArray[np.float32],
    brightness_temperature: NDArray[np.float32],
    bayes: NDArray[np.uint8],
    said: Mapping[str, NDArray[np.bool_]],
) -> NDArray[np.uint16]:
    """Return the flags of each pixel.

    Args:
        reflectance: as in `Granule`.
        brightness_temperature: as in `Granule`.
        bayes: as in `Granule`.
        said: what the reader knows from the file, by the name of the flag; it stands over what the
            values show.
    """
    first = reflectance[..., 0]
    with np.errstate(invalid="ignore"):
        seen = {
            "not_computed": bayes == NOT_COMPUTED,
            "unfilled": any_channel(np.isnan(brightness_temperature)),
            "beyond_range": _beyond(brightness_temperature, COLDEST_K, HOTTEST_K)
            | _beyond(reflectance, *REFLECTANCE_RANGE),
            "reflectance_missing": any_channel(np.isnan(reflectance)),
            "unlit": ~(first > LEAST_LIT_S1),
        }
    flags = np.zeros(bayes.shape, np.uint16)
    for name, where in {**seen, **said}.items():
        flags |= where * np.uint16(FLAGS[name])
    return flags


def any_channel(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels with any channel true: (row, column, channel) to (row, column).

    Channel by channel: three times as quick as `any` along so short an axis.
    """
    found = where[..., 0].copy()
    for channel in range(1, where.shape[-1]):
        found |= where[..., channel]
    return found


def _beyond(values: NDArray[np.float32], least: float, most: float) -> NDArray[np.bool_]:
    """Return the pixels with a channel beyond its range; what is missing is not beyond."""
    return any_channel((values < np.float32(least)) | (values > np.float32(most)))
