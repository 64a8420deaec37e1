"""Fetches from the replayed event service: generated events, a frozen clock, log lines."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Fetched
from sciml_data.testing.fdsn_events import EventTable, from_frame
from sciml_data.testing.fdsn_server import FdsnServer
from sciml_data.transfer.protocols.fdsn import Clock, fetch_live

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START, END = "2019-01-01", "2020-01-01"
TOTAL = 402  # generated events; a server with `limit=200` needs several windows for them
BUSY_DAY = datetime(2019, 7, 6, tzinfo=UTC)


def made_up_events(*, seed: int = 0) -> EventTable:
    """Return earthquakes of 2019: half of them on a single day, two at the ends of the year."""
    random = np.random.default_rng(seed)
    half = (TOTAL - 2) // 2
    start, end = pd.Timestamp(START, tz="UTC"), pd.Timestamp(END, tz="UTC")
    quiet = start + pd.to_timedelta(random.integers(0, 365 * 86_400_000, half), unit="ms")
    busy = BUSY_DAY + pd.to_timedelta(random.integers(0, 86_400_000, half), unit="ms")
    times = pd.DatetimeIndex([end, start, *quiet, *busy])
    return from_frame(
        pd.DataFrame(
            {
                "time": times.strftime("%Y-%m-%dT%H:%M:%S.%f"),
                "latitude": random.uniform(32, 35.99, TOTAL).round(3),
                "longitude": random.uniform(-120, -114.01, TOTAL).round(3),
                "depth": random.uniform(0, 20, TOTAL).round(2),
                "mag": np.where(random.uniform(size=TOTAL) < 0.05, np.nan, 1.5),
                "magType": "ml",
                "id": [f"ci{number:08d}" for number in range(TOTAL)],
                "type": "earthquake",
            }
        )
    )


@dataclass
class FrozenClock:
    """A clock that does not advance, and records the requested waits in seconds."""

    waits: list[float] = field(default_factory=list)
    now: datetime = NOW

    def clock(self) -> Clock:
        """Return the clock as the client expects it."""
        return Clock(now=lambda: self.now, sleep=self.waits.append, chance=lambda: 1.0)


def without_service() -> Descriptor:
    """Return the live version with an address at which nobody answers, for mirrors that fail."""
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "live")
    assert descriptor.live is not None
    closed = replace(descriptor.live, base="http://127.0.0.1:1/fdsnws/event/1/")
    return replace(descriptor, live=closed)


@dataclass
class LiveFetch:
    """Calls `fetch_live` from a server into a folder; stores log lines and progress."""

    server: FdsnServer
    folder: DatasetFolder
    live: Descriptor = field(
        default_factory=lambda: load_descriptor(find_registry(), "tevolop_socal", "live")
    )
    clock: FrozenClock = field(default_factory=FrozenClock)
    lines: list[str] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, start: str | None = START, end: str | None = END) -> Fetched:
        """Fetch a period."""
        return fetch_live(
            self.live,
            self.folder,
            start=start,
            end=end,
            mirrors=[self.server.url],
            log=self.lines.append,
            progress=lambda *done: self.progress.append(done),
            clock=self.clock.clock(),
        )

    @property
    def summary(self) -> Any:
        """Return the content of `retrieval.json`."""
        path = self.folder.root / "retrieval.json"
        return json.loads(path.read_text(encoding="utf-8"))


def event_ids(fetched: Fetched) -> list[str]:
    """Return the event ids in all files of the manifest, in their order."""
    ids = []
    for entry in fetched.manifest:
        ids += [row["id"] for row in read_rows(fetched.root / entry.path)]
    return ids


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of the file of a window."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
