"""STEMDL's scans for reconstruction: LMDB databases of diffraction patterns and what made them.

A database is a file, or a folder with `data.mdb`, of about 100 GB, and becomes many ready files of
so many samples each, in the order of their numbers. A sample that cannot be used (input or target
lacks or has another length, not a number, noise in place of a simulation) is left out, counted and
named; with `strict` it stops its ready file. A database that cannot be read stops its own ready
files, and no others. It is read by another process: see `database.py`. Options: see `options.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Native, Shard
from sciml_data.formats.scan_lmdb.options import Options
from sciml_data.registry.descriptor import match_paths
from sciml_data.registry.options import parse_options

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.formats.scan_lmdb.layout import Layout

SHARD_BYTES = 256 * 2**20  # native bytes of a ready file: eight samples of 16 x 16 probes
DATA_FILE = "data.mdb"  # of a database that is a folder
LOCK_SUFFIXES = ("lock.mdb", "-lock")  # what LMDB leaves beside a database; nothing is in it


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the ready files of each database, after a look at its keys.

    Of a database that cannot be read there is one, which says so when it is to be made.

    Raises:
        CallError: an option that there is not, or lmdb is not installed.
        NativeFormatError: files lie in no split, or databases of a split differ in their shapes.
    """
    chosen = parse_options(Options, options)
    problems: list[Problem] = []
    made: list[Shard] = []
    shapes: dict[str, dict[str, list[str]]] = {}
    paths = [path for path in native.paths if not path.endswith(LOCK_SUFFIXES)]
    for path in match_paths([chosen.databases], paths):
        split = native.split_of(path)
        if split is None:
            problems.append(Problem("split", path, f"is in none of {', '.join(native.splits)}"))
            continue
        layout, count = _look(native, path, chosen)
        if layout is not None:
            text = f"{layout.input.shape} and {layout.target.shape}"
            shapes.setdefault(split, {}).setdefault(text, []).append(path)
        made += [
            Shard(f"{split}-{_stem(path)}-{number:05d}.nc", split, (path,))
            for number in range(count)
        ]
    problems += _name_problems(made) + _shape_problems(shapes)
    if not made and not problems:
        problems.append(Problem("missing", chosen.databases, "fits no native file"))
    if problems:
        raise NativeFormatError(
            f"the {len(paths)} native files cannot become ready files together",
            problems=problems,
            untouched="nothing was converted",
            hint="--set databases=GLOB converts some of them",
        )
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the samples of one range of a database, ready to be written.

    Raises:
        NativeFormatError: the database cannot be read; with `strict`, `.problems` has every sample
            that cannot be used.
    """
    from sciml_data.formats.cbed_hdf5.options import Options as Strictness
    from sciml_data.formats.cbed_hdf5.tally import require_usable
    from sciml_data.formats.scan_lmdb.native import read_samples
    from sciml_data.formats.scan_lmdb.ready import ready_dataset

    chosen = parse_options(Options, options)
    (file,) = shard.inputs
    place = int(shard.name.removesuffix(".nc").rpartition("-")[2])

    def numbers(layout: Layout) -> Sequence[int]:
        each = _samples_each(layout, chosen)
        return layout.numbers[place * each : (place + 1) * each]

    layout, samples, tally = read_samples(native.root / file, file, numbers, chosen)
    require_usable(tally, shard, Strictness(strict=chosen.strict))
    return ready_dataset(
        layout,
        samples,
        tally,
        file=file,
        options=chosen,
        variables=native.variables,
        remarks=[f"{file}: {line}" for line in layout.remarks] if place == 0 else (),
    )


def _look(native: Native, path: str, options: Options) -> tuple[Layout | None, int]:
    """Return what a database holds and the number of its ready files; None and 1 if unreadable."""
    from sciml_data.formats.scan_lmdb.database import Database
    from sciml_data.formats.scan_lmdb.native import open_layout

    try:
        with Database(native.root / path) as database:
            layout = open_layout(database, path)
    except NativeFormatError:
        return None, 1  # `read` says what is wrong, and does not stop the others
    return layout, -(-len(layout.numbers) // _samples_each(layout, options))


def _samples_each(layout: Layout, options: Options) -> int:
    return options.samples_per_shard or max(1, SHARD_BYTES // layout.sample_bytes)


def _stem(path: str) -> str:
    """Return the name of a database: `batch_train_0` of a file or of a folder of that name."""
    place = PurePosixPath(path)
    return place.parent.stem if place.name == DATA_FILE and place.parent.name else place.stem


def _name_problems(made: Sequence[Shard]) -> list[Problem]:
    counts = Counter(shard.name for shard in made)
    return [
        Problem("name", shard.inputs[0], "another database of the split has the same name")
        for shard in made
        if counts[shard.name] > 1
    ]


def _shape_problems(shapes: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Problem]:
    """Return each database whose samples have another shape than the most of its split."""
    problems = []
    for split, found in shapes.items():
        most = max(found, key=lambda text: len(found[text]))
        problems += [
            Problem("shape", path, f"has samples of {text}, most of {split} {most}")
            for text, paths in found.items()
            if text != most
            for path in paths
        ]
    return problems
