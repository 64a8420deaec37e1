"""Draw figures of a run, and what the figures of all benchmarks have in common.

Runners import `save_figure`, `plot_losses` and the colours. The mark of synthetic data is drawn by
`save_figure`, so that no runner can leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import load_runner
from sciml_data.bench.record import runs
from sciml_data.errors import CallError
from sciml_data.registry.layout import Registry

FIGURES_FOLDER = "figures"  # in a run's folder
MONITOR_FIGURE = "monitor.png"
DOTS_PER_INCH = 130
MONITOR_DOTS_PER_INCH = 120
GREY = "#777777"
# Paul Tol's bright scheme, which colour-blind readers can distinguish too.
PART_COLOURS = {"train": "#4477aa", "validation": "#ee6677", "test": "#228833", "fresh": "#aa3377"}


def save_figure(figure: Any, path: Path, record: Mapping[str, Any]) -> Path:
    """Write a figure to a PNG file, close it, and return the path.

    A figure of synthetic data is marked across the whole picture.

    Args:
        figure: a matplotlib figure.
        path: of the file.
        record: of the run.
    """
    from matplotlib import pyplot as plt

    if record["synthetic"]:
        figure.text(
            0.5, 0.5, "SYNTHETIC", rotation=30, fontsize=60, color="red", alpha=0.22,
            ha="center", va="center", weight="bold", zorder=10,
        )  # fmt: skip
    # No time and no version of the drawing library, so that equal runs give equal files.
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)
    return path


def plot_losses(axes: Any, record: Mapping[str, Any]) -> None:
    """Draw training and validation loss by epoch, and mark the best epoch.

    Args:
        axes: of matplotlib.
        record: of the run.
    """
    epochs = [row["epoch"] for row in record["curve"]]
    for part in ("train", "validation"):
        values = [row[f"{part}_loss"] for row in record["curve"]]
        axes.plot(epochs, values, "o-", ms=3, color=PART_COLOURS[part], label=part)
    best = record["model"]["best_epoch"]
    axes.axvline(best, color=GREY, lw=1, ls=":", label=f"best epoch, {best}")
    axes.set(xlabel="epoch")


def draw_figures(registry: Registry, folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Let a benchmark's runner draw the figures of a run, and return their paths.

    A run that is not a success has no figures, and not every runner draws figures.

    Args:
        registry: that describes the benchmark.
        folder: of the run.
        record: of the run.

    Raises:
        CallError: no such benchmark, or a library for drawing is not installed.
    """
    if record["status"] != "success":
        return []
    draw = getattr(load_runner(registry, record["benchmark"]["name"]), "figures", None)
    if draw is None:
        return []
    try:
        return [Path(path) for path in draw(folder, record)]
    except ModuleNotFoundError as error:
        raise CallError(
            f"the figures need {error.name}, which is not installed",
            hint="pip install 'sciml-data[train]', or run without figures",
        ) from error


def draw_monitor(folder: Path) -> list[Path]:
    """Draw the samples of the resource monitor, and return the path of the figure.

    The list is empty if the run has no samples.

    Raises:
        CallError: matplotlib is not installed.
    """
    table = folder / runs.MONITOR_NAME
    if not table.is_file():
        return []
    try:
        from sciml_data.bench.monitoring import monitor_figure

        figure = monitor_figure(table)
    except ModuleNotFoundError as error:
        raise CallError(
            f"the figures need {error.name}, which is not installed",
            hint="pip install 'sciml-data[train]', or run without figures",
        ) from error
    except ValueError:  # the run ended before its first sample
        return []
    path = folder / FIGURES_FOLDER / MONITOR_FIGURE
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=MONITOR_DOTS_PER_INCH)
    return [path]
