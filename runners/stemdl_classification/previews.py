"""A few stacks kept beside the record, for the picture of patterns that `show` draws later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from .patterns import Patterns
from .space_groups import systems_of
from .stacks import Numbers

FILE_NAME = "shown.nc"
MOST = 8  # groups


def write_shown(
    path: Path, patterns: Patterns, numbers: Numbers, probabilities: npt.NDArray[np.float32]
) -> None:
    """Keep the first stack of up to eight groups, spread over crystal systems, with what was said.

    Args:
        path: where to.
        patterns: of all stacks.
        numbers: (stack) of the part.
        probabilities: (stack, group 0 to 230).
    """
    stacks = patterns.stacks
    chosen = _chosen(stacks.group[numbers])
    said = probabilities[chosen].argmax(axis=1)
    dataset = xr.Dataset(
        {
            "level": (
                ("stack", "y", "x", "view"),
                np.rint(patterns.take(numbers[chosen])).astype(np.uint8),
            ),
            "space_group": ("stack", stacks.group[numbers[chosen]].astype(np.int16)),
            "said": ("stack", said.astype(np.int16)),
            "probability": ("stack", probabilities[chosen, said]),
            "energy": ("stack", stacks.energy[numbers[chosen]].astype(np.float32)),
            "name": ("stack", _names(patterns, numbers[chosen])),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.to_netcdf(path, engine="h5netcdf", encoding={"level": {"zlib": True}})


def _chosen(groups: npt.NDArray[np.int64]) -> Numbers:
    """Return the first stack of each chosen group: one group of each system, then more of them."""
    present, first = np.unique(groups, return_index=True)
    system = systems_of(present)
    rank = np.array([int((system[:place] == system[place]).sum()) for place in range(len(system))])
    order = np.lexsort((present, rank))[:MOST]
    return np.asarray(first[np.sort(order)])


def _names(patterns: Patterns, numbers: Numbers) -> npt.NDArray[Any]:
    texts = patterns.stacks.texts
    source = "formula" if "formula" in texts else "native_sample"
    return np.array(texts[source][numbers], dtype=object)
