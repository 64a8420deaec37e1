"""What lies in a folder of native files: the hash of each, and the arrays of its HDF5 files.

The arrays are proposed as the native block of the reader `hdf5_arrays`, with the variables of a
ready form. Only heads are read for that. What a person has to say stands as `TO_FILL`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sciml_data.errors import CallError, Problem
from sciml_data.progress import Meter, Progress
from sciml_data.registry.manifest import READ_BLOCK_BYTES, Entry, Manifest, unsafe_because
from sciml_data.registry.profile import TO_FILL

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # HDF5 File Format Specification 3.0, III.A: the first 8 bytes
NUMBERS = "biuf"  # kinds of NumPy types that the reader takes (readers/hdf5_arrays/arrays.py)
MOST_FILES = 32  # HDF5 files of which arrays are proposed: more are one file a sample, or so
MOST_LEFT_NAMED = 10
SPLIT = re.compile(r"[a-z][a-z0-9_-]*")  # descriptor.schema.json, `splits`


@dataclass(frozen=True)
class Found:
    """One array of numbers in an HDF5 file, with its native shape and type."""

    file: str
    key: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Arrays:
    """What `hdf5_arrays` could read: its block, the splits, the variables, and what is left."""

    block: Mapping[str, Any]
    splits: Mapping[str, Sequence[str]]
    variables: Mapping[str, Any]
    left: tuple[str, ...]


def take_inventory(folder: Path, progress: Progress | None = None) -> Manifest:
    """Return the manifest of a folder, laid out as published, hashed with sha256.

    Args:
        folder: of the native files; links are not followed.
        progress: is told of (bytes read, bytes to read).

    Raises:
        CallError: there are no files, or some have names that no manifest may have.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = [path.relative_to(folder).as_posix() for path in paths]
    unsafe = [Problem("path", name, why) for name in names if (why := unsafe_because(name))]
    if unsafe or not names:
        empty = f"{folder} has no files" if folder.is_dir() else f"there is no folder {folder}"
        raise CallError(
            f"{folder} has paths that are refused" if unsafe else empty,
            problems=unsafe,
            untouched="nothing was written",
            hint="rename them, for a manifest is read on every system" if unsafe
            else "--files names the folder of the native files, laid out as they are published",
        )  # fmt: skip
    meter = Meter(sum(path.stat().st_size for path in paths), progress)
    return Manifest(
        tuple(sorted(_entry(name, path, meter) for name, path in zip(names, paths, strict=True)))
    )


def _entry(name: str, path: Path, meter: Meter) -> Entry:
    """Return a file's entry; told of each block, because one file may take minutes."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(READ_BLOCK_BYTES):
            digest.update(block)
            size_bytes += len(block)
            meter.advance(len(block))
    return Entry(name, size_bytes, f"sha256:{digest.hexdigest()}")


def propose_arrays(folder: Path, manifest: Manifest) -> Arrays | None:
    """Return how `hdf5_arrays` could read a folder, None where it could not.

    It could where there are some HDF5 files, each split of them holds arrays of the same names, and
    these have one length. A split is a folder, else a file, else all files together.
    """
    files = [entry.path for entry in manifest if _is_hdf5(folder / entry.path)]
    if not 0 < len(files) <= MOST_FILES:
        return None
    arrays = [one for file in files for one in _arrays_of(folder, file)]
    for grouped in _groupings(files):
        chosen = {split: _samples(arrays, members) for split, members in grouped.items()}
        names = [frozenset(one) for one in chosen.values()]
        if names and names[0] and len(set(names)) == 1 and _is_alike(chosen):
            return _proposal(chosen, grouped, arrays)
    return None


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(SIGNATURE)) == SIGNATURE


def _arrays_of(folder: Path, file: str) -> list[Found]:
    """Return the arrays of numbers of a file; one that cannot be read has none."""
    import h5py

    found: list[Found] = []

    def note(key: str, one: object) -> None:
        if isinstance(one, h5py.Dataset) and one.dtype.kind in NUMBERS and 0 not in one.shape:
            found.append(Found(file, key, one.shape, str(one.dtype)))

    try:
        with h5py.File(folder / file, "r") as opened:
            opened.visititems(note)
    except OSError:
        return []
    return [one for one in found if one.shape]


def _groupings(files: Sequence[str]) -> Iterable[dict[str, list[str]]]:
    """Yield the ways in which files may be splits, the likeliest first."""
    by_folder: dict[str, list[str]] = {}
    by_file: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        by_folder.setdefault(path.parts[0] if len(path.parts) > 1 else "", []).append(file)
        by_file.setdefault(path.stem, []).append(file)
    for grouped in (by_folder, by_file):
        if len(grouped) > 1 and all(SPLIT.fullmatch(name) for name in grouped):
            yield grouped
    yield {"all": list(files)}


def _samples(arrays: Sequence[Found], members: Sequence[str]) -> dict[str, Found]:
    """Return the arrays of a split by the name of their variable: those of the commonest length."""
    inside = [one for one in arrays if one.file in members]
    lengths = Counter(one.shape[0] for one in inside)
    most = max(lengths, key=lambda length: (lengths[length], length), default=0)
    chosen = [one for one in inside if one.shape[0] == most]
    by_key = {_word(one.key): one for one in chosen}
    if len(by_key) == len(chosen):
        return by_key
    by_both = {_word(f"{PurePosixPath(one.file).stem}_{one.key}"): one for one in chosen}
    return by_both if len(by_both) == len(chosen) else {}


def _is_alike(chosen: Mapping[str, Mapping[str, Found]]) -> bool:
    """Return whether each variable has one type and, samples aside, one shape in all splits."""
    kinds: dict[str, set[tuple[Any, ...]]] = {}
    for split in chosen.values():
        for name, one in split.items():
            kinds.setdefault(name, set()).add((one.dtype, one.shape[1:]))
    return all(len(kind) == 1 for kind in kinds.values())


def _proposal(
    chosen: Mapping[str, Mapping[str, Found]],
    grouped: Mapping[str, Sequence[str]],
    arrays: Sequence[Found],
) -> Arrays:
    block = {
        split: {
            name: {
                "file": one.file,
                "key": one.key,
                "shape": [None, *one.shape[1:]],
                "dtype": [one.dtype],
            }
            for name, one in members.items()
        }
        for split, members in chosen.items()
    }
    taken = {one for members in chosen.values() for one in members.values()}
    names = next(iter(chosen.values()))
    along = "sample" if "sample" not in names else "native_sample"
    left = [f"{one.file}:{one.key} {one.shape}" for one in arrays if one not in taken]
    more = [f"and {len(left) - MOST_LEFT_NAMED} more"] if len(left) > MOST_LEFT_NAMED else []
    return Arrays(
        block={"reader": "hdf5_arrays", "arrays": block},
        splits={name: sorted(files) for name, files in grouped.items()},
        variables={
            along: {
                "dims": [along],
                "dtype": "int64",
                "units": None,
                "long_name": "place of the sample in the native file",
            },
            **{name: _variable(one, along) for name, one in names.items()},
        },
        left=(*left[:MOST_LEFT_NAMED], *more),
    )


def _variable(one: Found, along: str) -> dict[str, Any]:
    dims = [f"{TO_FILL}: name of the axis of length {length}" for length in one.shape[1:]]
    return {
        "dims": [along, *dims],
        "dtype": one.dtype,
        "units": f"{TO_FILL}: unit (UDUNITS), or null if there is none",
        "long_name": f"{TO_FILL}: what the numbers are",
    }


def _word(key: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")
