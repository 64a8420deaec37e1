"""Previews: a few images that a run stores, from which its figures are drawn later.

Figures may be drawn on another computer, which has the run's folder but not the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.errors import RecordError

PREVIEWS_NAME = "previews.nc"  # in a run's outputs


def save_previews(path: Path, previews: Mapping[str, Mapping[str, Any]]) -> None:
    """Store a few images with a run, from which its figures are drawn later.

    Args:
        path: of the NetCDF file, `PREVIEWS_NAME` in the outputs.
        previews: label -> name -> image, (row, column) or (row, column, colour), uint8.
    """
    import xarray as xr

    from sciml_data.ready import write_netcdf

    groups = {}
    for number, (label, images) in enumerate(previews.items()):
        axes = ("row", "column", "colour")
        dataset = xr.Dataset({name: (axes[: image.ndim], image) for name, image in images.items()})
        for image in dataset.values():
            image.encoding = {"zlib": True, "complevel": 4}
        groups[str(number)] = dataset.assign_attrs(label=label)
    write_netcdf(xr.Dataset(attrs={"previews": len(groups)}), path, groups)


def load_previews(path: Path) -> dict[str, dict[str, Any]]:
    """Return the previews in a file of `save_previews`."""
    from sciml_data.formats import open_netcdf

    previews = {}
    with open_netcdf(path, error=RecordError) as root:
        count = int(root.attrs["previews"])
    for number in range(count):
        with open_netcdf(path, group=str(number), error=RecordError) as dataset:
            images = {str(name): image.to_numpy() for name, image in dataset.items()}
            previews[str(dataset.attrs["label"])] = images
    return previews
