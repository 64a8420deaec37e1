"""Random NetCDF-4 files with the declared variables.

Settings in `block["sample"]`: length of each dimension. Axes count up; times are hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sciml_data.errors import CallError
from sciml_data.synthetic.declared import START, random_values, sample_paths

DEFAULTS: Mapping[str, Any] = {"length": 12}
# NetCDF-4's mark of a dimension without a variable (netCDF format specification).
NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{length:10d}"


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, described: Mapping[str, Any]
) -> None:
    """Write a file or two for each split; with `along`, times and axes go on in the second.

    Args:
        root: folder of the native files.
        block: `sciml.native`.
        seed: the same seed, the same bytes.
        described: `sciml` of the descriptor, with splits and variables.

    Raises:
        CallError: a variable has a type that no sample has.
    """
    length = {**DEFAULTS, **block.get("sample", {})}["length"]
    for number, path in enumerate(sample_paths(described["splits"], ".nc")):
        rng = np.random.default_rng([seed, number])
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(target, "w") as file:
            file.attrs["synthetic"] = np.int8(1)
            _write(file, rng, described["variables"], length, block.get("along"), number)


def _write(
    file: h5py.File,
    rng: np.random.Generator,
    variables: Mapping[str, Any],
    length: int,
    along: str | None,
    number: int,
) -> None:
    dims = list(dict.fromkeys(dim for about in variables.values() for dim in about["dims"]))
    for dim in dims:
        if variables.get(dim, {}).get("dims") != [dim]:
            scale = file.create_dataset(dim, (length,), ">f4", track_times=False)
            scale.make_scale(NO_VARIABLE.format(length=length))
    for name, about in variables.items():
        first = number * length if along == name else 0
        shape = (length,) * len(about["dims"])
        file.create_dataset(name, data=_values(rng, name, about, shape, first), track_times=False)
        file[name].attrs.update(_attributes(about))
        if about["dims"] == [name]:
            file[name].make_scale(name)
    for name, about in variables.items():
        for axis, dim in enumerate(about["dims"] if about["dims"] != [name] else ()):
            file[name].dims[axis].attach_scale(file[dim])


def _attributes(about: Mapping[str, Any]) -> dict[str, str]:
    keys = ("units", "long_name", "standard_name")
    attributes = {key: about[key] for key in keys if about.get(key)}
    if about["dtype"].startswith("datetime64"):
        attributes["units"] = f"hours since {START}"
    if about["dtype"] == "bool":
        attributes["dtype"] = "bool"  # as xarray stores it
    return attributes


def _values(
    rng: np.random.Generator,
    name: str,
    about: Mapping[str, Any],
    shape: tuple[int, ...],
    first: int,
) -> Any:
    """Return stored numbers or texts of a variable."""
    dtype = about["dtype"]
    if dtype.startswith("datetime64"):
        return first + np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    if dtype == "S":
        return random_values(rng, dtype, shape).astype(object)
    if np.dtype(dtype).kind not in "iufb":
        raise CallError(
            f"no sample has the type {dtype} of {name}", untouched="nothing was written"
        )
    if about["dims"] == [name]:
        return (first + np.arange(shape[0])).astype(dtype)
    values = random_values(rng, dtype, shape)
    return values.astype(np.int8) if dtype == "bool" else values
