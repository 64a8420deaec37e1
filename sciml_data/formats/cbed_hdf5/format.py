"""Stacks of diffraction patterns (HDF5) as ready files: a chunk per sample, values as published.

Each native file becomes one ready file: it has about 160 stacks of 3 x 512 x 512 pixels (0.5 GB),
and none of its materials is in another file. A sample that cannot be used (not-a-number, another
shape, no label) is left out, counted and named; with `strict` it stops its file. A value that a
sample can do without (formula, energy, lattice) is missing in the ready form where it is missing
or impossible in the native file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.formats.cbed_hdf5.stacks import NUMBERS, SPACE_GROUPS, STACK, read_stacks
from sciml_data.formats.interface import Native, Shard, one_to_one
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    from sciml_data.formats.interface import Tally

SUFFIXES = (".h5", ".hdf5", ".hdf")
SAMPLE = "sample"
STACK_DIMS = (SAMPLE, "orientation", "y", "x")
DIMS: Mapping[str, tuple[str, ...]] = {  # behind `sample`
    "energy": (),
    "lattice_length": ("axis",),
    "lattice_angle": ("axis",),
    "semi_angle": ("orientation",),
    "plane_spacing": ("orientation",),
    "beam_direction": ("orientation", "axis"),
}
COMPRESSIONS = ("none", "gzip")
COMPRESSION_LEVEL = 1  # level 4 makes hardly fewer bytes: docs/explanation/performance.md


@dataclass(frozen=True)
class Options:
    """Options of the conversion of stacks."""

    strict: bool = option(False, "a sample that cannot be used stops its file; else it is left out")
    compression: str = option(
        "none", "of the ready files; gzip halves them and reads slower", choices=COMPRESSIONS
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each native file; no native file is opened.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: files are not HDF5 by name, are in no split, or share a name.
    """
    parse_options(Options, options)
    return one_to_one(native, SUFFIXES)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the samples of one native file, with attributes and encoding.

    Raises:
        NativeFormatError: the file cannot be opened or has no samples; with `strict`, `.problems`
            has every sample that cannot be used.
    """
    chosen = parse_options(Options, options)
    (file,) = shard.inputs
    stacks, tally = read_stacks(native.root / file, file, native.block)
    tally.stop_if_strict(strict=chosen.strict, untouched=f"{shard.name} was not made")
    count = len(stacks.names)
    columns: dict[str, NDArray[Any]] = {
        STACK: stacks.patterns,
        "space_group": np.array([sample.space_group for sample in stacks.metadata], np.int16),
        "native_file": texts([file] * count),
        "native_sample": texts(stacks.names),
        "material": texts([sample.material for sample in stacks.metadata]),
        "formula": texts([sample.formula for sample in stacks.metadata]),
    }
    for name, numbers in NUMBERS.items():
        rows = [sample.numbers[name] for sample in stacks.metadata]
        columns[name] = np.array(rows, np.float32).reshape(count, *numbers.shape)
    more = {STACK: {"scaling": "none", "comment": "intensity as published; corners are zero"}}
    return stacked(columns, tally, chosen, variables=native.variables, more=more)


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
        columns: arrays by variable; each begins with the dimension `sample`.
        tally: how many samples were read and left out.
        options: compression.
        variables: declarations of the descriptor, for units and names.
        more: further attributes of a variable.
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
    """Return text as UTF-8 bytes of one length, which is at least one."""
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
