"""The FDSN event service: every event of a period once, and nothing asked for twice."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sciml_data.errors import FetchError
from sciml_data.home import publish
from sciml_data.testing.fdsn_events import milliseconds
from sciml_data.transfer.protocols.fdsn import store
from tests.support.fdsn_fetch import (
    BUSY_DAY,
    NOW,
    START,
    TOTAL,
    LiveFetch,
    event_ids,
)


def test_every_event_of_the_period_arrives(get: LiveFetch) -> None:
    fetched = get()

    assert set(get.server.table.event_id.tolist()) == set(event_ids(fetched))
    assert TOTAL == get.summary["events"]["events"] == get.progress[-1][0] == get.progress[-1][1]


def test_what_lies_on_the_far_edges_is_told_apart(get: LiveFetch) -> None:
    edges = {"latitude": 36.0, "longitude": -114.0}
    for number, (name, value) in enumerate(edges.items(), start=100):
        get.server.table = get.server.table.changed(f"ci{number:08d}", at=NOW, **{name: value})

    get()

    # 402 of the closed box and period; less two on the box's edges, less one at the period's end.
    assert get.summary["events"]["inside_half_open_box"] == TOTAL - 3


def test_no_query_asks_for_more_than_three_quarters_of_the_limit(get: LiveFetch) -> None:
    get()

    sizes = [len(get.server.table.find(one.parameters)) for one in get.server.answered("query")]
    assert max(sizes) <= 150
    assert len(sizes) >= TOTAL / 150


def test_files_are_as_the_service_sent_them_and_the_manifest_fits(get: LiveFetch) -> None:
    fetched = get()

    entry = fetched.manifest.entries[0]
    query = get.server.answered("query")[0]
    sent = get.server.table.csv(get.server.table.find(query.parameters)).encode()
    assert sent == (fetched.root / entry.path).read_bytes()
    assert fetched.manifest.dump() == get.folder.manifest.read_text(encoding="utf-8")
    assert sorted(path.name for path in fetched.root.rglob("*.csv")) == sorted(
        Path(entry.path).name for entry in fetched.manifest
    )


def test_an_event_between_two_whole_seconds_is_not_lost_at_an_edge(get: LiveFetch) -> None:
    first_half_ends = datetime(2019, 7, 2, 12, tzinfo=UTC)
    late = int(first_half_ends.timestamp() * 1000) - 1
    get.server.table = get.server.table.changed("ci00000250", at=NOW, time=late)

    assert "ci00000250" in event_ids(get())


def test_an_event_on_an_edge_comes_twice_and_is_counted_once(get: LiveFetch) -> None:
    edge = int(datetime(2019, 7, 2, 12, tzinfo=UTC).timestamp() * 1000)
    get.server.table = get.server.table.changed("ci00000250", at=NOW, time=edge)

    assert event_ids(get()).count("ci00000250") == 2
    assert TOTAL == get.summary["events"]["events"] == get.summary["events"]["rows"] - 1


def test_a_window_without_events_has_no_file_and_is_not_asked_for_twice(get: LiveFetch) -> None:
    get.server.table = get.server.table.take(get.server.table.time > milliseconds(BUSY_DAY))

    fetched = get()

    empty = [one for one in get.summary["windows"] if one["events"] == 0]
    assert empty
    assert len(fetched.manifest) + len(empty) == len(get.summary["windows"])
    asked = len(get.server.log)
    get()
    assert len(get.server.log) == asked


def test_a_period_without_any_event_is_said(get: LiveFetch) -> None:
    with pytest.raises(FetchError, match="no event from 2018-01-01"):
        get("2018-01-01", "2018-02-01")

    assert not get.folder.manifest.exists()


def test_the_end_is_now_unless_it_is_given(get: LiveFetch) -> None:
    get(START, None)

    assert get.summary["end"] == "2026-01-01T00:00:00+00:00"


def test_a_second_get_of_the_same_period_asks_for_nothing(get: LiveFetch) -> None:
    first = get()
    asked = len(get.server.log)
    get.clock.now += timedelta(days=3)

    second = get()

    assert asked == len(get.server.log)
    assert first.manifest == second.manifest
    assert any("3 days ago" in log for log in get.lines)


def test_a_longer_period_only_asks_for_what_is_new(get: LiveFetch) -> None:
    get(START, "2019-07-01")
    before = {one.parameters["starttime"] for one in get.server.answered("query")}

    fetched = get()

    queries = get.server.answered("query")
    assert before == {
        one.parameters["starttime"] for one in queries if one.parameters["starttime"] < "2019-07-01"
    }
    assert set(get.server.table.event_id.tolist()) == set(event_ids(fetched))


def test_a_shorter_period_leaves_native_with_its_own_windows_and_loses_none(get: LiveFetch) -> None:
    get()

    fetched = get("2019-07-01", "2019-08-01")

    files = [path.relative_to(fetched.root).as_posix() for path in fetched.root.rglob("*.csv")]
    assert [entry.path for entry in fetched.manifest] == sorted(files)
    asked = len(get.server.answered("query"))
    assert len(set(event_ids(get()))) == TOTAL
    assert len(get.server.answered("query")) == asked


def test_a_changed_window_is_set_aside_and_asked_for_again(get: LiveFetch) -> None:
    fetched = get()
    victim = fetched.root / fetched.manifest.entries[2].path
    victim.write_bytes(victim.read_bytes().replace(b"ml", b"mw", 1))
    asked = len(get.server.answered("query"))

    again = get()

    assert fetched.manifest == again.manifest
    assert asked + 1 == len(get.server.answered("query"))
    assert any("missing or changed" in log for log in get.lines)


def test_a_sidecar_that_cannot_be_read_is_no_window(get: LiveFetch) -> None:
    get()
    next(iter((get.folder.root / "windows").glob("*.json"))).write_text("{", encoding="utf-8")

    assert len(set(event_ids(get()))) == TOTAL
    assert any("cannot be read" in log for log in get.lines)


def test_windows_of_other_parameters_are_not_used(get: LiveFetch) -> None:
    get()
    service = get.live.live
    assert service is not None
    smaller = dataclasses.replace(service, parameters={**service.parameters, "minlatitude": "33"})
    get.live = dataclasses.replace(get.live, live=smaller)

    fetched = get()

    inside = get.server.table.latitude >= 33
    assert set(get.server.table.event_id[inside].tolist()) == set(event_ids(fetched))


def test_a_fetch_that_ends_while_it_publishes_goes_on(
    get: LiveFetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Path] = []

    def publish_two(partial: Path, final: Path) -> None:
        if final.is_relative_to(get.folder.native):
            published.append(final)
        if len(published) == 3:
            raise KeyboardInterrupt
        publish(partial, final)

    with monkeypatch.context() as patch:
        patch.setattr(store, "publish", publish_two)
        with pytest.raises(KeyboardInterrupt):
            get()
    asked = len(get.server.answered("query"))

    assert len(set(event_ids(get()))) == TOTAL
    assert len(get.server.answered("query")) == asked
