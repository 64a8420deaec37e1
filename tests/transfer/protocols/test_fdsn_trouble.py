"""A busy service, a bad line, a catalogue that changes: no event is lost, none doubled."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.testing.fdsn_events import EventTable, milliseconds
from sciml_data.testing.fdsn_server import Fault, FdsnServer
from sciml_data.transfer.protocols.fdsn import fetch_live, service
from sciml_data.transfer.protocols.fdsn.service import Service
from sciml_data.transfer.protocols.fdsn.windows import Window
from tests.support.fdsn_fetch import (
    END,
    NOW,
    START,
    TOTAL,
    FrozenClock,
    LiveFetch,
    event_ids,
    made_up_events,
    without_service,
)
from tests.support.raw_server import RawServer

TO_THE_NEXT = [1.0, 2.0]  # seconds to wait for the address after the one that failed


def test_a_busy_service_is_waited_for_longer_each_time(get: LiveFetch) -> None:
    get.server.faults.append(Fault("busy", "count", times=4))

    assert len(set(event_ids(get()))) == TOTAL
    assert get.clock.waits == [1.0, 2.0, 4.0, 8.0]


def test_retry_after_is_kept_to(get: LiveFetch) -> None:
    get.server.faults.append(Fault("busy", "query", retry_after="30"))
    get.server.faults.append(Fault("unavailable", retry_after="Thu, 01 Jan 2026 00:01:30 GMT"))

    get()

    assert get.clock.waits == [30.0, 90.0]


def test_a_service_that_asks_for_an_hour_is_left(get: LiveFetch) -> None:
    get.server.faults.append(Fault("busy", "query", retry_after="3600"))

    with pytest.raises(FetchError, match="a wait of 3600 s"):
        get()
    assert get.clock.waits == TO_THE_NEXT


def test_a_service_that_stays_away_is_given_up_and_what_is_there_is_kept(get: LiveFetch) -> None:
    get.server.faults.append(Fault("pass", "query", times=3))
    get.server.faults.append(Fault("unavailable", "query", times=service.ATTEMPTS))

    with pytest.raises(FetchError, match="HTTP 503") as error:
        get()

    assert len(get.clock.waits) == service.ATTEMPTS - 1 + len(TO_THE_NEXT)
    assert "finished windows are kept" in str(error.value)
    asked = len(get.server.answered("query"))
    assert len(set(event_ids(get()))) == TOTAL
    all_queries = [one.parameters["starttime"] for one in get.server.answered("query")]
    assert asked == 3
    assert len(all_queries) == len(set(all_queries))


@pytest.mark.parametrize("kind", ["cut", "garbage", "short"])
def test_a_damaged_body_is_asked_for_again(get: LiveFetch, kind: str) -> None:
    get.server.faults.append(Fault(kind, "query"))

    assert len(set(event_ids(get()))) == TOTAL


def test_a_stall_is_cut_short_and_asked_for_again(
    get: LiveFetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "READ_TIMEOUT_S", 0.2)
    get.server.faults.append(Fault("stall", "query"))

    assert len(set(event_ids(get()))) == TOTAL
    assert get.clock.waits == [1.0]


def test_a_window_that_never_fits_its_count_is_reported_with_numbers(get: LiveFetch) -> None:
    get.server.faults.append(Fault("short", "query", times=3))

    with pytest.raises(FetchError) as error:
        get()

    assert len(error.value.problems) == 3
    assert "events counted" in error.value.problems[0].message
    assert get.clock.waits == [60.0, 60.0, *TO_THE_NEXT]


def test_the_next_address_is_asked_when_one_fails_in_the_middle(
    tmp_path: Path, get: LiveFetch
) -> None:
    """What the first mirror sent is kept, and the second one sends the rest."""
    get.server.faults.append(Fault("pass", "query", times=2))
    get.server.faults.append(Fault("unavailable", "query", times=100))
    with FdsnServer(made_up_events(), limit=200) as second:
        fetched = fetch_live(
            without_service(),
            get.folder,
            start=START,
            end=END,
            mirrors=[get.server.url, second.url],
            log=get.lines.append,
            clock=get.clock.clock(),
        )
        asked = {one.parameters["starttime"] for one in second.answered("query")}

    assert len(set(event_ids(fetched))) == TOTAL
    assert get.summary["service"] == f"{second.url}/fdsnws/event/1/"
    answered = [one.parameters["starttime"] for one in get.server.answered("query")]
    assert len(answered) == 2
    assert asked.isdisjoint(answered)
    assert any("the next address is tried" in line for line in get.lines)


def test_a_limit_lower_than_the_service_says_only_makes_more_windows(get: LiveFetch) -> None:
    get.server.limit, get.server.declared_limit = 100, 200

    assert len(set(event_ids(get()))) == TOTAL
    assert 400 in {one.status for one in get.server.log}


def test_more_events_in_a_second_than_the_limit_are_an_error(get: LiveFetch) -> None:
    table = get.server.table
    get.server.table = dataclasses.replace(table, time=np.full_like(table.time, table.time[5]))

    with pytest.raises(FetchError, match="402 events in one second"):
        get()


def test_a_refusal_is_said_in_the_words_of_the_service(get: LiveFetch) -> None:
    service = get.live.live
    assert service is not None
    wrong = dataclasses.replace(service, parameters={"minlatitude": "north"})
    get.live = dataclasses.replace(get.live, live=wrong)

    with pytest.raises(FetchError) as error:
        get()

    assert 'Bad minlatitude value "north"' in str(error.value)
    assert "Usage details" not in str(error.value)


def at_second_query(change: Fault) -> list[Fault]:
    return [Fault("pass", "query"), change]


def test_an_event_added_between_count_and_query_is_taken_in(get: LiveFetch) -> None:
    extra = made_up_events(seed=1).take(np.arange(200, 201))
    extra = dataclasses.replace(extra, event_id=np.array(["ci99"], dtype=object))

    def add(table: EventTable) -> EventTable:
        joined = (
            np.concatenate([getattr(table, field.name), getattr(extra, field.name)])
            for field in dataclasses.fields(table)
        )
        added = EventTable(*joined)
        return added.take(np.argsort(added.time, kind="stable"))

    get.server.faults += [Fault("pass", "query", times=3), Fault("change", change=add)]

    assert "ci99" in event_ids(get())
    assert get.summary["events"]["events"] == TOTAL + 1


def test_an_event_that_moves_to_a_window_already_fetched_is_not_lost(get: LiveFetch) -> None:
    early = int(datetime(2019, 1, 5, tzinfo=UTC).timestamp() * 1000)
    last = str(get.server.table.event_id[-2])
    move = Fault("change", "query", change=lambda table: table.changed(last, at=NOW, time=early))
    get.server.faults += at_second_query(move)

    assert event_ids(get()).count(last) == 1
    assert TOTAL == get.summary["events"]["events"] == get.summary["events"]["rows"]


def test_an_event_that_moves_to_a_later_window_stays_there_alone(get: LiveFetch) -> None:
    late = int(datetime(2019, 12, 5, tzinfo=UTC).timestamp() * 1000)
    first = str(get.server.table.event_id[0])
    move = Fault("change", "query", change=lambda table: table.changed(first, at=NOW, time=late))
    get.server.faults += at_second_query(move)

    assert event_ids(get()).count(first) == 1


def test_an_event_deleted_meanwhile_goes(get: LiveFetch) -> None:
    first = str(get.server.table.event_id[0])
    gone = Fault(
        "change", "query", change=lambda table: table.changed(first, at=NOW, is_deleted=True)
    )
    get.server.faults += at_second_query(gone)

    assert first not in event_ids(get())
    assert get.summary["events"]["events"] == TOTAL - 1


def test_windows_that_changed_since_an_earlier_fetch_are_asked_for_again(get: LiveFetch) -> None:
    get(START, "2019-07-01")
    get.clock.now += timedelta(days=1)
    first = str(get.server.table.event_id[0])
    get.server.table = get.server.table.changed(first, at=get.clock.now, is_deleted=True)

    fetched = get()

    assert first not in event_ids(fetched)
    assert any("401 counted by the service" in log for log in get.lines)


def test_a_move_that_a_deletion_hides_from_the_counts_is_found(get: LiveFetch) -> None:
    get(START, "2019-03-01")
    in_april = event_ids(get("2019-03-01", "2019-07-01"))
    get.clock.now += timedelta(days=1)
    moved, deleted, since = "ci00000001", in_april[0], get.clock.now
    april = milliseconds(datetime(2019, 4, 1, tzinfo=UTC))
    table = get.server.table.changed(moved, at=since, time=april)
    get.server.table = table.changed(deleted, at=since, is_deleted=True)

    found = event_ids(get())

    assert found.count(moved) == 1
    assert deleted not in found


def test_a_window_that_grew_too_large_is_replaced_by_its_halves(get: LiveFetch) -> None:
    whole = get.server.table
    get.server.table = whole.take(np.arange(0, len(whole), 4))
    get()
    before = {one["window"] for one in get.summary["windows"]}
    get.server.table = whole

    fetched = get(START, "2020-01-02")

    files = [path.relative_to(fetched.root).as_posix() for path in fetched.root.rglob("*.csv")]
    assert [entry.path for entry in fetched.manifest] == sorted(files)
    assert set(event_ids(fetched)) == set(whole.event_id.tolist())
    assert before.isdisjoint(one["window"] for one in get.summary["windows"])
    asked = len(get.server.log)
    get(START, "2020-01-02")
    assert len(get.server.log) == asked


def test_a_total_that_does_not_add_up_is_an_error(
    get: LiveFetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Service.count

    def one_more(self: Service, window: Window, **more: str) -> tuple[int, int]:
        counted, most = count(self, window, **more)
        is_whole = window.end - window.start > timedelta(days=360)
        return counted + (is_whole and "updatedafter" not in more), most

    monkeypatch.setattr(Service, "count", one_more)

    with pytest.raises(FetchError, match="402 events merged, 403 counted"):
        get()
    assert not get.folder.manifest.exists()


def test_a_mirror_is_asked_under_the_name_of_the_host_first(tmp_path: Path) -> None:
    with FdsnServer(made_up_events(), under="/earthquake.usgs.gov") as server:
        fetched = LiveFetch(server, DatasetFolder(tmp_path / "live"))()

    assert len(set(event_ids(fetched))) == TOTAL


def test_no_service_at_all_names_every_address(tmp_path: Path) -> None:
    live = load_descriptor(find_registry(), "tevolop_socal", "live")
    closed = "http://127.0.0.1:9"  # the discard port: nobody listens
    assert live.live is not None
    nowhere = dataclasses.replace(live.live, base=f"{closed}/fdsnws/event/1/")
    lines: list[str] = []

    with pytest.raises(FetchError) as error:
        fetch_live(
            dataclasses.replace(live, live=nowhere),
            DatasetFolder(tmp_path / "live"),
            start=START,
            end=END,
            mirrors=["file:/data", closed],
            log=lines.append,
            clock=FrozenClock().clock(),
        )

    assert len(error.value.problems) == 3
    assert any("cannot answer queries" in log for log in lines)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 401 Unauthorized",
        b"HTTP/1.1 403 Forbidden",
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://elsewhere.example.org/",
    ],
)
def test_an_answer_that_stays_the_same_is_not_asked_for_again(head: bytes) -> None:
    answer = head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    clock = FrozenClock()
    with RawServer(lambda _: [answer]) as server:
        asked = Service(f"{server.url}/fdsnws/event/1/", {}, lambda _: None, clock.clock())
        with pytest.raises(FetchError) as error:
            asked.version()

    assert "later" not in error.value.hint
    assert len(server.requests) == 1
    assert clock.waits == []
