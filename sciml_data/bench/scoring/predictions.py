"""Predictions beside the observations, in memory and on disk.

Each run stores its predictions. Anybody can compute the scores again from them with
`sciml-data rescore`, so nobody has to trust a reported number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import Problem, RecordError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

MODEL = "model"  # name of the trained predictor; every other name is a baseline
DEFLATE_LEVEL = 4  # higher levels take longer and save little on floats


@dataclass(frozen=True)
class Predictions:
    """A predictor's output for a part of the split.

    Attributes:
        observed: any shape, float; NaN where there is no observation.
        predicted: the same shape, float; NaN where there is no prediction.
        coords: name -> values of each axis, in the order of the axes: (length of the axis).
    """

    observed: np.ndarray[Any, Any]
    predicted: np.ndarray[Any, Any]
    coords: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that shapes and coordinates fit each other.

        Raises:
            RecordError: the shapes differ, or the coordinates do not fit the axes.
        """
        if self.observed.shape != self.predicted.shape:
            raise RecordError(
                f"predictions have shape {self.predicted.shape}, observations {self.observed.shape}"
            )
        lengths = tuple(len(values) for values in self.coords.values())
        if lengths != self.observed.shape:
            raise RecordError(
                f"coordinates have lengths {dict(zip(self.coords, lengths, strict=True))}, which "
                f"do not fit predictions of shape {self.observed.shape}",
                hint="coords needs an entry for each axis, in the order of the axes",
            )

    @classmethod
    def of(cls, observed: xr.DataArray, predicted: Any) -> Predictions:
        """Return predicted values beside observed ones.

        Args:
            observed: has a coordinate for each axis.
            predicted: as many values, which become float32 in the shape of `observed`.
        """
        import numpy as np

        values = np.asarray(predicted, np.float32).reshape(observed.shape)
        coords = {str(axis): observed[axis].to_numpy() for axis in observed.dims}
        return cls(observed.to_numpy(), values, coords)

    def to_dataset(self) -> xr.Dataset:
        """Return `observed` and `predicted` as variables on the named axes."""
        import xarray as xr

        axes = tuple(self.coords)
        return xr.Dataset(
            {"observed": (axes, self.observed), "predicted": (axes, self.predicted)},
            coords={name: (name, values) for name, values in self.coords.items()},
        )


def from_dataset(dataset: xr.Dataset) -> Predictions:
    """Return the predictions in a dataset of `Predictions.to_dataset`."""
    observed = dataset["observed"]
    axes = [str(name) for name in observed.dims]
    return Predictions(
        observed.to_numpy(),
        dataset["predicted"].to_numpy(),
        {name: dataset[name].to_numpy() for name in axes},
    )


def save_predictions(path: Path, parts: Mapping[str, Predictions], *, synthetic: bool) -> None:
    """Write the model's predictions as NetCDF-4, with a group for each part of the split.

    Any NetCDF reader can open the file. Its attribute `synthetic` is 1 for a synthetic sample.

    Args:
        path: of the file to write.
        parts: part -> predictions.
        synthetic: whether the run is on a synthetic sample.
    """
    import xarray as xr

    from sciml_data.ready import write_netcdf

    marks = {"synthetic": int(synthetic), "parts": ",".join(parts)}
    groups = {part: predictions.to_dataset() for part, predictions in parts.items()}
    for group in groups.values():
        for name in ("observed", "predicted"):
            if group[name].ndim:
                packing = {"zlib": True, "complevel": DEFLATE_LEVEL, "shuffle": True}
                group[name].encoding = packing
    write_netcdf(xr.Dataset(attrs=marks), path, groups)


def load_predictions(path: Path) -> dict[str, Predictions]:
    """Return the stored predictions of each part.

    Raises:
        RecordError: no such file, or it is not a file of predictions; `.problems` names file and
            variable.
    """
    from sciml_data.bench.scoring.stored_file import file_problems

    if problems := file_problems(path):
        raise RecordError(
            f"{path.name} is not a file of predictions",
            problems=problems,
            untouched="nothing was scored",
            hint="a run that stopped before scoring has no predictions; see `status` in its record",
        )
    try:
        return _load(path)
    # HDF5, h5netcdf and xarray report damaged files by errors of many types, in no documented list.
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise RecordError(
            f"{path.name} cannot be read: {type(error).__name__} {first:.200}",
            untouched="nothing was scored",
        ) from error


def value_problems(name: str, parts: Mapping[str, Predictions]) -> list[Problem]:
    """Return where predictions are missing or infinite; a diverged model has such predictions.

    Args:
        name: of the file, for the problem's place.
        parts: part -> predictions.
    """
    import numpy as np

    problems = []
    for part, values in parts.items():
        known = np.isfinite(values.observed)
        missing = int((known & ~np.isfinite(values.predicted)).sum())
        infinite = int(np.isinf(values.predicted).sum() + np.isinf(values.observed).sum())
        place = f"{name}/{part}"
        if values.predicted.size and not np.isfinite(values.predicted).any():
            problems.append(Problem("predictions", f"{place}/predicted", "has no finite value"))
        elif missing:
            message = f"{missing:,} of {int(known.sum()):,} observations have no prediction"
            problems.append(Problem("predictions", f"{place}/predicted", message))
        elif infinite:
            message = f"{infinite:,} values are infinite"
            problems.append(Problem("predictions", place, message))
    return problems


def _load(path: Path) -> dict[str, Predictions]:
    from sciml_data.formats import open_netcdf

    with open_netcdf(path, error=RecordError) as root:
        parts = str(root.attrs["parts"]).split(",")
    loaded = {}
    for part in parts:
        with open_netcdf(path, group=part, error=RecordError) as dataset:
            loaded[part] = from_dataset(dataset.load())
    return loaded
