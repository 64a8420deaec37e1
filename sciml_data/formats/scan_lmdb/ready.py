"""The analysis-ready form of scans: a chunk a sample, values as published, in float32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.formats.cbed_hdf5.ready import texts
from sciml_data.formats.cbed_hdf5.tally import Tally
from sciml_data.formats.interface import NOTICES
from sciml_data.formats.scan_lmdb.layout import Layout
from sciml_data.formats.scan_lmdb.native import Sample
from sciml_data.formats.scan_lmdb.options import Options

DIMS = {
    "scan": ("sample", "probe", "y", "x"),
    "legacy_target": ("sample", "v", "u"),
    "potential": ("sample", "v", "u"),
    "electron_density": ("sample", "v", "u"),
    "lattice_length": ("sample", "axis"),
    "lattice_angle": ("sample", "axis"),
}
# Variable, to the key of `meta_<i>` and how many numbers it has (None: it is text).
META: Mapping[str, tuple[str, int | None]] = {
    "material": ("material", None),
    "formula": ("formula", None),
    "space_group": ("space_group", 1),
    "energy": ("energy_keV", 1),
    "pixel_size": ("pixel_size_angstrom", 1),
    "diffraction_pixel_size": ("diffraction_pixel_size_per_angstrom", 1),
    "semi_angle": ("semi_angle_rad", 1),
    "lattice_length": ("abc_angstrom", 3),
    "lattice_angle": ("angles_degree", 3),
}
NO_GROUP = 0  # space groups are numbered from 1
COMPRESSION_LEVEL = 1


def ready_dataset(  # noqa: PLR0913 - what was read, and how it is to be written
    layout: Layout,
    samples: Sequence[Sample],
    tally: Tally,
    *,
    file: str,
    options: Options,
    variables: Mapping[str, Any],
    remarks: Sequence[str] = (),
) -> xr.Dataset:
    """Return samples of a database as a dataset to be written.

    Args:
        layout: of the database; of an empty range its shapes count.
        samples: what can be used.
        tally: the account of all.
        file: native path.
        options: compression.
        variables: as the descriptor declares them, for units and names.
        remarks: what else is to be told.
    """
    columns = _columns(layout, samples, file)
    dataset = xr.Dataset(
        {
            name: (DIMS.get(name, ("sample",)), values, _attributes(name, layout, variables))
            for name, values in columns.items()
        },
        attrs={"Conventions": "CF-1.11", "shard_dimension": "sample", **tally.attributes()},
    )
    if remarks:
        lines = [*dataset.attrs.get(NOTICES, "").splitlines(), *remarks]
        dataset.attrs[NOTICES] = "\n".join(lines)
    for variable in dataset.variables.values():
        variable.encoding = _encoding(variable, options)
    return dataset


def _columns(layout: Layout, samples: Sequence[Sample], file: str) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        "scan": _stacked([one.scan for one in samples], layout.input.shape),
        "legacy_target": _stacked([one.target for one in samples], layout.target.shape[1:]),
        "native_file": texts([file] * len(samples)),
        "native_sample": texts([str(one.number) for one in samples]),
    }
    starts = {key.rpartition("_")[0] for key in layout.keys}
    for name in ("potential", "electron_density"):
        if name in starts:
            missing = np.full(layout.target.shape[1:], np.nan, np.float32)
            values = [getattr(one, name) for one in samples]
            values = [missing if one is None else one for one in values]
            columns[name] = _stacked(values, layout.target.shape[1:])
    if "meta" in starts:
        metas = [one.meta for one in samples]
        columns |= {name: _of_meta(metas, key, count) for name, (key, count) in META.items()}
        columns["space_group"] = _whole(columns["space_group"])
    return columns


def _stacked(
    values: Sequence[NDArray[np.floating[Any]]], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return arrays of one shape as one in float32, one copied after the other."""
    together = np.empty((len(values), *shape), np.float32)
    for row, one in zip(together, values, strict=True):
        row[...] = one
    return together


def _of_meta(metas: Sequence[Mapping[str, Any]], key: str, count: int | None) -> NDArray[Any]:
    """Return one fact of every sample: text, a number, or several; missing where it is not so."""
    if count is None:
        return texts([one[key] if isinstance(one.get(key), str) else "" for one in metas])
    rows = np.full((len(metas), count), np.nan, np.float32)
    for row, meta in zip(rows, metas, strict=True):
        found = meta.get(key)
        numbers = found if isinstance(found, list) else [found]
        if len(numbers) == count and all(_is_number(one) for one in numbers):
            row[:] = numbers
    return rows if count > 1 else rows[:, 0]


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value) and abs(value) < 1e30  # float32 holds it


def _whole(values: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return space groups as whole numbers, 0 where there is none."""
    is_known = (values >= 1) & (values <= 230)
    return np.where(is_known, np.nan_to_num(values), NO_GROUP).astype(np.int16)


def _attributes(name: str, layout: Layout, variables: Mapping[str, Any]) -> dict[str, Any]:
    declared = variables.get(name, {})
    keys = ("long_name", "units", "standard_name")
    found = {key: declared[key] for key in keys if declared.get(key) is not None}
    if name == "scan":
        found |= {"scaling": "z-score of each pattern, as published"}
        found |= {"native_dtype": layout.input.dtype}
    if name == "legacy_target":
        found |= {"scaling": "z-score of each sample, as published"}
        found |= {"native_dtype": layout.target.dtype}
    if name == "space_group":
        found["valid_range"] = np.array((1, 230), np.int16)
    return found


def _encoding(variable: xr.Variable, options: Options) -> dict[str, Any]:
    may_be_missing = variable.dtype.kind == "f" and variable.ndim != len(DIMS["scan"])
    encoding: dict[str, Any] = {"_FillValue": np.float32(np.nan) if may_be_missing else None}
    if variable.ndim > 2 and variable.size:
        encoding["chunksizes"] = (1, *variable.shape[1:])
        if options.compression == "gzip":
            encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return encoding
