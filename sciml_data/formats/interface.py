"""What a native format implements: from published files to an `xarray.Dataset`.

A format is a module or package `sciml_data/formats/<name>` with the two functions of `Format`. The
descriptor of a dataset names it in `native.reader`. A format knows nothing of homes, mirrors or
registries. It says which ready files (shards) the native files make, and makes each shard as a pure
function of its native files. Synthetic samples in the native layout come from
`sciml_data.synthetic`, which formats never import.

`one_to_one` and the functions behind it are helpers for `Format.shards`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, cast

from sciml_data.errors import CallError, NativeFormatError, Problem, nearest
from sciml_data.registry.descriptor import match_paths

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.descriptor import Descriptor

PACKAGE = "sciml_data.formats"
NOT_FORMATS = {"drug_response", "interface", "reporting"}  # shared by formats


@dataclass(frozen=True)
class Native:
    """Native files of a dataset and what its descriptor says: all that a format sees.

    Attributes:
        root: folder of the native files.
        folder: the version's folder in the registry, with the small files that the block names.
        block: `sciml.native` of the descriptor.
        paths: existing native files, relative to `root`, sorted.
        variables: `sciml.variables` of the descriptor, by name.
        splits: globs of native paths by the name of the split, as the descriptor has them.
    """

    root: Path
    folder: Path
    block: Mapping[str, Any]
    paths: tuple[str, ...]
    variables: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"all": ("**",)})

    def split_of(self, path: str) -> str | None:
        """Return the first split of the descriptor with a glob that matches; None if none does."""
        fitting = (name for name, globs in self.splits.items() if match_paths(globs, [path]))
        return next(fitting, None)


@dataclass(frozen=True)
class Shard:
    """One ready file: its name, the split it belongs to, the native files it is made of.

    Where a native file belongs to one split as a whole, the split is `Native.split_of` it.
    """

    name: str
    split: str
    inputs: tuple[str, ...]


class Format(Protocol):
    """What a module `sciml_data/formats/<name>` offers.

    It may also have `VIEWS`: functions by name that make another dataset of an opened ready one.
    """

    def shards(self, native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
        """Return the ready files that the native files make.

        Raises:
            CallError: an option is unknown or has a wrong value.
            NativeFormatError: native files are missing, unexpected or in no split.
        """

    def read(self, native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
        """Return the content of one ready file, with attributes and encoding.

        A pure function of the shard's own native files: `native.paths` has no others.

        Raises:
            NativeFormatError: a native file does not follow its format; `.problems` has each place.
        """


def load_format(name: str) -> Format:
    """Return a native format by its name.

    Raises:
        CallError: there is no format with this name; the nearest one is suggested.
    """
    path = importlib.import_module(PACKAGE).__path__
    known = sorted({module.name for module in pkgutil.iter_modules(path)} - NOT_FORMATS)
    if name not in known:
        raise CallError(
            f"there is no native format {name!r}{nearest(name, known)}",
            untouched="nothing was read",
            hint=f"formats: {', '.join(known)}",
        )
    return cast("Format", importlib.import_module(f"{PACKAGE}.{name}"))


def require_format(descriptor: Descriptor, native: Path) -> None:
    """Raise an error if a dataset has no format that reads its native files.

    Args:
        descriptor: of the dataset.
        native: folder of its native files, fetched or not.

    Raises:
        CallError: the descriptor names no format.
    """
    block = descriptor.native
    if "reader" in block:
        return
    name = f"{descriptor.dataset} {descriptor.version}"
    raise CallError(
        f"{name} has no ready form and no sample: no format reads its native files "
        f"({block['format']})",
        untouched=f"native files that were fetched are in {native}, as published",
        hint=f"`sciml-data get {descriptor.dataset}` and `sciml-data verify` work; "
        "docs/add-a-dataset.md explains what a reader is",
    )


def views_of(native_format: Format) -> Mapping[str, Callable[..., xr.Dataset]]:
    """Return the views that a format offers, by name; most formats have none."""
    return cast("Mapping[str, Callable[..., xr.Dataset]]", getattr(native_format, "VIEWS", {}))


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
