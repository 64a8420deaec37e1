"""A small level-1 granule of SLSTR as a `.SEN3` folder of NetCDF files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

GRANULE = (
    "S3A_SL_1_RBT____20170315T113420_20170315T113720_20170315T135348_0179_015_237_1439_SVL_O_NR_002"
    ".SEN3"
)
ROWS, COLUMNS, TIES = 8, 64, 8
WORDS = (
    "coastline ocean tidal land inland_water unfilled spare spare cosmetic duplicate day twilight "
    "sun_glint snow summary_cloud summary_pointing"
)
UNFILLED, COSMETIC, DUPLICATE, SUMMARY = 1 << 5, 1 << 8, 1 << 9, 1 << 14


def write_granule(root: Path) -> None:
    """Write a granule of 8 x 64 pixels: cold, cosmetic, duplicate and unfilled columns."""
    folder = root / GRANULE
    folder.mkdir(parents=True)
    packed = np.full((ROWS, COLUMNS), -873, np.int16)  # 275 K
    packed[:, 10], packed[:, 0] = -5373, -32768
    for name in ("S7", "S8", "S9"):
        _write(folder, f"{name}_BT_in.nc", {f"{name}_BT_in": packed}, step=1000, track=32)
        with h5py.File(folder / f"{name}_BT_in.nc", "r+") as file:
            packing = {"scale_factor": [0.01], "add_offset": [283.73], "_FillValue": [-32768]}
            file[f"{name}_BT_in"].attrs.update(packing)
    confidence = np.full((ROWS, COLUMNS), 2, np.uint16)
    confidence[:, 0] = UNFILLED
    confidence[:, [10, 20, 30]] |= np.array([SUMMARY, COSMETIC, DUPLICATE], np.uint16)
    bayes = np.zeros((ROWS, COLUMNS), np.uint8)
    bayes[:, [10, 40]] = [3, 255]
    flags = {"confidence_in": confidence, "cloud_in": confidence, "bayes_in": bayes}
    _write(folder, "flags_in.nc", flags, step=1000, track=32)
    with h5py.File(folder / "flags_in.nc", "r+") as file:
        for name in ("confidence_in", "cloud_in"):
            file[name].attrs["flag_masks"] = 2 ** np.arange(16, dtype=np.uint16)
            file[name].attrs["flag_meanings"] = np.bytes_(WORDS)
    east = np.broadcast_to(179.0 + 0.25 * np.arange(TIES), (ROWS, TIES))  # over the date line
    north = np.broadcast_to(0.01 * np.arange(ROWS)[:, None], (ROWS, TIES))
    places = {"longitude_tx": (east + 180) % 360 - 180, "latitude_tx": north}
    _write(folder, "geodetic_tx.nc", places, step=16000, track=4)
    angles = {
        f"{body}_{kind}_tn": np.full((ROWS, TIES), value)
        for body, kind, value in (
            ("solar", "azimuth", 135.0),
            ("solar", "zenith", 40.0),
            ("sat", "azimuth", 270.0),
            ("sat", "zenith", 20.0),
        )
    }
    _write(folder, "geometry_tn.nc", angles, step=16000, track=4)


def _write(folder: Path, name: str, arrays: Mapping[str, Any], *, step: int, track: int) -> None:
    with h5py.File(folder / name, "w") as file:
        file.attrs["resolution"] = np.bytes_(f"[ {step} 1000 ]")
        file.attrs["track_offset"] = [track]
        for key, values in arrays.items():
            file[key] = values
