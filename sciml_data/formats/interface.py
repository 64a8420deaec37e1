"""What a native format implements: from published files to an `xarray.Dataset`.

A format is a module or package with the two functions of `Format`: `sciml_data/formats/<name>`,
`formats/<name>` of a registry, or the entry point <name> of an installed package. The descriptor
of a dataset names it in `native.reader`. A format knows nothing of homes, mirrors or registries. It
says which ready files (shards) the native files make, and makes each shard as a pure function of
its native files. Synthetic samples in the native layout come from `sciml_data.synthetic`, which
formats never import.

`one_to_one` and the functions behind it are helpers for `Format.shards`. The helpers of the last
section are for `Format.read`: rows and samples that are left out of a ready file are counted, named
in its attributes and logged; with the option `strict` they are an error.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, cast

from sciml_data.errors import CallError, DescriptorError, NativeFormatError, Problem, nearest
from sciml_data.progress import counted
from sciml_data.registry.layout import installed, is_built_in, name_clash, registry_of
from sciml_data.registry.manifest import match_paths

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import xarray as xr

    from sciml_data.registry.descriptor import Descriptor

PACKAGE = "sciml_data.formats"
# Modules that formats share.
NOT_FORMATS = {
    "cells", "columns", "drug_response", "hdf5_files", "inflated", "interface", "processes",
}  # fmt: skip
KIND = "formats"  # of extensions, and the folder of a registry
NOTICES = "notices"  # attribute of a ready file: lines that are logged when the file is made
MAX_IN_NOTICE = 5  # problems that one logged line names; the others are counted
# Content may be larger than the file that holds it by FREE_BYTES, and MAX_EXPANSION times the
# file's size on top. Deflate makes up to 1,032 times fewer bytes of constants, measurements hardly
# 10 times fewer, and a mask or sparse counts beside them 100. The free part is for small files in
# which constants dominate; it fits into any computer's memory.
MAX_EXPANSION = 200
FREE_BYTES = 256 * 2**20
MAX_NAMED = 1000  # problems that the attributes of one ready file name


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


def max_content_bytes(file_bytes: int) -> int:
    """Return how many bytes a file may declare, or inflate to: more would be a trap.

    A kilobyte can declare terabytes, as chunks of HDF5 that were never written, or as layers of
    compression. Every native format, ready file and stored prediction follows this rule.

    Args:
        file_bytes: size of the file.
    """
    return FREE_BYTES + MAX_EXPANSION * file_bytes


def load_format(name: str, package: Path | None = None) -> Format:
    """Return a native format by its name.

    It is looked up in the registry that describes the dataset (`formats/`), in installed packages
    (entry points `sciml_data.formats`), and in this package.

    Args:
        name: `native.reader` of a descriptor.
        package: folder of the dataset's version in its registry; None leaves registries out.

    Raises:
        CallError: there is no format with this name; the nearest one is suggested. Or it is code of
            a registry that is not trusted.
        DescriptorError: two formats have this name, or the module lacks a function of `Format`.
    """
    place = find_format(name, package)
    if place is None:
        return cast("Format", importlib.import_module(f"{PACKAGE}.{name}"))
    from sciml_data.registry.extensions import load_from_registry, load_installed

    if isinstance(place, Path):
        module = load_from_registry(place.parent, place, _package_of(place), name)
    else:
        module = load_installed(place)
    missing = [
        function for function in ("shards", "read") if not callable(getattr(module, function, None))
    ]
    if missing:
        raise DescriptorError(
            f"the format {name!r} has no function {' and no function '.join(missing)}",
            untouched="nothing was read",
            hint="docs/how-to/extend/format.md shows a whole format",
        )
    return cast("Format", module)


def find_format(name: str, package: Path | None = None) -> Path | EntryPoint | None:
    """Return where a format is found, and run none of its code; see `load_format`.

    Returns:
        The folder `formats/` of a registry, an entry point, or None for a format of this package.
    """
    own = _formats_folder(package)
    offered = installed(KIND, built_in := built_in_formats())
    if own is not None and name in (names := _modules_in(own)):
        if other := "sciml-data itself" if name in built_in else offered.get(name):
            raise name_clash(KIND, name, str(own / name), str(other))
        return own
    if name in offered:
        return offered[name]
    if name in built_in:
        return None
    known = sorted({*built_in, *offered, *(names if own else ())})
    raise CallError(
        f"there is no native format {name!r}{nearest(name, known)}",
        untouched="nothing was read",
        hint=f"formats: {', '.join(known)}",
    )


def built_in_formats() -> list[str]:
    """Return the names of the formats of this package."""
    return [name for name in _modules_in(Path(__file__).parent) if name not in NOT_FORMATS]


def _modules_in(folder: Path) -> list[str]:
    modules = pkgutil.iter_modules([str(folder)])
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def _formats_folder(package: Path | None) -> Path | None:
    """Return the folder of formats of the registry with a version's folder, if it has one."""
    if package is None or is_built_in(registry := registry_of(package)):
        return None
    folder = registry / KIND
    return folder if folder.is_dir() else None


def _package_of(folder: Path) -> str:
    """Return the name under which a registry's folder of formats is imported."""
    # Two registries may have formats of one name, and a process may use both.
    return f"sciml_formats_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


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
        "docs/how-to/add-a-dataset.md explains what a reader is",
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
            f"native files ({len(native.paths):,}) are not laid out as published: "
            f"{counted(len(problems), 'problem')}",
            problems=problems,
            untouched="nothing was converted",
            hint="`sciml-data verify` compares the files with the published ones",
        )


# --- what is left out ----------------------------------------------------------------------------


def lines_of(problems: Iterable[Problem]) -> list[str]:
    """Return a line "place: message" for each problem."""
    # A zero byte of a damaged file cannot be written into an attribute.
    return [f"{problem.place}: {problem.message}".replace("\0", "?") for problem in problems]


def named(problems: Sequence[Problem]) -> str:
    """Return the first 1,000 problems as lines, for an attribute of a ready file."""
    return "\n".join(lines_of(problems[:MAX_NAMED]))


def first_of(problems: Sequence[Problem]) -> str:
    """Return the first five problems on one line, and how many more there are."""
    more = len(problems) - MAX_IN_NOTICE
    first = "; ".join(lines_of(problems[:MAX_IN_NOTICE]))
    return first + (f"; and {more} more" if more > 0 else "")


def notice(problems: Sequence[Problem], what: str) -> list[str]:
    """Return a line that counts problems and names the first ones; no line without problems."""
    return [f"{len(problems)} {what}: {first_of(problems)}"] if problems else []


def add_notices(dataset: xr.Dataset, lines: Iterable[str]) -> None:
    """Add lines to those that are logged when the ready file is made."""
    both = [*dataset.attrs.get(NOTICES, "").splitlines(), *lines]
    if both:
        dataset.attrs[NOTICES] = "\n".join(both)


def malformed_rows(problems: Sequence[Problem]) -> dict[str, int | str]:
    """Return attributes of a ready file: the number of malformed rows, and which these are."""
    count: dict[str, int | str] = {"rows_malformed": len(problems)}
    return count | ({"malformed_rows": named(problems)} if problems else {})


def stop_if_strict(
    problems: Sequence[Problem], *, strict: bool, wrong: str, untouched: str
) -> None:
    """Raise an error instead of leaving rows or samples out, if the option `strict` asks for it.

    Args:
        problems: rows or samples that would be left out.
        strict: the option.
        wrong: what is wrong with them, for example "12 rows are malformed".
        untouched: what was not made or changed.

    Raises:
        NativeFormatError: with `strict`; `.problems` has every one of them.
    """
    if problems and strict:
        raise NativeFormatError(
            wrong,
            problems=problems,
            untouched=untouched,
            hint="without strict they are left out, counted and named",
        )


@dataclass
class Tally:
    """How many samples a ready file was made of, and why others are not in it.

    Attributes:
        read: number of samples in the native files.
        dropped: a problem for each sample that was left out; its kind is the reason.
        noted: a problem for each missing value of a sample that was kept; its kind is the name of
            the variable.
    """

    read: int = 0
    dropped: list[Problem] = field(default_factory=list)
    noted: list[Problem] = field(default_factory=list)

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the ready file: counts, names, and lines to be logged."""
        attributes: dict[str, Any] = {
            "samples_read": self.read,
            "samples_kept": self.read - len(self.dropped),
            "samples_dropped": _counts(self.dropped),
            "samples_noted": _counts(self.noted),
        }
        if self.dropped:
            attributes["dropped_samples"] = named(self.dropped)
        if notices := "\n".join(self._notices()):
            attributes[NOTICES] = notices
        return attributes

    def stop_if_strict(self, *, strict: bool, untouched: str) -> None:
        """Raise NativeFormatError if samples are left out and the option `strict` is given."""
        wrong = f"{len(self.dropped)} of {self.read} samples cannot be used"
        stop_if_strict(self.dropped, strict=strict, wrong=wrong, untouched=untouched)

    def _notices(self) -> Iterator[str]:
        yield from notice(self.dropped, f"of {self.read} samples are left out")
        for kind in sorted({problem.kind for problem in self.noted}):
            of_kind = [problem for problem in self.noted if problem.kind == kind]
            yield f"{kind} of {len(of_kind)} samples is missing: {first_of(of_kind)}"


def _counts(problems: Sequence[Problem]) -> str:
    return json.dumps(dict(sorted(Counter(problem.kind for problem in problems).items())))
