"""Small real scenes of SLSTR and its predecessor AATSR, with the variables of CloudMask's.

Three products are told apart by their names, and each makes scenes of its own shape:

    <granule>.SEN3/      a level-1 granule of SLSTR as published: `slstr_sen3`
    <granule>.SEN3.nc    a subset of such a granule that SNAP wrote into one NetCDF-3 file
    ATS_TOA_1*.nc        a subset of an AATSR scene that SNAP wrote into one NetCDF-4 file

The ready form is that of the CloudMask files (`slstr_hdf5/ready.py`), with places, angles and the
product's own flags. Two variables are added: `surface`, and `missing_channels`, which names the
channels that a pixel lacks. A pixel that lacks some thermal channels is still valid here, since
real S7 is missing over hot or bright surfaces. `unfilled` means that it lacks all of them.

No Bayesian mask was computed for any of these scenes, so the label is the product's own mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import xarray as xr

from sciml_data.errors import Problem
from sciml_data.formats import slstr_hdf5, slstr_sen3
from sciml_data.formats.interface import (
    Native,
    Shard,
    no_split,
    raise_if_any,
    same_name_problems,
)
from sciml_data.formats.slstr_scenes import aatsr, subset
from sciml_data.formats.slstr_scenes.pixels import missing_channels, slstr_surface
from sciml_data.registry.options import parse_options


@dataclass(frozen=True)
class Options(slstr_hdf5.Options):
    """Options of a scene: which pixels are valid, and compression. The rest is fixed."""

    label: str = field(default="summary", init=False)
    bayes_bits: tuple[str, ...] = field(default=tuple(slstr_hdf5.BAYES_BITS), init=False)
    training_crop: str = field(default="none", init=False)
    refs: str = field(default="reflectance", init=False)


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return one ready file for each scene; no native file is opened.

    Raises:
        CallError: an option is unknown or has a wrong value.
        NativeFormatError: files have a wrong name, a granule lacks a file, or files are in no split
            or share a name.
    """
    parse_options(Options, options)
    inside = tuple(path for path in native.paths if ".SEN3/" in path)
    made = list(slstr_sen3.shards(replace(native, paths=inside), {})) if inside else []
    problems: list[Problem] = []
    for path in sorted(set(native.paths) - set(inside)):
        split = native.split_of(path)
        if _reader(path) is None:
            message = "is neither a subset of a level-1 granule of SLSTR nor of a scene of AATSR"
            problems.append(Problem("name", path, message))
        elif split is None:
            problems.append(no_split(native, path))
        else:
            name = PurePosixPath(path).name.removesuffix(".nc").removesuffix(".SEN3")
            made.append(Shard(f"{split}-{name}.nc", split, (path,)))
    raise_if_any([*problems, *same_name_problems(made)], native)
    return tuple(made)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:
    """Return one scene, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has every deviation of the native files.
    """
    chosen = parse_options(Options, options)
    path = shard.inputs[0]
    reader = _reader(path)
    if reader is not None:
        scene: xr.Dataset = reader.read_scene(native.root / path, path, chosen)
        return scene
    given = {"label": chosen.label, "exclude": chosen.exclude, "compression": chosen.compression}
    return _completed(slstr_sen3.read(native, shard, given))


def _reader(path: str) -> Any:
    """Return the module that reads a single file by its name, None if there is none."""
    return next((module for module in (subset, aatsr) if module.parse_name(path)), None)


def _completed(scene: xr.Dataset) -> xr.Dataset:
    """Return a level-1 granule with the variables that the other products have."""
    confidence = scene["confidence"]
    added = {
        "surface": slstr_surface(confidence.values[0], slstr_sen3.flag_bits(confidence.attrs)),
        "missing_channels": missing_channels(
            scene["reflectance"].values[0], scene["brightness_temperature"].values[0]
        ),
    }
    for name, variable in added.items():
        scene[name] = xr.Variable(
            confidence.dims, variable.values[np.newaxis], variable.attrs, confidence.encoding
        )
    scene.attrs["missing"] = (
        "S1 to S6: their grid of 0.5 km is not read, and their files are not in the dataset"
    )
    return scene
