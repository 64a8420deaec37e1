"""The benchmark's grid: pixels, cell-days, fortnights, windows, static fault features.

Pixels are 0.1 degree wide in Southern California; a descriptor may state another `Grid`.

As the reference defines them (laszewsk/mlcommons @ 4aa36db4, benchmarks/earthquake/apr2023/
new.ipynb, cells 30, 32, 37 and 41), but for empty days: there an empty day has the energy of an
earthquake of magnitude 0 (floor "reference"), here it may also be empty (floor "clean").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sciml_data.errors import CallError
from sciml_data.formats.earthquake.events import EVENT_TYPES, Events

ROWS, COLUMNS = 40, 60  # of every grid: from the north, and from the west
PIXELS = ROWS * COLUMNS
LARGE_MAGNITUDE = 3.29  # "Rundle multiplicity": larger events are counted separately
FORTNIGHT_DAYS = 14
# Released energy grows as 10^(1.5 M) (Gutenberg and Richter 1956; reference cell 32).
ENERGY_EXPONENT = 1.5
# The reference keeps 25,567 days from 1950-01-01 and drops the first 25567 mod 14 = 3.
FIRST_FORTNIGHT = "1950-01-04"
# Cell 37: a count of at least 8 (> 7.1) in the pixel, or 35 (> 34.1) in the 3 x 3 pixels around.
MIN_COUNT_ACTIVE, MIN_COUNT_AROUND_ACTIVE = 8, 35

Floor = Literal["clean", "reference"]
Step = tuple[int, int]


@dataclass(frozen=True)
class Grid:
    """Where the 40 rows and 60 columns of pixels are; the default is Southern California.

    Grids of all regions have the same shape, so a model of one region runs on another.

    Attributes:
        north, west: degrees, of the north-west corner.
        pixels_per_degree: pixels along a degree, of latitude and of longitude.
    """

    north: float = 36.0
    west: float = -120.0
    pixels_per_degree: float = 10

    @property
    def south(self) -> float:
        """Return the latitude of the southern edge, in degrees."""
        return self.north - ROWS / self.pixels_per_degree

    @property
    def east(self) -> float:
        """Return the longitude of the eastern edge, in degrees."""
        return self.west + COLUMNS / self.pixels_per_degree


SOUTHERN_CALIFORNIA = Grid()


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


def grid_of(dataset: xr.Dataset) -> Grid:
    """Return the grid of a ready dataset, from the bounds in its attributes."""
    north, west = (dataset.attrs[f"geospatial_{name}"] for name in ("lat_max", "lon_min"))
    height = north - dataset.attrs["geospatial_lat_min"]
    return Grid(float(north), float(west), float(ROWS / height))


def pixel_of(
    latitude: ArrayLike, longitude: ArrayLike, grid: Grid = SOUTHERN_CALIFORNIA
) -> NDArray[np.int32]:
    """Return the pixel of each place, -1 outside of the box.

    Pixel 0 is the north-west corner, numbers grow eastward, then southward. The box is half-open:
    in Southern California 32 <= latitude < 36 and -120 <= longitude < -114 degrees.

    One place in a hundred is printed on the edge of two pixels, where the rounding of binary
    fractions decides. The single precision used here gives 498 of the reference's 500 active
    pixels, and 19 of the 20 largest earthquakes are in the pixel that it prints; the other one, of
    1980-06-09, is on an edge. Double precision misses a third active pixel, and with decimal
    fractions the Landers earthquake leaves its pixel
    (tests/conformance/test_tevolop_reference.py).

    Args:
        latitude: any shape, degrees north.
        longitude: same shape, degrees east.
        grid: of the region.

    Returns:
        Same shape, int32.
    """
    latitude, longitude = np.asarray(latitude), np.asarray(longitude)
    inside = (latitude >= grid.south) & (latitude < grid.north)
    inside &= (longitude >= grid.west) & (longitude < grid.east)
    single = np.float32
    scale = single(grid.pixels_per_degree)
    row = np.floor((single(grid.north) - latitude.astype(single)) * scale)
    column = np.floor((longitude.astype(single) - single(grid.west)) * scale)
    pixel = COLUMNS * row.clip(0, ROWS - 1) + column.clip(0, COLUMNS - 1)
    return np.where(inside, pixel, -1).astype(np.int32)


def pixel_centres(
    grid: Grid = SOUTHERN_CALIFORNIA,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitude and longitude of the pixels' centres: (2400) float64, degrees."""
    row, column = np.divmod(np.arange(PIXELS), COLUMNS)
    scale = grid.pixels_per_degree
    return grid.north - (row + 0.5) / scale, grid.west + (column + 0.5) / scale


def in_benchmark(events: Events, grid: Grid = SOUTHERN_CALIFORNIA) -> NDArray[np.bool_]:
    """Return which events count: earthquakes in the box with a known magnitude."""
    is_earthquake = events.event_type == EVENT_TYPES.index("earthquake")
    inside = pixel_of(events.latitude, events.longitude, grid) >= 0
    return np.asarray(is_earthquake & inside & np.isfinite(events.magnitude))


def cell_days(events: Events, grid: Grid = SOUTHERN_CALIFORNIA) -> CellDays:
    """Return the pixels and days with earthquakes; see `CellDays`.

    The magnitude of a day is log10(sum of 10^(1.5 m)) / 1.5 over its earthquakes. Depth is weighted
    with energy. Days without events are not stored: 0.5 % of all cell-days of 1950-2019 have any.
    """
    events = events.take(in_benchmark(events, grid))
    day = events.time.astype("M8[D]").astype(np.int64)
    key = day * PIXELS + pixel_of(events.latitude, events.longitude, grid)
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


def fortnights(
    dataset: xr.Dataset,
    *,
    start: str = FIRST_FORTNIGHT,
    end: str | None = None,
    floor: Floor = "clean",
) -> xr.Dataset:
    """Return the ready dataset as fortnights, computed from its cell-days.

    Args:
        dataset: the ready form of an earthquake catalogue.
        start: first day of the first fortnight.
        end: day after the last usable one; None takes the day of the last known event. Only whole
            fortnights are returned.
        floor: "reference": a day without event has the energy of magnitude 0 and depth 0, as in the
            published benchmark, so no value is missing. "clean": it has neither.

    Returns:
        Coordinates time (first day of the fortnight), pixel, latitude and longitude (of the pixel),
        `fault_group` where the region has a map of faults, and

        * magnitude: (time, pixel) float32, of the energy summed over the fortnight; NaN where empty
          with floor "clean".
        * depth: (time, pixel) float32, km, weighted with energy; NaN as magnitude.
        * count, count_ge_3_29: (time, pixel) int32, earthquakes.
        * observed: (time, pixel) bool, whether there was any earthquake.
        * complete: (time) bool, False where a gap of the catalogue overlaps the fortnight: counts
          and small magnitudes are too low there. It is False before the catalogue begins, too.
        * time_bnds: (time, bounds) first day, and day after the last: CF bounds of the time.

    Raises:
        CallError: there is no such floor, or no whole fortnight between start and end.
    """
    if floor not in ("clean", "reference"):
        raise CallError(f"unknown floor {floor!r}", hint="floor is 'clean' or 'reference'")
    first, steps = _period(dataset, start, end)
    days = dataset["cell_day_date"].to_numpy().astype("M8[D]")
    step = (days - first).astype(np.int64) // FORTNIGHT_DAYS
    used = (step >= 0) & (step < steps)
    key = step[used] * PIXELS + dataset["cell_day_pixel"].to_numpy()[used]
    values = {
        name: dataset[f"cell_day_{name}"].to_numpy()[used]
        for name in ("magnitude", "depth", "count", "count_ge_3_29")
    }
    time = first + FORTNIGHT_DAYS * np.arange(steps)
    made = _gridded(key, values, steps=steps, floor=floor)
    made["complete"] = (("time",), _is_complete(dataset, time))
    ends = np.stack([time, time + np.timedelta64(FORTNIGHT_DAYS, "D")], axis=1)
    made["time_bnds"] = (("time", "bounds"), ends.astype("M8[ns]"))
    return xr.Dataset(
        made, coords=_coordinates(dataset, time), attrs=dict(dataset.attrs, floor=floor)
    )


def window(
    values: ArrayLike,
    steps: int,
    *,
    direction: Literal["back", "ahead"] = "ahead",
    delay: int = 0,
    combine: Literal["energy", "sum"] = "energy",
) -> NDArray[np.float32]:
    """Return the series combined over a window of `steps` times for each time.

    A "back" window ends with its own time. An "ahead" window starts with its own time, or `delay`
    steps later ("skip one year, then one year" is steps=26, delay=26).

    Args:
        values: (time, ...) magnitudes or counts. NaN in a magnitude means no energy.
        steps: length of the window.
        direction: position of the window.
        delay: steps between the time and the start of an "ahead" window, or the end of a "back"
            one.
        combine: "energy": log10(sum of 10^(1.5 m)) / 1.5. "sum": plain sum.

    Returns:
        Shape of `values`, float32; NaN where the window is not complete or has no energy.
    """
    series = np.asarray(values, np.float64)
    if combine == "energy":
        series = np.nan_to_num(10 ** (ENERGY_EXPONENT * series), nan=0.0)
    result = np.full(series.shape, np.nan, np.float32)
    windows = len(series) - steps - delay + 1
    if windows <= 0:
        return result
    sums = sliding_sums(series, steps)
    if combine == "energy":
        with np.errstate(divide="ignore"):
            sums = np.log10(sums) / ENERGY_EXPONENT
        sums[np.isneginf(sums)] = np.nan
    if direction == "ahead":
        result[:windows] = sums[delay:]
    else:
        result[steps + delay - 1 :] = sums[:windows]
    return result


def sliding_sums(series: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Return the sums over all windows of `steps` along the first axis.

    They are made of windows of 1, 2, 4 ... steps. A running sum would lose precision: energies span
    14 decades, and subtracting a great earthquake again leaves noise.

    Args:
        series: (time, ...) float64.
        steps: length of the window.

    Returns:
        (time - steps + 1, ...) float64.
    """
    windows = max(len(series) - steps + 1, 0)
    total: NDArray[np.float64] | None = None
    block, offset, size = series, 0, 1
    while windows and size <= steps:
        if steps & size:
            piece = block[offset : offset + windows]
            total = piece.copy() if total is None else total + piece
            offset += size
        block = block[:-size] + block[size:] if len(block) > size else block[:0]
        size *= 2
    return np.empty((0, *series.shape[1:])) if total is None else total


def energy_power(magnitude: ArrayLike, power: float) -> NDArray[np.float64]:
    """Return energy to a power, relative to magnitude 3.29: 10^(1.5 power (m - 3.29))."""
    exponent = ENERGY_EXPONENT * power
    return np.asarray(10 ** (exponent * (np.asarray(magnitude, np.float64) - LARGE_MAGNITUDE)))


def active_pixels(
    counts: ArrayLike, *, own: int = MIN_COUNT_ACTIVE, around: int = MIN_COUNT_AROUND_ACTIVE
) -> NDArray[np.intp]:
    """Return the pixels with enough earthquakes of magnitude 3.29 and more.

    A pixel is active with `own` of them, or with `around` of them in the 3 x 3 pixels around it; at
    the edge of the grid the nearest whole 3 x 3 pixels count. The reference chose the two numbers
    so that 1950-2019 gives 500 pixels. For the test of a forecast, give the counts of the training
    period only.

    Args:
        counts: (..., pixel) numbers of such earthquakes in any period, for example `count_ge_3_29`
            of some fortnights. All axes but the last are summed.
        own: minimum count in the pixel.
        around: minimum count in the 3 x 3 pixels.

    Returns:
        (active pixel) sorted pixel numbers.
    """
    total = np.asarray(counts).reshape(-1, ROWS, COLUMNS).sum(axis=0)
    blocks = np.lib.stride_tricks.sliding_window_view(total, (3, 3)).sum(axis=(2, 3))
    return np.flatnonzero((total >= own) | (np.pad(blocks, 1, mode="edge") >= around))


def hilbert_curve(width: int, height: int) -> NDArray[np.int64]:
    """Return a generalised Hilbert curve over a grid: (width * height, 2) int64, x and y.

    A long rectangle is cut in two along its length. Otherwise the curve goes up one half of the
    near side, along the far half, and down again. Halves are even where possible, so that
    neighbours on the curve are neighbours in the grid.
    """
    along, across = ((width, 0), (0, height)) if width >= height else ((0, height), (width, 0))
    return np.array(list(_walk((0, 0), along, across)), np.int64)


def fault_features(groups: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return the four static fault features of each pixel.

    The reference renumbers fault groups in the order in which a Hilbert curve first meets them, for
    the grid as it is and mirrored (reference notebook, cells 30 and 32).

    Args:
        groups: (row=40, column=60) integers, fault group, row 0 in the north.

    Returns:
        (feature=4, pixel=2400) int32, groups renumbered from 0 in the order in which the curve
        meets them: grid as it is, mirrored in y, in x, in both.
    """
    walk = hilbert_curve(groups.shape[1], groups.shape[0])
    mirrored = (groups, groups[::-1], groups[:, ::-1], groups[::-1, ::-1])
    return np.stack([_renumbered(groups, view[walk[:, 1], walk[:, 0]]) for view in mirrored])


def _sums(values: NDArray[Any], starts: NDArray[np.intp], dtype: type = np.float64) -> NDArray[Any]:
    """Return the sums between starts; NumPy's reduceat needs at least one start."""
    return np.add.reduceat(values, starts, dtype=dtype) if len(starts) else values.astype(dtype)


def _period(dataset: xr.Dataset, start: str, end: str | None) -> tuple[np.datetime64, int]:
    """Return the first day and the number of whole fortnights."""
    first = np.datetime64(start, "D")
    known_until = np.datetime64(dataset.attrs["time_coverage_end"][:10], "D")
    last = known_until if end is None else min(np.datetime64(end, "D"), known_until)
    steps = int((last - first) // np.timedelta64(FORTNIGHT_DAYS, "D"))
    if steps < 1:
        raise CallError(
            f"no whole fortnight from {first} to {last}",
            hint=f"the catalogue ends on {known_until}",
        )
    return first, steps


def _gridded(
    key: NDArray[np.int64], values: dict[str, NDArray[Any]], *, steps: int, floor: Floor
) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    """Return the (time, pixel) arrays; `key` is the flat position of each cell-day in them."""

    def sums(weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return np.bincount(key, weights, minlength=steps * PIXELS).reshape(steps, PIXELS)

    energy = 10 ** (ENERGY_EXPONENT * values["magnitude"].astype(np.float64))
    weight = np.where(np.isfinite(values["depth"]), energy, 0.0)
    depths = sums(np.nan_to_num(values["depth"].astype(np.float64)) * weight)
    days = sums()
    empty_days = FORTNIGHT_DAYS - days if floor == "reference" else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.log10(sums(energy) + empty_days) / ENERGY_EXPONENT
        depth = depths / (sums(weight) + empty_days)
    magnitude[np.isneginf(magnitude)] = np.nan
    dims = ("time", "pixel")
    return {
        "magnitude": (dims, magnitude.astype(np.float32)),
        "depth": (dims, depth.astype(np.float32)),
        "count": (dims, sums(values["count"]).astype(np.int32)),
        "count_ge_3_29": (dims, sums(values["count_ge_3_29"]).astype(np.int32)),
        "observed": (dims, days > 0),
    }


def _is_complete(dataset: xr.Dataset, time: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    begins = np.datetime64(dataset.attrs["time_coverage_start"][:10], "D")
    complete = time + np.timedelta64(FORTNIGHT_DAYS, "D") > begins
    gaps = zip(dataset["gap_start"].to_numpy(), dataset["gap_end"].to_numpy(), strict=True)
    for start, end in gaps:
        complete &= (time + np.timedelta64(FORTNIGHT_DAYS, "D") <= start) | (time >= end)
    return complete


def _coordinates(dataset: xr.Dataset, time: NDArray[np.datetime64]) -> dict[str, object]:
    coordinates: dict[str, object] = {
        "time": ("time", time.astype("M8[ns]"), {"standard_name": "time", "bounds": "time_bnds"}),
        "pixel": ("pixel", np.arange(PIXELS)),
        "latitude": ("pixel", dataset["pixel_latitude"].to_numpy()),
        "longitude": ("pixel", dataset["pixel_longitude"].to_numpy()),
    }
    if "fault_group" in dataset:
        coordinates["fault_group"] = ("pixel", dataset["fault_group"].to_numpy())
    return coordinates


def _renumbered(groups: NDArray[np.integer], on_curve: NDArray[np.integer]) -> NDArray[np.int32]:
    known, first = np.unique(on_curve, return_index=True)
    rank = np.argsort(np.argsort(first)).astype(np.int32)
    return rank[np.searchsorted(known, groups.ravel())]


def _walk(start: Step, along: Step, across: Step) -> Iterator[Step]:
    """Yield the pixels of the rectangle that two axis-parallel vectors span."""
    length, breadth = abs(sum(along)), abs(sum(across))
    if breadth == 1 or length == 1:
        unit, steps = (_unit(along), length) if breadth == 1 else (_unit(across), breadth)
        for step in range(steps):
            yield _plus(start, _times(unit, step))
        return
    half_along = _half(along, length)
    if 2 * length > 3 * breadth:
        yield from _walk(start, half_along, across)
        yield from _walk(_plus(start, half_along), _minus(along, half_along), across)
        return
    half_along, half_across = _times(_unit(along), length // 2), _half(across, breadth)
    yield from _walk(start, half_across, half_along)
    yield from _walk(_plus(start, half_across), along, _minus(across, half_across))
    corner = _plus(_plus(start, _minus(along, _unit(along))), _minus(half_across, _unit(across)))
    yield from _walk(corner, _times(half_across, -1), _times(_minus(along, half_along), -1))


def _half(vector: Step, length: int) -> Step:
    """Return half of the vector, one step longer if that makes it even and leaves a rest."""
    half = length // 2
    return _times(_unit(vector), half + 1 if half % 2 and length > 2 else half)


def _unit(vector: Step) -> Step:
    return (vector[0] > 0) - (vector[0] < 0), (vector[1] > 0) - (vector[1] < 0)


def _times(vector: Step, factor: int) -> Step:
    return vector[0] * factor, vector[1] * factor


def _plus(first: Step, second: Step) -> Step:
    return first[0] + second[0], first[1] + second[1]


def _minus(first: Step, second: Step) -> Step:
    return first[0] - second[0], first[1] - second[1]
