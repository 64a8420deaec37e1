"""The analysis-ready form of arrays: so many samples in a NetCDF file.

A chunk holds one sample, so that a sample is one read; of small samples it holds as many as make up
256 KiB, for a chunk of a kilobyte costs more in the file's index than it saves. The values are the
native ones, in the declared type: a float may be rounded to it (the attribute `native_dtype` says
from what), an integer may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.hdf5_arrays.arrays import Head, tolerated_kinds
from sciml_data.formats.hdf5_arrays.options import Options
from sciml_data.formats.interface import Native

CHUNK_BYTES = 256 * 2**10
COMPRESSION_LEVEL = 4


def ready_dataset(
    native: Native, heads: list[Head], samples: slice, options: Options
) -> tuple[xr.Dataset, list[Problem]]:
    """Return samples of a split as a dataset to be written, and everything wrong with them."""
    problems: list[Problem] = []
    sample_dim = heads[0].array.dims[0]
    variables = {head.array.variable: _read(native, head, samples, problems) for head in heads}
    masked = _mask_padding(native.block.get("padded", {}), heads, variables, problems)
    for head in heads:
        problems += _finite_problems(head, variables[head.array.variable], samples, masked)
    numbers = np.arange(samples.start, samples.stop, dtype=np.int64)
    meaning = {"long_name": native.variables.get(sample_dim, {}).get("long_name", "native index")}
    dataset = xr.Dataset(
        variables,
        coords={sample_dim: (sample_dim, numbers, meaning)},
        attrs={"Conventions": "CF-1.11", "shard_dimension": sample_dim} | _left(native),
    )
    for name, variable in dataset.variables.items():
        is_masked = str(name) in masked and variable.dtype.kind == "f"
        variable.encoding = _encoding(variable, options, is_masked=is_masked)
    tolerated = tolerated_kinds(native.block)
    return dataset, [problem for problem in problems if problem.kind not in tolerated]


def _left(native: Native) -> dict[str, str]:
    """Return which native files the descriptor says are in no ready file."""
    left = native.block.get("left_native", {})
    return (
        {"left_native": "\n".join(f"{glob}: {what}" for glob, what in left.items())} if left else {}
    )


def _read(native: Native, head: Head, samples: slice, problems: list[Problem]) -> xr.Variable:
    """Return the values of some samples in the declared type; problems are added."""
    array = head.array
    declared = np.dtype(array.declared["dtype"])
    shape = (samples.stop - samples.start, *head.shape[1:])
    try:
        with h5py.File(native.root / array.file, "r") as file:
            values = file[array.key][samples].reshape(shape)
    except OSError as error:
        problems.append(Problem("unreadable", array.place, f"cannot be read: {error}"))
        values = np.zeros(shape, declared)
    converted = values if values.dtype == declared else _converted(values, declared)
    if converted is None:
        message = f"{declared} is declared, and does not hold the {head.dtype} values"
        problems.append(Problem("values", array.place, message))
        converted = np.zeros(shape, declared)
    attributes = {
        key: array.declared[key]
        for key in ("long_name", "standard_name", "units")
        if array.declared.get(key) is not None
    }
    attributes |= {"native_source": array.place, "native_dtype": head.dtype}
    return xr.Variable(array.dims, converted, attributes)


def _converted(values: NDArray[Any], declared: np.dtype[Any]) -> NDArray[Any] | None:
    """Return the values in another type, None where it does not hold them."""
    with np.errstate(invalid="ignore", over="ignore"):
        converted = values.astype(declared)
        if values.dtype.kind == "f" and declared.kind == "f":
            is_held = bool((np.isfinite(converted) == np.isfinite(values)).all())
        else:
            is_held = np.array_equal(converted.astype(values.dtype), values)
    return converted if is_held else None


def _mask_padding(
    padded: Mapping[str, str],
    heads: list[Head],
    variables: Mapping[str, xr.Variable],
    problems: list[Problem],
) -> dict[str, NDArray[np.bool_]]:
    """Make floats missing where a dimension is filled up; return where that is, by variable."""
    masked: dict[str, NDArray[np.bool_]] = {}
    for dim, counter in padded.items():
        counts = np.asarray(variables[counter].values).astype(np.int64)
        for head in heads:
            dims, variable = head.array.dims, variables[head.array.variable]
            if dim not in dims:
                continue
            axis = dims.index(dim)
            length = variable.shape[axis]
            if ((counts < 0) | (counts > length)).any():
                worst = int(counts[(counts < 0) | (counts > length)][0])
                message = f"{counter} says {worst} of the {length} entries along {dim}"
                problems.append(Problem("count", head.array.place, message))
                continue
            beyond = np.arange(length)[None, :] >= counts[:, None]
            beyond = beyond.reshape(
                [-1, *(length if at == axis else 1 for at in range(1, len(dims)))]
            )
            where = np.broadcast_to(beyond, variable.shape)
            if np.any(variable.values[where]):  # not-a-number counts as something
                message = f"values other than 0 beyond the entries that {counter} counts"
                problems.append(Problem("padding", head.array.place, message))
            if variable.dtype.kind == "f":
                variable.values[where] = np.nan
            masked[head.array.variable] = where
    return masked


def _finite_problems(
    head: Head, variable: xr.Variable, samples: slice, masked: Mapping[str, NDArray[np.bool_]]
) -> list[Problem]:
    if variable.dtype.kind != "f":
        return []
    wrong = ~np.isfinite(variable.values)
    if head.array.variable in masked:
        wrong &= ~masked[head.array.variable]
    if not wrong.any():
        return []
    first = samples.start + int(np.argwhere(wrong)[0, 0])
    message = f"{int(wrong.sum())} values are not finite, the first in sample {first}"
    return [Problem("finite", head.array.place, message)]


def _encoding(variable: xr.Variable, options: Options, *, is_masked: bool) -> dict[str, Any]:
    filler = variable.dtype.type(np.nan) if is_masked else None
    sample_bytes = max(1, variable.nbytes // len(variable))
    together = min(len(variable), max(1, CHUNK_BYTES // sample_bytes))
    encoding: dict[str, Any] = {"_FillValue": filler}
    encoding["chunksizes"] = (together, *variable.shape[1:])
    if options.compression == "gzip":
        encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return encoding
