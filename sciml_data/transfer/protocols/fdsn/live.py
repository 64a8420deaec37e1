"""Fetch a period from an FDSN event service: every event once, and where each came from.

Count the period; halve it until each window has few enough events; ask for the windows one after
the other, each held against its own count; merge them by event id; ask again for what changed at
the service meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sciml_data import __version__
from sciml_data.errors import FetchError, Problem
from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.progress import Log, Progress
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.stages import Fetched
from sciml_data.transfer.protocols.fdsn.service import Clock, Service, find_service
from sciml_data.transfer.protocols.fdsn.store import Held, WindowStore
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


def fetch_live(  # noqa: PLR0913 - the period, the mirrors and three ways to talk
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
    """Return the events of a period, `start <= time < end`, as files of windows with a manifest.

    Finished windows of an earlier fetch are used again; a period that was fetched whole is not
    asked for at all. The folder is locked here: the caller must not hold its lock.

    Args:
        descriptor: of a `live` version; its block `live` names the service and its parameters.
        folder: where the windows go.
        start: ISO 8601, UTC; None means the dataset's earliest.
        end: ISO 8601, UTC; None means now.
        mirrors: addresses of replays, asked before the service itself.
        log: is told of waits, reuse and changes, a sentence each.
        progress: is told of (events so far, events expected) after each window.
        clock: time, waiting and chance.

    Raises:
        CallError: the period cannot be.
        FetchError: the service refuses, does not answer, or gives numbers that do not agree.
    """
    live = descriptor.live
    if live is None:
        raise FetchError(f"{descriptor.dataset} {descriptor.version} names no service")
    clock = clock or Clock()
    period = read_period(start, end, earliest=live.earliest, now=clock.now())
    with folder.lock(f"fetch {descriptor.dataset} {descriptor.version}"):
        store = WindowStore(folder, live.parameters, log)
        windows = of_period(period, store.held())
        _say_reused(windows, clock.now(), log)
        summary = _finished(folder, period, windows)
        if summary is None:
            service, version = find_service(
                live.base, mirrors, live.parameters, log=log, clock=clock
            )
            fetch = PeriodFetch(service, store, period, log, progress or (lambda *_: None))
            windows, summary = fetch.run(windows)
            summary |= {"service": service.base, "service_version": version}
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


def _identity(period: Window, windows: Sequence[Held]) -> dict[str, Any]:
    """Return what makes two fetches the same: the period and the very windows."""
    return {
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "windows": [one.as_json() for one in windows],
    }


def _finished(
    folder: DatasetFolder, period: Window, windows: Sequence[Held]
) -> dict[str, Any] | None:
    """Return the summary of an earlier fetch of the same period whose windows all stand."""
    path = folder.root / SUMMARY
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    same = _identity(period, windows)
    return summary if all(summary.get(key) == value for key, value in same.items()) else None


def _say_reused(held: Sequence[Held], now: datetime, log: Log) -> None:
    if not held:
        return
    oldest = min(one.retrieved for one in held)
    age = (now - oldest) // timedelta(days=1)
    log(
        f"{len(held)} windows are used again, {sum(one.events for one in held)} events; the oldest "
        f"was retrieved {oldest:%Y-%m-%dT%H:%M:%SZ}, {age} days ago"
    )


SHARE_OF_LIMIT = 0.75  # a window of 15,000 leaves room for events added while it is asked for
TRIES_OF_A_WINDOW = 3
CACHED_S = 60.0  # the service answers the same question from memory for so long
ROUNDS = 3  # of asking again for what changed at the service while it was being asked


@dataclass(frozen=True)
class PeriodFetch:
    """One fetch of one period; windows are kept in the store as they arrive."""

    service: Service
    store: WindowStore
    period: Window
    log: Log
    progress: Progress
    queries: list[str] = field(default_factory=list)

    def run(self, held: Sequence[Held]) -> tuple[list[Held], dict[str, Any]]:
        """Ask for what is missing, settle what changed meanwhile; return windows and totals."""
        started = self.service.clock.now()
        expected, _ = self.service.count(self.period)
        if expected == 0:
            raise FetchError(
                f"the service has no event from {self.period}",
                untouched="nothing was changed",
                hint="ask for a longer period",
            )
        windows = list(held)
        for gap in gaps(self.period, [one.window for one in held]):
            windows += self._fill(gap, windows, expected)
        windows, events = self._settle(of_period(self.period, windows), started)
        return windows, {
            "started": started.isoformat(timespec="seconds"),
            "finished": self.service.clock.now().isoformat(timespec="seconds"),
            "queries": len(self.queries),
            "events": events,
        }

    def _fill(self, gap: Window, before: Sequence[Held], expected: int) -> list[Held]:
        """Return the windows that fill a gap, halved until each has few enough events."""
        done: list[Held] = []
        waiting = [gap]
        while waiting:
            window = waiting.pop()
            held = self._window(window)
            if held is None:
                waiting += reversed(window.halves())
                continue
            done.append(held)
            self.progress(sum(one.events for one in [*before, *done]), expected)
        return done

    def _window(self, window: Window) -> Held | None:
        """Return one window, fetched and held against its count; None where it has to be halved."""
        problems: list[Problem] = []
        for _ in range(TRIES_OF_A_WINDOW):
            if problems:
                self.service.clock.sleep(CACHED_S)
            at = self.service.clock.now()  # before it is counted: later changes are then found
            counted, most = self.service.count(window)
            fits = counted <= most * SHARE_OF_LIMIT or (
                counted <= most and not window.can_be_halved
            )
            if not fits:
                self._hold_divisible(window, counted, most)
                return None
            answer = self.service.query(window) if counted else None
            if counted and answer is None:  # more by now, or a limit lower than the service says
                self._hold_divisible(window, counted, most)
                return None
            body, url = (answer.body, answer.url) if answer else (b"", "")
            reason = self._differs(body, counted)
            if not reason:
                self.queries.append(url)
                return self.store.put(window, body, events=counted, url=url, at=at)
            self.log(f"window {window}: {reason}; asked again")
            problems.append(Problem("window", window.name, reason))
        raise FetchError(
            f"the service does not give the events of {window} as it counts them",
            problems=problems,
            done=f"asked {TRIES_OF_A_WINDOW} times, {CACHED_S:.0f} s apart",
            untouched="finished windows are kept",
            hint="give the same command again later; it goes on from here",
        )

    @staticmethod
    def _hold_divisible(window: Window, counted: int, most: int) -> None:
        if not window.can_be_halved:
            raise FetchError(
                f"{counted} events in one second, {window}; the service gives {most} at most",
                untouched="finished windows are kept",
            )

    @staticmethod
    def _differs(body: bytes, counted: int) -> str:
        try:
            found = count_rows(body)
        except BodyError as error:
            return f"the body is damaged: {error}"
        return "" if found == counted else f"{counted} events counted, {found} sent"

    def _settle(self, windows: list[Held], started: datetime) -> tuple[list[Held], dict[str, int]]:
        """Hold the merged windows against the service's count; ask again for what changed."""
        totals, stale = self._merge(windows)
        for _ in range(ROUNDS - 1):
            if totals["events"] == totals["counted_by_service"] and not stale:
                break
            changed = [one for one in windows if one in stale or self._has_changed(one)]
            self.log(
                f"{totals['events']} events merged, {totals['counted_by_service']} counted by the "
                f"service: {len(changed)} windows changed there and are asked for again"
            )
            self.service.clock.sleep(CACHED_S)
            windows = self._ask_again(changed, windows, totals["counted_by_service"])
            totals, stale = self._merge(windows)
        if totals["events"] == totals["counted_by_service"] and not stale:
            return windows, totals
        return windows, self._explained(totals, started)

    def _ask_again(
        self, changed: Sequence[Held], windows: Sequence[Held], expected: int
    ) -> list[Held]:
        kept = [one for one in windows if one not in changed]
        for one in changed:
            self.store.drop(one)
            kept += self._fill(one.window, kept, expected)
        return of_period(self.period, kept)

    def _merge(self, windows: Sequence[Held]) -> tuple[dict[str, int], list[Held]]:
        """Return the totals over all windows, and those that hold an event's older state."""
        paths = [(one, one.path) for one in windows if one.path is not None]
        tables = [read_window(path.read_bytes()) for _, path in paths]
        merged = merge_windows(tables)
        inside = half_open(merged, self.period, box_of(self.service.parameters))
        totals = {
            "rows": sum(one.events for one in windows),
            "events": len(merged),
            "counted_by_service": self.service.count(self.period)[0],
            "inside_half_open_box": len(inside),
            "inside_with_magnitude": int(inside["mag"].notna().sum()),
        }
        return totals, [paths[number][0] for number in outdated(tables, merged)]

    def _has_changed(self, one: Held) -> bool:
        """Return whether events came, went or were revised since a window was retrieved."""
        if self.service.count(one.window)[0] != one.events:
            return True
        return self._changed_since(one.retrieved, one.window) > 0

    def _changed_since(self, time: datetime, window: Window) -> int:
        since = f"{time:%Y-%m-%dT%H:%M:%S}"
        return self.service.count(window, updatedafter=since, includedeleted="true")[0]

    def _explained(self, totals: dict[str, int], started: datetime) -> dict[str, int]:
        """Return the totals if they are off by no more than changed since the fetch began."""
        changed = self._changed_since(started, self.period)
        said = (
            f"{totals['events']} events merged, {totals['counted_by_service']} counted by the "
            f"service, {changed} changed there since {started:%Y-%m-%dT%H:%M:%SZ}"
        )
        if abs(totals["events"] - totals["counted_by_service"]) > changed:
            raise FetchError(
                f"the windows do not add up: {said}",
                done=f"what had changed was asked for {ROUNDS - 1} times more",
                untouched="finished windows are kept, the published files were not changed",
                hint="give the same command again later",
            )
        self.log(f"the catalogue keeps changing: {said}; kept as it is")
        return totals | {"changed_meanwhile": changed}


def of_period(period: Window, held: Sequence[Held]) -> list[Held]:
    """Return the windows that make up a period as far as they can, in the order of time."""
    by_window = {one.window: one for one in held}
    return [by_window[window] for window in usable(period, by_window)]
