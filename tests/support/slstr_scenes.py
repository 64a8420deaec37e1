"""Small synthetic scenes for tests of the format of CloudMask's granules."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.formats import Native, Shard, slstr_hdf5
from sciml_data.formats.slstr_hdf5 import parse_granule_name
from sciml_data.synthetic import load_generator
from sciml_data.synthetic.slstr_hdf5 import granules, orbit
from tests.support import native_files

SHAPE = (96, 112)
SEED = 4
# By number: day, night, glint, night, twilight / day and a short night.
SAMPLE = {"count": {"training": 5, "inference": 2}, "shape": list(SHAPE)}
SPLITS = {"training": ["training/**"], "inference": ["inference/**"]}


def write_scenes(root: Path) -> Native:
    """Write the sample of this module and return it as native files."""
    load_generator("slstr_hdf5").write_sample(root, {"sample": SAMPLE}, seed=SEED)
    return native_of(root)


def native_of(root: Path, block: Mapping[str, Any] | None = None) -> Native:
    """Return a folder as native files of the format."""
    settings = {"reader": "slstr_hdf5", **(block or {})}
    return native_files.native_of(root, block=settings, splits=SPLITS)


def scene_path(native: Native, number: int) -> str:
    """Return the path of a scene of the sample; its stem follows from seed and number."""
    random = np.random.default_rng([SEED, number])
    at, start_s = granules.choose_frame(random, number, seed=SEED)
    is_short = number % granules.SHORT_EVERY == granules.SHORT_EVERY - 1
    stem = granules.granule_name(at, start_s, orbit.GRANULE_S - is_short).stem
    return next(path for path in native.paths if stem in path)


def shard_of(native: Native, number: int) -> Shard:
    """Return the shard of a scene of the sample."""
    path = scene_path(native, number)
    return next(shard for shard in slstr_hdf5.shards(native, {}) if shard.inputs == (path,))


def write_many(root: Path, count: int) -> Native:
    """Write a number of training scenes: the bytes of a single scene with different times."""
    first = granules.write_scene(root, SEED, 0, "training", SHAPE)
    name = parse_granule_name(first.name)
    if name is None:
        raise ValueError(first)
    for number in range(1, count):
        later = replace(name, start=name.start + timedelta(seconds=180 * number))
        shutil.copyfile(first, first.with_name(f"{later.stem}.hdf"))
    return native_of(root)
