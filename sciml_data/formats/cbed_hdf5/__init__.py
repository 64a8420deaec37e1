"""STEMDL's stacks of diffraction patterns: HDF5 files with a group for each sample.

Each native file becomes one ready file, for it has about 160 stacks of 3 x 512 x 512 (0.5 GB), and
none of its materials is in another one. A sample that cannot be used (not a number, another shape,
no label) is left out, counted and named; with `strict` it stops its file. What can be done without
(formula, energy, lattice) is missing in the ready form where it is missing or cannot be. Options:
see `options.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.cbed_hdf5.options import Options
from sciml_data.formats.interface import Native, Shard
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".h5", ".hdf5", ".hdf")


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each native one; none of them is opened.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: files that are no HDF5 by name, lie in no split, or two of one name.
    """
    parse_options(Options, options)
    problems: list[Problem] = []
    made: list[Shard] = []
    for path in native.paths:
        split = native.split_of(path)
        if not path.endswith(SUFFIXES):
            problems.append(Problem("unexpected", path, f"no {' or '.join(SUFFIXES)} file"))
        elif split is None:
            problems.append(Problem("split", path, f"is in none of {', '.join(native.splits)}"))
        else:
            made.append(Shard(f"{split}-{PurePosixPath(path).stem}.nc", split, (path,)))
    counts = Counter(shard.name for shard in made)
    problems += [
        Problem("name", shard.inputs[0], "another file of the split has the same name")
        for shard in made
        if counts[shard.name] > 1
    ]
    if problems:
        raise NativeFormatError(
            f"{len(problems)} of {len(native.paths)} native files are not laid out as published",
            problems=problems,
            untouched="nothing was converted",
        )
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the samples of one native file, ready to be written.

    Raises:
        NativeFormatError: the file cannot be opened or has no samples; with `strict`, `.problems`
            has every sample that cannot be used.
    """
    from sciml_data.formats.cbed_hdf5.native import read_stacks
    from sciml_data.formats.cbed_hdf5.ready import ready_dataset
    from sciml_data.formats.cbed_hdf5.tally import require_usable

    chosen = parse_options(Options, options)
    (file,) = shard.inputs
    stacks, tally = read_stacks(native.root / file, file, native.block)
    require_usable(tally, shard, chosen)
    return ready_dataset(stacks, tally, chosen, file=file, variables=native.variables)
