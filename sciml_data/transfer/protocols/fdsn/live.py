"""Fetch a period from an FDSN event service: every event once, and where each came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sciml_data import __version__
from sciml_data.errors import FetchError
from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.stages import Fetched
from sciml_data.transfer.protocols.fdsn.period import Log, PeriodFetch, Progress, of_period
from sciml_data.transfer.protocols.fdsn.service import Clock, find_service
from sciml_data.transfer.protocols.fdsn.store import Held, WindowStore
from sciml_data.transfer.protocols.fdsn.windows import Window, read_period

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
