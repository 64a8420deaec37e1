"""Choose the model of a sample by name, and write arrays to HDF5 files.

A model is a module of this package with a function `write(root, settings, seed)`. It writes the
files of its dataset in their native layout, as a function of settings and seed. Each HDF5 file has
the attribute `synthetic`.
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
        block: `sciml.native`; its `sample` names the `model` and may have settings of the model.
        seed: the same seed, the same bytes.

    Raises:
        CallError: the model does not exist.
    """
    settings = block.get("sample", {})
    model = settings.get("model", "")
    if model not in MODELS:
        raise CallError(
            f"there is no sample model {model!r}{nearest(model, MODELS)}",
            untouched="nothing was written",
            hint=f"native.sample.model can be {', '.join(MODELS)}",
        )
    importlib.import_module(f"{__package__}.{model}").write(root, settings, seed)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a file marked as synthetic, by key, neither chunked nor compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["synthetic"] = True
        for key, values in arrays.items():  # without times: the same arrays give the same bytes
            file.create_dataset(key, data=values, track_times=False)


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """Return the random numbers of one item of a sample: they do not depend on other items."""
    return np.random.default_rng([seed, *numbers])
