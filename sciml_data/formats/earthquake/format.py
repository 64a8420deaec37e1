"""Earthquake catalogues as one ready file `events.nc`: events, cell-days, pixels, decades, gaps.

SCEDC and SCSN yearly files, ComCat lists and ANSS lists are merged by the rules of `catalogue.py`.
Fortnights of the benchmark's grid are a view, made when the file is opened. The whole catalogue is
kept, for Southern California 32-37 N and 122-114 W; cell-days cover the benchmark's box.

The block `native` of the descriptor has

    parts          the native files and what is taken from them; see `catalogue.py`
    fault_groups   file beside the descriptor with the fault group of each pixel. Optional: without
                   it the ready form has no `fault_group`
    grid           north, west and pixels_per_degree of the pixels; by default Southern California

Names, units and flags follow the CF conventions 1.11. If two dimensions have the same quantity, its
name starts with the dimension (`magnitude` of an event, `cell_day_magnitude` of a day in a pixel).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.errors import CallError, NativeFormatError, Problem
from sciml_data.formats.earthquake import grid
from sciml_data.formats.earthquake.catalogue import Catalogue, Gap, read_catalogue
from sciml_data.formats.earthquake.events import EVENT_TYPES, MAGNITUDE_TYPES, QUALITIES
from sciml_data.formats.interface import Native, Shard

VIEWS: Mapping[str, Callable[..., xr.Dataset]] = MappingProxyType({"fortnights": grid.fortnights})
CHUNK_ROWS = 1 << 17  # about 1 MiB of 8-byte numbers
COMPRESSION_LEVEL = 1  # higher ones save 2 % and take twice as long: benchmarks/convert.py
EPOCH = "1950-01-01 00:00:00"  # the reference's first day
BIN_HUNDREDTHS = 10  # bins of 0.1, each from 0.05 below its magnitude to 0.04 above it
CORRECTION = 0.2
Variable = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]


def shards(native: Native, options: Mapping[str, Any]) -> tuple[Shard, ...]:
    """Return the one ready file that all native files make together.

    Raises:
        CallError: an option is given; this format has none.
    """
    if options:
        raise CallError(
            f"the conversion of earthquake catalogues has no options, but got {', '.join(options)}",
            untouched="nothing was read",
            hint="fortnights and their floor are options of `open_dataset`",
        )
    return (Shard("events.nc", native.split_of(native.paths[0]) or "all", native.paths),)


def read(native: Native, shard: Shard, options: Mapping[str, Any]) -> xr.Dataset:  # noqa: ARG001 (protocol)
    """Return the merged catalogue, with attributes and encoding.

    Raises:
        NativeFormatError: `.problems` has every line that does not follow its format.
    """
    catalogue = read_catalogue(native.root, native.block["parts"], shard.inputs)
    name = native.block.get("fault_groups")
    groups = None if name is None else _read_fault_groups(native.folder / name)
    return ready_dataset(catalogue, groups, grid.Grid(**native.block.get("grid", {})))


def ready_dataset(
    catalogue: Catalogue,
    groups: NDArray[np.integer[Any]] | None,
    region: grid.Grid = grid.SOUTHERN_CALIFORNIA,
) -> xr.Dataset:
    """Return a catalogue as one dataset, with attributes and encoding.

    Args:
        catalogue: the merged table.
        groups: (row=40, column=60) integers, fault group of each pixel, row 0 in the north; None
            without a map of faults.
        region: grid of the pixels.
    """
    earthquakes = catalogue.events.take(grid.in_benchmark(catalogue.events, region))
    variables = {
        **_event_variables(catalogue),
        **_cell_day_variables(grid.cell_days(catalogue.events, region)),
        **_pixel_variables(groups, region),
        **_decade_variables(*completeness_by_decade(earthquakes.time, earthquakes.magnitude)),
        **_gap_variables(catalogue.gaps),
    }
    dataset = xr.Dataset(variables, attrs=_attributes(catalogue, region))
    for name, variable in dataset.variables.items():
        variable.encoding = _encoding(str(name), variable)
    return dataset


def completeness_by_decade(
    time: NDArray[np.datetime64], magnitude: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the first year of each decade, and the magnitude above which it is complete.

    Maximum curvature: the most frequent magnitude, plus 0.2, since that peak is a little below
    completeness (Wiemer and Wyss 2000, BSSA 90, 859-869; the correction of Woessner and Wiemer
    2005, BSSA 95, 684-698). Fast, and enough to see how different the decades are.

    Args:
        time: (event) origin times, sorted.
        magnitude: (event) float64, known magnitudes only.

    Returns:
        (decade) int32 years, (decade) float32 magnitudes.
    """
    years = time.astype("M8[Y]").astype(np.int64) + 1970
    decades = np.unique(years // 10 * 10)
    magnitudes = [maximum_curvature(magnitude[years // 10 * 10 == decade]) for decade in decades]
    return decades.astype(np.int32), np.array(magnitudes, np.float32)


def maximum_curvature(magnitude: NDArray[np.float64]) -> float:
    """Return the fullest bin of 0.1 magnitudes (the lowest of equal ones), plus 0.2."""
    hundredths = np.round(magnitude * 100).astype(np.int64)
    bins, counts = np.unique(
        (hundredths + BIN_HUNDREDTHS // 2) // BIN_HUNDREDTHS, return_counts=True
    )
    return round(float(bins[np.argmax(counts)]) * BIN_HUNDREDTHS / 100 + CORRECTION, 1)


def _read_fault_groups(path: Path) -> NDArray[np.int32]:
    """Return the fault group of each pixel: (row=40, column=60) int32, row 0 in the north.

    Raises:
        NativeFormatError: the table has another shape, or a value that is not an integer.
    """
    try:
        groups = np.loadtxt(path, delimiter=",", dtype=np.int32, ndmin=2)
    except ValueError as error:
        problems = [Problem("malformed", path.name, str(error))]
        raise NativeFormatError(f"cannot read {path.name}", problems=problems) from error
    if groups.shape != (grid.ROWS, grid.COLUMNS):
        shape = " x ".join(map(str, groups.shape))
        message = f"{grid.ROWS} x {grid.COLUMNS} numbers expected, {shape} found"
        problems = [Problem("shape", path.name, message)]
        raise NativeFormatError(f"cannot read {path.name}", problems=problems)
    return groups


def _event_variables(catalogue: Catalogue) -> dict[str, Variable]:
    events = catalogue.events
    where = {"coordinates": "time latitude longitude depth"}

    def column(values: NDArray[Any], long_name: str, **attributes: Any) -> Variable:
        return ("event",), values, {"long_name": long_name, **attributes}

    return {
        "time": column(events.time.astype("M8[ns]"), "origin time, UTC", standard_name="time"),
        "latitude": column(
            events.latitude, "epicentre latitude", standard_name="latitude", units="degrees_north"
        ),
        "longitude": column(
            events.longitude, "epicentre longitude", standard_name="longitude", units="degrees_east"
        ),
        "depth": column(
            events.depth.astype(np.float32),
            "hypocentre depth below the catalogue's datum",
            standard_name="depth",
            units="km",
            positive="down",
        ),
        "magnitude": column(
            events.magnitude, "magnitude, not a number where not determined", units="1", **where
        ),
        "magnitude_type": column(
            events.magnitude_type, "type of magnitude", **_flags(MAGNITUDE_TYPES), **where
        ),
        "event_type": column(events.event_type, "type of event", **_flags(EVENT_TYPES), **where),
        "quality": column(events.quality, "quality of location", **_flags(QUALITIES), **where),
        "catalogue": column(
            catalogue.part, "part of the native files", **_flags(catalogue.names), **where
        ),
        "event_id": column(
            _trimmed(events.event_id), "network code and number of the event", **where
        ),
    }


def _cell_day_variables(days: grid.CellDays) -> dict[str, Variable]:
    def column(values: NDArray[Any], long_name: str, **attributes: Any) -> Variable:
        return ("cell_day",), values, {"long_name": long_name, **attributes}

    return {
        "cell_day_date": column(days.day.astype("M8[D]").astype("M8[ns]"), "day, UTC"),
        "cell_day_pixel": column(days.pixel, "pixel, 60 * row + column from the north-west corner"),
        "cell_day_magnitude": column(
            days.magnitude,
            "log10(sum of 10^(1.5 magnitude)) / 1.5 of the day's earthquakes",
            units="1",
        ),
        "cell_day_depth": column(days.depth, "energy-weighted depth", units="km", positive="down"),
        "cell_day_count": column(days.count, "earthquakes of known magnitude", units="1"),
        "cell_day_count_ge_3_29": column(
            days.count_ge_3_29, "earthquakes of magnitude 3.29 and more", units="1"
        ),
    }


def _pixel_variables(
    groups: NDArray[np.integer[Any]] | None, region: grid.Grid
) -> dict[str, Variable]:
    latitude, longitude = grid.pixel_centres(region)
    place = {"coordinates": "pixel_latitude pixel_longitude"}
    variables: dict[str, Variable] = {
        "pixel_latitude": (
            ("pixel",),
            latitude,
            {"long_name": "latitude of the pixel's centre", "units": "degrees_north"}
            | {"standard_name": "latitude"},
        ),
        "pixel_longitude": (
            ("pixel",),
            longitude,
            {"long_name": "longitude of the pixel's centre", "units": "degrees_east"}
            | {"standard_name": "longitude"},
        ),
    }
    if groups is not None:
        values = groups.ravel().astype(np.int32)
        variables["fault_group"] = (("pixel",), values, {"long_name": "fault group", **place})
    return variables


def _decade_variables(
    decade: NDArray[np.int32], magnitude: NDArray[np.float32]
) -> dict[str, Variable]:
    method = "maximum curvature + 0.2, earthquakes in the benchmark's box"
    return {
        "decade": (("decade",), decade, {"long_name": "first year of the decade"}),
        "completeness_magnitude": (
            ("decade",),
            magnitude,
            {"long_name": "magnitude from which on the decade is complete", "units": "1"}
            | {"comment": method},
        ),
    }


def _gap_variables(gaps: tuple[Gap, ...]) -> dict[str, Variable]:
    def column(values: list[Any], dtype: str, long_name: str, **attributes: Any) -> Variable:
        return ("gap",), np.array(values, dtype), {"long_name": long_name, **attributes}

    return {
        "gap_start": column([gap.start for gap in gaps], "M8[ns]", "start of the gap, UTC"),
        "gap_end": column([gap.end for gap in gaps], "M8[ns]", "end of the gap, UTC"),
        "gap_complete_above": column(
            [gap.complete_above for gap in gaps],
            "f8",
            "least magnitude that the catalogue has in the gap",
            units="1",
        ),
    }


def _flags(words: tuple[str, ...]) -> dict[str, Any]:
    return {"flag_values": np.arange(len(words), dtype=np.int8), "flag_meanings": " ".join(words)}


def _trimmed(ids: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Return the ids without trailing bytes that are empty in all of them."""
    characters = ids.view(np.uint8).reshape(len(ids), -1)
    width = int(np.flatnonzero(characters.any(axis=0)).max(initial=0)) + 1
    return np.ascontiguousarray(characters[:, :width]).view(f"S{width}").ravel()


def _attributes(catalogue: Catalogue, region: grid.Grid) -> dict[str, Any]:
    events = catalogue.events
    ends: Mapping[str, Any] = (
        {"time_coverage_start": str(events.time[0]), "time_coverage_end": str(events.time[-1])}
        if len(events)
        else {}
    )
    return {
        "Conventions": "CF-1.11",
        "featureType": "point",
        **ends,
        "geospatial_lat_min": region.south,
        "geospatial_lat_max": region.north,
        "geospatial_lon_min": region.west,
        "geospatial_lon_max": region.east,
        "geospatial_bounds_comment": "of the pixels; events are given as far as the catalogue goes",
    }


def _encoding(name: str, variable: xr.Variable) -> dict[str, Any]:
    encoding: dict[str, Any] = {"_FillValue": None}
    if variable.dtype.kind == "M":
        unit = "days" if name == "cell_day_date" else "milliseconds"
        integer = np.int32 if name == "cell_day_date" else np.int64
        encoding |= {"units": f"{unit} since {EPOCH}", "calendar": "proleptic_gregorian"}
        encoding |= {"dtype": integer}
    elif variable.dtype.kind == "f":
        encoding["_FillValue"] = np.nan if np.isnan(variable.values).any() else None
    if variable.size > grid.PIXELS:
        chunk = min(variable.size, CHUNK_ROWS)
        encoding |= {"zlib": True, "complevel": COMPRESSION_LEVEL, "shuffle": True}
        letters = (variable.dtype.itemsize,) if variable.dtype.kind == "S" else ()
        encoding |= {"chunksizes": (chunk, *letters)}
    return encoding
