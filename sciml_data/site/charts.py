"""Line charts as SVG that stands in the page: themed by its style sheet, no script, no font.

Matplotlib writes styles into elements, which the pages' policy forbids, letters as outlines, and
colours that know no dark mode; what is wanted here is axes and lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 12, 44
MOST_POINTS = 400  # of a line; a chart has no more pixels to show them
MOST_DOTS = 40  # of a line; more would touch
MOST_LINES = 8  # looks that the style sheet has
LONG, SHORT = 1e6, 1e-3  # numbers beyond are written with an exponent
NICE = (1, 2, 2.5, 5, 10)
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A name for the legend, and points in order of x."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Drawn:
    """One line as it is drawn: the number of its look, its points, and dots where they are few."""

    name: str
    look: int
    points: str
    dots: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Chart:
    """A chart ready for its template: lengths are SVG units."""

    id: str
    title: str
    x_label: str
    y_label: str
    lines: tuple[Drawn, ...]
    x_ticks: tuple[tuple[str, str], ...]
    y_ticks: tuple[tuple[str, str], ...]
    told: str
    left_out: int = 0
    width: int = WIDTH
    height: int = HEIGHT
    box: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def chart(
    identifier: str, lines: Sequence[Line], *, title: str, x_label: str, y_label: str
) -> Chart | None:
    """Return a chart of lines; None where none has a finite point.

    Of more than eight lines the first eight are drawn, and `left_out` counts the others.
    """
    known = [Line(line.name, _finite(line.points)) for line in lines]
    known = [line for line in known if line.points]
    if not known:
        return None
    shown = [Line(line.name, thinned(line.points)) for line in known[:MOST_LINES]]
    xs = [x for line in shown for x, _ in line.points]
    ys = [y for line in shown for _, y in line.points]
    least = 1.0 if all(x.is_integer() for x in xs) else 0.0  # no half epochs
    x_ticks, y_ticks = ticks(min(xs), max(xs), least=least), ticks(min(ys), max(ys))
    across = _scale((min(xs), max(xs)), LEFT, WIDTH - RIGHT)
    up = _scale((y_ticks[0], y_ticks[-1]), HEIGHT - BOTTOM, TOP)
    inside = [tick for tick in x_ticks if min(xs) <= tick <= max(xs)]
    return Chart(
        identifier,
        title,
        x_label,
        y_label,
        tuple(
            _drawn(line, look, [(across(x), up(y)) for x, y in line.points])
            for look, line in enumerate(shown)
        ),
        tuple((_length(across(tick)), tick_text(tick, x_ticks)) for tick in inside),
        tuple((_length(up(tick)), tick_text(tick, y_ticks)) for tick in y_ticks),
        "; ".join(_told(line) for line in shown),
        left_out=len(known) - len(shown),
    )


def ticks(low: float, high: float, *, about: int = 5, least: float = 0.0) -> list[float]:
    """Return round numbers that enclose a range: some five steps of 1, 2, 2.5 or 5 x 10^n.

    `least` is the smallest step that makes sense; it is one of those numbers.
    """
    if high <= low:
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(least, power * next(one for one in NICE if one * power >= raw * (1 - 1e-9)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def tick_text(tick: float, all_ticks: Sequence[float]) -> str:
    """Return a tick's number with as many decimals as tell neighbours apart."""
    step = min(abs(after - before) for before, after in pairwise(all_ticks))
    largest = max(map(abs, all_ticks))
    if largest >= LONG or largest < SHORT:
        return f"{tick:.4g}"
    decimals = (
        n for n in range(13) if math.isclose(step * 10**n, round(step * 10**n), rel_tol=1e-6)
    )
    return f"{tick:,.{next(decimals, 12)}f}"


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> tuple[Point, ...]:
    """Return at most so many points: of each stretch its lowest and its highest."""
    if len(points) <= most:
        return tuple(points)
    length = math.ceil(len(points) / (most // 2))
    kept: list[Point] = []
    for first in range(0, len(points), length):
        stretch = points[first : first + length]
        ends = {min(stretch, key=lambda one: one[1]), max(stretch, key=lambda one: one[1])}
        kept += sorted(ends)
    return tuple(kept)


def _finite(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(one for one in points if all(map(math.isfinite, one)))


def _scale(of: tuple[float, float], low: float, high: float) -> _Linear:
    return _Linear(of[0], (of[1] - of[0]) or 1.0, low, high, is_point=of[0] == of[1])


@dataclass(frozen=True)
class _Linear:
    start: float
    span: float
    low: float
    high: float
    is_point: bool

    def __call__(self, value: float) -> float:
        share = 0.5 if self.is_point else (value - self.start) / self.span
        return self.low + share * (self.high - self.low)


def _drawn(line: Line, look: int, places: Sequence[Point]) -> Drawn:
    texts = [(_length(x), _length(y)) for x, y in places]
    few = tuple(texts) if len(texts) <= MOST_DOTS else ()
    return Drawn(line.name, look, " ".join(f"{x},{y}" for x, y in texts), few)


def _told(line: Line) -> str:
    """Return a line's ends in words, for who does not see it."""
    first, last = line.points[0][1], line.points[-1][1]
    return f"{line.name} begins at {first:.4g} and ends at {last:.4g}"


def _length(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
