"""Native files of STEMDL: one group a stack of patterns, with attributes, checked one by one.

    sample_<idx>_<e>            idx counts the materials of a file with gaps, e the beam energies
        cbed_stack              orientation, y, x   float32, neither chunked nor compressed
        attributes              see `attributes.py`

The same names come again in every file, and some energies of a material may lack: a sample is known
by its file and its name. Nothing is read of a sample before its shape, type and attributes are as
they should be, and no stack is held but once.
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
from sciml_data.formats.cbed_hdf5.attributes import ORIENTATIONS, Facts, read_facts
from sciml_data.formats.cbed_hdf5.tally import Tally

STACK = "cbed_stack"
NAME = re.compile(r"sample_(\d{1,9})_(\d{1,9})", re.ASCII)
PIXELS = 512  # along each side, as published
SHAPE_ATTRIBUTE = "nominal_shape"  # of synthetic files, which may be smaller; real ones have none
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError)  # what h5py raises of damage
MOST_BYTES = 8 * 2**30  # of stacks in a file; published ones have 0.5 GiB in the mean


@dataclass(frozen=True)
class Stacks:
    """Usable samples of one file: names, attributes, and patterns (sample, orientation, y, x)."""

    names: tuple[str, ...]
    facts: tuple[Facts, ...]
    patterns: NDArray[np.float32]


def read_stacks(path: Path, place: str, block: Mapping[str, Any]) -> tuple[Stacks, Tally]:
    """Return the usable samples of a file in the order of their numbers, and the account of all.

    Args:
        path: of the file.
        place: its native path, as problems name it.
        block: `sciml.native` of the descriptor; `pixels` along each side, where not 512.

    Raises:
        NativeFormatError: the file is no HDF5, was cut short, or has no sample at all.
    """
    try:
        with h5py.File(path, "r") as file:
            names = sorted(file, key=_by_number)
            shape = _shape(file, block)
            tally = Tally(len(names))
            heads = list(_heads(file, place, shape, tally))
            _require_samples(place, names, len(heads), shape)
            return _with_patterns(file, place, heads, shape=shape, tally=tally), tally
    except DAMAGED as error:
        raise _unusable(place, f"cannot be read as HDF5: {error}") from error


def _by_number(name: str) -> tuple[int, int, str]:
    """Return the place of a sample in its file; what has no number comes last."""
    found = NAME.fullmatch(name)
    return (int(found[1]), int(found[2]), name) if found else (10**9, 0, name)


def _shape(file: Any, block: Mapping[str, Any]) -> tuple[int, int, int]:
    pixels = int(block.get("pixels", PIXELS))
    if not file.attrs.get("synthetic", False):
        return ORIENTATIONS, pixels, pixels
    orientations, rows, columns = (int(length) for length in file.attrs[SHAPE_ATTRIBUTE])
    return orientations, rows, columns


def _require_samples(place: str, names: list[str], usable: int, shape: tuple[int, ...]) -> None:
    if not any(NAME.fullmatch(name) for name in names):
        raise _unusable(place, "has no group sample_<number>_<number>")
    size = usable * int(np.prod(shape)) * 4
    if size > MOST_BYTES:
        raise _unusable(place, f"says it has {size} bytes of stacks; {MOST_BYTES} at most are read")


def _unusable(place: str, message: str) -> NativeFormatError:
    return NativeFormatError(
        f"{place} cannot be used",
        problems=[Problem("unreadable", place, message)],
        untouched="nothing of it was converted",
    )


def _heads(
    file: Any, place: str, shape: tuple[int, ...], tally: Tally
) -> Iterator[tuple[str, Facts]]:
    """Yield name and facts of each sample that looks usable; the others go into the account."""
    for name in sorted(file, key=_by_number):
        at = f"{place}:{name}"
        try:
            problem = _head_problem(file, name, at, shape)
            facts, noted = (problem, []) if problem else read_facts(file[name], at)
        except DAMAGED as error:
            facts, noted = Problem("unreadable", at, f"cannot be read: {error}"), []
        if isinstance(facts, Problem):
            tally.dropped.append(facts)
        else:
            tally.noted += noted
            yield name, facts


def _head_problem(file: Any, name: str, at: str, shape: tuple[int, ...]) -> Problem | None:
    """Return why a sample cannot be used, as far as its header tells."""
    if NAME.fullmatch(name) is None:
        return Problem("name", at, "is no name of a sample")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return Problem("link", at, "is a link, which is not followed")
    group = file[name]
    if not isinstance(group, h5py.Group) or STACK not in group:
        return Problem("missing", at, f"has no {STACK}")
    if not isinstance(group.get(STACK, getlink=True), h5py.HardLink):
        return Problem("link", at, f"{STACK} is a link, which is not followed")
    return _array_problem(group[STACK], at, shape)


def _array_problem(stack: Any, at: str, shape: tuple[int, ...]) -> Problem | None:
    if not isinstance(stack, h5py.Dataset):
        return Problem("missing", at, f"{STACK} is no array")
    if stack.external is not None or stack.is_virtual:
        return Problem("link", at, f"{STACK} lies in another file, which is not opened")
    if stack.shape != shape:
        return Problem("shape", at, f"{shape} expected, {stack.shape} found")
    if stack.dtype.kind != "f" or stack.dtype.itemsize != 4:
        return Problem("dtype", at, f"float32 expected, {stack.dtype} found")
    if not stack.id.get_storage_size():
        return Problem("empty", at, f"{STACK} was never written")
    return None


def _with_patterns(
    file: Any,
    place: str,
    heads: list[tuple[str, Facts]],
    *,
    shape: tuple[int, ...],
    tally: Tally,
) -> Stacks:
    """Read the stacks of samples one after the other into one array, and keep the sound ones."""
    patterns = np.empty((len(heads), *shape), np.float32)
    kept: list[tuple[str, Facts]] = []
    for name, facts in heads:
        at, room = f"{place}:{name}", patterns[len(kept)]
        try:
            file[name][STACK].read_direct(room)
        except DAMAGED as error:
            tally.dropped.append(Problem("unreadable", at, f"{STACK} cannot be read: {error}"))
            continue
        problem = stack_problem(room, at)
        if problem is None:
            kept.append((name, facts))
        else:
            tally.dropped.append(problem)
    dropped = {one.place for one in tally.dropped}
    tally.noted = [one for one in tally.noted if one.place not in dropped]
    return Stacks(
        tuple(name for name, _ in kept), tuple(one for _, one in kept), patterns[: len(kept)]
    )


def stack_problem(stack: NDArray[np.float32], at: str) -> Problem | None:
    """Return why a stack (orientation, y, x) cannot be used; zeros are what many pixels are.

    Upstream refused a pattern only where all of its pixels were not a number.
    """
    low, high = stack.min(axis=(1, 2)), stack.max(axis=(1, 2))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        bad = ~np.isfinite(stack)
        which = ", ".join(str(at) for at in np.flatnonzero(bad.any(axis=(1, 2))))
        count = int(np.count_nonzero(bad))
        return Problem("finite", at, f"{count} pixels are no number or infinite, pattern {which}")
    if low.min() < 0:
        return Problem("negative", at, f"an intensity is {low.min():g}, below zero")
    if high.min() <= 0:
        return Problem("dark", at, "a pattern is zero everywhere")
    return None
