"""Overview of an earthquake catalogue: a map, magnitudes over time, and how many of which size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml_data.bench.maps import frame_map
from sciml_data.site.overview.panels import LABEL_SIZE, plain, title

if TYPE_CHECKING:
    from sciml_data.site.overview.drawing import Parts

MAX_ON_MAP = 6000  # the greatest ones; more make an even grey
MAX_IN_TIME = 3000
STEP = 0.1  # of magnitudes in catalogues


def draw(figure: Any, parts: Parts) -> None:
    """Draw the panels of a catalogue."""
    import numpy as np

    with parts.open() as events:
        longitude, latitude, depth, magnitude, date = (
            events[name].to_numpy()
            for name in ("longitude", "latitude", "depth", "magnitude", "time")
        )
        pixel_latitude, pixel_longitude = (
            events[f"pixel_{name}"].to_numpy() for name in ("latitude", "longitude")
        )
    half = np.diff(np.unique(pixel_longitude)).min() / 2
    sides = {
        "west": pixel_longitude.min() - half, "east": pixel_longitude.max() + half,
        "south": pixel_latitude.min() - half, "north": pixel_latitude.max() + half,
    }  # fmt: skip
    charts = figure.subplots(1, 3, width_ratios=(1.25, 1.2, 0.9))
    order = np.argsort(np.nan_to_num(magnitude, nan=-9.0), kind="stable")
    order = order[np.isfinite(magnitude[order])]
    shown = order[-MAX_ON_MAP:]
    size = 0.4 * 2.2 ** (magnitude[shown] - 3)
    look = {"vmin": 0, "vmax": np.nanpercentile(depth[shown], 95) + 1e-6, "cmap": "plasma_r"}
    dots = charts[0].scatter(
        longitude[shown], latitude[shown], s=size, c=depth[shown], lw=0, rasterized=True, **look
    )
    frame_map(charts[0], **sides, scale="lower left")
    least = magnitude[shown].min()
    title(charts[0], f"{len(shown):,} earthquakes from magnitude {least:.1f}")
    plain(charts[0], "longitude, degrees east", "latitude, degrees north")
    bar = figure.colorbar(dots, ax=charts[0], pad=0.02)
    bar.ax.tick_params(labelsize=LABEL_SIZE)
    bar.set_label("depth, km", fontsize=LABEL_SIZE)
    _in_time(charts[1], date[order[-MAX_IN_TIME:]], magnitude[order[-MAX_IN_TIME:]])
    _sizes(charts[2], magnitude[order])


def _in_time(chart: Any, date: Any, magnitude: Any) -> None:
    chart.vlines(date, magnitude.min(), magnitude, color="#2f6ca8", lw=0.6, alpha=0.6)
    chart.plot(date, magnitude, "o", ms=1.8, color="#173a5e")
    title(chart, f"the {len(date):,} largest over time")
    plain(chart, "year", "magnitude")
    chart.set_ylim(bottom=magnitude.min())
    chart.grid(alpha=0.3)


def _sizes(chart: Any, magnitude: Any) -> None:
    import numpy as np

    levels = np.arange(np.floor(magnitude.min()), magnitude.max() + STEP, STEP)
    ordered = np.sort(magnitude)
    counts = len(ordered) - np.searchsorted(ordered, levels - STEP / 2)
    chart.semilogy(levels, np.where(counts > 0, counts, np.nan), ".", ms=3, color="#173a5e")
    title(chart, "number by magnitude")
    plain(chart, "magnitude", "earthquakes this large or larger")
    chart.grid(alpha=0.3)
