"""A small artificial earthquake catalogue in its ready form."""

from __future__ import annotations

import numpy as np
import xarray as xr

CATALOGUE_PIXELS = 12


def quake_catalogue(seed: int = 5) -> xr.Dataset:
    """Return a ready dataset of 1950 to mid-2026 with earthquakes in 12 pixels."""
    rng = np.random.default_rng(seed)
    days = (np.datetime64("2026-07-01") - np.datetime64("1950-01-01")).astype(int)
    day, pixel = np.divmod(
        np.flatnonzero(rng.random(days * CATALOGUE_PIXELS) < 0.03), CATALOGUE_PIXELS
    )
    dates = np.datetime64("1950-01-01") + day
    number = len(day)
    magnitude = (1.0 + rng.exponential(0.9, number)).astype(np.float32)
    events = {
        "time": dates.astype("M8[ns]"),
        "latitude": np.full(number, 33.95),
        "longitude": -117.95 + 0.1 * pixel,
        "magnitude": magnitude.astype(float),
        "event_type": np.zeros(number, np.int8),
    }
    cells = {
        "date": dates.astype("M8[ns]"),
        "pixel": (1220 + pixel).astype(np.int32),
        "magnitude": magnitude,
        "depth": np.full(number, 7.0, np.float32),
        "count": np.ones(number, np.int32),
        "count_ge_3_29": (magnitude >= 3.29).astype(np.int32),
    }
    gap = np.array(["2019-10-15", "2019-12-12"], "M8[ns]")
    return xr.Dataset(
        {name: ("event", values) for name, values in events.items()}
        | {f"cell_day_{name}": ("cell_day", values) for name, values in cells.items()}
        | {
            "pixel_latitude": ("pixel", np.zeros(2400)),
            "pixel_longitude": ("pixel", np.zeros(2400)),
        }
        | {"fault_group": ("pixel", np.arange(2400) // 70)}
        | {"gap_start": ("gap", gap[:1]), "gap_end": ("gap", gap[1:])},
        attrs={
            "time_coverage_start": "1932-01-02T00:00:00",
            "time_coverage_end": "2026-07-01T00:00:00",
            "geospatial_lat_min": 32.0,
            "geospatial_lat_max": 36.0,
            "geospatial_lon_min": -120.0,
        },
    )
