"""Scans of an LMDB database as ready files: a chunk per sample, values as published, in float32.

A database is a file, or a folder with `data.mdb`, of about 100 GB. It becomes many ready files of a
fixed number of samples each, in the order of the sample numbers. A sample that cannot be used
(input or target is missing or has another length, not-a-number, noise in place of a simulation) is
left out, counted and named; with `strict` it stops its ready file. A database that cannot be read
stops its own ready files and no others. Another process reads it: `database.py` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.cbed_hdf5 import texts
from sciml_data.formats.interface import Native, Shard, add_notices, no_split, same_name_problems
from sciml_data.formats.scan_lmdb.database import Database
from sciml_data.formats.scan_lmdb.samples import Sample, open_layout, read_samples
from sciml_data.registry.manifest import match_paths
from sciml_data.registry.options import option, parse_options

if TYPE_CHECKING:
    from sciml_data.formats.interface import Tally
    from sciml_data.formats.scan_lmdb.layout import Layout

SHARD_BYTES = 256 * 2**20  # native bytes of a ready file: eight samples of 16 x 16 probes
DATA_FILE = "data.mdb"  # of a database that is a folder
LOCK_SUFFIXES = ("lock.mdb", "-lock")  # files that LMDB leaves beside a database; they are empty
DIMS = {
    "scan": ("sample", "probe", "y", "x"),
    "legacy_target": ("sample", "v", "u"),
    "potential": ("sample", "v", "u"),
    "electron_density": ("sample", "v", "u"),
    "lattice_length": ("sample", "axis"),
    "lattice_angle": ("sample", "axis"),
}
# Variable of the ready form, to the key of `meta_<i>` and how many numbers it has (None: text).
META: Mapping[str, tuple[str, int | None]] = {
    "material": ("material", None),
    "formula": ("formula", None),
    "space_group": ("space_group", 1),
    "energy": ("energy_keV", 1),
    "pixel_size": ("pixel_size_angstrom", 1),
    "diffraction_pixel_size": ("diffraction_pixel_size_per_angstrom", 1),
    "semi_angle": ("semi_angle_rad", 1),
    "lattice_length": ("abc_angstrom", 3),
    "lattice_angle": ("angles_degree", 3),
}
NO_SPACE_GROUP = 0  # space groups are numbered from 1
COMPRESSION_LEVEL = 1


@dataclass(frozen=True)
class Options:
    """Options of the conversion of databases of scans."""

    strict: bool = option(
        False, "a sample that cannot be used stops its ready file; else it is left out"
    )
    samples_per_shard: int = option(
        0, "samples in a ready file; 0 takes as many as make up 256 MiB", minimum=0
    )
    databases: str = option("**", "glob of native paths; databases that do not match are left out")
    # gzip: zeros, and the 13 bits that float16 does not have, cost nothing.
    compression: str = option("gzip", "of the ready files", choices=("none", "gzip"))
    noise: str = option(
        "refuse",
        "samples that look like the random numbers that an upstream repair wrote",
        choices=("refuse", "keep"),
    )


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of each database; its keys are read for that.

    A database that cannot be read has one ready file, and `read` raises the error.

    Raises:
        CallError: an option is unknown or has a wrong value, or lmdb is not installed.
        NativeFormatError: files are in no split, or databases of a split differ in their shapes.
    """
    chosen = parse_options(Options, options)
    problems: list[Problem] = []
    made: list[Shard] = []
    shapes: dict[str, dict[str, list[str]]] = {}
    paths = [path for path in native.paths if not path.endswith(LOCK_SUFFIXES)]
    for path in match_paths([chosen.databases], paths):
        split = native.split_of(path)
        if split is None:
            problems.append(no_split(native, path))
            continue
        layout, count = _layout_and_count(native, path, chosen)
        if layout is not None:
            text = f"{layout.input.shape} and {layout.target.shape}"
            shapes.setdefault(split, {}).setdefault(text, []).append(path)
        made += [
            Shard(f"{split}-{_stem(path)}-{number:05d}.nc", split, (path,))
            for number in range(count)
        ]
    problems += same_name_problems(made) + _shape_problems(shapes)
    if not made and not problems:
        problems.append(Problem("missing", chosen.databases, "matches no native file"))
    if problems:
        raise NativeFormatError(
            f"the {len(paths)} native files cannot become ready files together",
            problems=problems,
            untouched="nothing was converted",
            hint="--set databases=GLOB converts some of them",
        )
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the samples of one range of a database, with attributes and encoding.

    Raises:
        NativeFormatError: the database cannot be read; with `strict`, `.problems` has every sample
            that cannot be used.
    """
    chosen = parse_options(Options, options)
    (file,) = shard.inputs
    number = int(shard.name.removesuffix(".nc").rpartition("-")[2])

    def in_shard(layout: Layout) -> Sequence[int]:
        size = _samples_per_shard(layout, chosen)
        return layout.numbers[number * size : (number + 1) * size]

    layout, samples, tally = read_samples(
        native.root / file, file, in_shard, refuse_noise=chosen.noise == "refuse"
    )
    tally.stop_if_strict(strict=chosen.strict, untouched=f"{shard.name} was not made")
    columns = _columns(layout, samples, file)
    dataset = _dataset(columns, layout, tally, native.variables)
    if number == 0:  # what holds for the database as a whole is logged once
        add_notices(dataset, [f"{file}: {line}" for line in layout.remarks])
    for variable in dataset.variables.values():
        variable.encoding = _encoding(variable, chosen)
    return dataset


def _layout_and_count(native: Native, path: str, options: Options) -> tuple[Layout | None, int]:
    """Return a database's layout and its number of ready files; None and 1 if unreadable."""
    try:
        with Database(native.root / path) as database:
            layout = open_layout(database, path)
    except NativeFormatError:
        return None, 1  # `read` raises this error again, so that the other databases are converted
    return layout, -(-len(layout.numbers) // _samples_per_shard(layout, options))


def _samples_per_shard(layout: Layout, options: Options) -> int:
    return options.samples_per_shard or max(1, SHARD_BYTES // layout.sample_bytes)


def _stem(path: str) -> str:
    """Return the name of a database: `batch_train_0` for a file or a folder of that name."""
    place = PurePosixPath(path)
    return place.parent.stem if place.name == DATA_FILE and place.parent.name else place.stem


def _shape_problems(shapes: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Problem]:
    """Return each database whose samples have another shape than most databases of its split."""
    problems = []
    for split, databases in shapes.items():
        usual = max(databases, key=lambda text: len(databases[text]))
        problems += [
            Problem("shape", path, f"has samples of {text}, most of {split} {usual}")
            for text, paths in databases.items()
            if text != usual
            for path in paths
        ]
    return problems


def _dataset(
    columns: Mapping[str, NDArray[Any]],
    layout: Layout,
    tally: Tally,
    declared: Mapping[str, Any],
) -> xr.Dataset:
    return xr.Dataset(
        {
            name: (DIMS.get(name, ("sample",)), values, _attributes(name, layout, declared))
            for name, values in columns.items()
        },
        attrs={"Conventions": "CF-1.11", "shard_dimension": "sample", **tally.attributes()},
    )


def _columns(layout: Layout, samples: Sequence[Sample], file: str) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        "scan": _stacked([sample.scan for sample in samples], layout.input.shape),
        "legacy_target": _stacked([sample.target for sample in samples], layout.target.shape[1:]),
        "native_file": texts([file] * len(samples)),
        "native_sample": texts([str(sample.number) for sample in samples]),
    }
    starts = {key.rpartition("_")[0] for key in layout.keys}
    for name in ("potential", "electron_density"):
        if name in starts:
            missing = np.full(layout.target.shape[1:], np.nan, np.float32)
            values = [getattr(sample, name) for sample in samples]
            values = [missing if value is None else value for value in values]
            columns[name] = _stacked(values, layout.target.shape[1:])
    if "meta" in starts:
        metas = [sample.meta for sample in samples]
        columns |= {name: _from_meta(metas, key, count) for name, (key, count) in META.items()}
        columns["space_group"] = _space_groups(columns["space_group"])
    return columns


def _stacked(
    values: Sequence[NDArray[np.floating[Any]]], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return arrays of one shape as one float32 array, with a new first dimension."""
    together = np.empty((len(values), *shape), np.float32)
    for row, value in zip(together, values, strict=True):
        row[...] = value
    return together


def _from_meta(metas: Sequence[Mapping[str, Any]], key: str, count: int | None) -> NDArray[Any]:
    """Return a value of every sample's metadata: text, a number, or several numbers.

    Text that is not there is "", a number that is not there is NaN.
    """
    if count is None:
        return texts([meta[key] if isinstance(meta.get(key), str) else "" for meta in metas])
    rows = np.full((len(metas), count), np.nan, np.float32)
    for row, meta in zip(rows, metas, strict=True):
        value = meta.get(key)
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) == count and all(_is_number(number) for number in numbers):
            row[:] = numbers
    return rows if count > 1 else rows[:, 0]


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value) and abs(value) < 1e30  # float32 holds it


def _space_groups(values: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return space groups as integers, 0 where a sample has none."""
    is_known = (values >= 1) & (values <= 230)
    return np.where(is_known, np.nan_to_num(values), NO_SPACE_GROUP).astype(np.int16)


def _attributes(name: str, layout: Layout, variables: Mapping[str, Any]) -> dict[str, Any]:
    declared = variables.get(name, {})
    keys = ("long_name", "units", "standard_name")
    attributes = {key: declared[key] for key in keys if declared.get(key) is not None}
    if name == "scan":
        attributes |= {"scaling": "z-score of each pattern, as published"}
        attributes |= {"native_dtype": layout.input.dtype}
    if name == "legacy_target":
        attributes |= {"scaling": "z-score of each sample, as published"}
        attributes |= {"native_dtype": layout.target.dtype}
    if name == "space_group":
        attributes["valid_range"] = np.array((1, 230), np.int16)
    return attributes


def _encoding(variable: xr.Variable, options: Options) -> dict[str, Any]:
    may_be_missing = variable.dtype.kind == "f" and variable.ndim != len(DIMS["scan"])
    encoding: dict[str, Any] = {"_FillValue": np.float32(np.nan) if may_be_missing else None}
    if variable.ndim > 2 and variable.size:
        encoding["chunksizes"] = (1, *variable.shape[1:])
        if options.compression == "gzip":
            encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
    return encoding
