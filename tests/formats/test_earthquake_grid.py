"""Pixels, cell-days, fortnights, windows, active pixels, completeness, fault features."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sciml_data.errors import CallError
from sciml_data.formats.earthquake.catalogue import Catalogue, Gap
from sciml_data.formats.earthquake.events import EVENT_TYPES, Events
from sciml_data.formats.earthquake.format import (
    completeness_by_decade,
    maximum_curvature,
    ready_dataset,
)
from sciml_data.formats.earthquake.grid import (
    PIXELS,
    SOUTHERN_CALIFORNIA,
    Grid,
    active_pixels,
    cell_days,
    energy_power,
    fault_features,
    fortnights,
    grid_of,
    hilbert_curve,
    pixel_centres,
    pixel_of,
    sliding_sums,
    window,
)

GROUPS = np.zeros((40, 60), np.int32)
FLOOR_OF_A_FORTNIGHT = np.log10(14) / 1.5


def events(*rows: tuple[str, float, float, float, float], event_type: str = "earthquake") -> Events:
    """Return events of (time, latitude, longitude, depth, magnitude)."""
    time, latitude, longitude, depth, magnitude = zip(*rows, strict=True)
    number = len(rows)
    return Events(
        time=np.array(time, "M8[ms]"),
        latitude=np.array(latitude),
        longitude=np.array(longitude),
        depth=np.array(depth),
        magnitude=np.array(magnitude),
        magnitude_type=np.full(number, 6, np.int8),
        event_type=np.full(number, EVENT_TYPES.index(event_type), np.int8),
        quality=np.ones(number, np.int8),
        event_id=np.array([f"ci{row}" for row in range(number)], "S16"),
    )


def ready(table: Events, *gaps: Gap) -> xr.Dataset:
    return ready_dataset(Catalogue(table, np.zeros(len(table), np.int8), ("one",), gaps), GROUPS)


def test_pixel_zero_is_the_north_western_corner_and_numbers_grow_eastward() -> None:
    found = pixel_of([35.95, 35.95, 35.85, 32.05], [-119.95, -119.85, -119.95, -114.05])

    assert found.tolist() == [0, 1, 60, 2399]


def test_places_outside_of_the_half_open_box_have_no_pixel() -> None:
    found = pixel_of([36.0, 31.999, 34.0, 34.0], [-117.0, -117.0, -114.0, -120.001])

    assert found.tolist() == [-1, -1, -1, -1]
    assert (pixel_of([32.0, 35.999], [-120.0, -114.001]) >= 0).all()


def test_the_centre_of_each_pixel_lies_in_it() -> None:
    assert np.arange(PIXELS).tolist() == pixel_of(*pixel_centres()).tolist()


def test_another_grid_has_pixels_of_its_own_place_and_width() -> None:
    japan = Grid(47, 125, 2)

    assert (japan.south, japan.east) == (27, 155)
    assert pixel_of([46.9, 46.9, 46.4, 27.1], [125.1, 125.6, 125.1, 154.9], japan).tolist() == [
        0,
        1,
        60,
        2399,
    ]
    assert pixel_of([47.0, 30.0, 34.0], [140.0, 155.0, -117.0], japan).tolist() == [-1, -1, -1]
    assert np.arange(PIXELS).tolist() == pixel_of(*pixel_centres(japan), japan).tolist()


def test_a_ready_dataset_knows_its_grid_and_needs_no_map_of_faults() -> None:
    japan = Grid(47, 125, 2)
    table = events(("1950-01-05", 38.1, 142.9, 29.0, 9.1), ("1950-01-06", 34.05, -117.05, 8.0, 3.5))
    catalogue = Catalogue(table, np.zeros(len(table), np.int8), ("one",), ())

    dataset = ready_dataset(catalogue, None, japan)

    assert grid_of(dataset) == japan
    assert dataset["cell_day_pixel"].values.tolist() == [pixel_of(38.1, 142.9, japan)]
    assert "fault_group" not in dataset
    assert grid_of(ready(table)) == SOUTHERN_CALIFORNIA


def test_fortnights_have_the_bounds_that_cf_asks_for(two_fortnights: xr.Dataset) -> None:
    made = fortnights(two_fortnights)

    bounds = made[made["time"].attrs["bounds"]]
    assert bounds.dims == ("time", "bounds")
    np.testing.assert_array_equal(bounds[:, 0], made["time"])
    np.testing.assert_array_equal(bounds[1:, 0], bounds[:-1, 1])


def test_fortnights_before_the_catalogue_begins_are_not_complete() -> None:
    late = events(
        ("1950-01-25", 34.05, -117.05, 8.0, 3.5), ("1950-03-20", 34.05, -117.05, 8.0, 3.5)
    )

    assert fortnights(ready(late))["complete"].values.tolist() == [False, True, True, True, True]


def test_a_cell_day_holds_the_summed_energy_and_the_depth_it_weights() -> None:
    table = events(
        ("2000-01-01T01:00:00", 34.05, -117.05, 10.0, 3.0),
        ("2000-01-01T23:00:00", 34.05, -117.05, 4.0, 4.0),
        ("2000-01-02T00:00:00", 34.05, -117.05, 4.0, 2.0),
    )

    days = cell_days(table)

    energy = np.array([10**4.5, 10**6.0])
    assert days.count.tolist() == [2, 1]
    assert days.count_ge_3_29.tolist() == [1, 0]
    assert np.log10(energy.sum()) / 1.5 == pytest.approx(days.magnitude[0], abs=1e-6)
    assert (10 * energy[0] + 4 * energy[1]) / energy.sum() == pytest.approx(days.depth[0], abs=1e-5)


def test_cell_days_are_in_the_order_of_day_then_pixel() -> None:
    table = events(
        ("2000-01-01T01:00:00", 33.05, -117.05, 1.0, 2.0),
        ("2000-01-01T02:00:00", 34.05, -117.05, 1.0, 2.0),
        ("2000-01-02T02:00:00", 35.05, -117.05, 1.0, 2.0),
    )

    days = cell_days(table)

    assert sorted(zip(days.day, days.pixel, strict=True)) == list(
        zip(days.day, days.pixel, strict=True)
    )
    assert days.pixel[0] == pixel_of(34.05, -117.05)


def test_quarry_blasts_unknown_magnitudes_and_other_places_do_not_count() -> None:
    blast = events(("2000-01-01", 34.0, -117.0, 1.0, 2.0), event_type="quarry_blast")
    unknown = events(("2000-01-01", 34.0, -117.0, 1.0, np.nan))
    outside = events(("2000-01-01", 36.5, -117.0, 1.0, 2.0))

    assert [len(cell_days(table).day) for table in (blast, unknown, outside)] == [0, 0, 0]


@pytest.fixture
def two_fortnights() -> xr.Dataset:
    """Return a ready dataset with one event in the first of three fortnights, one after them."""
    return ready(
        events(
            ("1950-01-05T10:00:00", 34.05, -117.05, 8.0, 3.5),
            ("1950-02-20T10:00:00", 34.05, -117.05, 8.0, 2.0),
        )
    )


def test_an_empty_fortnight_is_missing_with_the_clean_floor(two_fortnights: xr.Dataset) -> None:
    made = fortnights(two_fortnights)
    pixel = pixel_of(34.05, -117.05)

    assert dict(made.sizes) == {"time": 3, "pixel": PIXELS, "bounds": 2}
    assert pytest.approx(made["magnitude"][0, pixel].item(), abs=1e-6) == 3.5
    assert pytest.approx(made["depth"][0, pixel].item(), abs=1e-5) == 8.0
    assert made["observed"].sum() == 1
    assert made["magnitude"].isnull().sum() == 3 * PIXELS - 1
    assert "float32" == made["magnitude"].dtype == made["depth"].dtype


def test_an_empty_day_has_the_energy_of_magnitude_zero_with_the_reference_floor(
    two_fortnights: xr.Dataset,
) -> None:
    made = fortnights(two_fortnights, floor="reference")
    pixel = pixel_of(34.05, -117.05)
    energy = 10 ** (1.5 * 3.5)

    magnitude, depth = made["magnitude"].to_numpy(), made["depth"].to_numpy()
    assert magnitude[1, 0] == pytest.approx(FLOOR_OF_A_FORTNIGHT, abs=1e-6)
    assert magnitude[0, pixel] == pytest.approx(np.log10(energy + 13) / 1.5, abs=1e-6)
    assert depth[0, pixel] == pytest.approx(8 * energy / (energy + 13), abs=1e-5)
    assert made["depth"][1, 0] == 0


def test_only_whole_fortnights_before_the_last_known_day_are_given(
    two_fortnights: xr.Dataset,
) -> None:
    made = fortnights(two_fortnights, start="1950-01-04")

    assert np.datetime64("1950-02-01") == made["time"].to_numpy()[-1].astype("M8[D]")
    with pytest.raises(CallError, match="no whole fortnight"):
        fortnights(two_fortnights, start="1950-02-10")


def test_a_floor_that_is_not_known_is_refused(two_fortnights: xr.Dataset) -> None:
    with pytest.raises(CallError, match="floor"):
        fortnights(two_fortnights, floor="sea")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("1950-01-18", "1950-02-01", [True, False, True]),
        ("1950-01-17T23:59:59", "1950-01-18", [False, True, True]),
        ("1950-01-31", "1950-02-01T00:00:01", [True, False, False]),
    ],
)
def test_a_fortnight_that_a_gap_touches_is_not_complete(
    start: str, end: str, expected: list[bool]
) -> None:
    table = events(
        ("1950-01-05T10:00:00", 34.05, -117.05, 8.0, 3.5),
        ("1950-02-20T10:00:00", 34.05, -117.05, 8.0, 2.0),
    )
    gap = Gap(np.datetime64(start, "ms"), np.datetime64(end, "ms"), 2.5)

    assert expected == fortnights(ready(table, gap))["complete"].to_numpy().tolist()


@given(
    series=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(0, 9)
    ),
    steps=st.integers(1, 31),
)
def test_sliding_sums_are_the_sums_of_each_window(series: np.ndarray, steps: int) -> None:
    expected = [series[i : i + steps].sum(axis=0) for i in range(len(series) - steps + 1)]

    found = sliding_sums(series, steps)

    assert len(expected) == len(found)
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), atol=1e-9)


def test_a_window_ahead_starts_with_its_step_and_one_back_ends_with_it() -> None:
    counts = np.arange(6.0)

    ahead = window(counts, 2, combine="sum")
    back = window(counts, 2, direction="back", combine="sum")
    later = window(counts, 2, delay=3, combine="sum")

    missing = np.nan
    np.testing.assert_array_equal(ahead, [1, 3, 5, 7, 9, missing])
    np.testing.assert_array_equal(back, [missing, 1, 3, 5, 7, 9])
    np.testing.assert_array_equal(later, [7, 9, missing, missing, missing, missing])


def test_a_window_of_magnitudes_holds_their_summed_energy() -> None:
    magnitude = np.array([1.0, 2.0, np.nan, np.nan])

    found = window(magnitude, 2)

    expected = np.log10(10**1.5 + 10**3.0) / 1.5
    assert [expected, 2.0] == pytest.approx(found[:2].tolist(), abs=1e-6)
    assert np.isnan(found[2:]).all()
    assert np.float32 == found.dtype


def test_a_window_longer_than_the_series_is_nowhere_complete() -> None:
    assert np.isnan(window(np.ones(3), 4)).all()
    assert np.isnan(window(np.ones(3), 2, delay=2)).all()


def test_a_small_earthquake_after_a_great_one_is_not_lost_in_rounding() -> None:
    magnitude = np.array([9.0, -1.0, -1.0])

    assert np.log10(2 * 10**-1.5) / 1.5 == pytest.approx(window(magnitude, 2)[1], abs=1e-6)


def test_energy_to_a_power_is_one_at_magnitude_3_29() -> None:
    assert energy_power(3.29, 0.25) == 1.0
    assert pytest.approx(float(energy_power(4.29, 0.25))) == 10**0.375


def test_a_pixel_is_active_by_its_own_count_or_by_that_around_it() -> None:
    counts = np.zeros((2, PIXELS), np.int64)
    counts[:, 60 * 10 + 10] = 4  # eight of its own
    for row in (20, 21, 22):
        for column in (20, 21, 22):
            counts[0, 60 * row + column] = 4  # 36 in the nine, none with eight

    found = active_pixels(counts).tolist()

    assert found == [60 * 10 + 10, 60 * 21 + 21]
    assert active_pixels(counts[:, :PIXELS] * 0).tolist() == []


def test_at_the_edge_of_the_grid_the_nearest_whole_neighbourhood_counts() -> None:
    counts = np.zeros(PIXELS, np.int64)
    counts[[0, 1, 2, 60, 61, 62, 120, 121, 122]] = 4
    corner = [0, 1, 60, 61]

    assert corner == active_pixels(counts).tolist()


def test_completeness_is_the_fullest_bin_and_two_tenths() -> None:
    magnitude = np.array([1.5, 1.54, 1.46, 1.55, 2.0])

    assert maximum_curvature(magnitude) == 1.7


def test_each_decade_has_its_own_completeness() -> None:
    time = np.array(["1999-12-31", "2000-01-01", "2000-01-02"], "M8[ms]")

    years, found = completeness_by_decade(time, np.array([3.0, 1.0, 1.0]))

    assert years.tolist() == [1990, 2000]
    assert pytest.approx(found.tolist()) == [3.2, 1.2]


@given(st.integers(1, 24).map(lambda n: 2 * n), st.integers(1, 24).map(lambda n: 2 * n))
def test_the_curve_meets_each_pixel_once_and_only_steps_to_neighbours(
    width: int, height: int
) -> None:
    walk = hilbert_curve(width, height)

    assert width * height == len({tuple(step) for step in walk.tolist()})
    assert np.abs(np.diff(walk, axis=0)).sum(axis=1).max(initial=1) == 1


def test_fault_groups_are_numbered_in_the_order_in_which_the_curve_meets_them() -> None:
    groups = np.full((40, 60), 7, np.int64)
    groups[0, 59] = 3  # where the curve over the grid as it is ends

    features = fault_features(groups)

    assert features.shape == (4, PIXELS)
    assert features[0][59] == 1
    assert features[0][0] == 0
    assert features[2][59] == 0  # mirrored in x, it begins there
