"""Figures of a run: scenes with their masks, reliability diagram, loss and accuracy by epoch.

They are drawn from the files in the run's folder alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciml_data.bench.plots import GREY, PART_COLOURS, plot_losses, save_figure
from sciml_data.bench.record.runs import OUTPUTS_FOLDER, PREDICTIONS_NAME
from sciml_data.bench.scoring import segmentation
from sciml_data.bench.scoring.predictions import Predictions, load_predictions
from sciml_data.bench.scoring.scores import row_key
from sciml_data.bench.task.settings import LOSS
from sciml_data.bench.task.splits import TEST, VALIDATION

from . import previews
from .pixel_counts import REGIONS, VALID

STYLES = ("--", ":", "-.")  # of baselines
HEADLINE = "accuracy"
# In the order of ERROR_WORDS.
ERROR_COLOURS = ("#dddddd", "#ffffff", "#cc3311", "#0077bb", "#000000")
ERROR_WORDS = ("clear, right", "cloud, right", "clear called cloud", "cloud missed", "not valid")
COLUMNS = ("false colour", "label: Bayesian mask", "probability of cloud", "right and wrong")


def draw(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write scenes.png, reliability.png and curve.png into `<run>/figures`; return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    predictions = load_predictions(run_folder / PREDICTIONS_NAME)
    drawn = {"reliability": _reliability(predictions, record), "curve": _curve(record)}
    path = run_folder / OUTPUTS_FOLDER / previews.FILE_NAME
    scenes = previews.load_previews(path) if path.is_file() else {}
    if scenes:
        drawn = {"scenes": _scenes(scenes, record), **drawn}
    folder = run_folder / "figures"
    folder.mkdir(exist_ok=True)
    return [save_figure(figure, folder / f"{name}.png", record) for name, figure in drawn.items()]


def _scenes(scenes: Mapping[str, xr.Dataset], record: Mapping[str, Any]) -> Any:
    """Return a figure with a row of four images for each scene."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure, axes = plt.subplots(
        len(scenes), 4, figsize=(13, 3.4 * len(scenes) + 1.0), squeeze=False, layout="constrained"
    )
    colours = ListedColormap(list(ERROR_COLOURS))
    for row, (name, scene) in zip(axes, scenes.items(), strict=True):
        valid, cloud = scene["valid"].to_numpy() > 0, scene["cloud"].to_numpy() > 0
        probability = np.where(valid, scene["probability"].to_numpy() / 250, np.nan)
        row[0].imshow(scene["rgb"].to_numpy())
        row[1].imshow(np.where(valid, cloud, np.nan), cmap="Blues_r", vmin=0, vmax=1)
        bar = row[2].imshow(probability, cmap="viridis", vmin=0, vmax=1)
        figure.colorbar(bar, ax=row[2], shrink=0.8)
        row[3].imshow(_errors(cloud, probability), cmap=colours, vmin=-0.5, vmax=4.5)
        row[0].set_ylabel(f"{name}\n{scene.attrs['granule'][16:31]}", fontsize=9)
        for chart in row:
            chart.set(xticks=[], yticks=[])
    for chart, title in zip(axes[0], COLUMNS, strict=True):
        chart.set_title(title, fontsize=10)
    keys = [
        Patch(facecolor=colour, edgecolor="black", label=word)
        for colour, word in zip(ERROR_COLOURS, ERROR_WORDS, strict=True)
    ]
    figure.legend(handles=keys, loc="outside lower right", ncols=5, fontsize=8)
    figure.suptitle(_title(record), fontsize=11)
    return figure


def _errors(cloud: Any, probability: Any) -> Any:
    """Return for each pixel (row, column) the index of its kind in ERROR_WORDS."""
    is_predicted = probability >= 0.5
    kind = np.where(cloud, np.where(is_predicted, 1, 3), np.where(is_predicted, 2, 0))
    return np.where(np.isfinite(probability), kind, 4)


def _reliability(predictions: Mapping[str, Predictions], record: Mapping[str, Any]) -> Any:
    """Return a reliability diagram, with the frequency of each predicted probability below."""
    import matplotlib.pyplot as plt

    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(6.4, 7.2), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    top.plot((0, 1), (0, 1), color=GREY, lw=1, ls="--", label="perfect")
    region = REGIONS.index(VALID)
    for part, counts in predictions.items():
        rows = counts.observed[:, region].sum(axis=0), counts.predicted[:, region].sum(axis=0)
        predicted, lower, share, pixels = segmentation.reliability(*rows)
        if not pixels.any():
            continue
        colour = PART_COLOURS.get(part, "black")
        top.plot(predicted, share, "o-", ms=4, color=colour, label=part)
        middle = lower + 0.5 / segmentation.BINS
        bottom.plot(middle, pixels / pixels.sum(), "o-", ms=3, color=colour, lw=1)
    top.set(ylabel="share that is cloud by the label", title=f"{_title(record)}\nreliability")
    top.legend(fontsize=9)
    bottom.set(xlabel="probability of cloud", ylabel="share of pixels", yscale="log", xlim=(0, 1))
    bottom.yaxis.set_minor_formatter("")  # only the powers of ten have room
    return figure


def _curve(record: Mapping[str, Any]) -> Any:
    """Return loss by epoch, and accuracy by epoch with the final scores of the baselines."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    epochs = [row["epoch"] for row in record["curve"]]
    plot_losses(left, record)
    left.set(ylabel=f"loss ({record['settings']['loss']})", title=_title(record))
    left.legend(fontsize=9)
    monitor = record["settings"]["monitor"]
    if monitor != LOSS:
        values = [row["monitored"] for row in record["curve"]]
        right.plot(epochs, values, "o-", ms=3, color=PART_COLOURS[VALIDATION], label="validation")
    _final_lines(right, record, HEADLINE if monitor == LOSS else monitor)
    title = f"{monitor} by epoch" if monitor != LOSS else f"final {HEADLINE}"
    right.set(xlabel="epoch", ylabel="over valid pixels of whole scenes", title=title)
    right.legend(fontsize=8, loc="lower right")
    return figure


def _final_lines(chart: Any, record: Mapping[str, Any], metric: str) -> None:
    """Draw the final test scores of model and baselines as horizontal lines."""
    rows = [row for row in record["metrics"] if row["part"] == TEST and row_key(row) == metric]
    for row in rows:
        for style, (name, value) in zip(STYLES, row["baselines"].items(), strict=False):
            if value is not None:
                chart.axhline(value, color=GREY, lw=1, ls=style, label=f"test, {name}")
        if row["score"] is not None:
            chart.axhline(row["score"], color=PART_COLOURS[TEST], lw=1.2, label="test, model")


def _title(record: Mapping[str, Any]) -> str:
    mark = "SYNTHETIC DATA  " if record["synthetic"] else ""
    return f"{mark}{record['model']['name']}, split {record['split']['name']}"
