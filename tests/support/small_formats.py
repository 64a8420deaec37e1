"""Small native files of every native format, for tests that do the same to all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from sciml_data.curate.inventory import Proposal
from sciml_data.curate.recognise import recognise
from sciml_data.formats import Native, load_format
from sciml_data.registry import Descriptor, find_registry, load_descriptor
from sciml_data.registry.manifest import manifest_of
from sciml_data.synthetic import load_generator
from tests.support.chip_files import write_chip
from tests.support.native_files import native_of
from tests.support.raw_files import RAW
from tests.support.sen3_files import write_granule
from tests.support.snap_files import SCENE, SUBSET, write_scene, write_subset


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
COLUMNS = 40  # of the features in a table of CANDLE; the real ones have up to 5,270
# The three formats of an earthquake catalogue, two events each.
CATALOGUES: Mapping[str, str] = {
    "scedc/2019.catalog": """\
#YYY/MM/DD HH:mm:SS.ss ET GT MAG  M    LAT     LON     DEPTH Q  EVID     NPH NGRM
2019/07/06 03:19:53.04 eq  l 7.10 w    35.770 -117.599   8.0 A 38457511   68 1520
2019/07/07 03:19:53.04 eq  l 3.10 l    35.670 -117.499   7.0 B 38457512   68 1520

### Number of rows returned:2
""",
    "scsn/2019.catalog": """\
2019 01 01  01 39 57.67  33 30.35-116 47.65 A 0.8      5.00 45     0.10 38412384
2019 01 02  01 39 57.67  33 30.35-116 47.65 A 2.8      5.00 45     0.10 38412385

### Number of rows returned:2
""",
    "comcat/2019.csv": """\
time,latitude,longitude,depth,mag,magType,nst,gap,dmin,rms,net,id,updated,place,type,\
horizontalError,depthError,magError,magNst,status,locationSource,magSource
2019-12-06T05:33:20.720Z,36.105667,-117.855667,2.63,3.31,ml,50,54,0.01,0.18,ci,ci39219160,\
2021-10-12T15:51:29.916Z,"11km NE of Coso Junction, CA",earthquake,0.16,0.28,0.151,91,\
reviewed,ci,ci
2019-12-07T05:33:20.720Z,34.105667,-116.855667,2.63,,,50,54,0.01,0.18,ci,ci39219168,\
2021-10-12T15:51:29.916Z,California,quarry blast,,,,,automatic,ci,ci
""",
}
PARTS = [
    {"name": "scedc", "format": "scedc", "files": "scedc/*"},
    {"name": "scsn", "format": "scsn", "files": "scsn/*", "from": "2018-01-01T00:00:00",
     "until": "2020-01-01T00:00:00", "event_type": "earthquake", "magnitude_type": "ml"},
    {"name": "comcat", "format": "comcat", "files": "comcat/*", "networks": ["ci"],
     "box": {"latitude": [32.0, 37.0], "longitude": [-120.0, -114.0]}},
]  # fmt: skip
FORMATS: Mapping[str, Small] = {
    "candle_joined": Small("uno_auc", {"rows": 60, "cells": 3, "drugs": 4}),
    "candle_tables": Small("uno_dose", {"rows": 300, "pairs": 60, "cells": 4, "drugs": 6}),
    "cbed_hdf5": Small("stemdl_cbed", CRYSTALS),
    "cbed_npz": Small("stemdl_ds1", {k: v for k, v in CRYSTALS.items() if k != "size"}),
    "csmask_npz": Small("cloud_csmask"),
    "earthquake": Small("tevolop_socal", block={"parts": PARTS}),
    "hdf5_arrays": Small("hydronet_ds1", {"count": 12}),
    "scan_lmdb": Small("stemdl_reconst_ds1", CRYSTALS | {"probes": 2, "view": 16, "databases": 1}),
    "slstr_hdf5": Small(
        "cloud_slstr_ds1", {"count": {"training": 1, "inference": 1}, "shape": [40, 48]}
    ),
    "slstr_scenes": Small("slstr_real_mini"),
    "slstr_sen3": Small(""),
    "uno_almanac": Small("uno_almanac", {"cells": 3, "drugs": 4, "rows": 60}),
    "uno_ccle": Small("uno_ccle", {"cells": 4, "drugs": 3}),
    "uno_gdsc": Small("uno_gdsc", {"cells": 4, "drugs": 3}),
    # Of no dataset: what `new` proposes for the files of raw_files.py.
    **dict.fromkeys(RAW, Small("")),
}


def write_small(name: str, root: Path) -> None:
    """Write small native files of a format into a folder."""
    if name == "slstr_sen3":
        write_granule(root)
    elif name in RAW:
        RAW[name](root)
    elif name == "csmask_npz":
        write_chip(root)
    elif name == "slstr_scenes":
        write_subset(root / "slstr_subset" / SUBSET)
        write_scene(root / "aatsr" / SCENE)
    elif name == "earthquake":  # a sample has 77 files with 50,000 events in one of the formats
        for place, text in CATALOGUES.items():
            (root / place).parent.mkdir(parents=True)
            (root / place).write_text(text, encoding="ascii")
    else:
        load_generator(name).write_sample(root, _block(name), seed=0)
    if name == "candle_tables":
        _narrow(root)


def _narrow(root: Path) -> None:
    """Keep the first columns of each table: most time is spent on columns of features."""
    for path in root.iterdir():
        lines = path.read_text(encoding="utf-8").splitlines()
        narrow = ["\t".join(line.split("\t")[:COLUMNS]) for line in lines]
        path.write_text("".join(f"{line}\n" for line in narrow), encoding="utf-8")


def small_native(name: str, root: Path) -> Native:
    """Return files of `write_small`, possibly changed since, as their format sees them."""
    if name == "slstr_sen3":
        return native_of(root)
    if name in RAW:
        proposal = _proposal(name)
        block, splits = proposal.block, proposal.splits
        return native_of(root, block=block, variables=proposal.variables, splits=splits)
    return replace(native_of(root, _descriptor(name)), block=_block(name))


def read_small(name: str, root: Path, changed: str | None = None) -> Iterator[xr.Dataset]:
    """Yield the content of each ready file that the files make.

    Args:
        name: of the format.
        root: folder of the files.
        changed: the only file that differs from the sound ones; ready files that are made of
            others are left out.

    Raises:
        SciMLDataError: the format refuses the files.
    """
    native = small_native(name, root)
    native_format = load_format(native.block.get("reader", name))
    options = FORMATS[name].options
    for shard in native_format.shards(native, options):
        if changed is None or changed in shard.inputs:
            paths = tuple(sorted(shard.inputs))
            yield native_format.read(replace(native, paths=paths), shard, options)


@cache
def _proposal(name: str) -> Proposal:
    with tempfile.TemporaryDirectory() as folder:
        RAW[name](Path(folder))
        proposal = recognise(Path(folder), manifest_of(Path(folder)))
    if proposal is None:
        raise ValueError(name)
    return proposal


def _block(name: str) -> Mapping[str, Any]:
    small = FORMATS[name]
    block = {**_descriptor(name).native, **small.block}
    return {**block, "sample": {**block.get("sample", {}), **small.sample}}


@cache  # a descriptor is read in 50 ms, a damaged sample in 100 ms
def _descriptor(name: str) -> Descriptor:
    return load_descriptor(find_registry(), FORMATS[name].dataset)
