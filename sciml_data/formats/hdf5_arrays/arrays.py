"""The heads of native arrays, held against what the descriptor says of them.

A problem is one of these kinds; a descriptor may name those it `tolerates` where a `*` stands:

    missing      the file or the key is not there
    unreadable   the file is no HDF5, or was cut short
    shape        another shape than published, or one that the declared dimensions do not fit
    dtype        another type than published, or one that is no number
    length *     the arrays of a split differ in their number of samples: the shortest counts
    finite *     not-a-number or infinity among the values
    padding *    something else than zero where nothing should be
    count        more entries are said to be used than there are, or fewer than none
    values       values that the declared type does not hold
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py

from sciml_data.errors import Problem, nearest
from sciml_data.formats.hdf5_arrays.options import Options
from sciml_data.formats.interface import Native

SHARD_BYTES = 128 * 2**20  # native bytes of a ready file: quickly made again, few enough files
NUMBERS = "biuf"  # kinds of NumPy types
TOLERABLE = ("length", "finite", "padding")


@dataclass(frozen=True)
class Array:
    """One native array as the descriptor has it; None and an empty tuple are not known."""

    variable: str
    file: str
    key: str
    shape: tuple[int | None, ...] | None
    dtypes: tuple[str, ...]
    declared: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Return the file and key, as problems name them."""
        return f"{self.file}:{self.key}"

    @property
    def dims(self) -> tuple[str, ...]:
        """Return the dimensions of the ready form."""
        return tuple(self.declared["dims"])


@dataclass(frozen=True)
class Head:
    """An array with the shape and type that its file has; dropped dimensions are not counted."""

    array: Array
    shape: tuple[int, ...]
    dtype: str
    itemsize: int

    @property
    def length(self) -> int:
        """Return the number of samples."""
        return self.shape[0]

    @property
    def sample_bytes(self) -> int:
        """Return the native bytes of one sample."""
        size = self.itemsize
        for length in self.shape[1:]:
            size *= length
        return size


def read_heads(
    native: Native, *, split: str | None = None
) -> tuple[dict[str, list[Head]], list[Problem]]:
    """Return the heads of each split that was fetched, and everything that is wrong with them.

    Args:
        native: files and descriptor.
        split: only this one.
    """
    heads: dict[str, list[Head]] = {}
    problems: list[Problem] = []
    wanted = {name: arrays_of(native, name) for name in native.block["arrays"]}
    for name, arrays in wanted.items():
        if split not in (None, name) or not any(one.file in native.paths for one in arrays):
            continue
        heads[name] = []
        for array in arrays:
            head = _read_head(native, array, problems)
            heads[name] += [head] if head else []
        problems += _length_problems(heads[name])
    if not heads:
        files = sorted({one.file for arrays in wanted.values() for one in arrays})
        problems += [Problem("missing", file, "is not among the native files") for file in files]
    tolerated = tolerated_kinds(native.block)
    return heads, [problem for problem in problems if problem.kind not in tolerated]


def arrays_of(native: Native, split: str) -> list[Array]:
    """Return the arrays of a split, in the order of the descriptor."""
    return [
        Array(
            variable,
            one["file"],
            one["key"],
            tuple(one["shape"]) if "shape" in one else None,
            tuple(one.get("dtype", ())),
            native.variables[variable],
        )
        for variable, one in native.block["arrays"][split].items()
    ]


def samples_per_shard(heads: list[Head], options: Options) -> int:
    """Return how many samples a ready file of a split has."""
    sample_bytes = sum(head.sample_bytes for head in heads)
    return options.samples_per_shard or max(1, SHARD_BYTES // sample_bytes)


def tolerated_kinds(block: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of deviation that a descriptor's native block accepts."""
    return frozenset(block.get("tolerates", ())) & frozenset(TOLERABLE)


def _read_head(native: Native, array: Array, problems: list[Problem]) -> Head | None:
    if array.file not in native.paths:
        problems.append(Problem("missing", array.file, "is not among the native files"))
        return None
    try:
        with h5py.File(native.root / array.file, "r") as file:
            found = file.get(array.key)
            if not isinstance(found, h5py.Dataset):
                keys = _keys(file)
                message = f"the file has no such array{nearest(array.key, keys)}"
                message += f"; it has {', '.join(keys) or 'none'}"
                problems.append(Problem("missing", array.place, message))
                return None
            shape, dtype = found.shape, found.dtype
    except OSError as error:
        problem = Problem("unreadable", array.file, f"cannot be opened as HDF5: {error}")
        problems += [problem] if problem not in problems else []
        return None
    wrong = _shape_problems(array, shape) + _dtype_problems(array, dtype)
    problems += wrong
    return None if wrong else Head(array, shape[: len(array.dims)], str(dtype), dtype.itemsize)


def _keys(file: Any) -> list[str]:
    keys: list[str] = []
    file.visititems(lambda key, one: keys.append(key) if isinstance(one, h5py.Dataset) else None)
    return keys


def _shape_problems(array: Array, shape: tuple[int, ...]) -> list[Problem]:
    rank = len(array.dims)
    expected = f"{rank} dimensions ({', '.join(array.dims)})"
    fits = len(shape) >= rank and all(length == 1 for length in shape[rank:])
    if array.shape is not None:
        expected = _written(array.shape)
        pairs = zip(array.shape, shape, strict=False)
        fits = fits and len(shape) == len(array.shape)
        fits = fits and all(known in (None, length) for known, length in pairs)
    if not fits:
        message = f"{expected} expected, {_written(shape)} found"
        return [Problem("shape", array.place, message)]
    if 0 in shape:
        return [Problem("shape", array.place, f"is empty: {_written(shape)}")]
    return []


def _written(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if length is None else str(length) for length in shape) or "a scalar"


def _dtype_problems(array: Array, dtype: Any) -> list[Problem]:
    if dtype.kind not in NUMBERS:
        return [Problem("dtype", array.place, f"numbers expected, {dtype} found")]
    if array.dtypes and str(dtype) not in array.dtypes:
        expected = " or ".join(array.dtypes)
        return [Problem("dtype", array.place, f"{expected} expected, {dtype} found")]
    return []


def _length_problems(heads: list[Head]) -> list[Problem]:
    """Return a problem for each dimension in which the arrays of a split differ."""
    found: dict[str, dict[int, list[str]]] = {}
    for head in heads:
        for dim, length in zip(head.array.dims, head.shape, strict=True):
            found.setdefault(dim, {}).setdefault(length, []).append(head.array.place)
    first = heads[0].array.dims[0] if heads else ""
    return [
        Problem(
            "length" if dim == first else "shape",
            places[0],
            f"{dim} is {length} long here, and {min(set(lengths) - {length})} elsewhere",
        )
        for dim, lengths in found.items()
        if len(lengths) > 1
        for length, places in lengths.items()
    ]
