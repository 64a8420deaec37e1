"""Readers: one module for each native format, from published files to an xarray.Dataset.

A reader knows the format and nothing of homes, mirrors or registries. It says which ready files
(shards) the native files make, makes each of them as a pure function, and writes a synthetic sample
in the native layout.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from sciml_data.errors import CallError, nearest

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Native:
    """What a reader may see.

    Attributes:
        root: folder of the native files.
        folder: the version's folder in the registry, with the small files that the block names.
        block: `sciml.native` of the descriptor.
        paths: native files there are, relative to `root`, sorted.
    """

    root: Path
    folder: Path
    block: Mapping[str, Any]
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Shard:
    """One ready file: its name, the split it belongs to, the native files it is made of."""

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
        """Return one ready file's content, encoding included; a pure function."""

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        """Write a synthetic sample in the native layout: the same seed, the same bytes."""


def load_reader(name: str) -> Reader:
    """Return the reader of a native format.

    Raises:
        CallError: there is none of this name; the nearest is suggested.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in known:
        raise CallError(
            f"no reader is called {name!r}{nearest(name, known)}",
            untouched="nothing was read",
            hint=f"readers: {', '.join(known)}",
        )
    return cast("Reader", importlib.import_module(f"{__name__}.{name}"))


def views_of(reader: Reader) -> Mapping[str, Callable[..., xr.Dataset]]:
    """Return the views a reader offers, by name; none for most."""
    return cast("Mapping[str, Callable[..., xr.Dataset]]", getattr(reader, "VIEWS", {}))
