"""Small subsets of an SLSTR granule and of an AATSR scene, as SNAP writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

SUBSET = (
    "S3A_SL_1_RBT____20170313T110343_20170313T110643_20170314T172757_0179_015_208_2520_LN2_O_NT_002"
    ".SEN3.nc"
)
SCENE = "ATS_TOA_1CNPDK20030504_111259_000000572016_00080_06146_0157.nc"
ROWS, COLUMNS = 4, 6
OCEAN, LAND, UNFILLED, SUMMARY = 2, 8, 32, 16384
WORDS = (
    "coastline ocean tidal land inland_water unfilled spare spare cosmetic duplicate day twilight "
    "sun_glint snow summary_cloud summary_pointing"
)
MASKS = np.array(
    [1, 2, 4, 8, 16, 32, 64, 64, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768], np.int16
)
DISTANCE_M, ZENITH = 1.48700e11, 60.0  # of the sun; degrees
IMAGE = ("y", "x")


def write_subset(path: Path, **replaced: Any) -> None:
    """Write a NetCDF-3 subset: sea, land in column 4, no S7 there, cloud in column 5.

    Args:
        path: of the file.
        **replaced: variables that differ; None leaves one out.
    """
    shape = (ROWS, COLUMNS)
    kelvin = np.full(shape, 1627, np.int16)  # 300 K
    hot = kelvin.copy()
    kelvin[:, 0] = hot[:, [0, 4]] = -32768
    packing = {"scale_factor": 0.01, "add_offset": 283.73, "_FillValue": np.int16(-32768)}
    confidence = np.full(shape, OCEAN | -32768, np.int16)
    confidence[:, 4], confidence[:, 0], confidence[:, 5] = LAND, UNFILLED, OCEAN | SUMMARY
    about = {"flag_meanings": WORDS, "flag_masks": MASKS, "_Unsigned": "true"}
    content: dict[str, Any] = {
        "S7_BT_in": (IMAGE, hot, packing),
        "S8_BT_in": (IMAGE, kelvin, packing),
        "S9_BT_in": (IMAGE, kelvin, packing),
        "confidence_in": (IMAGE, confidence, about),
        "cloud_in": (IMAGE, confidence, about),
        "bayes_in": (IMAGE, np.full(shape, -1, np.int8), {"_Unsigned": "true"}),
        "latitude_in": (IMAGE, np.full(shape, 25_000_000, np.int32), {"scale_factor": 1e-6}),
        "longitude_in": (IMAGE, np.full(shape, -15_000_000, np.int32), {"scale_factor": 1e-6}),
        "solar_path_tn": (IMAGE, np.full(shape, DISTANCE_M, np.float32), {}),
        "solar_zenith_tn": (IMAGE, np.full(shape, ZENITH, np.float32), {}),
        **{
            f"{name}_tn": (IMAGE, np.full(shape, 10.0, np.float32), {})
            for name in ("solar_azimuth", "sat_azimuth", "sat_zenith")
        },
        **{
            f"S{band}_radiance_an": (
                IMAGE,
                np.full(shape, 1000, np.int16),
                {"scale_factor": 0.1 if band < 4 else 0.01, "_FillValue": np.int16(-32768)},
            )
            for band in range(1, 7)
        },
    }
    kept = {name: value for name, value in {**content, **replaced}.items() if value is not None}
    _write(xr.Dataset(kept), path, "scipy")


def write_scene(path: Path, **replaced: Any) -> None:
    """Write a NetCDF-4 scene: land in column 0, cloud in column 1, S7 saturated in column 2."""
    shape = (ROWS, COLUMNS)
    kelvin = np.full(shape, 29000, np.int16)
    hot = kelvin.copy()
    hot[:, 2] = -5
    packing = {"scale_factor": 0.01, "_FillValue": np.int16(-2)}
    cloud = np.zeros(shape, np.int16)
    cloud[:, 0], cloud[:, 1] = 1, 2
    words = {"flag_meanings": "LAND CLOUDY", "flag_masks": np.array([1, 2], np.int32)}
    state = {
        "flag_meanings": "BLANKING COSMETIC UNFILLED",
        "flag_masks": np.array([1, 2, 512], np.int32),
    }
    ties = {"offset_x": -27.0, "offset_y": -26.0, "subsampling_x": 50.0, "subsampling_y": 32.0}
    azimuth = np.array([[100.0, 280.0], [100.0, 280.0]], np.float32)
    content: dict[str, Any] = {
        "btemp_nadir_0370": (IMAGE, hot, packing),
        "btemp_nadir_1100": (IMAGE, kelvin, packing),
        "btemp_nadir_1200": (IMAGE, kelvin, packing),
        **{
            f"reflec_nadir_{centre}": (IMAGE, np.full(shape, 1000, np.int16), packing)
            for centre in ("0550", "0670", "0870", "1600")
        },
        "confid_flags_nadir": (IMAGE, np.zeros(shape, np.int16), state),
        "cloud_flags_nadir": (IMAGE, cloud, words),
        "lat": (IMAGE, np.full(shape, 13.0), {}),
        "lon": (IMAGE, np.full(shape, -16.0), {}),
        "sun_elev_nadir": (("ty", "tx"), np.full((2, 2), 30.0, np.float32), ties),
        "sun_azimuth_nadir": (("ty", "tx"), np.full((2, 2), 80.0, np.float32), ties),
        "view_elev_nadir": (("ty", "tx"), np.full((2, 2), 80.0, np.float32), ties),
        "view_azimuth_nadir": (("ty", "tx"), azimuth, ties),
    }
    dates = {"start_date": "04-MAY-2003 11:13:27.279659", "stop_date": "04-MAY-2003 11:13:41.2"}
    kept = {name: value for name, value in {**content, **replaced}.items() if value is not None}
    _write(xr.Dataset(kept, attrs=dates), path, "h5netcdf")


def _write(dataset: xr.Dataset, path: Path, engine: Literal["scipy", "h5netcdf"]) -> None:
    """Write stored numbers as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for variable in dataset.variables.values():
        if "_FillValue" not in variable.attrs:
            variable.encoding["_FillValue"] = None
    is_classic = engine == "scipy"
    dataset.to_netcdf(path, engine=engine, format="NETCDF3_CLASSIC" if is_classic else "NETCDF4")
