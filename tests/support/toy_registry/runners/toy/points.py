"""The toy benchmark's data, in a module of its own so that relative imports are exercised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


def arrays(dataset: xr.Dataset) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return inputs (row, 5) and targets (row, 2), float32."""
    return dataset["inputs"].to_numpy(), dataset["targets"].to_numpy()
