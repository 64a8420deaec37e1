"""The earthquake catalogue by fortnights, and the windows that are forecast.

A forecast at fortnight t uses data up to and including t. Its target is the window t+1 .. t+w, so
input and target never share a day. (In the published Temporal Fusion Transformer they do: "year
back" one step ahead shares 25 of 26 fortnights with the input.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.bench.task.splits import TRAIN, Division, Options, describe, divide, leakage
from sciml_data.formats.earthquake import (
    EVENT_TYPES,
    FORTNIGHT_DAYS,
    active_pixels,
    fortnights,
    pixel_of,
    window,
)

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.task.split import Split

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
MIN_PIXELS = 10  # with fewer active pixels (a sample), the busiest pixels are used instead
BUSIEST = 50  # how many of them
MIN_ACTIVE_SHARE = 0.5  # of the stored pixels; with less, the list is of another catalogue
SHARED_DATES = (
    "validation pixels share every date with the training pixels: a model that knows the date "
    "knows what happened then; compare with the baseline same_date_mean"
)
NO_SHARED_DATES = (
    "no training target ends after the training period; inputs of later parts may look back into "
    "earlier ones"
)
TRAINING_SHARE = 0.8  # of pixels if the stored list cannot be used; published: 400 of 500


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


# --- the parts of a split ------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One part of a split.

    Attributes:
        name: of the part.
        has_pixel: (pixel,) bool, which of the chosen pixels belong to it.
        first: first fortnight of the targets.
        stop: first fortnight after the targets.
    """

    name: str
    has_pixel: npt.NDArray[np.bool_]
    first: int
    stop: int


@dataclass(frozen=True)
class SplitParts:
    """The chosen pixels, and the parts of a split.

    Attributes:
        pixels: (pixel,) numbers 0..2399, ascending.
        parts: training part first.
        origin: a sentence on how the pixels were chosen, for the record.
        facts: `parts` and `leakage` of the split, for the record.
    """

    pixels: Indices
    parts: tuple[Part, ...]
    origin: str
    facts: Mapping[str, Any]

    @property
    def is_spatial(self) -> bool:
        """Return whether parts differ in their pixels."""
        return not all(part.has_pixel.all() for part in self.parts)

    def part(self, name: str) -> Part:
        """Return the part with this name."""
        return next(part for part in self.parts if part.name == name)


def period_end(split: Split) -> str:
    """Return the day after the last day of all parts."""
    return max(str(members["period"][1]) for members in split.members.values())


def make_split(split: Split, grid: Fortnights) -> SplitParts:
    """Return the pixels and parts of a split on this catalogue.

    A forecast belongs to a part if its whole window is inside the part's period, so no training
    target reaches into a later part. Inputs may come from before the period, as they do in real
    forecasts.

    Raises:
        DescriptorError: a part of the split has no period, or its end is before its start.
    """
    dates = _dates(grid)
    periods = {part: {"period": member.get("period")} for part, member in split.members.items()}
    later = tuple(part for part in periods if part != TRAIN)
    of_dates = divide(replace(split, members=periods), dates, Options(optional=later))
    times = {part: dates.index[rows] for part, rows in of_dates.parts.items()}
    pixels, of_pixels, origin = _divide_pixels(split, grid, stop=times[TRAIN][-1] + 1)
    of_pixels = replace(of_pixels, parts={part: of_pixels.parts[part] for part in times})
    parts = tuple(
        Part(part, np.isin(np.arange(len(pixels)), rows), times[part][0], times[part][-1] + 1)
        for part, rows in of_pixels.parts.items()
    )
    meaning = SHARED_DATES if split.members[TRAIN].get("pixels") else NO_SHARED_DATES
    leaks = [
        leakage(of_dates, dates, meaning=meaning),
        leakage(of_pixels, pd.DataFrame({"pixel": pixels}), meaning=meaning),
    ]
    report = {part: leaks[0][part] | leaks[1][part] for part in times if part != TRAIN}
    told = list(dict.fromkeys(leaks[0]["told"] + leaks[1]["told"]))
    facts = {
        "parts": describe(of_dates, dates),
        "leakage": {**report, "told": told, "meaning": meaning},
    }
    return SplitParts(pixels, parts, origin, facts)


def windows_in_part(part: Part, times: int) -> npt.NDArray[np.bool_]:
    """Return which windows are in the part: (time, window=8) bool.

    Time is the last fortnight of the input; the window starts after it.
    """
    last_input = np.arange(times)[:, None]
    begins, ends = last_input + 1 >= part.first, last_input + np.array(WINDOWS) < part.stop
    return np.asarray(begins & ends)


def _dates(grid: Fortnights) -> pd.DataFrame:
    """Return a row for each fortnight that can be forecast: its number, first day, day after."""
    first = FIRST_FORECAST
    numbers = pd.RangeIndex(first, len(grid), name="fortnight")
    columns = {"date": numbers, "start": grid.start[first:], "end": end_of(grid)[first:]}
    return pd.DataFrame(columns, index=numbers)


def _divide_pixels(split: Split, grid: Fortnights, *, stop: int) -> tuple[Indices, Division, str]:
    """Return the pixels, those of each part, and how they were chosen.

    Args:
        split: with pixels of each part, or without: then each part has the pixels that are active
            before the fortnight `stop`.
        grid: all fortnights.
        stop: end of the training period.
    """
    lists = {name: {"pixels": m["pixels"]} for name, m in split.members.items() if "pixels" in m}
    if not lists:
        pixels, origin = _active_pixels(grid, stop)
        everywhere = np.arange(len(pixels))
        return pixels, Division(dict.fromkeys(split.members, everywhere), 0, {}), origin
    stored = np.unique(np.concatenate([member["pixels"] for member in lists.values()]))
    active, _ = _active_pixels(grid, len(grid))
    if np.isin(stored, active).mean() >= MIN_ACTIVE_SHARE:
        keys = pd.DataFrame({"pixel": stored})
        return stored, divide(replace(split, members=lists), keys), "the stored list"
    shuffled = np.random.default_rng(split.seed).permutation(len(active))
    is_train = shuffled < round(TRAINING_SHARE * len(active))
    parts = {name: np.flatnonzero(is_train == (name == TRAIN)) for name in lists}
    origin = (
        f"the stored pixels are not active in this catalogue: {len(active)} of its own, "
        f"drawn 80 to 20 with seed {split.seed}"
    )
    return active, Division(parts, 0, {}), origin


def _active_pixels(grid: Fortnights, stop: int) -> tuple[Indices, str]:
    """Return the pixels that are active before fortnight `stop`, and how they were chosen."""
    pixels = active_pixels(grid.strong[:stop])
    if len(pixels) >= MIN_PIXELS:
        return pixels, "pixels active by the published rule in the training period alone"
    busy = np.argsort(-grid.count[:stop].sum(axis=0), kind="stable")[:BUSIEST]
    return (
        np.sort(busy),
        f"the rule found {len(pixels)} pixels; the {BUSIEST} busiest of the training period",
    )
