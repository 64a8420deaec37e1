"""Arrays in HDF5 files as ready files, by declaration: no dataset of this kind needs Python.

`native.arrays` of the descriptor names, for each split and each variable, the file and key that it
comes from. Dimensions, type, units and name are those that `variables` declares:

    "arrays": {"train": {"noisy": {"file": "train/noise.h5", "key": "images",
                                   "shape": [null, 256, 256, 1], "dtype": ["float32"]}}}

`shape` and `dtype` are checked if they are given. If upstream publishes none they are left out, and
the file's own count. The first dimension counts the samples. Native dimensions of length 1 behind
the declared ones are dropped. `native.padded` names a dimension that is padded to one length, and
the variable that counts the used entries: floats are missing (NaN) beyond these.

A split becomes ready files of a fixed number of samples, so each of them is made by itself in
bounded memory. Other files and keys of a dataset stay native; `native.left_native` names them.

A chunk holds one sample, so that a sample is one read. Of small samples it holds as many as make up
256 KiB, since a chunk of a kilobyte costs more in the file's index than it saves. The values are
the native ones in the declared type: a float may be rounded to it (the attribute `native_dtype` has
the original type), an integer may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.hdf5_arrays.arrays import Head, read_heads, tolerated_kinds
from sciml_data.formats.hdf5_files import open_hdf5
from sciml_data.formats.interface import Native, Shard
from sciml_data.registry.options import option, parse_options

SHARD_BYTES = 128 * 2**20  # native bytes of a ready file: made in seconds, and few enough files
CHUNK_BYTES = 256 * 2**10
COMPRESSION_LEVEL = 4


@dataclass(frozen=True)
class Options:
    """Options of the conversion of arrays."""

    samples_per_shard: int = option(
        0, "samples in a ready file; 0 takes as many as make up 128 MiB", minimum=0
    )
    # Images with counting noise hardly shrink.
    compression: str = option(
        "none", "of the ready files; gzip reads slower", choices=("none", "gzip")
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of each split; shapes and types of all arrays are read for that.

    A split is left out if none of its files was fetched.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: files, keys, shapes, types or lengths differ from the descriptor.
    """
    chosen = parse_options(Options, options)
    heads, problems = read_heads(native)
    _raise_if(problems, "the native files differ from the descriptor")
    made = []
    for split, arrays in heads.items():
        length = min(head.length for head in arrays)
        inputs = tuple(sorted({head.array.file for head in arrays}))
        count = -(-length // _samples_per_shard(arrays, chosen))
        made += [Shard(f"{split}-{number:05d}.nc", split, inputs) for number in range(count)]
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the samples of one ready file, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has every array with wrong values.
    """
    chosen = parse_options(Options, options)
    heads, problems = read_heads(native, split=shard.split)
    _raise_if(problems, "the native files differ from the descriptor")
    arrays = heads[shard.split]
    step = _samples_per_shard(arrays, chosen)
    number = int(shard.name.removesuffix(".nc").rsplit("-", 1)[1])
    stop = min((number + 1) * step, *(head.length for head in arrays))
    dataset, problems = _ready_dataset(native, arrays, slice(number * step, stop), chosen)
    _raise_if(problems, f"samples {number * step} to {stop - 1} of {shard.split} are not sound")
    return dataset


def _raise_if(problems: list[Problem], wrong: str) -> None:
    if problems:
        raise NativeFormatError(
            wrong,
            problems=problems,
            untouched="nothing was converted",
            hint="a descriptor may name harmless kinds: native.tolerates",
        )


def _samples_per_shard(heads: Sequence[Head], options: Options) -> int:
    """Return the number of samples in a ready file of a split."""
    sample_bytes = sum(head.sample_bytes for head in heads)
    return options.samples_per_shard or max(1, SHARD_BYTES // sample_bytes)


def _ready_dataset(
    native: Native, heads: list[Head], samples: slice, options: Options
) -> tuple[xr.Dataset, list[Problem]]:
    """Return samples of a split with attributes and encoding, and everything wrong with them."""
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
        attrs={"Conventions": "CF-1.11", "shard_dimension": sample_dim} | _left_native(native),
    )
    for name, variable in dataset.variables.items():
        is_masked = str(name) in masked and variable.dtype.kind == "f"
        variable.encoding = _encoding(variable, options, is_masked=is_masked)
    tolerated = tolerated_kinds(native.block)
    return dataset, [problem for problem in problems if problem.kind not in tolerated]


def _left_native(native: Native) -> dict[str, str]:
    """Return the native files that are in no ready file, as the descriptor names them."""
    lines = [f"{glob}: {why}" for glob, why in native.block.get("left_native", {}).items()]
    return {"left_native": "\n".join(lines)} if lines else {}


def _read(native: Native, head: Head, samples: slice, problems: list[Problem]) -> xr.Variable:
    """Return the values of some samples in the declared type; errors go into the problems."""
    array = head.array
    declared = np.dtype(array.declared["dtype"])
    shape = (samples.stop - samples.start, *head.shape[1:])
    try:
        with open_hdf5(native.root / array.file, array.place) as file:
            values = file[array.key][samples].reshape(shape)
    except NativeFormatError as error:
        problems += error.problems
        values = np.zeros(shape, declared)
    converted = values if values.dtype == declared else _converted(values, declared)
    if converted is None:
        message = f"{declared} is declared, and cannot hold the {head.dtype} values"
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
    """Return the values in another type, None if it cannot hold them."""
    with np.errstate(invalid="ignore", over="ignore"):
        converted = values.astype(declared)
        if values.dtype.kind == "f" and declared.kind == "f":
            fits = bool((np.isfinite(converted) == np.isfinite(values)).all())
        else:
            fits = np.array_equal(converted.astype(values.dtype), values)
    return converted if fits else None


def _mask_padding(
    padded: Mapping[str, str],
    heads: list[Head],
    variables: Mapping[str, xr.Variable],
    problems: list[Problem],
) -> dict[str, NDArray[np.bool_]]:
    """Replace padding by NaN in floats; return where padding is, by variable."""
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
                [-1, *(length if number == axis else 1 for number in range(1, len(dims)))]
            )
            where = np.broadcast_to(beyond, variable.shape)
            if np.any(variable.values[where]):  # not-a-number is true, so it is found, too
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
