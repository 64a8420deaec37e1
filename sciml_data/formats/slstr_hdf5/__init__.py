"""CloudMask's granules: HDF5 files with nine channels of SLSTR and two cloud masks.

Each native file becomes one ready file, so that a scene can be made anew, fetched or left out by
itself; neither 1,070 nor 29,300 files are too many for a folder, and a file of 40 MB (7 to 22 MB
with gzip) is neither too small to read well nor too large to make again after a cut. The split of
a file is the one whose globs it fits in the descriptor. Options: see `options.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Native, Shard
from sciml_data.formats.slstr_hdf5.granule_name import parse_granule_name
from sciml_data.formats.slstr_hdf5.options import Options
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".hdf", ".h5", ".hdf5")
CROPPED_SPLIT = "training"  # by the option training_crop


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each native one; none of them is opened.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: files whose names are not as they should be.
    """
    parse_options(Options, options)
    problems: list[Problem] = []
    made: list[Shard] = []
    for path in native.paths:
        split = native.split_of(path)
        if not path.endswith(SUFFIXES):
            problems.append(Problem("unexpected", path, f"no {' or '.join(SUFFIXES)} file"))
        elif parse_granule_name(path) is None:
            problems.append(Problem("name", path, "is no name of a Sentinel-3 level-1 granule"))
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
            f"{len(problems)} of {len(native.paths)} native files are named as no granule is",
            problems=problems,
            untouched="nothing was converted",
        )
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one scene, ready to be written.

    Raises:
        NativeFormatError: `.problems` has every deviation of the file.
    """
    from sciml_data.formats.slstr_hdf5.native import nominal_shape, read_granule, tolerated_kinds
    from sciml_data.formats.slstr_hdf5.ready import ready_dataset

    chosen = parse_options(Options, options)
    (place,) = shard.inputs
    path = native.root / place
    granule, problems = read_granule(path, place, chosen, tolerated_kinds(native.block))
    if granule is None or problems:
        raise NativeFormatError(
            f"{place} deviates from the format",
            problems=problems,
            untouched="nothing was converted",
            hint="a descriptor may name harmless kinds: native.tolerates",
        )
    is_cropped = chosen.training_crop == "reference" and shard.split == CROPPED_SPLIT
    return ready_dataset(granule, chosen, shape=nominal_shape(path), is_cropped=is_cropped)
