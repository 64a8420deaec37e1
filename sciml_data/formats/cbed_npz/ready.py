"""A range of npz files as a dataset to be written."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.cbed_hdf5.options import Options
from sciml_data.formats.cbed_hdf5.ready import STACK, stacked, texts
from sciml_data.formats.cbed_hdf5.tally import Tally
from sciml_data.formats.cbed_npz import number_of
from sciml_data.formats.cbed_npz.archive import SHAPE, read_archive
from sciml_data.formats.interface import Native, Shard

SCALING = {
    "scaling": "log levels",
    "comment": "10 (ln I + 17), clipped to 0 to 255, then upstream an area mean of 512 to 128",
}


def ready_dataset(native: Native, shard: Shard, options: Options) -> tuple[xr.Dataset, Tally]:
    """Return the usable samples of a ready file, one held after the other, and their account."""
    tally = Tally(len(shard.inputs))
    patterns = np.empty((len(shard.inputs), *SHAPE), np.float32)
    labels: list[int] = []
    files: list[str] = []
    for path in shard.inputs:
        found = read_archive(native.root / path, path)
        if isinstance(found, Problem):
            tally.dropped.append(found)
            continue
        patterns[len(files)], label = found
        labels.append(label)
        files.append(path)
    columns: dict[str, NDArray[Any]] = {
        STACK: patterns[: len(files)],
        "space_group": np.array(labels, np.int16),
        "native_file": texts(files),
        "native_sample": texts([str(number_of(path)) for path in files]),
    }
    more = {STACK: SCALING}
    return stacked(columns, tally, options, variables=native.variables, more=more), tally
