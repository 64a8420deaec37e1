"""Shapes and types of native arrays, compared with the descriptor.

A problem has one of these kinds; a descriptor may name those with a `*` in `tolerates`:

    missing      the file or the key does not exist
    unreadable   the file is not HDF5, or was cut short
    shape        another shape than published, or one that does not match the declared dimensions
    dtype        another type than published, or not a number
    length *     the arrays of a split differ in their number of samples: the shortest counts
    finite *     not-a-number or infinity among the values
    padding *    other values than zero in the padding
    count        more used entries than the array has, or fewer than none
    values       values that the declared type cannot hold
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py

from sciml_data.errors import NativeFormatError, Problem, nearest
from sciml_data.formats.hdf5_files import open_hdf5
from sciml_data.formats.interface import Native, missing_files

NUMERIC_KINDS = "biuf"  # of NumPy types
TOLERABLE = ("length", "finite", "padding")


@dataclass(frozen=True)
class Array:
    """A native array in the descriptor; a shape of None and no dtypes mean "not published"."""

    variable: str
    file: str
    key: str
    shape: tuple[int | None, ...] | None
    dtypes: tuple[str, ...]
    declared: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Return file and key, for messages."""
        return f"{self.file}:{self.key}"

    @property
    def dims(self) -> tuple[str, ...]:
        """Return the dimensions of the ready form."""
        return tuple(self.declared["dims"])


@dataclass(frozen=True)
class Head:
    """An array with its actual shape and type, without the dimensions that are dropped."""

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
    """Return the heads of the arrays of each fetched split, and everything wrong with them.

    Args:
        native: files and descriptor.
        split: only this split; None takes all.
    """
    heads: dict[str, list[Head]] = {}
    problems: list[Problem] = []
    declared = {name: arrays_of(native, name) for name in native.block["arrays"]}
    for name, arrays in declared.items():
        if split not in (None, name) or not any(array.file in native.paths for array in arrays):
            continue
        heads[name] = []
        for array in arrays:
            head = _read_head(native, array, problems)
            heads[name] += [head] if head else []
        problems += _length_problems(heads[name])
    if not heads:
        files = {array.file for arrays in declared.values() for array in arrays}
        problems += missing_files(native, files)
    tolerated = tolerated_kinds(native.block)
    return heads, [problem for problem in problems if problem.kind not in tolerated]


def arrays_of(native: Native, split: str) -> list[Array]:
    """Return the arrays of a split, in the order of the descriptor."""
    return [
        Array(
            variable,
            block["file"],
            block["key"],
            tuple(block["shape"]) if "shape" in block else None,
            tuple(block.get("dtype", ())),
            native.variables[variable],
        )
        for variable, block in native.block["arrays"][split].items()
    ]


def tolerated_kinds(block: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of deviation that a descriptor's native block accepts."""
    return frozenset(block.get("tolerates", ())) & frozenset(TOLERABLE)


def _read_head(native: Native, array: Array, problems: list[Problem]) -> Head | None:
    if array.file not in native.paths:
        problems.append(Problem("missing", array.file, "is not among the native files"))
        return None
    try:
        with open_hdf5(native.root / array.file, array.file) as file:
            data = file.get(array.key)
            if not isinstance(data, h5py.Dataset) or data.shape is None:
                keys = _keys(file)
                message = f"the file has no such array{nearest(array.key, keys)}"
                message += f"; it has {', '.join(keys) or 'none'}"
                problems.append(Problem("missing", array.place, message))
                return None
            shape, dtype = data.shape, data.dtype
    except NativeFormatError as error:
        problems += [problem for problem in error.problems if problem not in problems]
        return None
    wrong = _shape_problems(array, shape) + _dtype_problems(array, dtype)
    problems += wrong
    return None if wrong else Head(array, shape[: len(array.dims)], str(dtype), dtype.itemsize)


def _keys(file: Any) -> list[str]:
    keys: list[str] = []
    file.visititems(lambda key, item: keys.append(key) if isinstance(item, h5py.Dataset) else None)
    return keys


def _shape_problems(array: Array, shape: tuple[int, ...]) -> list[Problem]:
    rank = len(array.dims)
    expected = f"{rank} dimensions ({', '.join(array.dims)})"
    fits = len(shape) >= rank and all(length == 1 for length in shape[rank:])
    if array.shape is not None:
        expected = _written(array.shape)
        pairs = zip(array.shape, shape, strict=False)
        fits = fits and len(shape) == len(array.shape)
        fits = fits and all(published in (None, length) for published, length in pairs)
    if not fits:
        message = f"{expected} expected, {_written(shape)} found"
        return [Problem("shape", array.place, message)]
    if 0 in shape:
        return [Problem("shape", array.place, f"is empty: {_written(shape)}")]
    return []


def _written(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if length is None else str(length) for length in shape) or "a scalar"


def _dtype_problems(array: Array, dtype: Any) -> list[Problem]:
    if dtype.kind not in NUMERIC_KINDS:
        return [Problem("dtype", array.place, f"numbers expected, {dtype} found")]
    if array.dtypes and str(dtype) not in array.dtypes:
        expected = " or ".join(array.dtypes)
        return [Problem("dtype", array.place, f"{expected} expected, {dtype} found")]
    return []


def _length_problems(heads: list[Head]) -> list[Problem]:
    """Return a problem for each dimension in which the arrays of a split differ."""
    by_dim: dict[str, dict[int, list[str]]] = {}
    for head in heads:
        for dim, length in zip(head.array.dims, head.shape, strict=True):
            by_dim.setdefault(dim, {}).setdefault(length, []).append(head.array.place)
    first = heads[0].array.dims[0] if heads else ""
    return [
        Problem(
            "length" if dim == first else "shape",
            places[0],
            f"{dim} is {length} long here, and {min(set(lengths) - {length})} elsewhere",
        )
        for dim, lengths in by_dim.items()
        if len(lengths) > 1
        for length, places in lengths.items()
    ]
