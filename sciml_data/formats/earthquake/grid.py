"""The benchmark's grid: 0.1 degree pixels, days, fortnights, and windows of fortnights.

All of it as the reference defines it (laszewsk/mlcommons @ 4aa36db4, benchmarks/earthquake/apr2023/
new.ipynb, cells 32, 37 and 41), except for what an empty day is: there it has the energy of an
earthquake of magnitude 0 (floor "reference"), here it can also be empty (floor "clean").
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sciml_data.errors import CallError

# Southern California: north-west corner, pixels to a degree, rows (from the north) and columns.
NORTH, WEST, PIXELS_PER_DEGREE, ROWS, COLUMNS = 36.0, -120.0, 10, 40, 60
SOUTH, EAST = NORTH - ROWS / PIXELS_PER_DEGREE, WEST + COLUMNS / PIXELS_PER_DEGREE
PIXELS = ROWS * COLUMNS
LARGE_MAGNITUDE = 3.29  # "Rundle multiplicity": events of at least this magnitude are counted apart
FORTNIGHT_DAYS = 14
# Released energy grows as 10^(1.5 M) (Gutenberg and Richter 1956; reference cell 32).
ENERGY_EXPONENT = 1.5
# The reference keeps 25,567 days from 1950-01-01 and drops the first 25567 mod 14 = 3.
FIRST_FORTNIGHT = "1950-01-04"
# Cell 37: own count of at least 8 (> 7.1), or at least 35 (> 34.1) in the 3 x 3 pixels around.
ACTIVE_OWN, ACTIVE_AROUND = 8, 35

Floor = Literal["clean", "reference"]


def pixel_of(latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.int32]:
    """Return the pixel of each place, -1 outside of the box.

    Pixel 0 is the north-west corner, numbers grow eastward, then southward. The box is half-open:
    32 <= latitude < 36 and -120 <= longitude < -114 degrees.

    One place in a hundred is printed on the edge of two pixels, and what binary fractions add to it
    decides. In single precision, used here, 498 of the reference's 500 active pixels are found and
    19 of the 20 largest earthquakes are in the pixel that it prints; the other is on an edge, of
    1980-06-09. In double precision a third active pixel is missed, and with decimal fractions the
    Landers earthquake leaves its pixel (tests/conformance/test_tevolop_reference.py).
    """
    latitude, longitude = np.asarray(latitude), np.asarray(longitude)
    inside = (latitude >= SOUTH) & (latitude < NORTH) & (longitude >= WEST) & (longitude < EAST)
    single = np.float32
    row = np.floor((single(NORTH) - latitude.astype(single)) * single(PIXELS_PER_DEGREE))
    column = np.floor((longitude.astype(single) - single(WEST)) * single(PIXELS_PER_DEGREE))
    pixel = COLUMNS * row.clip(0, ROWS - 1) + column.clip(0, COLUMNS - 1)
    return np.where(inside, pixel, -1).astype(np.int32)


def pixel_centres() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitude and longitude of the pixels' centres: (2400) float64, degrees."""
    row, column = np.divmod(np.arange(PIXELS), COLUMNS)
    return NORTH - (row + 0.5) / PIXELS_PER_DEGREE, WEST + (column + 0.5) / PIXELS_PER_DEGREE


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
        end: day after the last one that may be used; None is the day of the last known event.
            Only whole fortnights are given.
        floor: "reference": a day without event has the energy of magnitude 0 and depth 0, as in the
            published benchmark, so that no value is missing. "clean": it has neither.

    Returns:
        Coordinates time (first day of the fortnight), pixel, latitude and longitude (of the pixel),
        `fault_group`, and

        * magnitude: (time, pixel) float32, of the energy summed over the fortnight; NaN where empty
          with floor "clean".
        * depth: (time, pixel) float32, km, weighted with energy; NaN as magnitude.
        * count, count_ge_3_29: (time, pixel) int32, earthquakes.
        * observed: (time, pixel) bool, whether there was any earthquake.
        * complete: (time) bool, False where a gap of the catalogue touches the fortnight: counts
          and
          small magnitudes are then too low.

    Raises:
        CallError: no such floor, or no whole fortnight between start and end.
    """
    if floor not in ("clean", "reference"):
        raise CallError(f"floor {floor!r} is not known", hint="floor is 'clean' or 'reference'")
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
    """Return each step's window: the given series combined over `steps` neighbouring times.

    "back" windows end with the step itself, "ahead" windows start with it, or `delay` steps later
    ("skip one year, then one year" is steps=26, delay=26).

    Args:
        values: (time, ...) magnitudes or counts. NaN in a magnitude is no energy.
        steps: length of the window.
        direction: where the window lies.
        delay: steps between the labelled one and an "ahead" window, or after a "back" one.
        combine: "energy": log10(sum of 10^(1.5 m)) / 1.5. "sum": plain sum.

    Returns:
        The shape of `values`, float32; NaN where the window is not complete, and where it holds no
        energy at all.
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

    Made from windows of 1, 2, 4 ... steps, not from a running sum: energies span 14 decades, and
    what is left after a great earthquake is subtracted again is noise.
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
    counts: ArrayLike, *, own: int = ACTIVE_OWN, around: int = ACTIVE_AROUND
) -> NDArray[np.intp]:
    """Return the pixels with enough earthquakes of magnitude 3.29 and more.

    A pixel is active with `own` of them, or with `around` of them in the 3 x 3 pixels of which it
    is the middle; at the edge of the grid the nearest whole 3 x 3 pixels. The two numbers were
    chosen by the reference so that 1950-2019 gives 500 pixels. Whoever wants to test a forecast
    gives the counts of the training period only.

    Args:
        counts: (..., pixel) numbers of such earthquakes, of any period; e.g. `count_ge_3_29` of
        some
            fortnights. All axes but the last are summed.
        own: least number in the pixel.
        around: least number in the 3 x 3 pixels.
    """
    total = np.asarray(counts).reshape(-1, ROWS, COLUMNS).sum(axis=0)
    blocks = np.lib.stride_tricks.sliding_window_view(total, (3, 3)).sum(axis=(2, 3))
    return np.flatnonzero((total >= own) | (np.pad(blocks, 1, mode="edge") >= around))


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
    """Return the (time, pixel) arrays; `key` is the place of each cell-day in them."""

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
    complete = np.ones(len(time), np.bool_)
    gaps = zip(dataset["gap_start"].to_numpy(), dataset["gap_end"].to_numpy(), strict=True)
    for start, end in gaps:
        complete &= (time + FORTNIGHT_DAYS <= start) | (time >= end)
    return complete


def _coordinates(dataset: xr.Dataset, time: NDArray[np.datetime64]) -> dict[str, object]:
    return {
        "time": ("time", time.astype("M8[ns]")),
        "pixel": ("pixel", np.arange(PIXELS)),
        "latitude": ("pixel", dataset["pixel_latitude"].to_numpy()),
        "longitude": ("pixel", dataset["pixel_longitude"].to_numpy()),
        "fault_group": ("pixel", dataset["fault_group"].to_numpy()),
    }
