"""Charts: ticks, thinning, lines inside the axes, and what records are charted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sciml_data.site.charts import (
    MAX_POINTS,
    Line,
    machine_charts,
    make_chart,
    thin,
    tick_text,
    ticks,
)
from tests.support.run_samples import written_run


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.371, 0.3769, [0.37, 0.372, 0.374, 0.376, 0.378]),
        (-3.0, 7.0, [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0]),
        (5.0, 5.0, [4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    numbers = ticks(low, high)

    assert numbers[0] <= low <= high <= numbers[-1]
    if low < high:
        assert expected == pytest.approx(numbers)


def test_epochs_have_no_half_ticks() -> None:
    assert ticks(1, 3, min_step=1.0) == [1, 2, 3]


def test_neighbouring_ticks_read_differently() -> None:
    for numbers in (ticks(0.5, 0.50002), ticks(0, 2_000_000), ticks(0.1, 0.4)):
        assert len({tick_text(number, numbers) for number in numbers}) == len(numbers)


def test_thinning_keeps_the_highest_and_the_lowest_point() -> None:
    points = [(float(x), math.sin(x / 50)) for x in range(5000)]
    points[1234] = (1234.0, 9.0)
    points[4321] = (4321.0, -9.0)

    thinned = thin(points)

    assert len(thinned) <= MAX_POINTS + 2
    assert {(1234.0, 9.0), (4321.0, -9.0)} <= set(thinned)
    assert list(thinned) == sorted(thinned)


def test_a_chart_draws_finite_points_inside_its_box() -> None:
    lines = [Line("a", ((1.0, 0.5), (2.0, math.nan), (3.0, 0.25))), Line("empty", ())]
    chart = make_chart("c", lines, title="t", x_label="x", y_label="y")

    assert chart is not None
    assert [line.name for line in chart.lines] == ["a"]
    left, top, right, bottom = chart.box
    places = [tuple(map(float, point.split(","))) for point in chart.lines[0].points.split()]
    assert len(places) == 2
    assert all(left <= x <= right and top <= y <= bottom for x, y in places)
    assert places[0][1] < places[1][1]  # a greater value is drawn higher
    assert make_chart("c", lines[1:], title="t", x_label="x", y_label="y") is None


def test_of_many_lines_the_others_are_counted() -> None:
    lines = [Line(str(number), ((0.0, number), (1.0, number))) for number in range(11)]
    chart = make_chart("c", lines, title="t", x_label="x", y_label="y")

    assert chart is not None
    assert (len(chart.lines), chart.left_out) == (8, 3)


def test_samples_of_the_resource_monitor_are_charted(tmp_path: Path) -> None:
    record = written_run(tmp_path)

    charts = list(machine_charts(tmp_path, record))

    assert [chart.title for chart in charts] == ["Memory"]
    assert list(machine_charts(tmp_path / "elsewhere", record)) == []
