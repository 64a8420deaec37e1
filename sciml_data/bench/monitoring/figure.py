"""Draw the samples of a run: a panel for each kind of measurement."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.bench.monitoring.sampler import column, read_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_IN, PANEL_HEIGHT_IN, TITLE_HEIGHT_IN = 7.0, 1.7, 0.5
MIN_MINUTES = 0.01  # along the axis; a run may have one sample
GREY_MEANS = " (grey: data are prepared, nothing is sampled)"
GIB, MIB = 2.0**30, 2.0**20
COLOURS = ("#0072b2", "#d55e00")  # Okabe and Ito's scheme, for colour-blind readers too
STYLES = ("-", "--")


@dataclass(frozen=True)
class _Panel:
    """Lines on a common axis.

    Attributes:
        label: of the axis.
        lines: label of a line -> column.
        scale: divides the values.
        is_rate: whether to draw the growth per second of a counter.
    """

    label: str
    lines: Mapping[str, str]
    scale: float = 1.0
    is_rate: bool = False


PANELS = (
    _Panel("CPU of this run\n% of a core", {"this run": "process_cpu_percent"}),
    _Panel("CPU\n% of all cores", {"computer": "system_cpu_percent"}),
    _Panel(
        "memory\nGiB",
        {"this run": "process_rss_bytes", "computer": "system_memory_used_bytes"},
        scale=GIB,
    ),
    _Panel(
        "disk\nMiB/s",
        {"read": "disk_read_bytes", "written": "disk_write_bytes"},
        scale=MIB,
        is_rate=True,
    ),
    _Panel("GPU\n%", {"utilisation": "gpu_utilisation_percent"}),
    _Panel("GPU memory\nGiB", {"in use": "gpu_memory_bytes"}, scale=GIB),
    _Panel("GPU power\nW", {"all GPUs": "gpu_power_w"}),
    _Panel("CPU power\nW", {"processor packages": "cpu_energy_j"}, is_rate=True),
)


def monitor_figure(
    table: Path, *, title: str = "", timeline: Sequence[Mapping[str, Any]] = ()
) -> Figure:
    """Return a matplotlib figure of the panels that have data, over minutes since the start.

    A line has gaps where the run was resumed, and where a value was not measured. The monitor
    begins with the training, so that the time before it, in which data are prepared, is grey.

    Args:
        table: path of a run's `monitor.csv`.
        title: above the panels.
        timeline: events of the run's record, the first of which is its start. Without them the
            axis begins with the first sample.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the table cannot be read.
        ValueError: the file is not a table of samples, or has no samples.
    """
    from matplotlib.figure import Figure

    samples = read_samples(table)
    if not samples:
        raise ValueError(f"{table.name} has no samples")
    times_ms = [sample["time_ms"] or 0.0 for sample in samples]
    start_ms = min([times_ms[0], *(event["time_ms"] for event in timeline)])
    minutes = [(time - start_ms) / 60_000 for time in times_ms]
    panels = [panel for panel in PANELS if _lines(panel, samples)]
    height = PANEL_HEIGHT_IN * len(panels) + TITLE_HEIGHT_IN
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    figure.suptitle(title, fontsize=10)
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
    for axes, panel in zip(rows[:, 0], panels, strict=True):
        _draw(axes, panel, samples, minutes)
        axes.set_xlim(0, max(minutes[-1], MIN_MINUTES))
        if minutes[0] > 0:
            axes.axvspan(0, minutes[0], color="#cccccc", alpha=0.6, lw=0)
    since = "the run began" if timeline else "the first sample"
    rows[-1, 0].set_xlabel(f"minutes since {since}{GREY_MEANS if minutes[0] > 0 else ''}")
    return figure


def _draw(
    axes: Any,
    panel: _Panel,
    samples: Sequence[Mapping[str, float | None]],
    minutes: Sequence[float],
) -> None:
    for number, (label, values) in enumerate(_lines(panel, samples).items()):
        axes.plot(minutes, values, STYLES[number], color=COLOURS[number], label=label)
    axes.set_ylabel(panel.label)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    if len(panel.lines) > 1:
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(fontsize="small", ncols=2, frameon=False, **place)  # above the lines


def _lines(panel: _Panel, samples: Sequence[Mapping[str, float | None]]) -> dict[str, list[float]]:
    """Return the values of each line that has values; NaN where a value was not measured."""
    lines = {}
    for label, name in panel.lines.items():
        values = _rates(samples, name) if panel.is_rate else column(samples, name)
        if any(value is not None for value in values):
            lines[label] = [
                float("nan") if value is None else value / panel.scale for value in values
            ]
    return lines


def _rates(samples: Sequence[Mapping[str, float | None]], name: str) -> list[float | None]:
    """Return the growth per second of a counter; None at the first sample of each process."""
    rates: list[float | None] = [None]
    for before, after in itertools.pairwise(samples):
        old, new = before[name], after[name]
        passed_s = (after["elapsed_s"] or 0.0) - (before["elapsed_s"] or 0.0)
        is_same_process = before["process"] == after["process"] and passed_s > 0
        rates.append((new - old) / passed_s if is_same_process and None not in (old, new) else None)  # type: ignore[operator]
    return rates
