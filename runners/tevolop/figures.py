"""Figures of a run: map of the pixels, series of observed and predicted values, scores by window.

The map also needs the fault map in the dataset's folder of the same registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.bench import plots
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.formats.earthquake import (
    COLUMNS,
    EAST,
    NORTH,
    ROWS,
    SOUTH,
    WEST,
    pixel_centres,
)

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
    variants = {f"w{steps}": name for steps, name in zip(WINDOWS, WINDOW_TITLES, strict=True)}
    heading = "NNSE by forecast window (0.5 = predicting the mean)"
    return {
        "map": _map(results),
        "series": plots.series(
            results,
            {
                f"{WINDOW_TITLES[WINDOWS.index(steps)]}\nmean magnitude": {
                    f"{part}, {len(values.coords['pixel'])} pixels": _means(values, steps)
                    for part, values in results.predictions.items()
                }
                for steps in SERIES_WINDOWS
            },
            heading="energy released ahead, as magnitude, mean over locations; by the first day of "
            "the window",
        ),
        "nnse": plots.scores_by_variant(results, METRICS, variants, heading=heading),
    }


def _means(values: Predictions, steps: int) -> tuple[Any, Any, Any]:
    """Return times and mean over pixels of a window where all pixels have an observation."""
    index = WINDOWS.index(steps)
    known = np.isfinite(values.observed[..., index]).all(axis=0)
    observed, predicted = (
        np.where(known, np.nan_to_num(array[..., index]).mean(axis=0), np.nan)
        for array in (values.observed, values.predicted)
    )
    return values.coords["time"], observed, predicted


def _map(results: plots.Results) -> Any:
    """Return a map of fault groups, pixels of each part, and the greatest earthquakes."""
    heading = "pixels that are forecast; shades are fault groups"
    figure, axes = plots.subplots(results, 1, 1, size=(8.6, 6.2), heading=heading)
    chart = axes[0, 0]
    dataset = results.record["dataset"]
    version = Path(dataset["id"]) / dataset["version"]
    faults = Path(__file__).resolve().parents[2] / "datapackages" / version / FAULT_MAP
    if faults.is_file():
        edges = np.linspace(WEST, EAST, COLUMNS + 1), np.linspace(NORTH, SOUTH, ROWS + 1)
        shades = np.loadtxt(faults, delimiter=",", dtype=int) * 5 % 9  # neighbours differ
        chart.pcolormesh(*edges, shades, cmap="Pastel1", alpha=0.55, rasterized=True)
    latitude, longitude = pixel_centres()
    parts: dict[tuple[int, ...], list[str]] = {}
    for part, values in results.predictions.items():
        parts.setdefault(tuple(values.coords["pixel"].tolist()), []).append(part)
    drawn: set[int] = set()
    for pixels, names in parts.items():
        new = [pixel for pixel in pixels if pixel not in drawn]
        drawn |= set(new)
        chart.plot(
            longitude[new], latitude[new], "s", ms=4.2, mew=0, alpha=0.85,
            color=plots.PART_COLOURS.get(names[0], "black"),
            label=f"{', '.join(names)}: {len(new)} pixels",
        )  # fmt: skip
    _draw_earthquakes(chart, results.record["facts"].get("greatest_earthquakes", []))
    chart.set(
        xlim=(WEST, EAST), ylim=(SOUTH, NORTH), xlabel="longitude, degrees east",
        ylabel="latitude, degrees north",
    )  # fmt: skip
    chart.set_aspect(1 / np.cos(np.deg2rad((NORTH + SOUTH) / 2)))
    chart.legend(loc="lower left", fontsize=8, framealpha=0.95)
    return figure


def _draw_earthquakes(chart: Any, quakes: list[Mapping[str, Any]]) -> None:
    labelled: list[tuple[float, float]] = []
    for number, quake in enumerate(quakes):
        place, size = (quake["longitude"], quake["latitude"]), 30 * 3 ** (quake["magnitude"] - 6)
        first, last = quake["magnitude"], quakes[-1]["magnitude"]
        label = f"the {len(quakes)} greatest earthquakes, M {last:.1f} to {first:.1f}"
        chart.scatter(
            *place, s=size, marker="*", color="#ffdd33", edgecolor="black", linewidth=0.7,
            zorder=3, label=None if number else label,
        )  # fmt: skip
        is_free = all(np.hypot(*np.subtract(place, other)) > 0.3 for other in labelled)
        if quake["magnitude"] >= NAMED_MAGNITUDE and is_free:  # labels do not overlap
            labelled.append(place)
            chart.annotate(
                f"{quake['date'][:4]} M{quake['magnitude']:.1f}", place, (5, 4), fontsize=7,
                textcoords="offset points", zorder=4,
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75},
            )  # fmt: skip
