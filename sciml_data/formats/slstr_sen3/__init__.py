"""SLSTR level-1 granules as ESA and EUMETSAT publish them: `.SEN3` folders of NetCDF files.

From the same product the CloudMask files were made, so the ready form is the same
(`slstr_hdf5/ready.py`), with what those files left out: place, sun and satellite angles, the
surface's kind, every cloud test, and which pixels are cosmetic or stand twice. What is read is the
1 km nadir grid: brightness temperatures, flags, geometry. The solar channels are on a 0.5 km grid
of their own and are not read: reflectance is missing, and an attribute names the files that lay
there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Native, Shard
from sciml_data.formats.slstr_hdf5 import options as slstr_options
from sciml_data.formats.slstr_hdf5.granule_name import parse_granule_name
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

FILES = (
    "S7_BT_in.nc",
    "S8_BT_in.nc",
    "S9_BT_in.nc",
    "flags_in.nc",
    "geodetic_tx.nc",
    "geometry_tn.nc",
)


@dataclass(frozen=True)
class Options(slstr_options.Options):
    """Options of a granule of its own product: without those of the CloudMask files alone."""

    training_crop: str = field(default="none", init=False)
    refs: str = field(default="reflectance", init=False)


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each `.SEN3` folder, in the split whose globs its files fit.

    Raises:
        CallError: an option that there is not.
        NativeFormatError: folders without a granule's name, or without a file that is needed.
    """
    parse_options(Options, options)
    granules: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for path in native.paths:
        folder, _, _ = path.rpartition("/")
        if folder.endswith(".SEN3"):
            granules.setdefault(folder, []).append(path)
        else:
            problems.append(Problem("unexpected", path, "is in no .SEN3 folder"))
    for folder, paths in granules.items():
        there = {path.rpartition("/")[2] for path in paths}
        if parse_granule_name(folder) is None:
            problems.append(Problem("name", folder, "is no name of a Sentinel-3 level-1 granule"))
        problems += [
            Problem("missing", f"{folder}/{name}", "is needed")
            for name in FILES
            if name not in there
        ]
        if native.split_of(paths[0]) is None:
            problems.append(Problem("split", folder, f"is in none of {', '.join(native.splits)}"))
    made = [_shard(native, folder, paths) for folder, paths in sorted(granules.items())]
    counts = Counter(shard.name for shard in made)
    problems += [
        Problem("name", shard.inputs[0], "another folder of the split has the same name")
        for shard in made
        if counts[shard.name] > 1
    ]
    _raise_if(problems)
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one scene, ready to be written, on the 1 km nadir grid.

    Raises:
        NativeFormatError: `.problems` has every deviation of the granule's files.
    """
    from sciml_data.formats.slstr_hdf5.native import NOMINAL_SHAPE, ROWS_SHORT
    from sciml_data.formats.slstr_hdf5.ready import ready_dataset
    from sciml_data.formats.slstr_sen3.product import read_product

    chosen = parse_options(Options, options)
    folder = shard.inputs[0].rpartition("/")[0]
    granule, problems = read_product(native.root, folder)
    _raise_if(problems)
    if granule is None:
        raise NativeFormatError(f"{folder} cannot be read")
    rows, columns = granule.bayes.shape
    if rows == NOMINAL_SHAPE[0] - ROWS_SHORT:
        rows = NOMINAL_SHAPE[0]  # as the other granules of the day
    dataset = ready_dataset(granule, chosen, shape=(rows, columns))
    not_read = [path for path in shard.inputs if path.rpartition("/")[2] not in FILES]
    dataset.attrs["native_files_not_read"] = " ".join(path.rpartition("/")[2] for path in not_read)
    return dataset


def _shard(native: Native, folder: str, paths: list[str]) -> Shard:
    split, name = str(native.split_of(paths[0])), PurePosixPath(folder).stem
    return Shard(f"{split}-{name}.nc", split, tuple(sorted(paths)))


def _raise_if(problems: list[Problem]) -> None:
    if problems:
        raise NativeFormatError(
            f"level-1 granules deviate from the format in {len(problems)} places",
            problems=problems,
            untouched="nothing was converted",
        )
