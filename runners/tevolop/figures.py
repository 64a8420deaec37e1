"""Figures of a run: map of the pixels, series of observed and predicted values, scores by window.

The map takes grid and fault map from the dataset's folder of the same registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.bench import plots
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.formats.earthquake import COLUMNS, ROWS, Grid, pixel_centres
from sciml_data.home import read_json

from .data import WINDOW_TITLES, WINDOWS

FAULT_MAP = "pixel_fault_groups.csv"
SERIES_WINDOWS = (1, 7, 26, 104)
NAMED_MAGNITUDE = 6.6  # earthquakes from this magnitude on have their year on the map
METRICS = {
    "nnse_averaged": "NNSE, mean over locations",
    "nnse_summed": "NNSE of the sum over locations",
}


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `map`, `series` and `nnse`."""
    titles = dict(zip(WINDOWS, WINDOW_TITLES, strict=True))
    rows = {
        f"{titles[steps]}\nmean magnitude": {
            f"{part}, {len(values.coords['pixel'])} pixels": _means(values, steps)
            for part, values in results.predictions.items()
        }
        for steps in SERIES_WINDOWS
    }
    energy = "energy released ahead, as magnitude, mean over locations"
    return {
        "map": _map(results),
        "series": plots.series(results, rows, heading=f"{energy}; by the window's first day"),
        "nnse": plots.scores_by_variant(
            results,
            METRICS,
            {f"w{steps}": title for steps, title in titles.items()},
            heading="NNSE by forecast window (0.5 = predicting the mean)",
        ),
    }


def _means(values: Predictions, steps: int) -> tuple[Any, Any, Any]:
    """Return times and mean over pixels of a window where all pixels have an observation."""
    index = WINDOWS.index(steps)
    observed, predicted = values.observed[..., index], values.predicted[..., index]
    known = np.isfinite(observed).all(axis=0)
    means = [np.where(known, array.mean(axis=0), np.nan) for array in (observed, predicted)]
    return values.coords["time"], means[0], means[1]


def _map(results: plots.Results) -> Any:
    """Return a map of fault groups, pixels of each part, and the greatest earthquakes."""
    dataset = results.record["dataset"]
    registry = Path(__file__).resolve().parents[2]
    folder = registry / "datapackages" / dataset["id"] / dataset["version"]
    grid, faults = _grid_of(folder / "datapackage.json"), folder / FAULT_MAP
    shades_mean = "; shades are fault groups" if faults.is_file() else ""
    heading = f"pixels that are forecast{shades_mean}"
    figure, axes = plots.subplots(results, 1, 1, size=(8.6, 6.2), heading=heading)
    chart = axes[0, 0]
    if faults.is_file():
        edges = (
            np.linspace(grid.west, grid.east, COLUMNS + 1),
            np.linspace(grid.north, grid.south, ROWS + 1),
        )
        shades = np.loadtxt(faults, delimiter=",", dtype=int) * 5 % 9  # neighbours differ
        chart.pcolormesh(*edges, shades, cmap="Pastel1", alpha=0.55, rasterized=True)
    latitude, longitude = pixel_centres(grid)
    parts: dict[tuple[int, ...], list[str]] = {}  # those of a split by time have the same pixels
    for part, values in results.predictions.items():
        parts.setdefault(tuple(values.coords["pixel"].tolist()), []).append(part)
    for pixels, names in parts.items():
        place = longitude[list(pixels)], latitude[list(pixels)]
        look = {"mew": 0, "alpha": 0.85, "color": plots.PART_COLOURS.get(names[0], "black")}
        label = f"{', '.join(names)}: {len(pixels)} pixels"
        chart.plot(*place, "s", ms=4.2, label=label, **look)
    _draw_earthquakes(chart, results.record["facts"].get("greatest_earthquakes", []))
    chart.set(xlim=(grid.west, grid.east), ylim=(grid.south, grid.north))
    chart.set(xlabel="longitude, degrees east", ylabel="latitude, degrees north")
    chart.set_aspect(1 / np.cos(np.deg2rad((grid.north + grid.south) / 2)))
    chart.legend(loc="lower left", fontsize=8, framealpha=0.95)
    return figure


def _grid_of(path: Path) -> Grid:
    """Return the grid that a descriptor states; without it, Southern California."""
    native = read_json(path)["sciml"]["native"] if path.is_file() else {}
    return Grid(**native.get("grid", {}))


def _draw_earthquakes(chart: Any, quakes: list[Mapping[str, Any]]) -> None:
    """Mark earthquakes with stars, and the greatest of them with year and magnitude."""
    if not quakes:
        return
    columns = ("longitude", "latitude", "magnitude")
    longitude, latitude, magnitude = (np.array([q[name] for q in quakes]) for name in columns)
    ends = f"M {magnitude.min():.1f} to {magnitude.max():.1f}"
    chart.scatter(
        longitude, latitude, s=30 * 3.0 ** (magnitude - 6), marker="*", color="#ffdd33",
        edgecolor="black", linewidth=0.7, zorder=3,
        label=f"the {len(quakes)} greatest earthquakes, {ends}",
    )  # fmt: skip
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75}
    labelled: list[tuple[float, float]] = []
    for place, quake in zip(zip(longitude, latitude, strict=True), quakes, strict=True):
        is_free = all(np.hypot(*np.subtract(place, other)) > 0.3 for other in labelled)
        if quake["magnitude"] >= NAMED_MAGNITUDE and is_free:  # labels do not overlap
            labelled.append(place)
            text = f"{quake['date'][:4]} M{quake['magnitude']:.1f}"
            look = {"fontsize": 7, "zorder": 4, "bbox": box}
            chart.annotate(text, place, (5, 4), textcoords="offset points", **look)
