"""Fetch a period from an FDSN event service: every event once, and where each came from.

The service limits the number of events in one answer. So the events of the period are counted, and
the period is halved until each window has few enough of them. The windows are fetched one after the
other, and each is compared with its own count. At the end they are merged by event id, and windows
that changed at the service meanwhile are fetched again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sciml_data import __version__
from sciml_data.errors import FetchError, JsonError, Problem, printable
from sciml_data.home import DatasetFolder, read_json, write_atomically
from sciml_data.progress import Log, Progress, counted
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.stages import Fetched
from sciml_data.transfer.protocols.fdsn.service import Clock, Service, ServiceError, find_services
from sciml_data.transfer.protocols.fdsn.store import StoredWindow, WindowStore
from sciml_data.transfer.protocols.fdsn.windows import (
    BodyError,
    Window,
    box_of,
    count_rows,
    gaps,
    half_open,
    merge_windows,
    outdated,
    read_period,
    read_window,
    usable,
)

SUMMARY = "retrieval.json"  # in the dataset's folder: query, times, totals, windows
# Share of the service's limit that a window may have: the rest is room for events that are added
# between the count and the query.
SHARE_OF_LIMIT = 0.75
WINDOW_TRIES = 3  # counts and queries of one window, until both agree
MAX_WINDOWS = 20_000  # of a period: more than ComCat needs for all its events
CACHE_S = 60.0  # the service answers an equal request from its cache for this time
ROUNDS = 3  # of merging: the catalogue changes while it is fetched, but not forever


def fetch_live(  # noqa: PLR0913 - the period, the mirrors and three callbacks
    descriptor: Descriptor,
    folder: DatasetFolder,
    *,
    start: str | None,
    end: str | None,
    mirrors: Sequence[str],
    log: Log,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Fetched:
    """Fetch the events of a period, `start <= time < end`, as files of windows with a manifest.

    Finished windows of an earlier fetch are used again; a period that was fetched completely is not
    requested again. The folder is locked here: the caller must not hold its lock.

    Args:
        descriptor: of a `live` version; its block `live` names the service and its parameters.
        folder: of the dataset.
        start: ISO 8601, UTC; None means the beginning of the dataset.
        end: ISO 8601, UTC; None means now.
        mirrors: URLs of replays, asked before the service itself.
        log: gets lines about waits, used windows and changes.
        progress: gets (events so far, events expected) after each window.
        clock: time, waiting and random numbers.

    Raises:
        CallError: the period is not valid.
        FetchError: the service refuses or does not answer, or its counts do not match its events.
    """
    live = descriptor.live
    if live is None:
        raise FetchError(f"{descriptor.dataset} {descriptor.version} is not fetched from a service")
    clock = clock or Clock()
    period = read_period(start, end, earliest=live.earliest, now=clock.now())
    folder = folder.own
    with folder.lock(f"fetch {descriptor.dataset} {descriptor.version}"):
        store = WindowStore(folder, live.parameters, log)
        windows = of_period(period, store.load())
        _log_reused(windows, clock.now(), log)
        summary = _finished(folder, period, windows)
        if summary is None:
            services = find_services(live.base, mirrors, live.parameters, log=log, clock=clock)
            windows, summary = _from_services(services, store, period, log, progress)
        summary |= {
            "dataset": descriptor.dataset,
            "version": descriptor.version,
            "software": f"sciml-data {__version__}",
            "mirrors": list(mirrors),
            **_identity(period, windows),
        }
        manifest = store.publish(windows)
        write_atomically(folder.root / SUMMARY, json.dumps(summary, indent=1) + "\n")
        write_atomically(folder.manifest, manifest.dump())
    return Fetched(descriptor, folder, manifest)


def _from_services(
    services: Iterator[tuple[Service, str]],
    store: WindowStore,
    period: Window,
    log: Log,
    progress: Progress | None,
) -> tuple[list[StoredWindow], dict[str, Any]]:
    """Return the windows of a period and their totals, from the first service that gives them.

    Raises:
        ServiceError: of the first service, if no other one gives the period either.
    """
    first: ServiceError | None = None
    for service, version in services:
        fetch = PeriodFetch(service, store, period, log, progress or (lambda *_: None))
        try:
            windows, summary = fetch.run(of_period(period, store.load()))
        except ServiceError as error:
            first = first or error
            log(f"{service.base} failed: {error.message}; the next address is tried")
        else:
            return windows, summary | {"service": service.base, "service_version": version}
    raise first or FetchError("no event service answers")


def _identity(period: Window, windows: Sequence[StoredWindow]) -> dict[str, Any]:
    """Return what two equal fetches have in common: the period and the windows."""
    return {
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "windows": [stored.as_json() for stored in windows],
    }


def _finished(
    folder: DatasetFolder, period: Window, windows: Sequence[StoredWindow]
) -> dict[str, Any] | None:
    """Return the summary of an earlier fetch of the same period, if all its windows exist."""
    path = folder.root / SUMMARY
    if not path.is_file():
        return None
    try:
        summary: dict[str, Any] = read_json(path)
        same = _identity(period, windows).items()
        return summary if all(summary.get(key) == value for key, value in same) else None
    except (JsonError, AttributeError):  # damaged: the period is fetched again
        return None


def _log_reused(windows: Sequence[StoredWindow], now: datetime, log: Log) -> None:
    if not windows:
        return
    events = sum(stored.events for stored in windows)
    oldest = min(stored.retrieved for stored in windows)
    age = (now - oldest) // timedelta(days=1)
    log(
        f"used again: {counted(len(windows), 'window')}, {counted(events, 'event')}; the oldest "
        f"was retrieved {oldest:%Y-%m-%dT%H:%M:%SZ}, {counted(age, 'day')} ago"
    )


@dataclass(frozen=True)
class PeriodFetch:
    """One fetch of one period; each window is stored as soon as it arrives."""

    service: Service
    store: WindowStore
    period: Window
    log: Log
    progress: Progress
    queries: list[str] = field(default_factory=list)

    def run(self, stored: Sequence[StoredWindow]) -> tuple[list[StoredWindow], dict[str, Any]]:
        """Fetch missing windows and those that changed meanwhile; return windows and totals."""
        started = self.service.clock.now()
        expected, _ = self.service.count(self.period)
        if expected == 0:
            raise ServiceError(
                f"the service has no event from {self.period}",
                untouched="nothing was changed",
                hint="choose a longer period",
            )
        windows = list(stored)
        for gap in gaps(self.period, [each.window for each in stored]):
            windows += self._fill(gap, windows, expected)
        windows, events = self._settle(of_period(self.period, windows), started)
        return windows, {
            "started": started.isoformat(timespec="seconds"),
            "finished": self.service.clock.now().isoformat(timespec="seconds"),
            "queries": len(self.queries),
            "events": events,
        }

    def _fill(
        self, gap: Window, before: Sequence[StoredWindow], expected: int
    ) -> list[StoredWindow]:
        """Return the windows that fill a gap, halved until each has few enough events."""
        done: list[StoredWindow] = []
        waiting = [gap]
        while waiting:
            if len(done) > MAX_WINDOWS:
                raise ServiceError(
                    f"the service sends too few events at once: {MAX_WINDOWS} windows are not "
                    f"enough for {gap}",
                    untouched="finished windows are kept",
                )
            window = waiting.pop()
            stored = self._fetch_window(window)
            if stored is None:
                waiting += reversed(window.halves())
                continue
            done.append(stored)
            self.progress(sum(each.events for each in [*before, *done]), expected)
        return done

    def _fetch_window(self, window: Window) -> StoredWindow | None:
        """Fetch one window and compare it with its count; None if it has to be halved."""
        problems: list[Problem] = []
        for _ in range(WINDOW_TRIES):
            if problems:
                self.service.clock.sleep(CACHE_S)
            # The time before the count, so that `_has_changed` finds every later change.
            at = self.service.clock.now()
            counted, limit = self.service.count(window)
            fits = counted <= limit * SHARE_OF_LIMIT or (
                counted <= limit and not window.can_be_halved
            )
            if not fits:
                self._check_can_be_halved(window, counted, limit)
                return None
            answer = self.service.query(window) if counted else None
            if counted and answer is None:  # more by now, or the limit is lower than it says
                self._check_can_be_halved(window, counted, limit)
                return None
            body, url = (answer.body, answer.url) if answer else (b"", "")
            reason = self._difference(body, counted)
            if not reason:
                self.queries.append(url)
                return self.store.put(window, body, events=counted, url=url, at=at)
            self.log(f"window {window}: {reason}; fetched again")
            problems.append(Problem("window", window.name, reason))
        raise ServiceError(
            f"the service does not send the number of events of {window} that it counts",
            problems=problems,
            done=f"tried {WINDOW_TRIES} times, {CACHE_S:.0f} s apart",
            untouched="finished windows are kept",
            hint="run the same command again later; it resumes",
        )

    @staticmethod
    def _check_can_be_halved(window: Window, counted: int, limit: int) -> None:
        if not window.can_be_halved:
            raise ServiceError(
                f"{counted} events in one second, {window}; the service sends {limit} at most",
                untouched="finished windows are kept",
            )

    @staticmethod
    def _difference(body: bytes, counted: int) -> str:
        """Return how the events of an answer differ from their count, or an empty string."""
        try:
            sent = count_rows(body)
            if sent:
                read_window(body)
        except BodyError as error:
            return printable(f"the body is damaged: {error}")
        return "" if sent == counted else f"{counted} events counted, {sent} sent"

    def _settle(
        self, windows: list[StoredWindow], started: datetime
    ) -> tuple[list[StoredWindow], dict[str, int]]:
        """Compare the merged windows with the service's count; fetch changed windows again."""
        totals, stale = self._merge(windows)
        for _ in range(ROUNDS - 1):
            if totals["events"] == totals["counted_by_service"] and not stale:
                break
            changed = [each for each in windows if each in stale or self._has_changed(each)]
            self.log(
                f"merged {counted(totals['events'], 'event')}, {totals['counted_by_service']} "
                f"counted by the service: {counted(len(changed), 'window')} changed there, "
                "fetched again"
            )
            self.service.clock.sleep(CACHE_S)
            windows = self._fetch_again(changed, windows, totals["counted_by_service"])
            totals, stale = self._merge(windows)
        if totals["events"] == totals["counted_by_service"] and not stale:
            return windows, totals
        return windows, self._allow_changes(totals, started)

    def _fetch_again(
        self, changed: Sequence[StoredWindow], windows: Sequence[StoredWindow], expected: int
    ) -> list[StoredWindow]:
        current = [each for each in windows if each not in changed]
        for stored in changed:
            self.store.drop(stored)
            current += self._fill(stored.window, current, expected)
        return of_period(self.period, current)

    def _merge(self, windows: Sequence[StoredWindow]) -> tuple[dict[str, int], list[StoredWindow]]:
        """Return the totals over all windows, and the windows with an older state of an event."""
        paths = [(each, each.path) for each in windows if each.path is not None]
        tables = [read_window(path.read_bytes()) for _, path in paths]
        merged = merge_windows(tables)
        inside = half_open(merged, self.period, box_of(self.service.parameters))
        totals = {
            "rows": sum(each.events for each in windows),
            "events": len(merged),
            "counted_by_service": self.service.count(self.period)[0],
            "inside_half_open_box": len(inside),
            "inside_with_magnitude": int(inside["mag"].notna().sum()),
        }
        return totals, [paths[number][0] for number in outdated(tables, merged)]

    def _has_changed(self, stored: StoredWindow) -> bool:
        """Return whether events were added, deleted or revised since a window was retrieved."""
        if self.service.count(stored.window)[0] != stored.events:
            return True
        return self._changed_since(stored.retrieved, stored.window) > 0

    def _changed_since(self, time: datetime, window: Window) -> int:
        since = f"{time:%Y-%m-%dT%H:%M:%S}"
        return self.service.count(window, updatedafter=since, includedeleted="true")[0]

    def _allow_changes(self, totals: dict[str, int], started: datetime) -> dict[str, int]:
        """Return the totals if no more events are missing than changed since the fetch began."""
        changed = self._changed_since(started, self.period)
        counts = (
            f"{totals['events']} events merged, {totals['counted_by_service']} counted by the "
            f"service, {changed} changed there since {started:%Y-%m-%dT%H:%M:%SZ}"
        )
        if abs(totals["events"] - totals["counted_by_service"]) > changed:
            raise ServiceError(
                f"the windows do not add up: {counts}",
                done=f"changed windows were fetched again {ROUNDS - 1} times",
                untouched="finished windows are kept, published files were not changed",
                hint="run the same command again later",
            )
        self.log(f"the catalogue keeps changing: {counts}; accepted")
        return totals | {"changed_meanwhile": changed}


def of_period(period: Window, stored: Sequence[StoredWindow]) -> list[StoredWindow]:
    """Return the windows that fill a period, as far as they do, in the order of time."""
    by_window = {each.window: each for each in stored}
    return [by_window[window] for window in usable(period, by_window)]
