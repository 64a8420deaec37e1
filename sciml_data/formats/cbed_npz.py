"""STEMDL as STFC publishes it: an npz file per sample, patterns as levels of the logarithm.

    data   (3, 128, 128) float32   levels 0 to 255 of the logarithm, see `log_intensity`
    label  (1,) int64              number of the space group, 1 to 230

The native files have no material, energy, orientation or lattice, so the ready form has none, and
it cannot be split by material. A ready file holds the samples of a fixed range of running numbers,
so it stays the same when other files are fetched. A file that cannot be used is left out, counted
and named; with `strict` it stops its ready file.

An npz file is a zip of npy files, and these come from the network. So sizes are compared with the
possible ones before anything is inflated, no more than that is inflated, and an array's type and
shape are checked before it is made: neither a zip bomb nor a false header costs memory. Nothing is
unpickled.
"""

from __future__ import annotations

import io
import re
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats import cbed_hdf5
from sciml_data.formats.cbed_hdf5 import SPACE_GROUPS, STACK, stack_problem, stacked, texts
from sciml_data.formats.interface import Native, Shard, Tally, no_split, raise_if_any
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    import xarray as xr

NAME = re.compile(r"(?:.*/)?[^/]*?(\d{1,12})\.npz", re.ASCII)
SAMPLES_PER_SHARD = 1024  # 201 MB of npz files: held in memory once, and made again in seconds

SHAPE = (3, 128, 128)
DATA, LABEL = "data.npy", "label.npy"
HEADER_BYTES = 10_000  # what NumPy takes for the header of an npy file; `savez` writes 128
MAX_BYTES = {DATA: 4 * 3 * 128 * 128 + HEADER_BYTES, LABEL: 64 + HEADER_BYTES}
MAX_FILE_BYTES = 2**20  # a stack has 197 kB
FLOOR, GAIN, MAX_LEVEL = 17.0, 10.0, 255.0
ROUNDING = 1e-2  # of a level, by the area mean upstream
START, END, END_BYTES = b"PK\3\4", b"PK\5\6", 22  # first bytes of a zip, and of its last record
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HEADER_READERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What zipfile and NumPy raise of damage. NumPy reads the header of an npy file as Python source.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    MemoryError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
)
SCALING = {
    "scaling": "log levels",
    "comment": "10 (ln I + 17), clipped to 0 to 255, then upstream an area mean of 512 to 128",
}


@dataclass(frozen=True)
class Options(cbed_hdf5.Options):
    """Options of the conversion of npz files."""

    samples_per_shard: int = option(
        0, "running numbers that share a ready file; 0 takes 1,024", minimum=0
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of each split; no native file is opened.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: files have no running number in their name, or are in no split.
    """
    size = parse_options(Options, options).samples_per_shard or SAMPLES_PER_SHARD
    problems: list[Problem] = []
    ranges: dict[tuple[str, int], list[str]] = {}
    for path in native.paths:
        number, split = running_number(path), native.split_of(path)
        if number is None:
            message = "not an npz file with a running number in its name"
            problems.append(Problem("name", path, message))
        elif split is None:
            problems.append(no_split(native, path))
        else:
            ranges.setdefault((split, number // size), []).append(path)
    raise_if_any(problems, native)
    return tuple(
        Shard(f"{split}-{number:05d}.nc", split, tuple(sorted(paths, key=_by_number)))
        for (split, number), paths in sorted(ranges.items())
    )


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the usable samples of one range of native files, with attributes and encoding.

    Raises:
        NativeFormatError: with `strict`, `.problems` has every file that cannot be used.
    """
    chosen = parse_options(Options, options)
    tally = Tally(len(shard.inputs))
    patterns = np.empty((len(shard.inputs), *SHAPE), np.float32)
    labels: list[int] = []
    files: list[str] = []
    for path in shard.inputs:
        sample = read_archive(native.root / path, path)
        if isinstance(sample, Problem):
            tally.dropped.append(sample)
            continue
        patterns[len(files)], label = sample
        labels.append(label)
        files.append(path)
    tally.stop_if_strict(strict=chosen.strict, untouched=f"{shard.name} was not made")
    columns: dict[str, NDArray[Any]] = {
        STACK: patterns[: len(files)],
        "space_group": np.array(labels, np.int16),
        "native_file": texts(files),
        "native_sample": texts([str(running_number(path)) for path in files]),
    }
    return stacked(columns, tally, chosen, variables=native.variables, more={STACK: SCALING})


def running_number(path: str) -> int | None:
    """Return the running number in the name of a native file, None if it has none."""
    match = NAME.fullmatch(path)
    return int(match[1]) if match else None


def _by_number(path: str) -> tuple[int, str]:
    return running_number(path) or 0, path


def log_intensity(intensity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return intensities on the published scale: 10 (ln I + 17), 0 to 255.

    The constants are ORNL's (mlcommons/science: benchmarks/stemdl/ornl/preprocess/hdf5_helper.py).

    Args:
        intensity: any shape, float32, not negative.
    """
    logarithm = np.log(np.maximum(intensity, np.exp(-FLOOR)), dtype=np.float32)
    return np.clip((logarithm + FLOOR) * GAIN, 0, MAX_LEVEL).astype(np.float32)


def read_archive(path: Path, place: str) -> tuple[NDArray[np.float32], int] | Problem:
    """Return stack and space group of a file, or why it cannot be used.

    Args:
        path: of the file.
        place: its native path, for messages.

    Returns:
        (orientation=3, y=128, x=128) float32 levels, and the number of the space group.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        message = f"has {size_bytes} bytes, and {MAX_FILE_BYTES} at most are read"
        return Problem("size", place, message)
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            starts = content.startswith(START) or not archive.filelist
            if not starts or content[-END_BYTES:][:4] != END:
                return Problem("trailing", place, "has bytes before or behind its archive")
            problem = _member_problem(archive, place)
            if problem is not None:
                return problem
            data = _array(archive, DATA, place)
            label = _array(archive, LABEL, place)
    except BROKEN as error:
        return Problem("unreadable", place, f"cannot be read as npz: {error}")
    except NotImplementedError as error:
        return Problem("unreadable", place, f"is packed in an unknown way: {error}")
    return _sample(data, label, place)


def _member_problem(archive: zipfile.ZipFile, place: str) -> Problem | None:
    """Return what is wrong with the list of an archive's files; nothing is inflated."""
    names = archive.namelist()
    if absent := sorted({DATA, LABEL} - set(names)):
        message = f"has no {' and no '.join(absent)}; it has {', '.join(names[:5]) or 'nothing'}"
        return Problem("missing", place, message)
    if twice := [name for name in (DATA, LABEL) if names.count(name) > 1]:
        return Problem("unreadable", place, f"has {twice[0]} more than once")
    for name, limit in MAX_BYTES.items():
        info = archive.getinfo(name)
        if info.file_size > limit:
            message = f"{name} says it has {info.file_size} bytes inflated, and {limit} at most are"
            return Problem("size", place, message + " read")
        if info.compress_type not in COMPRESSIONS:
            return Problem("unreadable", place, f"{name} is neither stored nor deflated")
    return None


def _array(archive: zipfile.ZipFile, name: str, place: str) -> NDArray[Any] | Problem:
    """Return an array, or what is wrong with it; its header is checked first."""
    info = archive.getinfo(name)
    with archive.open(info) as member:
        content = member.read(info.file_size)  # a number: no more than that is inflated
        member.read(1)  # at the end of a member zipfile compares its checksum
    stream = io.BytesIO(content)
    read_header = HEADER_READERS.get(np.lib.format.read_magic(stream))
    if read_header is None:
        return Problem("unreadable", place, f"{name} is of an unknown version of npy")
    shape, fortran, dtype = read_header(stream)
    if problem := _header_problem(name, shape, dtype, place):
        return problem
    values = content[stream.tell() :]
    count = int(np.prod(shape))
    if len(values) != count * dtype.itemsize:
        kind = "trailing" if len(values) > count * dtype.itemsize else "unreadable"
        message = f"{name} has {len(values)} bytes for {count} values of {dtype.itemsize}"
        return Problem(kind, place, message)
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C")


def _header_problem(name: str, shape: tuple[int, ...], dtype: Any, place: str) -> Problem | None:
    if dtype.hasobject:
        return Problem("pickled", place, f"{name} has pickled objects, which are not loaded")
    if name == DATA and shape != SHAPE:
        return Problem("shape", place, f"data: {SHAPE} expected, {shape} found")
    if name == LABEL and int(np.prod(shape)) != 1:
        return Problem("shape", place, f"label: one number expected, {shape} found")
    if (name == DATA) != (dtype.kind == "f") or (name == DATA and dtype.itemsize != 4):
        expected = "float32" if name == DATA else "int64"
        return Problem("dtype", place, f"{name.removesuffix('.npy')}: {expected} expected, {dtype}")
    if name == LABEL and dtype.kind not in "iu":
        return Problem("dtype", place, f"label: int64 expected, {dtype}")
    return None


def _sample(
    data: NDArray[Any] | Problem, label: NDArray[Any] | Problem, place: str
) -> tuple[NDArray[np.float32], int] | Problem:
    """Return stack and label, or the first thing that is wrong with them."""
    if isinstance(data, Problem):
        return data
    if isinstance(label, Problem):
        return label
    number = int(label.item())
    if not SPACE_GROUPS[0] <= number <= SPACE_GROUPS[1]:
        return Problem("label", place, f"label is {number}, and 1 to 230 is expected")
    stack = np.asarray(data, np.float32)
    if problem := stack_problem(stack, place):
        return problem
    if stack.max() > MAX_LEVEL + ROUNDING:
        return Problem("range", place, f"a level is {stack.max():g}, and 0 to 255 is expected")
    return stack, number
