"""The earthquake catalogue by fortnights, and the windows that are forecast.

A forecast at fortnight t uses data up to and including t. Its target is the window t+1 .. t+w, so
input and target never share a day. (In the published Temporal Fusion Transformer they do: "year
back" one step ahead shares 25 of 26 fortnights with the input.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.formats.earthquake import EVENT_TYPES, FORTNIGHT_DAYS, fortnights, pixel_of, window

if TYPE_CHECKING:
    import xarray as xr

Floats: TypeAlias = npt.NDArray[np.floating]
Indices: TypeAlias = npt.NDArray[np.intp]
Floor: TypeAlias = Literal["clean", "reference"]

# Fortnights in each forecast window: 2 and 4 weeks, 2, 3 and 6 months, 1, 2 and 4 years (the
# published "ahead" series; laszewsk/mlcommons @ 4aa36db4, apr2023/new.ipynb, cells 32 and 41).
WINDOWS = (1, 2, 4, 7, 13, 26, 52, 104)
WINDOW_TITLES = (
    "2 weeks", "4 weeks", "2 months", "3 months", "6 months", "1 year", "2 years", "4 years",
)  # fmt: skip
# The published series begin after 25 fortnights (a year back must be complete), and a model needs
# 26 of them as input (cells 41 and 88), so fortnight 51 is the first that is forecast.
FIRST_FORECAST = 51
REGULAR_FLOOR: Floor = "reference"
GREATEST_COUNT = 20  # length of the published list of earthquakes


@dataclass(frozen=True)
class Fortnights:
    """Seismic activity in each pixel and fortnight, from 1950-01-04 on.

    Attributes:
        start: (time,) datetime64[D], first day of each fortnight.
        magnitude: (time, pixel=2400) float32, magnitude of the summed energy; a day without
            earthquakes counts as the energy of magnitude 0, so no value is missing.
        target_magnitude: (time, pixel) float32, from which targets are computed: as `magnitude`,
            or with floor "clean" NaN without earthquakes.
        depth: (time, pixel) float32, km, energy-weighted, 0 without earthquakes.
        count: (time, pixel) int32, earthquakes of any magnitude.
        strong: (time, pixel) int32, earthquakes of magnitude 3.29 or more.
        complete: (time,) bool, False where the catalogue has a known gap.
        fault_group: (pixel,) int.
        latitude: (pixel,) float64, degrees.
        longitude: (pixel,) float64, degrees.
    """

    start: npt.NDArray[np.datetime64]
    magnitude: Floats
    target_magnitude: Floats
    depth: Floats
    count: npt.NDArray[np.integer]
    strong: npt.NDArray[np.integer]
    complete: npt.NDArray[np.bool_]
    fault_group: npt.NDArray[np.integer]
    latitude: Floats
    longitude: Floats

    def __len__(self) -> int:
        """Return the number of fortnights."""
        return len(self.start)


def read_fortnights(dataset: xr.Dataset, *, end: str | None = None, floor: Floor) -> Fortnights:
    """Return the ready dataset by fortnights.

    Args:
        dataset: ready form of an earthquake catalogue.
        end: day after the last that is used; None uses all of the catalogue.
        floor: magnitude of a day without earthquakes in targets: "reference" is 0, "clean" is
            missing. Inputs always have "reference".
    """
    grid = fortnights(dataset, end=end, floor=REGULAR_FLOOR)
    targets = grid if floor == REGULAR_FLOOR else fortnights(dataset, end=end, floor=floor)
    return Fortnights(
        start=grid["time"].to_numpy().astype("M8[D]"),
        magnitude=grid["magnitude"].to_numpy(),
        target_magnitude=targets["magnitude"].to_numpy(),
        depth=np.nan_to_num(grid["depth"].to_numpy()),
        count=grid["count"].to_numpy(),
        strong=grid["count_ge_3_29"].to_numpy(),
        complete=grid["complete"].to_numpy(),
        fault_group=grid["fault_group"].to_numpy(),
        latitude=grid["latitude"].to_numpy(),
        longitude=grid["longitude"].to_numpy(),
    )


def windows_ahead(series: Floats) -> npt.NDArray[np.float32]:
    """Return the magnitude of the windows after each fortnight.

    Args:
        series: (time, pixel) magnitudes, NaN without earthquakes.

    Returns:
        (pixel, time, window=8) float32; NaN if the window is incomplete or has no earthquakes.
    """
    windows = [window(series, length, direction="ahead", delay=1) for length in WINDOWS]
    return np.ascontiguousarray(np.stack(windows, axis=-1).transpose(1, 0, 2))


def missing_share(complete: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return the share of each window in known gaps: (time, window=8), NaN if incomplete.

    Args:
        complete: (time,) bool, False in a gap of the catalogue.
    """
    gap = (~complete).astype(np.float32)
    sums = [window(gap, n, direction="ahead", delay=1, combine="sum") / n for n in WINDOWS]
    return np.stack(sums, axis=-1)


def incomplete_fortnights(data: Fortnights) -> Mapping[str, Any]:
    """Return number, first and last of the fortnights with a known gap, for the record."""
    gaps = data.start[~data.complete]
    return {
        "count": len(gaps),
        "first": str(gaps[0]) if len(gaps) else None,
        "last": str(gaps[-1]) if len(gaps) else None,
        "effect": "small earthquakes are missing there: counts and small magnitudes are too low",
    }


def greatest_earthquakes(dataset: xr.Dataset, *, before: Fortnights) -> list[Mapping[str, Any]]:
    """Return the greatest earthquakes in the region and period of the fortnights.

    Args:
        dataset: ready form of an earthquake catalogue.
        before: fortnights that define the period.
    """
    kind, magnitude = dataset["event_type"].to_numpy(), dataset["magnitude"].to_numpy()
    time = dataset["time"].to_numpy().astype("M8[D]")
    place = pixel_of(dataset["latitude"].to_numpy(), dataset["longitude"].to_numpy())
    counts = (kind == EVENT_TYPES.index("earthquake")) & (place >= 0)
    counts &= (time >= before.start[0]) & (time < end_of(before)[-1]) & np.isfinite(magnitude)
    order = np.argsort(np.where(counts, -magnitude, np.inf), kind="stable")[:GREATEST_COUNT]
    return [
        {
            "date": str(time[index]),
            "magnitude": round(float(magnitude[index]), 2),
            "latitude": round(float(dataset["latitude"][index]), 3),
            "longitude": round(float(dataset["longitude"][index]), 3),
        }
        for index in order
        if counts[index]
    ]


def end_of(data: Fortnights) -> npt.NDArray[np.datetime64]:
    """Return the day after the last day of each fortnight: (time,) datetime64[D]."""
    return data.start + np.timedelta64(FORTNIGHT_DAYS, "D")
