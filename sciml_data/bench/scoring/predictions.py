"""Predictions beside what was observed, in memory and on disk.

They are stored with every run, so that a score can be computed again from them by anybody
(`sciml-data rescore`) and no typed number has to be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

MODEL = "model"  # the predictor that was trained; every other name is a baseline
DEFLATE_LEVEL = 4


@dataclass(frozen=True)
class Predictions:
    """One predictor's output for one part of the split.

    Attributes:
        observed: any shape, float; NaN where nothing was observed.
        predicted: same shape, float; NaN where nothing was predicted.
        coords: names of the axes in order, each with its values (one dimension, the axis' length).
    """

    observed: np.ndarray[Any, Any]
    predicted: np.ndarray[Any, Any]
    coords: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold shapes and axes against each other.

        Raises:
            RecordError: the shapes differ, or the coordinates do not name the axes.
        """
        if self.observed.shape != self.predicted.shape:
            raise RecordError(
                f"predictions have shape {self.predicted.shape}, observations {self.observed.shape}"
            )
        lengths = tuple(len(values) for values in self.coords.values())
        if lengths != self.observed.shape:
            raise RecordError(
                f"the coordinates {dict(zip(self.coords, lengths, strict=True))} do not name the "
                f"axes of predictions of shape {self.observed.shape}",
                hint="coords holds one entry for each axis, in the order of the axes",
            )

    def to_dataset(self) -> xr.Dataset:
        """Return `observed` and `predicted` as variables on the named axes."""
        import xarray as xr

        axes = tuple(self.coords)
        return xr.Dataset(
            {"observed": (axes, self.observed), "predicted": (axes, self.predicted)},
            coords={name: (name, values) for name, values in self.coords.items()},
        )


def from_dataset(dataset: xr.Dataset) -> Predictions:
    """Return what `to_dataset` made a dataset of."""
    observed = dataset["observed"]
    axes = [str(name) for name in observed.dims]
    return Predictions(
        observed.to_numpy(),
        dataset["predicted"].to_numpy(),
        {name: dataset[name].to_numpy() for name in axes},
    )


def save_predictions(path: Path, parts: Mapping[str, Predictions], *, synthetic: bool) -> None:
    """Write the model's predictions as NetCDF-4, one group for each part of the split.

    Any NetCDF reader opens them; the attribute `synthetic` of the file is 1 for a sample.
    """
    import xarray as xr

    path.parent.mkdir(parents=True, exist_ok=True)
    marks = {"synthetic": int(synthetic), "parts": ",".join(parts)}
    xr.Dataset(attrs=marks).to_netcdf(path, engine="h5netcdf", mode="w")
    for part, predictions in parts.items():
        dataset = predictions.to_dataset()
        packing = {"zlib": True, "complevel": DEFLATE_LEVEL, "shuffle": True}
        encoding = {name: packing for name in ("observed", "predicted") if dataset[name].ndim}
        dataset.to_netcdf(path, engine="h5netcdf", mode="a", group=part, encoding=encoding)


def load_predictions(path: Path) -> dict[str, Predictions]:
    """Return the stored predictions of every part.

    Raises:
        RecordError: there is no such file.
    """
    import xarray as xr

    if not path.is_file():
        raise RecordError(
            f"the run has no stored predictions: {path.name} is missing",
            hint="a run that was stopped before scoring stores none; see `status` in its record",
        )
    with xr.open_dataset(path, engine="h5netcdf") as root:
        parts = str(root.attrs["parts"]).split(",")
    loaded = {}
    for part in parts:
        with xr.open_dataset(path, engine="h5netcdf", group=part) as dataset:
            loaded[part] = from_dataset(dataset.load())
    return loaded
