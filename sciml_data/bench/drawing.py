"""Draw the figures of a run: those of its benchmark, the learning curve, and the monitor's samples.

The mark of synthetic data is drawn by `save_figure`, so that no benchmark can leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import load_runner
from sciml_data.bench.plots import Results, learning_curve, title
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import SHORT_ID, is_external
from sciml_data.errors import CallError
from sciml_data.registry.layout import Registry

FIGURES_FOLDER = "figures"  # in a run's folder
MARK = "SYNTHETIC"
MARK_SHARE = 0.8  # of the width and the height of a figure that the mark may take
MARK_DEGREES = 25.0
MONITOR_FIGURE = "monitor.png"
DOTS_PER_INCH = 130
MONITOR_DOTS_PER_INCH = 120


def save_figure(figure: Any, path: Path, record: Mapping[str, Any]) -> Path:
    """Write a figure to a PNG file, and return the path.

    A figure of synthetic data is marked across the whole picture.

    Args:
        figure: a matplotlib figure.
        path: of the file.
        record: of the run.
    """
    if record["synthetic"]:
        mark_synthetic(figure)
    # No time and no version of the drawing library, so that equal runs give equal files.
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    return path


def mark_synthetic(figure: Any) -> None:
    """Write SYNTHETIC across a whole figure, legible on dark and on light panels, and never cut.

    The size of the letters follows from the size of the figure. The letters are red for light
    panels, and have a white edge for dark panels.
    """
    from math import cos, radians, sin

    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    letters = TextPath((0, 0), MARK, size=1, prop=FontProperties(weight="bold"))
    box = letters.get_extents()
    width, height = (float(side) for side in figure.get_size_inches())
    up, along = sin(radians(MARK_DEGREES)), cos(radians(MARK_DEGREES))
    scale = MARK_SHARE * min(
        width / (box.width * along + box.height * up),
        height / (box.width * up + box.height * along),
    )
    place = Affine2D().translate(-box.x0 - box.width / 2, -box.y0 - box.height / 2).scale(scale)
    place = place.rotate_deg(MARK_DEGREES).translate(width / 2, height / 2)
    mark = PathPatch(
        letters, transform=place + figure.dpi_scale_trans, fc=(1.0, 0.0, 0.0, 0.16),
        ec=(1.0, 1.0, 1.0, 0.75), lw=1.0, zorder=10,
    )  # fmt: skip
    mark.set_in_layout(False)
    figure.add_artist(mark)


def draw_figures(registry: Registry, folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Draw the figures of a run that its runner makes, and the learning curve; return their paths.

    A run that is not a success has no figures, and neither have external predictions: they may be
    of some parts only, and they have no learning curve.

    Args:
        registry: that describes the benchmark.
        folder: of the run.
        record: of the run.

    Raises:
        CallError: no such benchmark, or a library for drawing is not installed.
    """
    if record["status"] != "success" or is_external(record):
        return []
    runner, results = load_runner(registry, record["benchmark"]["name"]), Results(folder, record)
    try:
        own = runner.figures(results) if hasattr(runner, "figures") else {}
        figures = {**own, "curve": learning_curve(results)}
        (folder / FIGURES_FOLDER).mkdir(exist_ok=True)
        return [
            save_figure(figure, folder / FIGURES_FOLDER / f"{name}.png", record)
            for name, figure in figures.items()
        ]
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error


def draw_monitor(folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Draw the samples of the resource monitor, and return the path of the figure.

    The list is empty if the run has no samples.

    Args:
        folder: of the run.
        record: of the run.

    Raises:
        CallError: matplotlib is not installed.
    """
    table = folder / runs.MONITOR_NAME
    if not table.is_file():
        return []
    try:
        from sciml_data.bench.monitoring import monitor_figure

        head = f"{title(record)}\nresources, run {record['run_id'][:SHORT_ID]}"
        figure = monitor_figure(table, title=head, timeline=record.get("timeline") or ())
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    except ValueError:  # the run ended before its first sample
        return []
    path = folder / FIGURES_FOLDER / MONITOR_FIGURE
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=MONITOR_DOTS_PER_INCH, metadata={"Software": None})
    return [path]


def _not_installed(error: ModuleNotFoundError) -> CallError:
    return CallError(
        f"the figures need {error.name}, which is not installed",
        hint="pip install 'sciml-data[train]', or run without figures",
    )
