"""The analysis-ready form of stacks: a chunk a sample, values as published, no scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.formats.cbed_hdf5.attributes import NUMBERS, SPACE_GROUPS
from sciml_data.formats.cbed_hdf5.native import Stacks
from sciml_data.formats.cbed_hdf5.options import Options
from sciml_data.formats.cbed_hdf5.tally import Tally

SAMPLE = "sample"
STACK = "cbed_stack"
STACK_DIMS = (SAMPLE, "orientation", "y", "x")
DIMS: Mapping[str, tuple[str, ...]] = {
    "energy": (),
    "lattice_length": ("axis",),
    "lattice_angle": ("axis",),
    "semi_angle": ("orientation",),
    "plane_spacing": ("orientation",),
    "beam_direction": ("orientation", "axis"),
}
COMPRESSION_LEVEL = 1  # level 4 makes hardly fewer bytes: docs/performance.md
Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]


def ready_dataset(
    stacks: Stacks, tally: Tally, options: Options, *, file: str, variables: Mapping[str, Any]
) -> xr.Dataset:
    """Return the samples of one native file as a dataset to be written.

    Args:
        stacks: what can be used of it.
        tally: the account of all.
        options: compression.
        file: native path.
        variables: as the descriptor declares them, for units and names.
    """
    count = len(stacks.names)
    columns: dict[str, NDArray[Any]] = {
        STACK: stacks.patterns,
        "space_group": np.array([one.space_group for one in stacks.facts], np.int16),
        "native_file": texts([file] * count),
        "native_sample": texts(stacks.names),
        "material": texts([one.material for one in stacks.facts]),
        "formula": texts([one.formula for one in stacks.facts]),
    }
    for name, numbers in NUMBERS.items():
        rows = [one.numbers[name] for one in stacks.facts]
        columns[name] = np.array(rows, np.float32).reshape(count, *numbers.shape)
    more = {STACK: {"scaling": "none", "comment": "intensity as published; corners are zero"}}
    return stacked(columns, tally, options, variables=variables, more=more)


def stacked(
    columns: Mapping[str, NDArray[Any]],
    tally: Tally,
    options: Options,
    *,
    variables: Mapping[str, Any],
    more: Mapping[str, Mapping[str, Any]],
) -> xr.Dataset:
    """Return columns along `sample` as a dataset with attributes and encoding.

    Args:
        columns: by variable; each begins with the dimension `sample`.
        tally: the account of what was read.
        options: compression.
        variables: as the descriptor declares them.
        more: attributes that a variable has besides.
    """
    attributes = {name: _attributes(variables.get(name, {})) for name in columns}
    attributes["space_group"]["valid_range"] = np.array(SPACE_GROUPS, np.int16)
    dataset = xr.Dataset(
        {
            name: (
                STACK_DIMS if name == STACK else (SAMPLE, *DIMS.get(name, ())),
                values,
                {**attributes[name], **more.get(name, {})},
            )
            for name, values in columns.items()
        },
        attrs={"Conventions": "CF-1.11", "shard_dimension": SAMPLE, **tally.attributes()},
    )
    for name, variable in dataset.variables.items():
        variable.encoding = _encoding(str(name), variable, options)
    return dataset


def texts(values: Sequence[str]) -> NDArray[np.bytes_]:
    """Return text as UTF-8 bytes of one length, at least one."""
    encoded = [value.encode() for value in values]
    return np.array(encoded, f"S{max([1, *map(len, encoded)])}")


def _attributes(declared: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("long_name", "units", "standard_name")
    return {key: declared[key] for key in keys if declared.get(key) is not None}


def _encoding(name: str, variable: xr.Variable, options: Options) -> dict[str, Any]:
    is_stack = name == STACK
    is_number = variable.dtype.kind == "f" and not is_stack
    encoding: dict[str, Any] = {"_FillValue": np.float32(np.nan) if is_number else None}
    if is_stack and variable.shape[0]:
        encoding["chunksizes"] = (1, *variable.shape[1:])
        if options.compression == "gzip":
            encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return encoding
