"""Figures of a run: map of the pixels, series of observed and predicted values, scores by window.

The map takes grid and fault map from the dataset's folder of the same registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke

from sciml_data.bench import maps, plots
from sciml_data.bench.scoring import baselines
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TRAIN
from sciml_data.formats.earthquake import COLUMNS, FORTNIGHT_DAYS, ROWS, Grid, pixel_centres
from sciml_data.home import read_json

from .data import WINDOW_TITLES, WINDOWS

FAULT_MAP = "pixel_fault_groups.csv"
SERIES_WINDOWS = (1, 7, 26, 104)
LABEL_WIDTH, LABEL_HEIGHT = 0.095, 0.02  # of an earthquake's label, as shares of the map's width
# Tints of fault groups that touch each other: pale, so that pixels and stars stay in front.
FAULT_TINTS = ("#f3e9d2", "#dcebf5", "#e6f2dc", "#f8dfe0", "#e9e2f2", "#fbf6c8", "#dff3ef")
FORTNIGHT = np.timedelta64(FORTNIGHT_DAYS, "D")
METRICS = {
    "nnse_averaged": "NNSE, mean over locations",
    "nnse_summed": "NNSE of the sum over locations",
}


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `map`, `series` and `nnse`."""
    titles = dict(zip(WINDOWS, WINDOW_TITLES, strict=True))
    baselines = _baselines(results.predictions)
    rows = {
        f"{titles[steps]}\nmean magnitude": {
            f"{part}, {len(values.coords['pixel'])} pixels": _means(values, baselines[part], steps)
            for part, values in results.predictions.items()
        }
        for steps in SERIES_WINDOWS
    }
    energy = "energy released ahead, as magnitude, mean over locations; each row has its own range"
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


def _means(
    values: Predictions, baselines: Mapping[str, Any], steps: int
) -> tuple[Any, Mapping[str, Any]]:
    """Return times, and means over pixels of a window where all pixels have an observation."""
    index = WINDOWS.index(steps)
    lines = {"observed": values.observed, "predicted": values.predicted, **baselines}
    known = np.isfinite(values.observed[..., index]).all(axis=0)
    with np.errstate(invalid="ignore"):
        means = {name: line[..., index].mean(axis=0) for name, line in lines.items()}
    return values.coords["time"], {
        name: np.where(known, mean, np.nan) for name, mean in means.items()
    }


def _baselines(parts: Mapping[str, Predictions]) -> dict[str, dict[str, Any]]:
    """Return climatology and persistence of each part, (pixel, time, window).

    They follow from the stored observations. Persistence has a gap at the start of a part, unless
    a part of the same pixels is before it: a whole window must have passed.
    """
    training = parts.get(TRAIN)
    drawn: dict[str, dict[str, Any]] = {}
    for part, values in parts.items():
        pixels, times = values.coords["pixel"], values.coords["time"]
        same = [other for other in parts.values() if np.array_equal(other.coords["pixel"], pixels)]
        known = np.concatenate([other.coords["time"] for other in same])
        dates = np.arange(known.min(), known.max() + FORTNIGHT, FORTNIGHT)
        past = np.full((len(pixels), len(dates), len(WINDOWS)), np.nan)
        for other in same:
            past[:, np.searchsorted(dates, other.coords["time"])] = other.observed
        persistence = baselines.persistence(past, WINDOWS)
        drawn[part] = {"persistence": persistence[:, np.searchsorted(dates, times)]}
        if training is not None and np.array_equal(training.coords["pixel"], pixels):
            climatology = baselines.climatology(training.observed, like=values.observed)
            drawn[part]["climatology"] = climatology
    return drawn


def _map(results: plots.Results) -> Any:
    """Return a map of fault groups, pixels of each part, and the greatest earthquakes."""
    dataset = results.record["dataset"]
    registry = Path(__file__).resolve().parents[2]
    folder = registry / "datapackages" / dataset["id"] / dataset["version"]
    grid, faults = _grid_of(folder / "datapackage.json"), folder / FAULT_MAP
    words = "; numbers: fault groups, by the published map" if faults.is_file() else ""
    figure, axes = plots.subplots(
        results, 1, 1, size=(9.0, 6.9), heading=f"pixels that are forecast{words}"
    )
    chart = axes[0, 0]
    if faults.is_file():
        _draw_faults(chart, grid, np.loadtxt(faults, delimiter=",", dtype=int))
    latitude, longitude = pixel_centres(grid)
    parts: dict[tuple[int, ...], list[str]] = {}  # those of a split by time have the same pixels
    for part, values in results.predictions.items():
        parts.setdefault(tuple(values.coords["pixel"].tolist()), []).append(part)
    for pixels, names in parts.items():
        place = longitude[list(pixels)], latitude[list(pixels)]
        look = {"mew": 0, "alpha": 0.85, "color": plots.PART_COLOURS.get(names[0], "black")}
        label = f"{', '.join(names)}: {len(pixels)} pixels"
        chart.plot(*place, "s", ms=4.2, label=label, **look)
    quakes = results.record["facts"].get("greatest_earthquakes", [])
    _draw_earthquakes(chart, quakes, width=grid.east - grid.west)
    sides = {"west": grid.west, "east": grid.east, "south": grid.south, "north": grid.north}
    maps.frame_map(chart, **sides, scale="lower left")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _draw_faults(chart: Any, grid: Grid, groups: npt.NDArray[np.integer]) -> None:
    """Draw fault groups (row, column): tints that differ between neighbours, edges, numbers."""
    edges = (
        np.linspace(grid.west, grid.east, COLUMNS + 1),
        np.linspace(grid.north, grid.south, ROWS + 1),
    )
    colours = ListedColormap(FAULT_TINTS)
    chart.pcolormesh(*edges, _tints(groups), cmap=colours, vmin=0, vmax=len(FAULT_TINTS) - 1)
    white = {"color": "white", "lw": 0.8}
    for row, column in np.argwhere(groups[:, 1:] != groups[:, :-1]):
        chart.plot([edges[0][column + 1]] * 2, edges[1][row : row + 2], **white)
    for row, column in np.argwhere(groups[1:] != groups[:-1]):
        chart.plot(edges[0][column : column + 2], [edges[1][row + 1]] * 2, **white)
    middle = [(side[1:] + side[:-1]) / 2 for side in edges]
    for group in np.unique(groups):
        rows, columns = (groups == group).nonzero()
        distance = np.hypot(rows - rows.mean(), columns - columns.mean())
        nearest = distance.argmin()  # the centre of a bent group may be in another
        place = middle[0][columns[nearest]], middle[1][rows[nearest]]
        look = {"fontsize": 7, "color": "#444444", "ha": "center", "va": "center", "zorder": 2.6}
        halo = [withStroke(linewidth=2, foreground="white")]
        chart.text(*place, str(group), path_effects=halo, **look)


def _tints(groups: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Return the number of a tint for each pixel; groups that touch have different tints."""
    across = np.stack([groups[:, 1:], groups[:, :-1]], axis=-1).reshape(-1, 2)
    down = np.stack([groups[1:], groups[:-1]], axis=-1).reshape(-1, 2)
    pairs = np.unique(np.concatenate([across, down, across[:, ::-1], down[:, ::-1]]), axis=0)
    tints: dict[int, int] = {}
    for group in np.unique(groups).tolist():
        taken = {tints.get(other) for other in pairs[pairs[:, 0] == group, 1].tolist()}
        free = [tint for tint in range(len(FAULT_TINTS)) if tint not in taken]
        tints[group] = free[0] if free else 0
    return np.asarray(np.vectorize(tints.__getitem__)(groups))


def _grid_of(path: Path) -> Grid:
    """Return the grid that a descriptor states; without it, Southern California."""
    native = read_json(path)["sciml"]["native"] if path.is_file() else {}
    return Grid(**native.get("grid", {}))


def _draw_earthquakes(chart: Any, quakes: list[Mapping[str, Any]], *, width: float) -> None:
    """Mark earthquakes with stars, and those that have room with year and magnitude.

    Args:
        chart: the map.
        quakes: with longitude, latitude, magnitude and date.
        width: of the map in degrees.
    """
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
    stars = list(zip(longitude.tolist(), latitude.tolist(), strict=True))
    labelled: list[tuple[float, float]] = []
    for place, quake in sorted(
        zip(stars, quakes, strict=True), key=lambda pair: -pair[1]["magnitude"]
    ):
        for side in (1.0, -1.0):  # a label is to the right of its star, or to the left
            middle = place[0] + side * 0.6 * LABEL_WIDTH * width, place[1]
            others = [star for star in stars if star != place]
            if _is_free(middle, others, labelled, width=width):
                labelled.append(middle)
                text = f"{quake['date'][:4]} M{quake['magnitude']:.1f}"
                look = {"fontsize": 7, "zorder": 4, "ha": "center", "va": "center"}
                box = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.8}
                chart.text(*middle, text, bbox=box, **look)
                break


def _is_free(
    middle: tuple[float, float],
    stars: list[tuple[float, float]],
    labels: list[tuple[float, float]],
    *,
    width: float,
) -> bool:
    """Return whether a label with this middle covers neither a star nor another label."""
    reach, height = LABEL_WIDTH * width, LABEL_HEIGHT * width
    covered = [(*star, 0.55 * reach, 0.7 * height) for star in stars]
    covered += [(*label, reach, height) for label in labels]
    return all(abs(middle[0] - x) > dx or abs(middle[1] - y) > dy for x, y, dx, dy in covered)
