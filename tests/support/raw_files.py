"""Small folders of native files as curators have them: CSV, Parquet, NetCDF and images."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

SPLITS = {"train": 30, "test": 12}


def write_csv(root: Path) -> None:
    """Write German tables: semicolons, decimal commas, NA, codes with zeros, a note beside them."""
    for split, count in SPLITS.items():
        lines = ["station;time;speed (m/s);gusts;calm;note"]
        for row in range(count):
            gusts = "NA" if row % 7 == 3 else row
            calm = str(row % 2 == 0).lower()
            lines.append(
                f"0{row};2020-01-{row % 28 + 1:02d}T06:00:00+02:00;{row},5;{gusts};{calm};x"
            )
        write(root / split / "wind.csv", "\n".join(lines).encode() + b"\n")
    write(root / "README.txt", b"Measured on the roof.\n")


def write_packed_csv(root: Path) -> None:
    """Write tables with commas, compressed by gzip."""
    for year in (2001, 2002):
        rows = [f"{year}-03-0{day},{day * 0.5}" for day in range(1, 9)]
        content = "\n".join(["day,height [m]", *rows]).encode()
        write(root / f"{year}.csv.gz", gzip.compress(content, mtime=0))


def write_parquet(root: Path) -> None:
    """Write tables with a unit in the metadata of a column, missing values and a list."""
    import pyarrow as pa
    from pyarrow import parquet

    for split, count in SPLITS.items():
        numbers = pd.array([None if row == 2 else row for row in range(count)], dtype="Int64")
        columns = {
            "charge": pa.array(numbers),
            "energy": pa.array(np.linspace(0, 1, count)),
            "label": pa.array(["up" if row % 2 else "down" for row in range(count)]),
            "path": pa.array([[0.0, 1.0]] * count),
        }
        fields = [
            pa.field(name, column.type, metadata={"units": "eV"} if name == "energy" else None)
            for name, column in columns.items()
        ]
        (root / split).mkdir(parents=True)
        table = pa.table(list(columns.values()), schema=pa.schema(fields))
        parquet.write_table(table, root / split / "events.parquet", row_group_size=8)


def write_netcdf(root: Path) -> None:
    """Write a year of packed temperatures in each file, with their axes and a fill value."""
    root.mkdir(parents=True, exist_ok=True)
    for year in (2001, 2002):
        values = np.arange(24.0).reshape(6, 4) / 2
        values[1, 2] = np.nan
        dataset = xr.Dataset(
            {
                "t2m": (
                    ("time", "lat"),
                    values,
                    {"units": "K", "long_name": "temperature", "standard_name": "air_temperature"},
                )
            },
            coords={
                "time": np.datetime64(f"{year}-01-01", "ns")
                + np.arange(6) * np.timedelta64(1, "D"),
                "lat": ("lat", [0.0, 10, 20, 30], {"units": "degrees_north", "long_name": "lat"}),
            },
            attrs={"Conventions": "CF-1.8", "institution": "Roof"},
        )
        dataset["t2m"].encoding = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -99}
        dataset["time"].attrs["long_name"] = "time"
        dataset.to_netcdf(root / f"{year}.nc", engine="h5netcdf", unlimited_dims=["time"])


def write_images(root: Path) -> None:
    """Write grey images of 16 bits in folders of splits and classes."""
    for split in SPLITS:
        for number, name in enumerate(("clean", "dusty")):
            for image in range(3):
                path = root / split / name / f"{image}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.arange(48).reshape(6, 8) * 100 + number + image
                Image.fromarray(pixels.astype(np.uint16)).save(path)


def write(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


RAW: Mapping[str, Callable[[Path], None]] = {
    "csv_table": write_csv,
    "packed_csv": write_packed_csv,
    "parquet_table": write_parquet,
    "netcdf": write_netcdf,
    "image_folder": write_images,
}
