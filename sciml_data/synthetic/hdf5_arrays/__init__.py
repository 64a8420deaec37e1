"""Synthetic samples: `native.sample.model` names the physics, a module each.

Each model writes the files of its dataset in their native layout, every HDF5 file marked
`synthetic`, from the seed alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, nearest

MODELS = ("graphene", "multiple_scattering", "water_clusters")


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write the sample of a dataset.

    Args:
        root: folder of the native files.
        block: its `sample` names the `model`, and may say the model's own settings.
        seed: the same seed, the same bytes.

    Raises:
        CallError: there is no such model.
    """
    settings = block.get("sample", {})
    model = settings.get("model", "")
    if model not in MODELS:
        raise CallError(
            f"no sample model is called {model!r}{nearest(model, MODELS)}",
            untouched="nothing was written",
            hint=f"native.sample.model may be {', '.join(MODELS)}",
        )
    importlib.import_module(f"{__name__}.{model}").write(root, settings, seed)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays under their keys, neither chunked nor compressed, in a file marked synthetic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["synthetic"] = True
        for key, values in arrays.items():
            file.create_dataset(key, data=values, track_times=False)


def generator(seed: int, *place: int) -> np.random.Generator:
    """Return the random numbers of one thing of a sample."""
    return np.random.default_rng([seed, *place])
