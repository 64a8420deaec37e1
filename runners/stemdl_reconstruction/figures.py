"""Figures of a run: true and predicted images, pixel by pixel comparison, learning curve.

They are drawn from the run's folder alone: predictions, table of scans, and record.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.bench.plots import GREY, plot_losses, save_figure
from sciml_data.bench.record.runs import OUTPUTS_FOLDER, PREDICTIONS_NAME
from sciml_data.bench.scoring.predictions import Predictions, load_predictions
from sciml_data.bench.scoring.scores import row_key
from sciml_data.bench.task.splits import TEST, VALIDATION

from .scans import DENSITY, LEGACY, POTENTIAL

BINS = 120  # along each side of the 2-D histograms
STYLES = ("--", ":", "-.", (0, (1, 4)), (0, (6, 2)))  # of baselines
HEADLINE = "mae_scaled"
LABELS = {
    POTENTIAL: "potential, V",
    DENSITY: "electron density, e/Å$^3$",
    LEGACY: "published target",
}
RANKS = ("best", "median", "worst")


def draw(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write images.png, pixels.png and curve.png into `<run>/figures`; return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    predictions = load_predictions(run_folder / PREDICTIONS_NAME)
    part = TEST if TEST in predictions else next(iter(predictions))
    table = _table(run_folder / OUTPUTS_FOLDER / f"samples-{part}.csv")
    drawn = {
        "images": _images(predictions[part], table, record, part),
        "pixels": _pixels(predictions[part], record, part),
        "curve": _curve(record),
    }
    folder = run_folder / "figures"
    folder.mkdir(exist_ok=True)
    return [save_figure(figure, folder / f"{name}.png", record) for name, figure in drawn.items()]


def _images(
    predictions: Predictions,
    table: list[dict[str, str]],
    record: Mapping[str, Any],
    part: str,
) -> Any:
    """Return a figure with the best, the median and the worst scan: true, predicted, difference.

    Scans are ranked by correlation, because the errors of light atoms are small anyway.
    """
    channels = _learnt(predictions, record)
    correlation = np.array([float(row[f"pearson_{channels[0][1]}"]) for row in table])
    order = np.argsort(-np.nan_to_num(correlation, nan=-2.0), kind="stable")
    chosen = [order[0], order[len(order) // 2], order[-1]]
    figure, axes = _subplots(3, 3 * len(channels), size=(3.1 * 3 * len(channels), 9.4))
    for row, (rank, number) in enumerate(zip(RANKS, chosen, strict=True)):
        for place, (index, channel) in enumerate(channels):
            pair = predictions.observed[number, index], predictions.predicted[number, index]
            charts = axes[row, 3 * place : 3 * place + 3]
            _draw_images(figure, charts, pair, pixel=_pixel(record))
            if row == 0:
                for chart, word in zip(charts, ("true", "predicted", "difference"), strict=True):
                    chart.set_title(f"{word}\n{LABELS[channel]}", fontsize=9)
        scan = table[number]
        name = f"{scan['material']} {scan['formula']}".strip() or scan["sample"]
        scores = f"r {correlation[number]:.2f}, error {float(scan[HEADLINE]):.2f}"
        axes[row, 0].set_ylabel(f"{rank}: {scores}\n{name}", fontsize=9)
    size = (
        f", {_pixel(record) * len(predictions.coords['row']):.1f} Å wide" if _pixel(record) else ""
    )
    figure.suptitle(
        f"{_title(record)}\n{part}, by correlation of the first image{size}", fontsize=11
    )
    return figure


def _draw_images(figure: Any, charts: Any, pair: tuple[Any, Any], *, pixel: float) -> None:
    """Draw the true and the predicted image on a common scale, and their difference."""
    true, predicted = pair
    low, high = float(true.min()), float(true.max())
    side = [0, pixel * true.shape[1], pixel * true.shape[0], 0] if pixel else None
    reach = max(float(np.abs(predicted - true).max()), 1e-9)
    for chart, image in zip(charts[:2], pair, strict=True):
        image_artist = chart.imshow(image, cmap="magma", vmin=low, vmax=high, extent=side)
        figure.colorbar(image_artist, ax=chart, shrink=0.72)
    image_artist = charts[2].imshow(
        predicted - true, cmap="RdBu_r", vmin=-reach, vmax=reach, extent=side
    )
    figure.colorbar(image_artist, ax=charts[2], shrink=0.72)
    for chart in charts:
        chart.set(xticks=[], yticks=[])


def _pixels(predictions: Predictions, record: Mapping[str, Any], part: str) -> Any:
    """Return 2-D histograms of true and predicted pixels, a chart for each channel."""
    from matplotlib.colors import LogNorm

    channels = [(number, str(name)) for number, name in enumerate(predictions.coords["channel"])]
    figure, axes = _subplots(1, len(channels), size=(4.6 * len(channels), 4.6))
    for chart, (number, name) in zip(axes[0], channels, strict=True):
        true, predicted = (
            values[:, number].ravel() for values in (predictions.observed, predictions.predicted)
        )
        ends = [float(min(true.min(), predicted.min())), float(np.quantile(true, 0.9999))]
        chart.hist2d(
            np.clip(true, ends[0], ends[1]),
            np.clip(predicted, ends[0], ends[1]),
            bins=BINS,
            range=[ends, ends],
            norm=LogNorm(),
            cmap="viridis",
        )
        chart.plot(ends, ends, color="black", lw=0.7)
        chart.set(xlabel=f"true {LABELS[name]}", ylabel=f"predicted {LABELS[name]}")
        error = _score(record, part, f"relative_l2.{name}")
        chart.set_title(f"relative error {error:.3f}", fontsize=10)
    figure.suptitle(f"{_title(record)}\n{part}, {len(predictions.observed)} scans", fontsize=11)
    return figure


def _curve(record: Mapping[str, Any]) -> Any:
    """Return loss by epoch, with the validation loss of the baselines as horizontal lines."""
    figure, axes = _subplots(1, 1, size=(7.6, 5.4))
    chart = axes[0, 0]
    plot_losses(chart, record)
    for row in record["metrics"]:
        if (row["part"], row_key(row)) == (VALIDATION, HEADLINE):
            for style, (name, value) in zip(STYLES, row["baselines"].items(), strict=False):
                if value is not None:
                    label = f"{name}, {VALIDATION}"
                    chart.axhline(value, color=GREY, lw=1, ls=style, label=label)
    chart.set(ylabel="mean absolute error / deviation of the training part")
    chart.grid(alpha=0.3)
    figure.legend(loc="outside lower center", fontsize=8, ncols=4)
    figure.suptitle(_title(record), fontsize=11)
    return figure


def _learnt(predictions: Predictions, record: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return index and name of the channels that were learnt."""
    names = [str(name) for name in predictions.coords["channel"]]
    learnt = [name for name in names if name in record["facts"]["scale"]]
    return [(names.index(name), name) for name in learnt]


def _pixel(record: Mapping[str, Any]) -> float:
    """Return the size of a pixel in Å; 0 if scans have several sizes, or it is unknown."""
    sizes = record["facts"]["pixel_angstrom"]
    return float(sizes[0]) if isinstance(sizes, list) and len(sizes) == 1 else 0.0


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _score(record: Mapping[str, Any], part: str, metric: str) -> float:
    for row in record["metrics"]:
        if (row["part"], row_key(row)) == (part, metric) and row["score"] is not None:
            return float(row["score"])
    return float("nan")


def _subplots(rows: int, columns: int, *, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


def _title(record: Mapping[str, Any]) -> str:
    mark = "SYNTHETIC DATA  " if record["synthetic"] else ""
    return (
        f"{mark}{record['benchmark']['name']}, {record['model']['name']}, split "
        f"{record['split']['name']}, target {record['facts']['target']}, seed "
        f"{record['seeds']['seed']}"
    )
