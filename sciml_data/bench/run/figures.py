"""The figures of a run: those of its benchmark, drawn by the runner, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import load_runner
from sciml_data.bench.record import runs
from sciml_data.errors import CallError
from sciml_data.registry.layout import Registry

FIGURES_FOLDER = "figures"  # of a run; where runners write
MONITOR_FIGURE = "monitor.png"
DOTS_PER_INCH = 120


def draw_figures(registry: Registry, folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Have the runner draw a run's figures, and return where they lie.

    A run that is no success has none, nor has one whose runner draws nothing.

    Raises:
        CallError: the registry has no such benchmark, or what draws is not installed.
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
            hint="pip install 'sciml-data[train]', or leave the figures out",
        ) from error


def draw_monitor(folder: Path) -> list[Path]:
    """Draw what a run took of its computer, and return where that lies; nothing if not watched.

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
            hint="pip install 'sciml-data[train]', or leave the figures out",
        ) from error
    except ValueError:  # a run that ended before its first sample
        return []
    path = folder / FIGURES_FOLDER / MONITOR_FIGURE
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    return [path]
