"""Figures of a run: patterns, confusion of crystal systems, F1 of each group, learning curve.

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
from sciml_data.bench.scoring.predictions import load_predictions
from sciml_data.bench.scoring.scores import row_key
from sciml_data.bench.task.splits import TEST, VALIDATION
from sciml_data.errors import RecordError
from sciml_data.formats import open_netcdf

from .previews import FILE_NAME
from .scores import class_predictions_of, group_rows, system_table
from .space_groups import SYSTEMS, systems_of

SYSTEM_COLOURS = ("#332288", "#88ccee", "#44aa99", "#117733", "#ddcc77", "#cc6677", "#aa4499")
STYLES = ("--", ":", "-.")  # of baselines
HEADLINE = "macro_f1"
STACKS_PER_ROW = 2


def draw(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write patterns, systems, groups and curve.png into `<run>/figures`; return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    classes = class_predictions_of(load_predictions(run_folder / PREDICTIONS_NAME)[TEST])
    drawn = {
        "systems": _systems(system_table(classes), record),
        "groups": _groups(list(group_rows(classes)), record),
        "curve": _curve(record),
    }
    previews = run_folder / OUTPUTS_FOLDER / FILE_NAME
    if previews.is_file():
        with open_netcdf(previews, error=RecordError) as stacks:
            drawn = {"patterns": _patterns(stacks.load(), record), **drawn}
    folder = run_folder / "figures"
    folder.mkdir(exist_ok=True)
    return [save_figure(figure, folder / f"{name}.png", record) for name, figure in drawn.items()]


def _patterns(stacks: xr.Dataset, record: Mapping[str, Any]) -> Any:
    """Return a figure with the three patterns of each stored stack."""
    import matplotlib.pyplot as plt

    count = stacks.sizes["stack"]
    rows = -(-count // STACKS_PER_ROW)
    figure = plt.figure(figsize=(11.5, 2.25 * rows + 0.6), layout="constrained")
    blocks = np.ravel(figure.subfigures(rows, STACKS_PER_ROW, squeeze=False))
    for number, block in enumerate(blocks[:count]):
        stack = stacks.isel(stack=number)
        group, predicted = int(stack["space_group"]), int(stack["said"])
        outcome = "right" if group == predicted else f"predicted {predicted}"
        energy = float(stack["energy"])
        beam = f", {energy:.0f} keV" if np.isfinite(energy) else ""
        system = SYSTEMS[int(systems_of(np.array(group)))]
        block.suptitle(
            f"{group} {system}, {stack['name'].item()}{beam}: {outcome} "
            f"({float(stack['probability']):.2f})",
            fontsize=9,
            color="black" if group == predicted else "#aa3311",
        )
        for view, chart in enumerate(block.subplots(1, 3)):
            chart.imshow(stack["level"][..., view], cmap="inferno")
            chart.set(xticks=[], yticks=[])
    figure.suptitle(f"{_title(record)}: test stacks, logarithm of intensity", fontsize=11)
    return figure


def _systems(table: Any, record: Mapping[str, Any]) -> Any:
    """Return the confusion matrix of crystal systems: colours are shares of a row, texts counts."""
    import matplotlib.pyplot as plt

    figure, chart = plt.subplots(figsize=(7.6, 6.4), layout="constrained")
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    picture = chart.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(table.shape):
        if table[row].any():
            colour = "white" if shares[row, column] > 0.55 else "black"
            text = str(table[row, column])
            chart.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    names = [f"{name} ({count})" for name, count in zip(SYSTEMS, table.sum(axis=1), strict=True)]
    chart.set(
        xticks=range(len(SYSTEMS)),
        yticks=range(len(SYSTEMS)),
        xlabel="predicted",
        ylabel="true (stacks)",
        title=f"{_title(record)}\ncrystal systems, test",
    )
    chart.set_xticklabels(SYSTEMS, rotation=30, ha="right")
    chart.set_yticklabels(names)
    figure.colorbar(picture, ax=chart, shrink=0.8, label="share of the true system's stacks")
    return figure


def _groups(rows: list[Mapping[str, Any]], record: Mapping[str, Any]) -> Any:
    """Return F1 of each space group of the test part; below, its observed and predicted stacks.

    Groups are in ascending order and coloured by crystal system.
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    width = float(np.clip(0.34 * len(rows) + 3, 7, 30))
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(width, 6.2), height_ratios=(2, 1), sharex=True, layout="constrained"
    )
    places = np.arange(len(rows))
    systems = systems_of(np.array([row["label"] for row in rows]))
    colours = [SYSTEM_COLOURS[system] for system in systems]
    f1 = [row["f1"] for row in rows]
    top.bar(places, f1, color=colours)
    mean = float(np.mean(f1))
    top.axhline(mean, color=GREY, lw=1, ls="--")
    top.set(ylabel="F1", ylim=(0, 1), title=f"{_title(record)}\nF1 by space group, test")
    keys = [
        Patch(color=SYSTEM_COLOURS[system], label=SYSTEMS[system]) for system in np.unique(systems)
    ]
    line = Line2D([], [], color=GREY, ls="--", label=f"mean, {mean:.3f}")
    top.legend(handles=[*keys, line], fontsize=8, ncols=4)
    bottom.bar(places - 0.2, [row["samples"] for row in rows], 0.4, color=GREY, label="observed")
    bottom.bar(places + 0.2, [row["said"] for row in rows], 0.4, color="#ddaa33", label="predicted")
    bottom.set(ylabel="stacks", xlabel="space group", xticks=places)
    bottom.set_xticklabels([row["label"] for row in rows], rotation=90, fontsize=8)
    bottom.legend(fontsize=8)
    return figure


def _curve(record: Mapping[str, Any]) -> Any:
    """Return loss by epoch, and macro-F1 by epoch with the final scores of the baselines."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    epochs = [row["epoch"] for row in record["curve"]]
    plot_losses(left, record)
    left.set(ylabel="cross-entropy (nat), view by view", title=_title(record))
    left.legend(fontsize=9)
    if record["settings"]["monitor"] == HEADLINE:
        values = [row["monitored"] for row in record["curve"]]
        right.plot(epochs, values, "o-", ms=3, color=PART_COLOURS[VALIDATION], label=VALIDATION)
    _final_lines(right, record)
    right.set(xlabel="epoch", ylabel=HEADLINE, title=f"{HEADLINE} by epoch", ylim=(0, 1))
    right.legend(fontsize=8)
    for chart in (left, right):
        chart.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _final_lines(chart: Any, record: Mapping[str, Any]) -> None:
    """Draw the final test scores of model and baselines, and the target, as horizontal lines."""
    for row in record["metrics"]:
        if row["part"] == TEST and row_key(row) == HEADLINE:
            for style, (name, value) in zip(STYLES, row["baselines"].items(), strict=False):
                chart.axhline(value, color=GREY, lw=1, ls=style, label=f"test, {name}")
            chart.axhline(row["score"], color=PART_COLOURS[TEST], lw=1.2, label="test, model")
    for target in record["targets"]:
        if target["metric"] == HEADLINE:
            chart.axhline(target["value"], color="black", lw=0.8, label="target")


def _title(record: Mapping[str, Any]) -> str:
    mark = "SYNTHETIC DATA  " if record["synthetic"] else ""
    return f"{mark}{record['model']['name']}, split {record['split']['name']}"
