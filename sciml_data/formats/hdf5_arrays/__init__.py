"""HDF5 files whose arrays are the data: which array is which variable stands in the descriptor.

No Python is written for a dataset of this kind. `native.arrays` names, for each split of the ready
form and each variable, the file and key it comes from; dims, type, units and name are those that
`variables` declares:

    "arrays": {"train": {"noisy": {"file": "train/noise.h5", "key": "images",
                                   "shape": [null, 256, 256, 1], "dtype": ["float32"]}}}

`shape` and `dtype` are held where they are given; where nothing is published they are left out, and
what the file has is taken. The first dimension counts the samples. Native dimensions of length 1
that come after the declared ones are dropped. `native.padded` says which dimension is filled up to
one length, and which variable counts what is used: floats are missing (NaN) beyond it.

A split becomes ready files of so many samples each, so that any of them is made by itself and in
bounded memory. A split none of whose files were fetched is left out. Other files and keys of a
dataset stay native; `native.left_native` says which files these are, where that is known. Options:
see `options.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.hdf5_arrays.options import Options
from sciml_data.formats.interface import Native, Shard
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of each split, after a look at the heads of all arrays.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: files, keys, shapes, types or lengths are not as the descriptor says.
    """
    from sciml_data.formats.hdf5_arrays.arrays import read_heads, samples_per_shard

    chosen = parse_options(Options, options)
    heads, problems = read_heads(native)
    _raise_if(problems, "the descriptor and the native files disagree")
    made = []
    for split, arrays in heads.items():
        length = min(head.length for head in arrays)
        inputs = tuple(sorted({head.array.file for head in arrays}))
        count = -(-length // samples_per_shard(arrays, chosen))
        made += [Shard(f"{split}-{number:05d}.nc", split, inputs) for number in range(count)]
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the samples of one ready file, ready to be written.

    Raises:
        NativeFormatError: `.problems` has every array whose values are not as they should be.
    """
    from sciml_data.formats.hdf5_arrays.arrays import read_heads, samples_per_shard
    from sciml_data.formats.hdf5_arrays.ready import ready_dataset

    chosen = parse_options(Options, options)
    heads, problems = read_heads(native, split=shard.split)
    _raise_if(problems, "the descriptor and the native files disagree")
    arrays = heads[shard.split]
    step = samples_per_shard(arrays, chosen)
    number = int(shard.name.removesuffix(".nc").rsplit("-", 1)[1])
    stop = min((number + 1) * step, *(head.length for head in arrays))
    dataset, problems = ready_dataset(native, arrays, slice(number * step, stop), chosen)
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
