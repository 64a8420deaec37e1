"""Maps have a coast, a scale and equal distances along both axes."""

from __future__ import annotations

import math

import pytest

from sciml_data.bench.maps import coast_lines, frame_map


def distance_km(place: tuple[float, float]) -> float:
    """Return the distance of a place (longitude, latitude) to the nearest point of the coast."""
    squeeze = math.cos(math.radians(place[1]))
    return 111.2 * min(
        math.hypot((x - place[0]) * squeeze, y - place[1])
        for line in coast_lines()
        for x, y in line
    )


@pytest.mark.parametrize(
    ("place", "nearest_km"),
    [((-118.50, 34.01), 8), ((-117.28, 32.85), 8), ((139.79, 35.62), 15), ((130.4, 33.6), 15)],
    ids=["Santa Monica", "La Jolla", "Tokyo", "Fukuoka"],
)
def test_the_coast_passes_places_on_the_sea(place: tuple[float, float], nearest_km: float) -> None:
    assert distance_km(place) < nearest_km


def test_the_coast_does_not_pass_places_inland() -> None:
    assert distance_km((-115.5, 35.5)) > 200  # Mojave
    assert distance_km((137.97, 36.24)) > 60  # Matsumoto


def test_a_map_has_equal_distances_and_a_scale() -> None:
    from matplotlib.figure import Figure

    chart = Figure().subplots()
    frame_map(chart, west=-120, east=-114, south=32, north=36)

    assert chart.get_aspect() == pytest.approx(1 / math.cos(math.radians(34)))
    assert chart.get_xlim() == (-120, -114)
    assert [text.get_text() for text in chart.texts] == ["100 km"]
