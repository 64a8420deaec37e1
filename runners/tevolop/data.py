"""The earthquake catalogue by fortnights, the windows that are forecast, and the parts of a split.

A forecast at fortnight t uses data up to and including t. Its target is the window t+1 .. t+w, so
input and target never share a day. (In the published Temporal Fusion Transformer they do: "year
back" one step ahead shares 25 of 26 fortnights with the input.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from sciml_data.bench.task.splits import TRAIN, Division
from sciml_data.errors import DescriptorError
from sciml_data.formats import earthquake

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.task.split import Split

Floats: TypeAlias = npt.NDArray[np.floating]
Singles: TypeAlias = npt.NDArray[np.float32]
Flags: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.intp]
Floor: TypeAlias = Literal["clean", "reference"]

# Fortnights in each forecast window: 2 and 4 weeks, 2, 3 and 6 months, 1, 2 and 4 years (the
# published "ahead" series; laszewsk/mlcommons @ 4aa36db4, apr2023/new.ipynb, cells 32 and 41).
WINDOWS = (1, 2, 4, 7, 13, 26, 52, 104)
WINDOW_TITLES = (
    "2 weeks", "4 weeks", "2 months", "3 months", "6 months", "1 year", "2 years", "4 years",
)  # fmt: skip
Spans: TypeAlias = Sequence[tuple[int, int]]  # fortnights to skip, and fortnights in the window
SPANS: Spans = tuple((0, steps) for steps in WINDOWS)
# Two further windows that the published LSTM and Transformer forecast
# (FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cell 73).
PUBLISHED_SPANS: Spans = (*SPANS, (26, 26), (52, 52))
# The published series begin after 25 fortnights (a year back must be complete), and a model needs
# 26 of them as input (cells 41 and 88), so fortnight 51 is the first that is forecast.
FIRST_FORECAST = 51
GREATEST_COUNT = 20  # length of the published list of earthquakes
MIN_PIXELS = 10  # with fewer active pixels (a sample), the busiest pixels are used instead
BUSIEST = 50  # how many of them
MIN_ACTIVE_SHARE = 0.5  # of the stored pixels; with less, the list is of another catalogue
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
        fault_group: (pixel,) int, 0 everywhere if the region has no map of faults.
    """

    start: npt.NDArray[np.datetime64]
    magnitude: Floats
    target_magnitude: Floats
    depth: Floats
    count: npt.NDArray[np.integer]
    strong: npt.NDArray[np.integer]
    complete: Flags
    fault_group: npt.NDArray[np.integer]

    def __len__(self) -> int:
        """Return the number of fortnights."""
        return len(self.start)

    @property
    def end(self) -> npt.NDArray[np.datetime64]:
        """Return the day after the last day of each fortnight: (time,) datetime64[D]."""
        return self.start + np.timedelta64(earthquake.FORTNIGHT_DAYS, "D")


def read_fortnights(dataset: xr.Dataset, *, end: str | None = None, floor: Floor) -> Fortnights:
    """Return the ready dataset by fortnights.

    Args:
        dataset: ready form of an earthquake catalogue.
        end: day after the last that is used; None uses all of the catalogue.
        floor: magnitude of a day without earthquakes in targets: "reference" is 0, "clean" is
            missing. Inputs always have "reference".
    """
    grid = earthquake.fortnights(dataset, end=end, floor="reference")
    is_same = floor == "reference"
    targets = grid if is_same else earthquake.fortnights(dataset, end=end, floor=floor)
    return Fortnights(
        start=grid["time"].to_numpy().astype("M8[D]"),
        magnitude=grid["magnitude"].to_numpy(),
        target_magnitude=targets["magnitude"].to_numpy(),
        depth=np.nan_to_num(grid["depth"].to_numpy()),
        count=grid["count"].to_numpy(),
        strong=grid["count_ge_3_29"].to_numpy(),
        complete=grid["complete"].to_numpy(),
        fault_group=(
            grid["fault_group"].to_numpy()
            if "fault_group" in grid.coords
            else np.zeros(grid.sizes["pixel"], np.int32)
        ),
    )


def windows_ahead(series: Floats, spans: Spans = SPANS) -> Singles:
    """Return the magnitude of the windows after each fortnight.

    Args:
        series: (time, pixel) magnitudes, NaN without earthquakes.
        spans: of the windows.

    Returns:
        (pixel, time, window) float32; NaN if the window is incomplete or has no earthquakes.
    """
    windows = [earthquake.window(series, steps, delay=1 + skipped) for skipped, steps in spans]
    return np.ascontiguousarray(np.stack(windows, axis=-1).transpose(1, 0, 2))


def missing_share(complete: Flags, spans: Spans = SPANS) -> Singles:
    """Return the share of each window in known gaps: (time, window), NaN if incomplete.

    Args:
        complete: (time,) bool, False in a gap of the catalogue.
        spans: of the windows.
    """
    gap = (~complete).astype(np.float32)
    shares = [
        earthquake.window(gap, steps, delay=1 + skipped, combine="sum") / steps
        for skipped, steps in spans
    ]
    return np.stack(shares, axis=-1)


def greatest_earthquakes(dataset: xr.Dataset, grid: Fortnights) -> list[dict[str, Any]]:
    """Return date, magnitude and place of the greatest earthquakes in the region and period."""
    columns = ["time", "magnitude", "latitude", "longitude"]
    events = dataset[[*columns, "event_type"]].to_dataframe()
    region = earthquake.grid_of(dataset)
    pixels = earthquake.pixel_of(events["latitude"], events["longitude"], region)
    is_earthquake = events["event_type"] == earthquake.EVENT_TYPES.index("earthquake")
    in_period = (events["time"] >= grid.start[0]) & (events["time"] < grid.end[-1])
    counted = events.loc[is_earthquake & in_period & (pixels >= 0), columns].dropna()
    greatest = counted.nlargest(GREATEST_COUNT, "magnitude")
    greatest = greatest.round({"magnitude": 2, "latitude": 3, "longitude": 3})
    greatest["date"] = greatest.pop("time").dt.strftime("%Y-%m-%d")
    return [dict(row) for row in greatest.to_dict("records")]


# --- the parts of a split ------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """The forecasts of one part of a split.

    Attributes:
        has_pixel: (pixel,) bool, which of the chosen pixels belong to it.
        first: first fortnight of the targets.
        stop: first fortnight after the targets.
    """

    has_pixel: Flags
    first: int
    stop: int

    @property
    def times(self) -> Indices:
        """Return the fortnights at which forecasts are made: the last ones before a target."""
        return np.arange(self.first - 1, self.stop - 1)

    def has_windows(self, times: int, spans: Spans = SPANS) -> Flags:
        """Return which windows are in the part as a whole: (pixel, time, window) bool.

        So no training target reaches into a later part. Inputs may come from before the part, as
        they do in real forecasts.

        Args:
            times: number of fortnights; time is the last fortnight before the window.
            spans: of the windows.
        """
        last_input = np.arange(times)[:, None]
        ahead = np.array(spans).sum(axis=1)
        begins, ends = last_input + 1 >= self.first, last_input + ahead < self.stop
        return np.asarray(self.has_pixel[:, None, None] & begins & ends)


def period_end(split: Split, *parts: str) -> str:
    """Return the day after the last day of some parts, or of all parts.

    Raises:
        DescriptorError: a part of the split has no period.
    """
    try:
        return max(str(split.members[part]["period"][1]) for part in parts or split.members)
    except (KeyError, IndexError, TypeError) as error:
        raise DescriptorError(
            f"split {split.name!r}: each part needs a period of two days",
            untouched="nothing was trained",
            hint='write "period": ["1950-01-04", "2005-01-01"]; the second day is outside',
        ) from error


def choose_pixels(split: Split, grid: Fortnights) -> tuple[Indices, Split, str]:
    """Return the pixels that are forecast, the split that suits them, and where they are from.

    If the split lists no pixels, each part has those that are active in the training period. If it
    lists pixels that are not active in this catalogue (a sample), active pixels are drawn instead.

    Args:
        split: with or without `pixels` of each part.
        grid: all fortnights.

    Returns:
        (pixel,) numbers 0..2399, ascending; the split, with other `pixels` if they were drawn; a
        sentence for the record.
    """
    members = split.members
    if "pixels" not in members[TRAIN]:
        stop = np.searchsorted(grid.end, np.datetime64(period_end(split, TRAIN)), side="right")
        pixels, origin = _active_pixels(grid, int(stop))
        return pixels, split, origin
    stored = np.unique(np.concatenate([member["pixels"] for member in members.values()]))
    active, _ = _active_pixels(grid, len(grid))
    if np.isin(stored, active).mean() >= MIN_ACTIVE_SHARE:
        return stored, split, "the stored list"
    shuffled = np.random.default_rng(split.seed).permutation(len(active))
    is_train = shuffled < round(TRAINING_SHARE * len(active))
    drawn = {
        part: {**member, "pixels": active[is_train == (part == TRAIN)].tolist()}
        for part, member in members.items()
    }
    origin = (
        f"the stored pixels are not active in this catalogue: {len(active)} of its own, "
        f"drawn 80 to 20 with seed {split.seed}"
    )
    return active, replace(split, members=drawn), origin


def keys_of(grid: Fortnights, pixels: Indices) -> pd.DataFrame:
    """Return a row for each pixel and fortnight that can be forecast: numbers, first day, end."""
    dates = np.arange(FIRST_FORECAST, len(grid))
    keys = pd.MultiIndex.from_product([pixels, dates], names=["pixel", "date"])
    table = keys.to_frame(index=False)
    return table.assign(start=grid.start[table["date"]], end=grid.end[table["date"]])


def parts_of(division: Division, table: pd.DataFrame, pixels: Indices) -> dict[str, Part]:
    """Return the pixels and the period of each part from the samples (rows) that it has."""
    parts = {}
    for name, rows in division.parts.items():
        keys = table.iloc[rows]
        first, last = int(keys["date"].min()), int(keys["date"].max())
        parts[name] = Part(np.isin(pixels, keys["pixel"]), first, last + 1)
    return parts


def _active_pixels(grid: Fortnights, stop: int) -> tuple[Indices, str]:
    """Return the pixels that are active before fortnight `stop`, and how they were chosen."""
    pixels = earthquake.active_pixels(grid.strong[:stop])
    if len(pixels) >= MIN_PIXELS:
        return pixels, "pixels active by the published rule in the training period alone"
    busy = np.argsort(-grid.count[:stop].sum(axis=0), kind="stable")[:BUSIEST]
    return (
        np.sort(busy),
        f"the rule found {len(pixels)} pixels; the {BUSIEST} busiest of the training period",
    )
