"""The pieces of the FDSN client on their own, and the replay they are tested on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.errors import CallError
from sciml_data.testing.fdsn_server import FdsnServer
from sciml_data.transfer.protocols.fdsn import merge_windows
from sciml_data.transfer.protocols.fdsn.windows import (
    BodyError,
    Box,
    Window,
    count_rows,
    gaps,
    half_open,
    outdated,
    read_period,
    read_window,
    usable,
)
from tests.support.fdsn_fetch import NOW


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("yesterday", None, "--start: an ISO 8601 time"),
        (None, "2019-13-01", "--end: an ISO 8601 time"),
        ("2019-01-01T00:00:00.5", None, "--start: an ISO 8601 time to the second"),
        ("2019-01-02", "2019-01-02", "--start is not before --end"),
        ("2020-01-02", "2019-01-02", "--start is not before --end"),
        ("1900-01-01", None, "is before 1932-01-01"),
        (None, "2999-01-01", "is in the future"),
        ("0001-01-01T00:00:00+12:00", None, "--start: an ISO 8601 time"),
        (None, "9999-12-31T23:59:59-12:00", "--end: an ISO 8601 time"),
    ],
)
def test_a_period_that_cannot_be_is_a_wrong_call(
    start: str | None, end: str | None, message: str
) -> None:
    with pytest.raises(CallError, match=message) as error:
        read_period(start, end, earliest="1932-01-01", now=NOW)

    assert error.value.exit_code == 2


def test_a_time_with_a_zone_is_turned_to_utc() -> None:
    period = read_period("2019-07-05T20:19:53-07:00", None, earliest="1932-01-01", now=NOW)

    assert datetime(2019, 7, 6, 3, 19, 53, tzinfo=UTC) == period.start


seconds = st.integers(min_value=0, max_value=10_000)
spans = st.tuples(seconds, seconds).filter(lambda two: two[0] < two[1])


def window(first: int, last: int) -> Window:
    return Window(NOW + timedelta(seconds=first), NOW + timedelta(seconds=last))


@given(spans, st.lists(spans, max_size=8))
def test_windows_and_gaps_tile_the_period(
    whole: tuple[int, int], parts: Sequence[tuple[int, int]]
) -> None:
    period = window(*whole)
    chosen = usable(period, [window(*part) for part in parts])

    tiles = sorted([*chosen, *gaps(period, chosen)])

    assert period.start == tiles[0].start
    assert period.end == tiles[-1].end
    assert all(one.end == two.start for one, two in itertools.pairwise(tiles))


@given(spans.filter(lambda two: two[1] - two[0] >= 2))
def test_halves_meet_and_are_not_empty(whole: tuple[int, int]) -> None:
    first, second = window(*whole).halves()

    assert first.start < first.end == second.start < second.end


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>hello</html>\n", "no column time"),
        (
            b"time,latitude,longitude,mag,id,updated\n2019,1,2,3,a\n",
            "line 2 has 5 fields, 6 expect",
        ),
        (b"time,latitude,longitude,mag,id,updated\n2019,1,2,3,a,2020", "last line is cut"),
        (b'time,latitude,longitude,mag,id,updated\n2019,1,2,3,a,"2020\n', "line 2"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 200_000 + b"\n", "line 1"),  # a field above the limit of csv
        (b"time,latitude,longitude,mag,id,updated\n" + b"x" * 200_000 + b"\n", "line 2"),
    ],
)
def test_a_body_that_is_no_whole_table_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(BodyError, match=reason):
        count_rows(body)


def test_an_empty_body_and_a_header_alone_are_no_events() -> None:
    assert count_rows(b"") == 0
    assert count_rows(b"time,latitude,longitude,mag,id,updated\n") == 0


def body(*rows: str) -> pd.DataFrame:
    text = "time,latitude,longitude,mag,id,updated\n" + "".join(f"{row}\n" for row in rows)
    return read_window(text.encode())


def test_merging_keeps_the_newest_state_of_an_event() -> None:
    first = body(
        "2019-01-01T00:00:00.500Z,33,-117,1.0,a,2019-02-01T00:00:00.000Z",
        "2019-01-01T00:00:01.000Z,33,-117,,b,2019-02-01T00:00:00.000Z",
        "2019-01-01T00:00:02.000Z,33,-117,,c,2019-04-01T00:00:00.000Z",
    )
    second = body(
        "2019-01-01T00:00:01.000Z,33,-117,,b,2019-02-01T00:00:00.000Z",
        "2019-01-02T00:00:00.000Z,34,-117,2.0,a,2019-03-01T00:00:00.000Z",
    )
    third = body("2019-01-03T00:00:00.000Z,33,-117,,c,2019-03-01T00:00:00.000Z")

    merged = merge_windows([first, second, third])

    kept = list(zip(merged["id"], merged["window"], strict=True))
    assert kept == [("b", 1), ("c", 0), ("a", 1)]
    assert outdated([first, second, third], merged) == [0, 2]


def test_far_edges_of_box_and_period_are_outside() -> None:
    period = window(0, 10)
    edges = Box(south=32, north=36, west=-120, east=-114)
    rows = merge_windows(
        [
            body(
                "2026-01-01T00:00:00Z,32,-120,1,corner,2026-01-01T00:00:00Z",
                "2026-01-01T00:00:01Z,36,-117,1,north,2026-01-01T00:00:00Z",
                "2026-01-01T00:00:02Z,33,-114,1,east,2026-01-01T00:00:00Z",
                "2026-01-01T00:00:10Z,33,-117,1,end,2026-01-01T00:00:00Z",
            )
        ]
    )

    assert half_open(rows, period, edges)["id"].tolist() == ["corner"]


@pytest.mark.parametrize(
    ("question", "status", "words"),
    [
        ("version", 200, "1.14.1"),
        ("count?format=geojson", 200, '{"count": 402, "maxAllowed": 200'),
        ("count", 200, "402"),
        ("query?format=csv", 400, "402 matching events exceeds search limit of 200"),
        ("query?format=csv&endtime=2001-01-01", 204, ""),
        ("query?format=csv&endtime=2001-01-01&nodata=404", 404, ""),
        ("query?format=csv&limit=1&colour=red", 400, 'Unknown parameter "colour"'),
        ("query?limit=1&limit=2", 400, 'Parameter "limit" may be given once'),
        ("query?limit=1&format=shapefile", 400, "Bad format"),
        ("query?limit=1&starttime=soon", 400, "Valid values are ISO-8601"),
        ("query?limit=1&orderby=depth", 400, "Bad orderby"),
        ("query?format=text&limit=1&orderby=time-asc", 200, "ci00000001|2019-01-01T00:00:00.000|"),
        ("query?format=csv&limit=1&offset=2&orderby=time", 200, "ci"),
        ("count?minmagnitude=1.5&maxmagnitude=1.5&eventtype=quarry_blast", 200, "0"),
        ("count?includedeleted=true", 400, "unless format is geojson or csv"),
        ("catalogs", 404, "Not Found"),
    ],
)
def test_the_replay_answers_as_the_service(
    event_server: FdsnServer, question: str, status: int, words: str
) -> None:
    response = urllib3.request(
        "GET", f"{event_server.url}/fdsnws/event/1/{question}", retries=False
    )

    assert status == response.status
    assert words in response.data.decode()


def test_bounds_of_the_replay_are_inclusive_to_the_second(
    event_server: FdsnServer,
) -> None:
    table = event_server.table
    exactly = {"starttime": "2019-01-01T00:00:00.999", "endtime": "2019-01-01T00:00:00.999"}

    assert table.event_id[table.find(exactly)].tolist() == ["ci00000001"]
