"""Figures of a run: predicted against observed, R2 of each drug, and the learning curve.

They are drawn from the run's folder alone: predictions, tables of drugs, and record.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.bench.plots import save_figure
from sciml_data.bench.record.runs import OUTPUTS_FOLDER, PREDICTIONS_NAME
from sciml_data.bench.scoring.predictions import Predictions, load_predictions

BINS = 80  # along each side of the 2-D histograms
MAX_DRUGS = 40  # in one chart; of more drugs, the best and the worst are drawn
MODEL_COLOUR = "#cc3311"
QUANTITIES = {"auc": "AUC", "dose": "growth"}
PARTS = ("validation", "test")


def draw(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write observed.png, drugs.png and curve.png into `<run>/figures`; return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    predictions = load_predictions(run_folder / PREDICTIONS_NAME)
    drawn = {
        "observed": _observed(predictions, record),
        "drugs": _drugs(run_folder, record),
        "curve": _curve(record),
    }
    folder = run_folder / "figures"
    folder.mkdir(exist_ok=True)
    return [
        save_figure(figure, folder / f"{name}.png", record)
        for name, figure in drawn.items()
        if figure is not None
    ]


def _observed(predictions: Mapping[str, Predictions], record: Mapping[str, Any]) -> Any:
    """Return 2-D histograms of observed and predicted values, a chart for each part."""
    from matplotlib.colors import LogNorm

    figure, axes = _subplots(1, len(predictions), size=(4.2 * len(predictions), 4.4))
    quantity = QUANTITIES[record["benchmark"]["variant"]]
    for chart, (part, values) in zip(axes[0], predictions.items(), strict=True):
        low, high = np.quantile(values.observed, [0.001, 0.999])
        ends = [float(low), float(high) + 1e-6]  # not empty if all values are equal
        chart.hist2d(
            np.clip(values.observed, ends[0], ends[1]),
            np.clip(values.predicted, ends[0], ends[1]),
            bins=BINS,
            range=[ends, ends],
            norm=LogNorm(),
            cmap="viridis",
        )
        chart.plot(ends, ends, color="black", lw=0.7)
        mse = _score(record, part, "mse")
        chart.set_title(f"{part}, {len(values.observed):,} rows, MSE {mse:.4g}", fontsize=10)
        chart.set_xlabel(f"observed {quantity}")
    axes[0, 0].set_ylabel(f"predicted {quantity}")
    figure.suptitle(_title(record))
    return figure


def _drugs(run_folder: Path, record: Mapping[str, Any]) -> Any:
    """Return R2 within each drug, of validation and test; None if no drug has an R2."""
    tables = {part: _r2_of(run_folder / OUTPUTS_FOLDER / f"drugs-{part}.csv") for part in PARTS}
    tables = {part: table for part, table in tables.items() if table}
    if not tables:
        return None
    figure, axes = _subplots(1, len(tables), size=(5.5 * len(tables), 7.0))
    for chart, (part, table) in zip(axes[0], tables.items(), strict=True):
        ordered = sorted(table.items(), key=lambda item: item[1])
        if len(ordered) > MAX_DRUGS:
            ordered = [*ordered[: MAX_DRUGS // 2], *ordered[-MAX_DRUGS // 2 :]]
        chart.barh(
            range(len(ordered)), [max(value, -1.0) for _, value in ordered], color=MODEL_COLOUR
        )
        chart.set_yticks(range(len(ordered)), [name[:32] for name, _ in ordered], fontsize=6)
        chart.axvline(0.0, color="black", lw=0.6)
        chart.set_xlim(-1.0, 1.0)
        chart.set_xlabel("R2 within the drug (0 = predicting the drug's mean)")
        chart.set_title(f"{part}, {len(table)} drugs", fontsize=10)
    figure.suptitle(_title(record))
    return figure


def _curve(record: Mapping[str, Any]) -> Any:
    figure, axes = _subplots(1, 1, size=(6.5, 4.2))
    chart, epochs = axes[0, 0], [row["epoch"] for row in record["curve"]]
    unit = record["facts"]["unit_of_loss"]
    for key, colour in (("train_loss", "black"), ("validation_loss", MODEL_COLOUR)):
        values = [np.nan if row[key] is None else row[key] * unit for row in record["curve"]]
        chart.plot(epochs, values, "-o", ms=3, color=colour, label=key.replace("_", " "))
    chart.axvline(record["model"]["best_epoch"], color="grey", lw=0.7, ls=":", label="chosen")
    chart.set_xlabel("epoch")
    chart.set_ylabel("mean squared error")
    chart.grid(alpha=0.3)
    chart.legend()
    figure.suptitle(_title(record))
    return figure


def _r2_of(path: Path) -> dict[str, float]:
    """Return R2 by drug from a table, without drugs that have no R2."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["drugs"]: float(row["r2"]) for row in csv.DictReader(file) if row["r2"]}


def _score(record: Mapping[str, Any], part: str, metric: str) -> float:
    for row in record["metrics"]:
        if (row["part"], row["metric_id"]) == (part, metric) and row["score"] is not None:
            return float(row["score"])
    return float("nan")


def _subplots(rows: int, columns: int, *, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


def _title(record: Mapping[str, Any]) -> str:
    return (
        f"{record['benchmark']['name']} {record['benchmark']['variant']}, {record['dataset']['id']}"
        f", {record['model']['name']}, split {record['split']['name']}, "
        f"seed {record['seeds']['seed']}"
    )
