"""The content of a folder of native files: the hash of each, and the arrays of its HDF5 files.

The arrays are proposed as the native block of the reader `hdf5_arrays`, with the variables of a
ready form. Only the heads of files are read for that. Texts that only a person can write are
marked with `TO_FILL`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sciml_data.errors import CallError, NativeFormatError, Problem
from sciml_data.progress import Log, Meter, Progress
from sciml_data.registry import TO_FILL
from sciml_data.registry.manifest import (
    READ_BLOCK_BYTES,
    Entry,
    Manifest,
    describe_left_out,
    list_files,
    unsafe_because,
)

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # HDF5 File Format Specification 3.0, III.A: the first 8 bytes
NUMBERS = "biuf"  # kinds of NumPy types that the reader accepts (formats/hdf5_arrays/arrays.py)
MAX_FILES = 32  # HDF5 files with proposed arrays; more files usually hold a sample each
MAX_NAMED = 10  # arrays that are left out
SPLIT = re.compile(r"[a-z][a-z0-9_-]*")  # descriptor.schema.json, `splits`


@dataclass(frozen=True)
class NativeArray:
    """An array of numbers in an HDF5 file, with its native shape and type."""

    file: str
    key: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Proposal:
    """How a format could read a folder.

    Attributes:
        block: the native block of the descriptor.
        splits: globs of each split.
        variables: the variables of the ready form.
        left_out: arrays, columns or variables that are not read, as text.
        sample: what the synthetic sample is; "" if there is none.
    """

    block: Mapping[str, Any]
    splits: Mapping[str, Sequence[str]]
    variables: Mapping[str, Any]
    left_out: tuple[str, ...]
    sample: str = ""


def take_inventory(
    folder: Path, progress: Progress | None = None, log: Log | None = None
) -> Manifest:
    """Return the manifest of a folder of native files, hashed with sha256.

    Args:
        folder: folder with the layout that is published. Links to files are followed; hidden
            folders, and files of the operating system or of a clone, are left out.
        progress: called with (bytes read, bytes to read).
        log: gets a line with the number of files that are left out.

    Raises:
        CallError: there are no files, some have names that no manifest may contain, or there are
            broken links, links to folders, or other things that are not files.
    """
    content = list_files(folder, is_own=True)
    unsafe = [Problem("path", name, why) for name in content.files if (why := unsafe_because(name))]
    if not folder.is_dir() or not (content.files or content.problems):
        raise CallError(
            f"{folder} has no files" if folder.is_dir() else f"no such folder: {folder}",
            untouched="nothing was written",
            hint="--files DIR: folder of the native files, in the layout that is published",
        )
    if unsafe or content.problems:
        raise CallError(
            f"{folder} has paths that a manifest may not contain",
            problems=[*unsafe, *content.problems],
            untouched="nothing was written",
            hint="rename these files, or move them out: a manifest must be valid on every system",
        )
    if log and content.left_out:
        log(describe_left_out(content.left_out))
    meter = Meter(sum(state.st_size for state in content.files.values()), progress)
    return Manifest(tuple(sorted(_entry(name, folder / name, meter) for name in content.files)))


def propose_arrays(folder: Path, manifest: Manifest) -> Proposal | None:
    """Return how `hdf5_arrays` could read a folder, or None if it cannot.

    It can if there are a few HDF5 files, if each split holds arrays of the same names, and if these
    have one length. A split is a folder, else a file, else all files together.
    """
    files = [entry.path for entry in manifest if _is_hdf5(folder / entry.path)]
    if not 0 < len(files) <= MAX_FILES:
        return None
    arrays = [array for file in files for array in _arrays_of(folder, file)]
    for groups in _groupings(files):
        chosen = {split: _sample_arrays(arrays, members) for split, members in groups.items()}
        names = [frozenset(variables) for variables in chosen.values()]
        if names and names[0] and len(set(names)) == 1 and _are_alike(chosen):
            return _proposal(chosen, groups, arrays)
    return None


def _entry(name: str, path: Path, meter: Meter) -> Entry:
    """Return a file's entry; progress is reported by block, because one file may take minutes."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(READ_BLOCK_BYTES):
            digest.update(block)
            size_bytes += len(block)
            meter.advance(len(block))
    return Entry(name, size_bytes, f"sha256:{digest.hexdigest()}")


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(SIGNATURE)) == SIGNATURE


def _arrays_of(folder: Path, file: str) -> list[NativeArray]:
    """Return the arrays of numbers in a file; an unreadable file has none.

    Raises:
        NativeFormatError: the file names other files, or declares more than it can hold.
    """
    import h5py

    from sciml_data.formats import open_hdf5

    arrays: list[NativeArray] = []

    def visit(key: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in NUMBERS:
            return
        if item.shape and 0 not in item.shape:
            arrays.append(NativeArray(file, key, item.shape, str(item.dtype)))

    try:
        with open_hdf5(folder / file, file) as opened:
            opened.visititems(visit)
    except NativeFormatError as error:
        if any(problem.kind != "unreadable" for problem in error.problems):
            raise
        return []
    return arrays


def _groupings(files: Sequence[str]) -> Iterable[dict[str, list[str]]]:
    """Yield the ways in which files may be splits, the most probable first."""
    by_folder: dict[str, list[str]] = {}
    by_file: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        by_folder.setdefault(path.parts[0] if len(path.parts) > 1 else "", []).append(file)
        by_file.setdefault(path.stem, []).append(file)
    for groups in (by_folder, by_file):
        if len(groups) > 1 and all(SPLIT.fullmatch(name) for name in groups):
            yield groups
    yield {"all": list(files)}


def _sample_arrays(arrays: Sequence[NativeArray], files: Sequence[str]) -> dict[str, NativeArray]:
    """Return the arrays of a split by variable name: those of the commonest length.

    A variable is named by the array's key, or by file and key if two files have the same key.
    """
    candidates = [array for array in arrays if array.file in files]
    lengths = Counter(array.shape[0] for array in candidates)
    commonest = max(lengths, key=lambda length: (lengths[length], length), default=0)
    chosen = [array for array in candidates if array.shape[0] == commonest]
    by_key = {_variable_name(array.key): array for array in chosen}
    if len(by_key) == len(chosen):
        return by_key
    by_both = {
        _variable_name(f"{PurePosixPath(array.file).stem}_{array.key}"): array for array in chosen
    }
    return by_both if len(by_both) == len(chosen) else {}


def _are_alike(chosen: Mapping[str, Mapping[str, NativeArray]]) -> bool:
    """Return whether each variable has one type and, apart from its length, one shape."""
    kinds: dict[str, set[tuple[Any, ...]]] = {}
    for variables in chosen.values():
        for name, array in variables.items():
            kinds.setdefault(name, set()).add((array.dtype, array.shape[1:]))
    return all(len(kind) == 1 for kind in kinds.values())


def _proposal(
    chosen: Mapping[str, Mapping[str, NativeArray]],
    groups: Mapping[str, Sequence[str]],
    arrays: Sequence[NativeArray],
) -> Proposal:
    block = {
        split: {
            name: {
                "file": array.file,
                "key": array.key,
                "shape": [None, *array.shape[1:]],
                "dtype": [array.dtype],
            }
            for name, array in variables.items()
        }
        for split, variables in chosen.items()
    }
    used = {array for variables in chosen.values() for array in variables.values()}
    names = next(iter(chosen.values()))
    dim = "sample" if "sample" not in names else "native_sample"
    left_out = [f"{array.file}:{array.key} {array.shape}" for array in arrays if array not in used]
    more = [f"and {len(left_out) - MAX_NAMED} more"] if len(left_out) > MAX_NAMED else []
    return Proposal(
        block={"reader": "hdf5_arrays", "arrays": block},
        splits={name: sorted(files) for name, files in groups.items()},
        variables={
            dim: {
                "dims": [dim],
                "dtype": "int64",
                "units": None,
                "long_name": "place of the sample in the native file",
            },
            **{name: _variable(array, dim) for name, array in names.items()},
        },
        left_out=(*left_out[:MAX_NAMED], *more),
    )


def _variable(array: NativeArray, dim: str) -> dict[str, Any]:
    dims = [f"{TO_FILL}: name of the axis of length {length}" for length in array.shape[1:]]
    return {
        "dims": [dim, *dims],
        "dtype": array.dtype,
        "units": f"{TO_FILL}: unit (UDUNITS), or null if there is none",
        "long_name": f"{TO_FILL}: what the numbers are",
    }


def _variable_name(key: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")
