"""Read native files of STEMDL: a group per stack of patterns, each sample checked by itself.

    sample_<idx>_<e>            idx counts the materials of a file with gaps, e the beam energies
        cbed_stack              orientation, y, x   float32, neither chunked nor compressed
        attributes              `space_group`, `material`, `formula`, and those of `NUMBERS`

The same names occur in every file, and some energies of a material may be missing: a sample is
identified by its file and its name. No value of a sample is read before its shape, type and
attributes are right, and each stack is in memory once.

Attributes may have any type: text is read from bytes or strings. A vector that one machine wrote
with 128-bit floats came back on another with garbage in it, so HDF5 converts numbers from the type
in the file to float64, and they are compared with the possible range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.hdf5_files import DAMAGED, open_hdf5
from sciml_data.formats.interface import Tally

STACK = "cbed_stack"
NAME = re.compile(r"sample_(\d{1,9})_(\d{1,9})", re.ASCII)
PIXELS = 512  # along each side, as published
SHAPE_ATTRIBUTE = "nominal_shape"  # of synthetic files, which may be smaller; real ones have none
MAX_BYTES = 8 * 2**30  # of stacks in a file; published files have 0.5 GiB on average
SPACE_GROUPS = (1, 230)  # first and last number of the International Tables
ORIENTATIONS, AXES = 3, 3


@dataclass(frozen=True)
class Numbers:
    """Numbers of a sample: the native attribute, the shape in the ready form, the possible range.

    `minimum` and `maximum` are in the unit that the attribute's name ends with.
    """

    attribute: str
    shape: tuple[int, ...]
    minimum: float
    maximum: float


# By variable of the ready form. Cells of 10 angstrom or more were not simulated upstream; the
# other ranges are those of electron microscopes and crystals, with some room.
NUMBERS: Mapping[str, Numbers] = {
    "energy": Numbers("energy_keV", (), 20, 1000),
    "lattice_length": Numbers("abc_angstrom", (AXES,), 1, 30),
    "lattice_angle": Numbers("angles_degree", (AXES,), 20, 160),
    "semi_angle": Numbers("semi_angles_rad", (ORIENTATIONS,), 1e-4, 0.1),
    "plane_spacing": Numbers("d_hkls_angstrom", (ORIENTATIONS,), 0.2, 30),
    "beam_direction": Numbers("z_dirs", (ORIENTATIONS, AXES), -100, 100),
}


@dataclass(frozen=True)
class SampleMetadata:
    """Attributes of a sample; numbers that are not known are NaN, an unknown formula is ""."""

    space_group: int
    material: str
    formula: str
    numbers: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Stacks:
    """Usable samples of one file.

    Attributes:
        names: of the groups.
        metadata: of each sample.
        patterns: (sample, orientation, y, x) float32, intensity as published.
    """

    names: tuple[str, ...]
    metadata: tuple[SampleMetadata, ...]
    patterns: NDArray[np.float32]


def read_stacks(path: Path, place: str, block: Mapping[str, Any]) -> tuple[Stacks, Tally]:
    """Return the usable samples of a file in the order of their numbers, and a tally of all.

    Args:
        path: of the file.
        place: its native path, for messages.
        block: `sciml.native` of the descriptor; `pixels` along each side if these are not 512.

    Raises:
        NativeFormatError: the file is not HDF5, was cut short, or has no sample.
    """
    with open_hdf5(path, place) as file:
        names = sorted(file, key=_by_number)
        shape = _expected_shape(file, block)
        tally = Tally(len(names))
        heads = list(_heads(file, place, shape, tally))
        _require_samples(place, names, len(heads), shape)
        return _with_patterns(file, place, heads, shape=shape, tally=tally), tally


def stack_problem(stack: NDArray[np.float32], place: str) -> Problem | None:
    """Return why a stack (orientation, y, x) cannot be used; single zeros are allowed.

    Upstream refused a pattern only if all of its pixels were not-a-number.
    """
    low, high = stack.min(axis=(1, 2)), stack.max(axis=(1, 2))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        bad = ~np.isfinite(stack)
        which = ", ".join(str(number) for number in np.flatnonzero(bad.any(axis=(1, 2))))
        count = int(np.count_nonzero(bad))
        message = f"{count} pixels are not finite numbers, pattern {which}"
        return Problem("finite", place, message)
    if low.min() < 0:
        return Problem("negative", place, f"an intensity is {low.min():g}, below zero")
    if high.min() <= 0:
        return Problem("dark", place, "a pattern is zero everywhere")
    return None


def _by_number(name: str) -> tuple[int, int, str]:
    """Return the sort key of a sample in its file; names without a number come last."""
    match = NAME.fullmatch(name)
    return (int(match[1]), int(match[2]), name) if match else (10**9, 0, name)


def _expected_shape(file: Any, block: Mapping[str, Any]) -> tuple[int, int, int]:
    pixels = int(block.get("pixels", PIXELS))
    if not file.attrs.get("synthetic", False):
        return ORIENTATIONS, pixels, pixels
    orientations, rows, columns = (int(length) for length in file.attrs[SHAPE_ATTRIBUTE])
    return orientations, rows, columns


def _require_samples(place: str, names: list[str], usable: int, shape: tuple[int, ...]) -> None:
    if not any(NAME.fullmatch(name) for name in names):
        raise _unusable(place, "has no group sample_<number>_<number>")
    # A damaged file may claim any number of stacks; this bounds the memory that is asked for.
    size_bytes = usable * int(np.prod(shape)) * 4
    if size_bytes > MAX_BYTES:
        raise _unusable(place, f"has {size_bytes} bytes of stacks; at most {MAX_BYTES} are read")


def _unusable(place: str, message: str) -> NativeFormatError:
    return NativeFormatError(
        f"{place} cannot be used",
        problems=[Problem("unreadable", place, message)],
        untouched="nothing of it was converted",
    )


def _heads(
    file: Any, place: str, shape: tuple[int, ...], tally: Tally
) -> Iterator[tuple[str, SampleMetadata]]:
    """Yield name and metadata of each sample that looks usable; the tally gets the others."""
    for name in sorted(file, key=_by_number):
        at = f"{place}:{name}"
        try:
            problem = _head_problem(file, name, at, shape)
            metadata, noted = (problem, []) if problem else _read_metadata(file[name], at)
        except DAMAGED as error:
            metadata, noted = Problem("unreadable", at, f"cannot be read: {error}"), []
        if isinstance(metadata, Problem):
            tally.dropped.append(metadata)
        else:
            tally.noted += noted
            yield name, metadata


def _head_problem(file: Any, name: str, place: str, shape: tuple[int, ...]) -> Problem | None:
    """Return why a sample cannot be used, as far as its header shows."""
    if NAME.fullmatch(name) is None:
        return Problem("name", place, "is not the name of a sample")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return Problem("link", place, "is a link, which is not followed")
    group = file[name]
    if not isinstance(group, h5py.Group) or STACK not in group:
        return Problem("missing", place, f"has no {STACK}")
    if not isinstance(group.get(STACK, getlink=True), h5py.HardLink):
        return Problem("link", place, f"{STACK} is a link, which is not followed")
    return _array_problem(group[STACK], place, shape)


def _array_problem(stack: Any, place: str, shape: tuple[int, ...]) -> Problem | None:
    if not isinstance(stack, h5py.Dataset):
        return Problem("missing", place, f"{STACK} is not an array")
    if stack.external is not None or stack.is_virtual:
        return Problem("link", place, f"{STACK} is in another file, which is not opened")
    if stack.shape != shape:
        return Problem("shape", place, f"{shape} expected, {stack.shape} found")
    if stack.dtype.kind != "f" or stack.dtype.itemsize != 4:
        return Problem("dtype", place, f"float32 expected, {stack.dtype} found")
    if not stack.id.get_storage_size():
        return Problem("empty", place, f"{STACK} was never written")
    return None


def _with_patterns(
    file: Any,
    place: str,
    heads: list[tuple[str, SampleMetadata]],
    *,
    shape: tuple[int, ...],
    tally: Tally,
) -> Stacks:
    """Read the stacks of samples into one array, one after the other, and keep the sound ones."""
    patterns = np.empty((len(heads), *shape), np.float32)
    usable: list[tuple[str, SampleMetadata]] = []
    for name, metadata in heads:
        # A refused stack is overwritten by the next one, so no second copy is needed.
        at, room = f"{place}:{name}", patterns[len(usable)]
        try:
            file[name][STACK].read_direct(room)
        except DAMAGED as error:
            tally.dropped.append(Problem("unreadable", at, f"{STACK} cannot be read: {error}"))
            continue
        problem = stack_problem(room, at)
        if problem is None:
            usable.append((name, metadata))
        else:
            tally.dropped.append(problem)
    dropped = {problem.place for problem in tally.dropped}
    tally.noted = [problem for problem in tally.noted if problem.place not in dropped]
    return Stacks(
        names=tuple(name for name, _ in usable),
        metadata=tuple(metadata for _, metadata in usable),
        patterns=patterns[: len(usable)],
    )


def _read_metadata(group: Any, place: str) -> tuple[SampleMetadata | Problem, list[Problem]]:
    """Return the metadata of a sample and what is missing in it.

    Args:
        group: of the sample.
        place: its file and name.

    Returns:
        The metadata, or why the sample cannot be used: no space group, or no material. And a
        problem for each other value that is missing or impossible.
    """
    space_group = _space_group(group)
    if isinstance(space_group, str):
        return Problem("label", place, space_group), []
    material = _text(group, "material")
    if not material:
        message = "has no material, by which stacks of one crystal are kept in one part"
        return Problem("material", place, message), []
    noted: list[Problem] = []
    formula = _text(group, "formula")
    if not formula:
        noted.append(Problem("formula", place, "has no formula"))
    numbers = {}
    for name, expected in NUMBERS.items():
        values = _numbers(group, expected)
        if isinstance(values, str):
            noted.append(Problem(name, place, f"{expected.attribute} {values}"))
            values = np.full(expected.shape, np.nan)
        numbers[name] = values
    return SampleMetadata(space_group, material, formula or "", numbers), noted


def _text(group: Any, name: str) -> str | None:
    """Return an attribute as text, from bytes, a string or an array of one; None for no text."""
    try:
        value = group.attrs.get(name)
    except (OSError, TypeError, ValueError):  # a type that NumPy does not have, or a torn heap
        return None
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else None
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return value.strip("\0 ") if isinstance(value, str) else None


def _numbers(group: Any, expected: Numbers) -> NDArray[np.float64] | str:
    """Return an attribute as float64 in the ready form's shape, or what is wrong with it."""
    if expected.attribute not in group.attrs:
        return "is missing"
    attribute = group.attrs.get_id(expected.attribute)
    if attribute.get_type().get_class() not in (h5py.h5t.FLOAT, h5py.h5t.INTEGER):
        return "is not a number"
    count = int(np.prod(expected.shape))
    if int(np.prod(attribute.shape)) != count:
        return f"has the shape {attribute.shape}, and {count} numbers are expected"
    values = np.empty(attribute.shape, np.float64)
    attribute.read(values)
    values = values.reshape(expected.shape)
    is_possible = (values >= expected.minimum) & (values <= expected.maximum)  # False for NaN
    if not np.all(is_possible):
        numbers = ", ".join(f"{value:g}" for value in values.ravel())
        return f"is {numbers}, and {expected.minimum:g} to {expected.maximum:g} is expected"
    return values


def _space_group(group: Any) -> int | str:
    """Return the number of the space group, or what is wrong with it."""
    text = _text(group, "space_group")
    if text is None:
        if "space_group" not in group.attrs:
            return "has no space group"
        number = _numbers(group, Numbers("space_group", (), *SPACE_GROUPS))
        if isinstance(number, str):
            return f"space_group {number}"
        text = f"{number:g}"
    if not (text.isascii() and text.isdigit() and len(text) <= len("230")):
        return f"space_group is {text!r}, and a number is expected"
    if not SPACE_GROUPS[0] <= int(text) <= SPACE_GROUPS[1]:
        return f"space_group is {text}, and 1 to 230 is expected"
    return int(text)
