"""Events to daily sparse cells: what happened in each pixel on each day with an earthquake.

The magnitude of a cell-day is that of the summed energy, log10(sum of 10^(1.5 m)) / 1.5, its depth
is weighted with energy, as in the reference (see grid.py). Days without events are not stored: 0.5
% of all cell-days of 1950-2019 have any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.earthquake.events import EVENT_TYPES, Events
from sciml_data.formats.earthquake.grid import ENERGY_EXPONENT, LARGE_MAGNITUDE, PIXELS, pixel_of


@dataclass(frozen=True)
class CellDays:
    """Days and pixels with at least one earthquake, in the order of day, then pixel.

    Attributes:
        day: int32, days since 1970-01-01.
        pixel: int32, 0 to 2399.
        magnitude: float32, of the summed energy.
        depth: float32, km, weighted with energy; NaN where no event has a depth.
        count, count_ge_3_29: int32, earthquakes of known magnitude, and of 3.29 and more.
    """

    day: NDArray[np.int32]
    pixel: NDArray[np.int32]
    magnitude: NDArray[np.float32]
    depth: NDArray[np.float32]
    count: NDArray[np.int32]
    count_ge_3_29: NDArray[np.int32]


def in_benchmark(events: Events) -> NDArray[np.bool_]:
    """Return which events count: earthquakes in the box whose magnitude is known."""
    is_earthquake = events.event_type == EVENT_TYPES.index("earthquake")
    inside = pixel_of(events.latitude, events.longitude) >= 0
    return np.asarray(is_earthquake & inside & np.isfinite(events.magnitude))


def cell_days(events: Events) -> CellDays:
    """Return what happened in each pixel on each day; see `CellDays`.

    The magnitude of a day is log10(sum of 10^(1.5 m)) / 1.5 over its earthquakes.
    """
    events = events.take(in_benchmark(events))
    day = events.time.astype("M8[D]").astype(np.int64)
    key = day * PIXELS + pixel_of(events.latitude, events.longitude)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=key[:1] - 1))
    energy = 10 ** (ENERGY_EXPONENT * events.magnitude[order])
    depth = events.depth[order]
    large = events.magnitude[order] >= LARGE_MAGNITUDE
    has_depth = np.where(np.isfinite(depth), energy, 0.0)
    with np.errstate(invalid="ignore"):
        mean_depth = _sums(np.nan_to_num(depth) * has_depth, starts) / _sums(has_depth, starts)
    return CellDays(
        day=(key[starts] // PIXELS).astype(np.int32),
        pixel=(key[starts] % PIXELS).astype(np.int32),
        magnitude=(np.log10(_sums(energy, starts)) / ENERGY_EXPONENT).astype(np.float32),
        depth=mean_depth.astype(np.float32),
        count=np.diff(starts, append=len(key)).astype(np.int32),
        count_ge_3_29=_sums(large, starts, np.int32),
    )


def _sums(values: NDArray[Any], starts: NDArray[np.intp], dtype: type = np.float64) -> NDArray[Any]:
    """Return the sums between starts; reduceat wants at least one."""
    return np.add.reduceat(values, starts, dtype=dtype) if len(starts) else values.astype(dtype)
