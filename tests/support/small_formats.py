"""Small native files of every native format, for tests that do the same to all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import xarray as xr

from sciml_data.formats import Native, load_format
from sciml_data.registry import find_registry, load_descriptor
from sciml_data.synthetic import load_generator
from tests.support.native_files import native_of
from tests.support.sen3_files import write_granule


@dataclass(frozen=True)
class Small:
    """A dataset of a format, the settings of its sample, and changes of its block.

    Attributes:
        dataset: id in the registry.
        sample: settings that make the sample small.
        block: entries of `sciml.native` that differ.
        options: of the conversion.
    """

    dataset: str
    sample: Mapping[str, Any] = field(default_factory=dict)
    block: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


CRYSTALS = {"groups": [2, 225], "materials": 2, "energies": [100], "size": 16, "processes": 1}
FORMATS: Mapping[str, Small] = {
    "candle_joined": Small("uno_auc", {"rows": 60, "cells": 3, "drugs": 4}),
    "candle_tables": Small("uno_dose", {"rows": 300, "pairs": 60, "cells": 4, "drugs": 6}),
    "cbed_hdf5": Small("stemdl_cbed", CRYSTALS),
    "cbed_npz": Small("stemdl_ds1", {k: v for k, v in CRYSTALS.items() if k != "size"}),
    "earthquake": Small("tevolop_socal"),
    "hdf5_arrays": Small("hydronet_ds1", {"count": 12}),
    "scan_lmdb": Small("stemdl_reconst_ds1", CRYSTALS | {"probes": 2, "view": 16, "databases": 1}),
    "slstr_hdf5": Small(
        "cloud_slstr_ds1", {"count": {"training": 1, "inference": 1}, "shape": [40, 48]}
    ),
    "slstr_sen3": Small(""),
    "uno_almanac": Small("uno_almanac", {"cells": 3, "drugs": 4, "rows": 60}),
    "uno_ccle": Small("uno_ccle", {"cells": 4, "drugs": 3}),
}


def write_small(name: str, root: Path) -> None:
    """Write small native files of a format into a folder."""
    if name == "slstr_sen3":
        write_granule(root)
        return
    load_generator(name).write_sample(root, _block(name), seed=0)


def small_native(name: str, root: Path) -> Native:
    """Return files of `write_small`, possibly changed since, as their format sees them."""
    if name == "slstr_sen3":
        return native_of(root)
    descriptor = load_descriptor(find_registry(), FORMATS[name].dataset)
    return replace(native_of(root, descriptor), block=_block(name))


def read_small(name: str, root: Path) -> Iterator[xr.Dataset]:
    """Yield the content of each ready file that the files make.

    Raises:
        SciMLDataError: the format refuses the files.
    """
    native, native_format = small_native(name, root), load_format(name)
    options = FORMATS[name].options
    for shard in native_format.shards(native, options):
        paths = tuple(sorted(shard.inputs))
        yield native_format.read(replace(native, paths=paths), shard, options)


def _block(name: str) -> Mapping[str, Any]:
    small = FORMATS[name]
    descriptor = load_descriptor(find_registry(), small.dataset)
    block = {**descriptor.native, **small.block}
    return {**block, "sample": {**block.get("sample", {}), **small.sample}}
