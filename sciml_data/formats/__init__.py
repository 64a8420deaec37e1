"""Readers: one module for each native format, from published files to an xarray.Dataset.

A reader knows the format and nothing of homes, mirrors or registries. It says which ready files
(shards) the native files make, and makes each of them as a pure function. Samples in the native
layout come from `sciml_data.synthetic`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from sciml_data.errors import CallError, nearest
from sciml_data.registry.descriptor import match_paths

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.descriptor import Descriptor

SHARED = {"drug_response"}  # code of several formats, not a format
NOTICES = "notices"  # attribute of a ready file: lines that are told when it is made


@dataclass(frozen=True)
class Native:
    """What a reader may see.

    Attributes:
        root: folder of the native files.
        folder: the version's folder in the registry, with the small files that the block names.
        block: `sciml.native` of the descriptor.
        paths: native files there are, relative to `root`, sorted.
        variables: `sciml.variables` of the descriptor, for readers that take them from there.
        splits: globs of native paths by the name of the split, as the descriptor has them.
    """

    root: Path
    folder: Path
    block: Mapping[str, Any]
    paths: tuple[str, ...]
    variables: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"all": ("**",)})

    def split_of(self, path: str) -> str | None:
        """Return the first split that a native file fits, by the descriptor; None for none."""
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


class Reader(Protocol):
    """What a module `sciml_data/readers/<name>` offers.

    It may also have `VIEWS`, functions from the ready dataset to another one, made when read.
    """

    def shards(self, native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
        """Return the ready files; unknown options raise CallError."""

    def read(self, native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
        """Return one ready file's content, encoding included.

        A pure function of the shard's own native files: `native.paths` has no others.
        """


def load_reader(name: str) -> Reader:
    """Return the reader of a native format.

    Raises:
        CallError: there is none of this name; the nearest is suggested.
    """
    names = {module.name for module in pkgutil.iter_modules(__path__)}
    known = sorted(names - SHARED)
    if name not in known:
        raise CallError(
            f"no reader is called {name!r}{nearest(name, known)}",
            untouched="nothing was read",
            hint=f"readers: {', '.join(known)}",
        )
    return cast("Reader", importlib.import_module(f"{__name__}.{name}"))


def require_reader(descriptor: Descriptor, native: Path) -> None:
    """Say that a dataset has no ready form, where it has none.

    Args:
        descriptor: of the dataset.
        native: folder where its native files lie, or will.

    Raises:
        CallError: nothing reads its native files.
    """
    block = descriptor.native
    if "reader" in block:
        return
    name = f"{descriptor.dataset} {descriptor.version}"
    raise CallError(
        f"{name} has no ready form, and no sample: no reader knows its native files "
        f"({block['format']})",
        untouched=f"its native files are in {native} as published, where they were fetched",
        hint=f"`sciml-data get {descriptor.dataset}` and `sciml-data verify` work; "
        "docs/add-a-dataset.md says what a reader is",
    )


def views_of(reader: Reader) -> Mapping[str, Callable[..., xr.Dataset]]:
    """Return the views a reader offers, by name; none for most."""
    return cast("Mapping[str, Callable[..., xr.Dataset]]", getattr(reader, "VIEWS", {}))
