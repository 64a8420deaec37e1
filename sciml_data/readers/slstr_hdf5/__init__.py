"""CloudMask's granules: HDF5 files with nine channels of SLSTR and two cloud masks.

Each native file becomes one ready file, so that a scene can be made anew, fetched or left out by
itself; neither 1,070 nor 29,300 files are too many for a folder, and a file of 40 MB (7 to 22 MB
with gzip) is neither too small to read well nor too large to make again after a cut. The first
folder of a native path is the split; both published namings are understood (`one-day` is
`training`, `ssts` is `inference`). Options: see `options.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.readers import Native, Shard
from sciml_data.readers.slstr_hdf5.options import parse_options

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

SUFFIXES = (".hdf", ".h5", ".hdf5")
OTHER_NAMES = {"one-day": "training", "ssts": "inference"}  # folders, as named until 2026


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each native one, after a look at the head of all of them.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: files whose name, keys, shapes or types are not as they should be.
    """
    from sciml_data.readers.slstr_hdf5.native import header_problems, tolerated_kinds

    parse_options(options)
    tolerated = tolerated_kinds(native.block)
    problems: list[Problem] = []
    made: list[Shard] = []
    for path in native.paths:
        if not path.endswith(SUFFIXES):
            problems.append(Problem("unexpected", path, f"no {' or '.join(SUFFIXES)} file"))
            continue
        problems += header_problems(native.root / path, path, tolerated)
        folder, _, rest = path.partition("/")
        split = OTHER_NAMES.get(folder, folder) if rest else "all"
        stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        made.append(Shard(f"{split}-{stem}.nc", split, (path,)))
    counts = Counter(shard.name for shard in made)
    problems += [
        Problem("name", shard.inputs[0], "another file of the split has the same name")
        for shard in made
        if counts[shard.name] > 1
    ]
    _raise_if(problems, f"{len({p.place.split(':')[0] for p in problems})} of {len(native.paths)}")
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one scene, ready to be written.

    Raises:
        NativeFormatError: `.problems` has every deviation of the file.
    """
    from sciml_data.readers.slstr_hdf5.native import nominal_shape, read_granule, tolerated_kinds
    from sciml_data.readers.slstr_hdf5.ready import ready_dataset

    chosen = parse_options(options)
    (place,) = shard.inputs
    path = native.root / place
    granule, problems = read_granule(path, place, chosen, tolerated_kinds(native.block))
    _raise_if(problems, "1 of 1")
    if granule is None:
        raise NativeFormatError(f"{place} cannot be read")
    is_cropped = chosen.training_crop == "reference" and shard.split == "training"
    return ready_dataset(granule, chosen, shape=nominal_shape(path), is_cropped=is_cropped)


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write synthetic scenes in the native layout, as `block["sample"]` says; see `sample.py`."""
    from sciml_data.readers.slstr_hdf5.sample import write_scenes

    write_scenes(root, block.get("sample", {}), seed)


def _raise_if(problems: list[Problem], how_many: str) -> None:
    if problems:
        raise NativeFormatError(
            f"{how_many} granules deviate from the format",
            problems=problems,
            untouched="nothing was converted",
            hint="a descriptor may name harmless kinds: native.tolerates",
        )
