"""Variables of level-1 products beside the channels: flags with their native bits, and angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

# By word of confidence_in, the flag of the ready form that it becomes.
CONFIDENCE = {
    "unfilled": "unfilled",
    "cosmetic": "cosmetic",
    "duplicate": "duplicate",
    "summary_cloud": "summary_cloud",
}
HORIZON = 90.0  # degrees from the zenith
ABOUT_FLAGS = {
    "confidence": "surface, light and state of the pixel",
    "cloud_tests": "which threshold tests call the pixel cloud",
}


def described(name: str) -> dict[str, str]:
    """Return the attributes of a place or angle by its name in the ready form."""
    units = {"longitude": "degrees_east", "latitude": "degrees_north"}.get(name, "degree")
    return {
        "standard_name": name,
        "long_name": f"{name.replace('_', ' ')}, from tie points",
        "units": units,
    }


def flag_variable(name: str, values: NDArray[Any], bits: Mapping[str, int]) -> xr.Variable:
    """Return the product's own flags, (row, column), with their native bits.

    Args:
        name: in the ready form, of `ABOUT_FLAGS`.
        values: (row, column) unsigned integers.
        bits: by word of the product; spare bits are left out.
    """
    used = {word: bit for word, bit in bits.items() if word != "spare"}
    attributes = {
        "long_name": ABOUT_FLAGS[name],
        "flag_masks": np.array(list(used.values()), values.dtype),
        "flag_meanings": " ".join(used),
    }
    return xr.Variable(("row", "column"), values, attributes)


def flag_bits(attributes: Mapping[str, Any]) -> dict[str, int]:
    """Return the bits of a flag variable by word, from `flag_meanings` and `flag_masks`."""
    meanings = attributes["flag_meanings"]
    words = (meanings.decode() if isinstance(meanings, bytes) else str(meanings)).split()
    masks = unsigned(np.atleast_1d(attributes["flag_masks"]))
    return dict(zip(words, masks.tolist(), strict=False))


def unsigned(values: NDArray[Any]) -> NDArray[Any]:
    """Return bits as unsigned integers in the order of this computer.

    NetCDF-3 is big-endian and has no unsigned integers: the highest bit makes a negative number.
    """
    native = values.astype(values.dtype.newbyteorder("="))
    return native.view(f"u{native.dtype.itemsize}")
