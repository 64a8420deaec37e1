"""Line charts as SVG inside the page: styled by the site's style sheet, without script or font.

Matplotlib is not used here, because it writes styles into elements (which the pages' policy
forbids), letters as outlines, and colours without a dark mode. Only axes and lines are needed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sciml_data.bench.record.runs import why_not_output
from sciml_data.errors import JsonError
from sciml_data.home import read_small_file

WIDTH, HEIGHT = 520, 250  # SVG units, about pixels
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 12, 44  # margins for ticks and labels
MAX_POINTS = 400  # of a line; a chart has no more pixels to show them
MAX_DOTS = 40  # of a line; more would touch
MAX_LINES = 8  # the style sheet has as many line styles
LARGE, SMALL = 1e6, 1e-3  # numbers beyond are written with an exponent
STEPS = (1, 2, 2.5, 5, 10)
# title, unit, divisor, and columns of monitor.csv with their names in the legend
MONITORED = (
    ("Processor", "% of one core or of all", 1, (
        ("process_cpu_percent", "this run (100 is one core)"),
        ("system_cpu_percent", "all cores of the machine (100 is all)"),
    )),
    ("Memory", "GB", 1e9, (
        ("process_rss_bytes", "this run"), ("system_memory_used_bytes", "whole machine"),
    )),
    ("Disk, since the start", "MB", 1e6, (
        ("disk_read_bytes", "read"), ("disk_write_bytes", "written"),
    )),
    ("GPU", "%", 1, (("gpu_utilisation_percent", "busy"),)),
    ("GPU memory", "GB", 1e9, (("gpu_memory_bytes", "in use"),)),
    ("GPU power", "W", 1, (("gpu_power_w", "drawn"),)),
)  # fmt: skip
Point = tuple[float, float]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A name for the legend, and points sorted by x."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class PlottedLine:
    """A line in SVG units: the number of its style, its points, and dots if there are few."""

    name: str
    style: int
    points: str
    dots: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Chart:
    """A chart ready for its template.

    Attributes:
        lines: the lines, in SVG units.
        x_ticks: position and text of each tick.
        y_ticks: position and text of each tick.
        summary: the lines in words, for readers who do not see the chart.
        left_out: number of lines that are not drawn.
        box: left, top, right and bottom of the axes, in SVG units.
    """

    id: str
    title: str
    x_label: str
    y_label: str
    lines: tuple[PlottedLine, ...]
    x_ticks: tuple[tuple[str, str], ...]
    y_ticks: tuple[tuple[str, str], ...]
    summary: str
    left_out: int = 0
    width: int = WIDTH
    height: int = HEIGHT
    box: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def make_chart(
    identifier: str, lines: Sequence[Line], *, title: str, x_label: str, y_label: str
) -> Chart | None:
    """Return a chart of lines, or None if no line has a finite point.

    Args:
        identifier: id of the chart, unique in its page.
        lines: the lines, of which the first eight are drawn; `Chart.left_out` counts the others.
        title: title below the chart.
        x_label: label of the horizontal axis.
        y_label: label of the vertical axis.
    """
    finite = [Line(line.name, _finite(line.points)) for line in lines]
    finite = [line for line in finite if line.points]
    if not finite:
        return None
    drawn = [Line(line.name, thin(line.points)) for line in finite[:MAX_LINES]]
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    min_step = 1.0 if all(x.is_integer() for x in xs) else 0.0  # no tick at half an epoch
    x_ticks, y_ticks = ticks(min(xs), max(xs), min_step=min_step), ticks(min(ys), max(ys))
    to_x = _Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    to_y = _Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    inside = [tick for tick in x_ticks if min(xs) <= tick <= max(xs)]
    return Chart(
        identifier,
        title,
        x_label,
        y_label,
        tuple(
            _plotted(line, style, [(to_x(x), to_y(y)) for x, y in line.points])
            for style, line in enumerate(drawn)
        ),
        tuple((_length(to_x(tick)), tick_text(tick, x_ticks)) for tick in inside),
        tuple((_length(to_y(tick)), tick_text(tick, y_ticks)) for tick in y_ticks),
        "; ".join(_summary(line) for line in drawn),
        left_out=len(finite) - len(drawn),
    )


def ticks(low: float, high: float, *, count: int = 5, min_step: float = 0.0) -> list[float]:
    """Return round numbers that enclose a range, in steps of 1, 2, 2.5 or 5 x 10^n.

    Args:
        low: smallest value of the range.
        high: largest value of the range; if it is not above `low`, a range around it is taken.
        count: about how many steps there will be.
        min_step: smallest step that makes sense, such as 1 for epochs.
    """
    if high <= low:
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    # 1e-9 keeps rounding errors from choosing the next larger step, or one tick more.
    step = max(min_step, power * next(s for s in STEPS if s * power >= raw * (1 - 1e-9)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def tick_text(tick: float, all_ticks: Sequence[float]) -> str:
    """Return a tick's number with enough decimals to distinguish it from its neighbours."""
    step = min(abs(after - before) for before, after in pairwise(all_ticks))
    largest = max(map(abs, all_ticks))
    if largest >= LARGE or largest < SMALL:
        return f"{tick:.4g}"
    decimals = (
        n for n in range(13) if math.isclose(step * 10**n, round(step * 10**n), rel_tol=1e-6)
    )
    return f"{tick:,.{next(decimals, 12)}f}"


def thin(points: Sequence[Point], max_points: int = MAX_POINTS) -> tuple[Point, ...]:
    """Return about `max_points` points: the lowest and the highest of each stretch of the line."""
    if len(points) <= max_points:
        return tuple(points)
    length = math.ceil(len(points) / (max_points // 2))
    thinned: list[Point] = []
    for first in range(0, len(points), length):
        stretch = points[first : first + length]
        thinned += sorted({min(stretch, key=_height), max(stretch, key=_height)})
    return tuple(thinned)


def loss_chart(record: Record) -> Chart | None:
    """Return the losses of a run by epoch."""
    lines = [
        Line("training loss", _by_epoch(record, "train_loss")),
        Line("validation loss", _by_epoch(record, "validation_loss")),
    ]
    return make_chart("losses", lines, title="Losses by epoch", x_label="epoch", y_label="loss")


def monitored_chart(record: Record) -> Chart | None:
    """Return the validation score that chose the epoch, or None if the loss did."""
    name = monitored_name(record)
    if name == "loss":
        return None
    lines = [Line(f"{name}, validation", _by_epoch(record, "monitored"))]
    title = f"{name} of the validation part by epoch"
    return make_chart("monitored", lines, title=title, x_label="epoch", y_label=name)


def comparison_chart(
    identifier: str, records: Sequence[Record], names: Sequence[str]
) -> Chart | None:
    """Return the validation score or loss by epoch of several comparable runs.

    Args:
        identifier: id of the chart, unique in its page.
        records: records of the runs; the first names the monitored score.
        names: name of each run in the legend.
    """
    monitored = monitored_name(records[0])
    lines = [
        Line(name, _by_epoch(record, "monitored"))
        for record, name in zip(records, names, strict=True)
    ]
    title = f"{monitored} of the validation part by epoch"
    return make_chart(identifier, lines, title=title, x_label="epoch", y_label=monitored)


def monitored_name(record: Record) -> str:
    """Return the name of what chose the epoch: a metric, or the loss."""
    return str(record["settings"].get("monitor", "loss"))


def machine_charts(folder: Path, record: Record) -> Iterator[Chart]:
    """Yield charts of the samples of the resource monitor; none if it was off, or is damaged."""
    listed = record["outputs"].get("monitor")
    if listed is None or why_not_output(folder, listed):
        return
    try:
        text = read_small_file(folder / listed["path"]).decode("utf-8")
        rows = list(csv.DictReader(text.splitlines()))
        yield from _machine_charts(rows)
    except (JsonError, ValueError, TypeError, csv.Error):
        return  # a table that somebody made by hand; the record has the sums


def _machine_charts(rows: Sequence[Mapping[str, str]]) -> Iterator[Chart]:
    for number, (title, unit, divisor, columns) in enumerate(MONITORED):
        lines = [Line(name, _over_time(rows, column, divisor)) for column, name in columns]
        identifier, x_label = f"machine-{number}", "seconds of the run"
        if chart := make_chart(identifier, lines, title=title, x_label=x_label, y_label=unit):
            yield chart


def _by_epoch(record: Record, field: str) -> tuple[Point, ...]:
    return tuple(
        (float(row["epoch"]), float(row[field]))
        for row in record["curve"]
        if row[field] is not None
    )


def _over_time(rows: Sequence[Mapping[str, str]], column: str, divisor: float) -> tuple[Point, ...]:
    known = [row for row in rows if row.get(column) and row.get("time_ms")]
    if not known:
        return ()
    start = float(rows[0]["time_ms"])
    return tuple(
        ((float(row["time_ms"]) - start) / 1000, float(row[column]) / divisor) for row in known
    )


def _finite(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(point for point in points if all(map(math.isfinite, point)))


def _height(point: Point) -> float:
    return point[1]


@dataclass(frozen=True)
class _Scale:
    """Maps values from `start` to `stop` to lengths from `low` to `high`; a point to the middle."""

    start: float
    stop: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        span = self.stop - self.start
        share = (value - self.start) / span if span else 0.5
        return self.low + share * (self.high - self.low)


def _plotted(line: Line, style: int, positions: Sequence[Point]) -> PlottedLine:
    texts = [(_length(x), _length(y)) for x, y in positions]
    dots = tuple(texts) if len(texts) <= MAX_DOTS else ()
    return PlottedLine(line.name, style, " ".join(f"{x},{y}" for x, y in texts), dots)


def _summary(line: Line) -> str:
    first, last = line.points[0][1], line.points[-1][1]
    return f"{line.name} begins at {first:.4g} and ends at {last:.4g}"


def _length(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
