"""One npz file as STEMDL's were written, opened as if somebody wanted to harm.

    data   (3, 128, 128) float32   levels 0 to 255 of the logarithm, see `levels`
    label  (1,) int64              number of the space group, 1 to 230

An npz file is a zip of npy files. Their size is looked at before anything is inflated, no more is
inflated than that, and an array's type and shape before it is made: neither a zip bomb nor a head
that lies costs memory. Nothing is unpickled.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.cbed_hdf5.attributes import SPACE_GROUPS
from sciml_data.formats.cbed_hdf5.native import stack_problem

SHAPE = (3, 128, 128)
DATA, LABEL = "data.npy", "label.npy"
HEADER_BYTES = 10_000  # what NumPy takes for the head of an npy file; `savez` writes 128
MOST_BYTES = {DATA: 4 * 3 * 128 * 128 + HEADER_BYTES, LABEL: 64 + HEADER_BYTES}
MOST_FILE_BYTES = 2**20  # a stack has 197 kB
FLOOR, GAIN, MOST_LEVEL = 17.0, 10.0, 255.0
ROUNDING = 1e-2  # of a level, by the area mean upstream
START, END, END_BYTES = b"PK\3\4", b"PK\5\6", 22  # first bytes of a zip, and of its last record
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
BROKEN = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, ValueError, EOFError)


def levels(intensity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return intensities on the published scale: 10 (ln I + 17), 0 to 255.

    The constants are ORNL's (mlcommons/science: benchmarks/stemdl/ornl/preprocess/hdf5_helper.py).
    """
    logarithm = np.log(np.maximum(intensity, np.exp(-FLOOR)), dtype=np.float32)
    return np.clip((logarithm + FLOOR) * GAIN, 0, MOST_LEVEL).astype(np.float32)


def read_archive(path: Path, at: str) -> tuple[NDArray[np.float32], int] | Problem:
    """Return stack and space group of a file, or why it cannot be used.

    Args:
        path: of the file.
        at: what a problem calls it.
    """
    size = path.stat().st_size
    if size > MOST_FILE_BYTES:
        return Problem("size", at, f"has {size} bytes, and {MOST_FILE_BYTES} at most are read")
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            starts = content.startswith(START) or not archive.filelist
            if not starts or content[-END_BYTES:][:4] != END:
                return Problem("trailing", at, "has bytes before or behind its archive")
            problem = _member_problem(archive, at)
            if problem is not None:
                return problem
            data = _array(archive, DATA, at)
            label = _array(archive, LABEL, at)
    except BROKEN as error:
        return Problem("unreadable", at, f"cannot be read as npz: {error}")
    except NotImplementedError as error:
        return Problem("unreadable", at, f"is packed in an unknown way: {error}")
    return _sample(data, label, at)


def _member_problem(archive: zipfile.ZipFile, at: str) -> Problem | None:
    """Return what is wrong with the list of an archive; nothing is inflated for it."""
    names = archive.namelist()
    if absent := sorted({DATA, LABEL} - set(names)):
        message = f"has no {' and no '.join(absent)}; it has {', '.join(names[:5]) or 'nothing'}"
        return Problem("missing", at, message)
    if twice := [name for name in (DATA, LABEL) if names.count(name) > 1]:
        return Problem("unreadable", at, f"has {twice[0]} more than once")
    for name, most in MOST_BYTES.items():
        info = archive.getinfo(name)
        if info.file_size > most:
            message = f"{name} says it has {info.file_size} bytes inflated, and {most} at most are"
            return Problem("size", at, message + " read")
        if info.compress_type not in COMPRESSIONS:
            return Problem("unreadable", at, f"{name} is neither stored nor deflated")
    return None


def _array(archive: zipfile.ZipFile, name: str, at: str) -> NDArray[Any] | Problem:
    """Return an array, or why there is none; its head is held against what is expected first."""
    info = archive.getinfo(name)
    with archive.open(info) as member:
        content = member.read(info.file_size)  # with a number no more than that is inflated
        member.read(1)  # the sum of its bytes is looked at here
    stream = io.BytesIO(content)
    read_header = HEADERS.get(np.lib.format.read_magic(stream))
    if read_header is None:
        return Problem("unreadable", at, f"{name} is of an unknown version of npy")
    shape, fortran, dtype = read_header(stream)
    if problem := _header_problem(name, shape, dtype, at):
        return problem
    values = content[stream.tell() :]
    count = int(np.prod(shape))
    if len(values) != count * dtype.itemsize:
        kind = "trailing" if len(values) > count * dtype.itemsize else "unreadable"
        message = f"{name} has {len(values)} bytes for {count} values of {dtype.itemsize}"
        return Problem(kind, at, message)
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C")


def _header_problem(name: str, shape: tuple[int, ...], dtype: Any, at: str) -> Problem | None:
    if dtype.hasobject:
        return Problem("pickled", at, f"{name} has pickled objects, which are not loaded")
    if name == DATA and shape != SHAPE:
        return Problem("shape", at, f"data: {SHAPE} expected, {shape} found")
    if name == LABEL and int(np.prod(shape)) != 1:
        return Problem("shape", at, f"label: one number expected, {shape} found")
    if (name == DATA) != (dtype.kind == "f") or (name == DATA and dtype.itemsize != 4):
        expected = "float32" if name == DATA else "int64"
        return Problem("dtype", at, f"{name.removesuffix('.npy')}: {expected} expected, {dtype}")
    if name == LABEL and dtype.kind not in "iu":
        return Problem("dtype", at, f"label: int64 expected, {dtype}")
    return None


def _sample(
    data: NDArray[Any] | Problem, label: NDArray[Any] | Problem, at: str
) -> tuple[NDArray[np.float32], int] | Problem:
    """Return stack and label, or what is wrong with the first of them that is."""
    if isinstance(data, Problem):
        return data
    if isinstance(label, Problem):
        return label
    number = int(label.item())
    if not SPACE_GROUPS[0] <= number <= SPACE_GROUPS[1]:
        return Problem("label", at, f"label is {number}, and 1 to 230 is expected")
    stack = np.asarray(data, np.float32)
    if problem := stack_problem(stack, at):
        return problem
    if stack.max() > MOST_LEVEL + ROUNDING:
        return Problem("range", at, f"a level is {stack.max():g}, and 0 to 255 is expected")
    return stack, number
