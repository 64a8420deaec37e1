"""Small ready files for tests of loaders: a table with an index into another table, and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciml_data.ready.open import _open_files

ROWS, CELLS, GENES = 103, 7, 5  # 103 divides by no number of ranks, workers or samples in a batch


def write_table(folder: Path) -> Path:
    """Write responses of cells: a row is a sample, `cell_index` refers to a row of `expression`."""
    rng = np.random.default_rng(0)
    path = folder / "table.nc"
    xr.Dataset(
        {
            "number": ("response", np.arange(ROWS, dtype=np.int32)),
            "dose": ("response", rng.random(ROWS, np.float32)),
            "growth": ("response", rng.random(ROWS)),
            "cell_index": ("response", rng.integers(0, CELLS, ROWS).astype(np.uint16)),
            "bad_index": ("response", np.full(ROWS, 65535, np.uint16)),
            "time": ("response", np.datetime64("1970-01-02", "ns") + np.arange(ROWS) * 10**9),
            "cell_id": ("cell", np.array([f"c{n}" for n in range(CELLS)], "S")),
            "expression": (("cell", "gene"), rng.random((CELLS, GENES), np.float32)),
        }
    ).to_netcdf(path, engine="h5netcdf")
    return path


def write_images(folder: Path) -> list[Path]:
    """Write two files of images, 60 and 43, of 4 x 6 pixels: image n is filled with n."""
    paths = []
    for name, start, stop in (("a.nc", 0, 60), ("b.nc", 60, ROWS)):
        numbers = np.arange(start, stop, dtype=np.float32)
        images = np.broadcast_to(numbers[:, None, None], (len(numbers), 4, 6))
        paths.append(folder / name)
        xr.Dataset(
            {
                "noisy": (("sample", "row", "column"), images),
                "label": ("sample", (numbers % 3).astype(np.int64)),
            },
            attrs={"shard_dimension": "sample"},
        ).to_netcdf(paths[-1], engine="h5netcdf", encoding={"noisy": {"chunksizes": (1, 4, 6)}})
    return paths


def open_table(folder: Path) -> xr.Dataset:
    """Return the table, opened as `open_dataset` opens ready files."""
    return _open_files([write_table(folder)])


def open_images(folder: Path) -> xr.Dataset:
    """Return the images of both files, opened as `open_dataset` opens ready files."""
    return _open_files(write_images(folder))
