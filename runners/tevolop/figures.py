"""Figures of a run: map of the pixels, series of observed and predicted values, scores by window.

They are drawn from the run's folder (predictions and record), and from the fault map in the
dataset's folder of the same registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.bench.plots import PART_COLOURS, save_figure
from sciml_data.bench.record.runs import PREDICTIONS_NAME
from sciml_data.bench.scoring.predictions import Predictions, load_predictions
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
MIN_WIDTH = 330  # fortnights; a shorter part is drawn as wide, so that its dates are readable
MODEL_COLOUR = "#cc3311"
BASELINE_LOOKS = {
    "persistence": ("#0077bb", "s", "-"),
    "climatology": ("#777777", "v", ":"),
    "ridge": ("#009988", "^", "-"),
    "same_date_mean": ("#ee7733", "D", "--"),
}
NAMED_MAGNITUDE = 6.6  # earthquakes from this magnitude on have their year on the map
DRAWN_METRICS = {
    "nnse_averaged": "NNSE, mean over locations",
    "nnse_summed": "NNSE of the sum over locations",
}


def draw(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write map.png, series.png and nnse.png into `<run>/figures`, and return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    predictions = load_predictions(run_folder / PREDICTIONS_NAME)
    drawn = {
        "map": _map(predictions, record),
        "series": _series(predictions, record),
        "nnse": _scores(record),
    }
    folder = run_folder / "figures"
    folder.mkdir(exist_ok=True)
    return [save_figure(figure, folder / f"{name}.png", record) for name, figure in drawn.items()]


def _map(predictions: Mapping[str, Predictions], record: Mapping[str, Any]) -> Any:
    """Return a map of fault groups, pixels of each part, and the greatest earthquakes."""
    figure, axes = _subplots(1, 1, size=(8.6, 6.0))
    chart = axes[0, 0]
    groups = _fault_groups(record)
    if groups is not None:
        edges = np.linspace(WEST, EAST, COLUMNS + 1), np.linspace(NORTH, SOUTH, ROWS + 1)
        chart.pcolormesh(*edges, _shades(groups), cmap="Pastel1", alpha=0.55, rasterized=True)
    latitude, longitude = pixel_centres()
    drawn: set[int] = set()
    for part, values in predictions.items():
        pixels = [pixel for pixel in values.coords["pixel"].tolist() if pixel not in drawn]
        drawn |= set(pixels)
        if pixels:
            others = [name for name in predictions if _same_pixels(predictions[name], values)]
            label = f"{', '.join(others)}: {len(pixels)} pixels"
            chart.plot(
                longitude[pixels], latitude[pixels], "s", ms=4.2, mew=0, alpha=0.85,
                color=PART_COLOURS.get(part, "black"), label=label,
            )  # fmt: skip
    _draw_earthquakes(chart, record)
    chart.set(
        xlim=(WEST, EAST), ylim=(SOUTH, NORTH), xlabel="longitude, degrees east",
        ylabel="latitude, degrees north",
        title=f"{_title(record)}\npixels that are forecast; shades are fault groups",
    )  # fmt: skip
    chart.set_aspect(1 / np.cos(np.deg2rad((NORTH + SOUTH) / 2)))
    chart.legend(loc="lower left", fontsize=8, framealpha=0.95)
    return figure


def _draw_earthquakes(chart: Any, record: Mapping[str, Any]) -> None:
    quakes = record["facts"].get("greatest_earthquakes", [])
    if not quakes:
        return
    places = np.array([(quake["longitude"], quake["latitude"]) for quake in quakes])
    sizes = [30 * 3 ** (quake["magnitude"] - 6) for quake in quakes]
    chart.scatter(
        *places.T, s=sizes, marker="*", color="#ffdd33", edgecolor="black", linewidth=0.7, zorder=3,
        label=f"the {len(quakes)} greatest earthquakes, M {quakes[-1]['magnitude']:.1f} to "
        f"{quakes[0]['magnitude']:.1f}",
    )  # fmt: skip
    for quake, place in zip(quakes, places, strict=True):
        if quake["magnitude"] >= NAMED_MAGNITUDE:
            chart.annotate(
                f"{quake['date'][:4]} M{quake['magnitude']:.1f}", place, (5, 4), fontsize=7,
                textcoords="offset points", zorder=4,
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75},
            )  # fmt: skip


def _series(predictions: Mapping[str, Predictions], record: Mapping[str, Any]) -> Any:
    """Return observed and predicted means over locations, a row for each window length."""
    parts = list(predictions)
    widths = [max(len(predictions[part].coords["time"]), MIN_WIDTH) for part in parts]
    figure, axes = _subplots(
        len(SERIES_WINDOWS),
        len(parts),
        size=(13.0, 9.0),
        width_ratios=widths,
        sharey="row",
        sharex="col",
    )
    for row, steps in enumerate(SERIES_WINDOWS):
        index = WINDOWS.index(steps)
        for column, part in enumerate(parts):
            _draw_series(axes[row, column], predictions[part], index)
            axes[row, column].margins(x=0.01)
        axes[row, 0].set_ylabel(f"{WINDOW_TITLES[index]}\nmean magnitude")
    for column, part in enumerate(parts):
        count = len(predictions[part].coords["pixel"])
        axes[0, column].set_title(f"{part}, {count} pixels", fontsize=10)
    axes[0, 0].legend(loc="upper left", fontsize=8, ncols=2)
    figure.suptitle(
        f"{_title(record)}: energy released ahead, as magnitude, mean over locations; "
        "by the first day of the window"
    )
    return figure


def _draw_series(chart: Any, values: Predictions, index: int) -> None:
    from matplotlib import dates

    known = np.isfinite(values.observed[..., index]).all(axis=0)
    times = values.coords["time"]
    for array, look in (
        (values.observed, {"color": "black", "lw": 0.9, "label": "observed"}),
        (values.predicted, {"color": MODEL_COLOUR, "lw": 0.9, "alpha": 0.8, "label": "predicted"}),
    ):
        mean = np.where(known, np.nan_to_num(array[..., index]).mean(axis=0), np.nan)
        chart.plot(times, mean, **look)
    chart.grid(alpha=0.3)
    untyped: Any = dates
    ticks = untyped.AutoDateLocator(minticks=2, maxticks=5)
    chart.xaxis.set_major_locator(ticks)
    chart.xaxis.set_major_formatter(untyped.ConciseDateFormatter(ticks, show_offset=False))
    if not known.any():
        chart.text(0.5, 0.5, "no whole window", transform=chart.transAxes, ha="center", fontsize=8)


def _scores(record: Mapping[str, Any]) -> Any:
    """Return NNSE of model and baselines by window, a column for each part."""
    rows = [row for row in record["metrics"] if row["metric_id"] in DRAWN_METRICS]
    parts = list(dict.fromkeys(row["part"] for row in rows))
    figure, axes = _subplots(
        len(DRAWN_METRICS),
        len(parts),
        size=(3.4 * len(parts) + 1.2, 7.2),
        sharex=True,
        sharey="row",
    )
    for line, (metric, title) in enumerate(DRAWN_METRICS.items()):
        for column, part in enumerate(parts):
            chart = axes[line, column]
            by_window = {
                row["variant"]: row
                for row in rows
                if row["part"] == part and row["metric_id"] == metric
            }
            _draw_scores(chart, [by_window.get(f"w{steps}") for steps in WINDOWS], record)
            if line == 0:
                chart.set_title(part, fontsize=10)
        axes[line, 0].set_ylabel(title)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.suptitle(f"{_title(record)}\nNNSE by forecast window (0.5 = predicting the mean)")
    return figure


def _draw_scores(chart: Any, rows: list[Any], record: Mapping[str, Any]) -> None:
    def values(name: str | None) -> list[float]:
        scores = [
            None if row is None else row["score"] if name is None else row["baselines"].get(name)
            for row in rows
        ]
        return [np.nan if score is None else score for score in scores]

    places = range(len(WINDOWS))
    names = dict.fromkeys(name for row in rows if row for name in row["baselines"])
    for name in names:
        colour, marker, style = BASELINE_LOOKS.get(name, ("#999999", "o", "-"))
        chart.plot(
            places, values(name), style, marker=marker, ms=4, color=colour, lw=1.1,
            label=name.replace("_", " "),
        )  # fmt: skip
    chart.plot(
        places, values(None), "-o", ms=5, color=MODEL_COLOUR, lw=2, label=record["model"]["name"]
    )
    chart.axhline(0.5, color="black", lw=0.6, ls=":")
    chart.set_xticks(places, WINDOW_TITLES, rotation=45, ha="right", fontsize=8)
    chart.grid(alpha=0.3)


def _subplots(
    rows: int, columns: int, *, size: tuple[float, float], **options: Any
) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)


def _fault_groups(record: Mapping[str, Any]) -> np.ndarray[Any, Any] | None:
    """Return the fault map (row=40, column=60) of this runner's registry; None without one."""
    version = Path(record["dataset"]["id"]) / record["dataset"]["version"]
    path = Path(__file__).resolve().parents[2] / "datapackages" / version / FAULT_MAP
    return np.loadtxt(path, delimiter=",", dtype=int) if path.is_file() else None


def _shades(groups: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a shade (0 to 8) for each group, so that neighbouring groups differ."""
    return np.asarray(groups * 5 % 9)


def _same_pixels(first: Predictions, other: Predictions) -> bool:
    return np.array_equal(first.coords["pixel"], other.coords["pixel"])


def _title(record: Mapping[str, Any]) -> str:
    return (
        f"{record['benchmark']['name']}, {record['model']['name']}, split "
        f"{record['split']['name']}, seed {record['seeds']['seed']}"
    )
