"""NetCDF files as they are: variables, attributes, packing and time of NetCDF-4 and NetCDF-3.

The block `native` of the descriptor says how the files belong together. All files have the declared
variables, with the declared dimensions, types (after unpacking) and units.

    along         dimension along which files and ready files follow one another
    left_native   glob -> what these files are: they are not converted

Stored numbers and their attributes (`_FillValue`, `scale_factor`, `add_offset`, `units` of times,
`calendar`) are taken over unchanged, so that a ready file opens with the values of the native one.
Variables that the descriptor does not declare are left out. A file with more than 128 MiB makes
several ready files, if it has the dimension `along`. Variables without this dimension are the same
in all files; those with one dimension, such as axes, are compared.

NetCDF-4 is read by h5netcdf, NetCDF-3 (classic and 64-bit offset) by SciPy, which comes with the
extra `formats`. Groups other than the root are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml_data.errors import CallError, Problem
from sciml_data.formats.columns import data_files, not_sound, part_of
from sciml_data.formats.hdf5_files import open_stored
from sciml_data.formats.interface import (
    Native,
    Shard,
    max_content_bytes,
    no_split,
    raise_if_any,
    same_name_problems,
)
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

SHARD_BYTES = 128 * 2**20  # of a ready file: in memory once, and made in seconds
CHUNK_BYTES = 2**20
COMPRESSION_LEVEL = 4
HDF5, CLASSIC = b"\x89HDF", (b"CDF\x01", b"CDF\x02")
# What xarray, h5netcdf and SciPy raise of damage.
DAMAGED = (
    OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError,
    ArithmeticError, MemoryError, SystemError, EOFError,
)  # fmt: skip
TEXT = "OSTU"  # kinds of NumPy types
# Attributes that xarray turns into the values of an opened variable, and back.
PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned")


@dataclass(frozen=True)
class Options:
    """Options of the conversion of NetCDF files."""

    steps_per_shard: int = option(
        0, "steps along the dimension `along` in a ready file; 0 takes 128 MiB", minimum=0
    )
    compression: str = option(
        "gzip", "of the ready files; none reads faster", choices=("none", "gzip")
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files; the heads and axes of all files are read for that.

    Raises:
        CallError: an option is unknown or has a wrong value, or SciPy is not installed.
        NativeFormatError: a file cannot be read, differs from the descriptor, has other axes than
            the others of its split, or is in no split.
    """
    chosen = parse_options(Options, options)
    problems: list[Problem] = []
    made: list[Shard] = []
    firsts: dict[str, list[Shard]] = {}
    axes: dict[str, Mapping[str, Any]] = {}
    for path in data_files(native):
        split = native.split_of(path)
        if split is None:
            problems.append(no_split(native, path))
            continue
        with open_variables(native, path) as dataset:
            step = _steps(native, dataset, chosen)
            count = -(-dataset.sizes.get(native.block.get("along"), 1) // step)
            own = _axes(native, dataset)
        problems += _axis_problems(path, own, axes.setdefault(split, own))
        inner = PurePosixPath(path)
        name = "-".join([split, *inner.parent.parts, inner.stem])
        parts = range(max(1, count))
        made += [Shard(f"{name}-{number:05d}.nc", split, (path,)) for number in parts]
        firsts.setdefault(split, []).append(made[-1])
    for split, files in firsts.items():
        problems += same_name_problems(files)
        if len(files) > 1 and "along" not in native.block:
            message = f"{split} has {len(files)} files, and native.along names no dimension"
            problems.append(Problem("along", files[0].inputs[0], message))
    raise_if_any(problems, native)
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the variables of one ready file, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has each variable that is missing or not as declared.
    """
    chosen = parse_options(Options, options)
    (path,) = shard.inputs
    along = native.block.get("along")
    with open_variables(native, path) as dataset:
        step = _steps(native, dataset, chosen)
        first = part_of(shard) * step
        part = {along: slice(first, first + step)} if along in dataset.dims else {}
        ready = dataset.isel(part).load()
    ready.attrs = _storable(ready.attrs)
    for name, variable in ready.variables.items():
        variable.attrs = _storable(variable.attrs)
        variable.encoding = _encoding(variable, along, chosen)
        if variable.dtype.kind in TEXT:
            ready[name] = _fixed_text(variable)
    ready.attrs.setdefault("Conventions", "CF-1.11")
    if along in ready.dims:
        ready.attrs["shard_dimension"] = along
    return ready


@contextmanager
def open_variables(native: Native, path: str) -> Iterator[xr.Dataset]:
    """Open the declared variables of a file with their stored numbers.

    Raises:
        NativeFormatError: the file is damaged, or a variable is missing or not as declared.
        CallError: it is NetCDF-3, and SciPy is not installed.
    """
    import xarray as xr

    with open_native(native.root / path, path) as stored:
        declared = {
            name: each
            for name, each in native.variables.items()
            if name in stored.variables or not each.get("optional", False)
        }
        # A copy, because xarray 2026.9 takes attributes of packing from what it decodes.
        decoded = xr.decode_cf(stored.copy(), concat_characters=False)
        problems = [
            problem
            for name, each in declared.items()
            for problem in _variable_problems(path, name, stored, decoded, each)
        ]
        if problems:
            raise not_sound(path, problems)
        yield stored.drop_vars([name for name in stored.variables if name not in declared])


@contextmanager
def open_native(path: Path, place: str) -> Iterator[xr.Dataset]:
    """Open a file lazily with its stored numbers; packing and times stay attributes.

    Args:
        path: of the file.
        place: its native path, for messages.

    Raises:
        NativeFormatError: the file is damaged, of another format, or declares far more than it can
            hold.
        CallError: it is NetCDF-3, and SciPy is not installed.
    """
    with path.open("rb") as stream:
        start = stream.read(4)
    if start not in (HDF5, *CLASSIC):
        wrong = "is not a NetCDF file by its first bytes (NetCDF-4, classic or 64-bit offset)"
        raise not_sound(place, [Problem("format", place, wrong)])
    if start in CLASSIC:
        require_scipy()
    with _damage(place), open_stored(path, is_netcdf3=start in CLASSIC) as dataset:
        size_bytes = path.stat().st_size
        if dataset.nbytes > max_content_bytes(size_bytes):
            message = f"{dataset.nbytes:,} bytes by its head, {size_bytes:,} in the file"
            raise not_sound(place, [Problem("size", place, message)])
        yield dataset


@contextmanager
def _damage(place: str) -> Iterator[None]:
    """Raise what xarray and its engines raise of damaged files as an error that names the file."""
    try:
        yield
    except DAMAGED as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        problem = Problem("unreadable", place, f"cannot be read as NetCDF: {reason}")
        raise not_sound(place, [problem]) from error


def require_scipy() -> None:
    """Raise an error if SciPy is not installed.

    Raises:
        CallError: the hint names the extra to install.
    """
    try:
        import scipy.io  # noqa: F401
    except ImportError as error:
        raise CallError(
            "the package scipy, which reads NetCDF-3, is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[formats]'; or convert the files to NetCDF-4",
        ) from error


def opened_dtype(stored: xr.Variable, decoded: xr.Variable) -> str:
    """Return the type that a variable of a ready file has when it is opened.

    Args:
        stored: the variable with its stored numbers.
        decoded: the same with packing and times decoded.
    """
    return "S" if stored.dtype.kind in TEXT else str(decoded.dtype)


def _variable_problems(
    path: str, name: str, stored: xr.Dataset, decoded: xr.Dataset, declared: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield every difference between a variable and its declaration."""
    place = f"{path}: {name}"
    if name not in stored.variables:
        yield Problem("missing", place, "is declared, and not in the file")
        return
    variable = decoded.variables[name]
    for kind, expected, actual in (
        ("dims", list(declared["dims"]), [str(dim) for dim in variable.dims]),
        ("dtype", declared["dtype"], opened_dtype(stored.variables[name], variable)),
        ("units", declared.get("units"), variable.attrs.get("units")),
    ):
        if expected != actual:
            yield Problem(kind, place, f"{expected} declared, {actual} in the file")


def _storable(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the attributes that NetCDF has: text and numbers, alone or in a list."""
    kept = {}
    for name, value in attributes.items():
        array = np.asarray(value)
        if isinstance(value, str | bytes) or (array.dtype.kind in "iuf" and array.ndim <= 1):
            kept[name] = value
        elif array.dtype.kind == "b" and array.ndim <= 1:
            kept[name] = array.astype(np.int8)
        elif array.dtype.kind in "SUO" and array.ndim == 1:
            kept[name] = ", ".join(map(str, array))
    return kept


def _fixed_text(variable: xr.Variable) -> xr.Variable:
    """Return text of any length as UTF-8 of one length, which every NetCDF library reads."""
    texts = [
        text if isinstance(text, bytes) else str(text).encode() for text in variable.values.flat
    ]
    values = np.array(texts or [b""], np.bytes_)[: len(texts)].reshape(variable.shape)
    attributes = {key: value for key, value in variable.attrs.items() if key not in PACKING}
    import xarray as xr

    return xr.Variable(variable.dims, values, attributes, {"_FillValue": None})


def _steps(native: Native, dataset: xr.Dataset, options: Options) -> int:
    """Return the number of steps along the dimension `along` in a ready file."""
    along = native.block.get("along")
    if along not in dataset.dims:
        return 1
    moving = [var for var in dataset.variables.values() if along in var.dims]
    step_bytes = sum(var.nbytes for var in moving) // max(1, dataset.sizes[along])
    return options.steps_per_shard or max(1, SHARD_BYTES // max(1, step_bytes))


def _axes(native: Native, dataset: xr.Dataset) -> dict[str, Any]:
    """Return the values of variables with one dimension, other than `along`."""
    along = native.block.get("along")
    return {
        str(name): variable.values
        for name, variable in dataset.variables.items()
        if variable.ndim == 1 and along not in variable.dims
    }


def _axis_problems(path: str, own: Mapping[str, Any], first: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem("axis", f"{path}: {name}", "differs from that of the first file of its split")
        for name in own
        if name in first and not _are_equal(own[name], first[name])
    ]


def _are_equal(one: Any, other: Any) -> bool:
    is_float = one.dtype.kind == "f" and other.dtype.kind == "f"
    return bool(np.array_equal(one, other, equal_nan=is_float))


def _encoding(variable: xr.Variable, along: str | None, options: Options) -> dict[str, Any]:
    """Return chunks of one step, of several if these are small; numbers stay as they are."""
    encoding: dict[str, Any] = {} if "_FillValue" in variable.attrs else {"_FillValue": None}
    if variable.dtype.kind in TEXT or not variable.ndim or not variable.size:
        return encoding
    shape = list(variable.shape)
    if along in variable.dims:
        axis = variable.dims.index(along)
        step_bytes = variable.nbytes // shape[axis]
        shape[axis] = min(shape[axis], max(1, CHUNK_BYTES // max(1, step_bytes)))
    encoding["chunksizes"] = tuple(shape)
    if options.compression == "gzip":
        encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return encoding
