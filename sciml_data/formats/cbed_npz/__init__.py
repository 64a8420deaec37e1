"""STEMDL as STFC publishes it: an npz file for each sample, patterns as levels of the logarithm.

What the native files do not have is not in the ready form: material, energy, orientation, lattice,
and so no split by material can be made of it. A ready file is made of the samples of a fixed range
of running numbers, so that it stays the same whatever else was fetched. A file that cannot be used
is left out, counted and named; with `strict` it stops its ready file. Options: see
`cbed_hdf5/options.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.cbed_hdf5.options import NpzOptions
from sciml_data.formats.interface import Native, Shard
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

NAME = re.compile(r"(?:.*/)?[^/]*?(\d{1,12})\.npz", re.ASCII)


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of each split; no native file is opened.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: files whose names have no running number, or that are in no split.
    """
    chosen = parse_options(NpzOptions, options)
    problems: list[Problem] = []
    ranges: dict[tuple[str, int], list[str]] = {}
    for path in native.paths:
        number, split = number_of(path), native.split_of(path)
        if number is None:
            problems.append(Problem("name", path, "is no npz file with a running number"))
        elif split is None:
            problems.append(Problem("split", path, f"is in none of {', '.join(native.splits)}"))
        else:
            ranges.setdefault((split, number // chosen.samples_each), []).append(path)
    if problems:
        raise NativeFormatError(
            f"{len(problems)} of {len(native.paths)} native files are not laid out as published",
            problems=problems,
            untouched="nothing was converted",
        )
    return tuple(
        Shard(f"{split}-{number:05d}.nc", split, tuple(sorted(paths, key=_by_number)))
        for (split, number), paths in sorted(ranges.items())
    )


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the samples of one range of native files, ready to be written.

    Raises:
        NativeFormatError: with `strict`, `.problems` has every file that cannot be used.
    """
    from sciml_data.formats.cbed_hdf5.tally import require_usable
    from sciml_data.formats.cbed_npz.ready import ready_dataset

    chosen = parse_options(NpzOptions, options)
    dataset, tally = ready_dataset(native, shard, chosen)
    require_usable(tally, shard, chosen)
    return dataset


def number_of(path: str) -> int | None:
    """Return the running number in the name of a native file, None where there is none."""
    found = NAME.fullmatch(path)
    return int(found[1]) if found else None


def _by_number(path: str) -> tuple[int, str]:
    return number_of(path) or 0, path
