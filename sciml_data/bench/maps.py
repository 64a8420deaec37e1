"""Maps: a coast line, a scale, and equal distances along both axes.

The coast line is that of Natural Earth (1:10 million, public domain; naturalearthdata.com), version
2.0.2 of the npm package `world-atlas`, clipped to the regions of the built-in datasets: Southern
California to 0.6 km and Japan to 4 km. Elsewhere a map has no coast.
"""

from __future__ import annotations

import csv
import itertools
import math
from functools import cache
from pathlib import Path
from typing import Any

COAST = Path(__file__).with_name("coast.csv")
KM_PER_DEGREE = 111.2  # of latitude, on a sphere of 6,371 km
SCALE_SHARE = 0.22  # of a map's width that its scale may take
COAST_COLOUR = "#20364d"


def frame_map(
    chart: Any, *, west: float, east: float, south: float, north: float, scale: str = "lower right"
) -> None:
    """Limit a chart to a region, and draw its coast and a scale in kilometres.

    Args:
        chart: matplotlib axes, whose x is longitude and y latitude in degrees.
        west: lowest longitude.
        east: highest longitude.
        south: lowest latitude.
        north: highest latitude.
        scale: corner of the scale, "lower right" or "lower left".
    """
    squeeze = math.cos(math.radians((north + south) / 2))
    for line in coast_lines():
        longitude, latitude = zip(*line, strict=True)
        chart.plot(longitude, latitude, color=COAST_COLOUR, lw=0.9, zorder=2.4)
    chart.set(xlim=(west, east), ylim=(south, north), aspect=1 / squeeze)
    chart.set(xlabel="longitude, degrees east", ylabel="latitude, degrees north")
    width_km = (east - west) * KM_PER_DEGREE * squeeze
    power = 10.0 ** math.floor(math.log10(width_km * SCALE_SHARE))
    length_km = max(step * power for step in (1, 2, 5) if step * power <= width_km * SCALE_SHARE)
    share = length_km / width_km
    start = 0.03 if scale == "lower left" else 0.97 - share
    look = {"transform": chart.transAxes, "zorder": 5}
    chart.plot([start, start + share], [0.03, 0.03], color="black", lw=2.5, **look)
    text = {"ha": "center", "va": "bottom", "fontsize": 8, "zorder": 5}
    box = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7}
    place = start + share / 2, 0.045
    chart.text(*place, f"{length_km:,.0f} km", transform=chart.transAxes, bbox=box, **text)


@cache
def coast_lines() -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return the lines of the coast, each as (longitude, latitude) of its points in degrees."""
    with COAST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        tuple((float(row["longitude"]), float(row["latitude"])) for row in points)
        for _, points in itertools.groupby(rows, key=lambda row: row["line"])
    )
