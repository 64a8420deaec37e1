"""Which ready files the native files make: checks and helpers for `Format.shards`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import Native, Shard


def one_to_one(
    native: Native, suffixes: Sequence[str], check: Callable[[str], str] | None = None
) -> tuple[Shard, ...]:
    """Return one ready file for each native file; no native file is opened.

    A native file `a/b/x.h5` of the split `train` makes `train-x.nc`.

    Args:
        native: files and splits.
        suffixes: endings of native file names, for example `(".h5", ".hdf5")`.
        check: returns what is wrong with the name in a native path, "" for nothing.

    Raises:
        NativeFormatError: `.problems` has every path with another suffix, a wrong name, no split,
            or the same name as another file of its split.
    """
    problems: list[Problem] = []
    shards: list[Shard] = []
    for path in native.paths:
        split = native.split_of(path)
        if not path.endswith(tuple(suffixes)):
            problems.append(Problem("unexpected", path, f"not a {' or '.join(suffixes)} file"))
        elif check is not None and (wrong := check(path)):
            problems.append(Problem("name", path, wrong))
        elif split is None:
            problems.append(no_split(native, path))
        else:
            shards.append(Shard(f"{split}-{PurePosixPath(path).stem}.nc", split, (path,)))
    raise_if_any([*problems, *same_name_problems(shards)], native)
    return tuple(shards)


def no_split(native: Native, path: str) -> Problem:
    """Return the problem of a native path that no glob of a split matches."""
    return Problem("split", path, f"matches none of the splits {', '.join(native.splits)}")


def same_name_problems(shards: Iterable[Shard]) -> list[Problem]:
    """Return a problem for each ready file whose name another one has, too."""
    shards = list(shards)
    counts = Counter(shard.name for shard in shards)
    return [
        Problem("name", shard.inputs[0], f"another native file makes {shard.name}, too")
        for shard in shards
        if counts[shard.name] > 1
    ]


def missing_files(native: Native, wanted: Iterable[str]) -> list[Problem]:
    """Return a problem for each wanted path that is not among the native files."""
    return [
        Problem("missing", path, "is not among the native files")
        for path in sorted(set(wanted) - set(native.paths))
    ]


def raise_if_any(problems: Sequence[Problem], native: Native) -> None:
    """Raise an error if native files are not laid out as their format asks.

    Raises:
        NativeFormatError: there is any problem.
    """
    if problems:
        raise NativeFormatError(
            f"the {len(native.paths)} native files are not laid out as published: "
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''}",
            problems=problems,
            untouched="nothing was converted",
            hint="`sciml-data verify` compares the files with the published ones",
        )
