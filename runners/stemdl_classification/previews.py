"""Store a few stacks in the run's folder, from which `show` draws the figure of patterns later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml_data.ready import write_netcdf
from sciml_data.ready.samples import Numbers

from .patterns import FORMULA, GROUP, Patterns
from .space_groups import systems_of

FILE_NAME = "shown.nc"
MAX_GROUPS = 8


def write_previews(
    path: Path, patterns: Patterns, numbers: Numbers, probabilities: npt.NDArray[np.float32]
) -> None:
    """Write the first stack of up to eight groups, spread over crystal systems, with predictions.

    Args:
        path: of the NetCDF file.
        patterns: of all stacks.
        numbers: (stack,) stacks of the part.
        probabilities: (stack, group 0 to 230).
    """
    stacks = patterns.stacks
    chosen = _choose(stacks[GROUP][numbers])
    predicted = probabilities[chosen].argmax(axis=1)
    dataset = xr.Dataset(
        {
            "level": (
                ("stack", "y", "x", "view"),
                np.rint(patterns.take(numbers[chosen])).astype(np.uint8),
            ),
            "space_group": ("stack", stacks[GROUP][numbers[chosen]].astype(np.int16)),
            "said": ("stack", predicted.astype(np.int16)),
            "probability": ("stack", probabilities[chosen, predicted]),
            "energy": ("stack", stacks["energy"][numbers[chosen]].astype(np.float32)),
            "name": ("stack", _names(patterns, numbers[chosen])),
        }
    )
    dataset["level"].encoding = {"zlib": True}
    write_netcdf(dataset, path)


def _choose(groups: npt.NDArray[np.int64]) -> Numbers:
    """Return the first stack of each chosen group: a group of each system first, then more."""
    present, first = np.unique(groups, return_index=True)
    system = systems_of(present)
    rank = np.array([int((system[:place] == system[place]).sum()) for place in range(len(system))])
    order = np.lexsort((present, rank))[:MAX_GROUPS]
    return np.asarray(first[np.sort(order)])


def _names(patterns: Patterns, numbers: Numbers) -> npt.NDArray[Any]:
    source = FORMULA if patterns.stacks.is_known(FORMULA) else "native_sample"
    return np.array(patterns.stacks[source][numbers], dtype=object)
