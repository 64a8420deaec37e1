"""A fetch from the event service that is killed goes on where it was."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.testing.fdsn_events import EventTable, from_frame
from sciml_data.testing.fdsn_server import Fault, FdsnServer
from sciml_data.transfer.protocols.fdsn import fetch_live

NUMBER = 600  # events, of which the service gives 100 at once
PROGRAM = """
import sys
from pathlib import Path
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.home import DatasetFolder
from sciml_data.registry.layout import find_registry
from sciml_data.transfer.protocols.fdsn import fetch_live

fetch_live(
    load_descriptor(find_registry(), "tevolop_socal", "live"), DatasetFolder(Path(sys.argv[1])),
    start="2018-01-01", end="2019-01-01", mirrors=[sys.argv[2]], log=print,
)
"""


def events() -> EventTable:
    times = pd.date_range("2018-01-01", "2018-12-31T23:59:59", periods=NUMBER, tz="UTC")
    return from_frame(
        pd.DataFrame(
            {
                "time": times.strftime("%Y-%m-%dT%H:%M:%S.%f"),
                "latitude": 33.0,
                "longitude": -117.0,
                "depth": 5.0,
                "mag": 1.0,
                "id": [f"ci{number}" for number in np.arange(NUMBER)],
                "type": "earthquake",
            }
        )
    )


def killing(found: list[subprocess.Popen[bytes]]) -> Callable[[EventTable], EventTable]:
    """Return a change of the table that changes nothing and kills the process that asks."""

    def kill(table: EventTable) -> EventTable:
        os.kill(found[0].pid, signal.SIGKILL)
        return table

    return kill


@pytest.mark.parametrize("at_query", [1, 5])
def test_a_killed_fetch_goes_on_without_asking_for_finished_windows(
    tmp_path: Path, at_query: int
) -> None:
    folder = DatasetFolder(tmp_path / "live")
    live = load_descriptor(find_registry(), "tevolop_socal", "live")
    started: list[subprocess.Popen[bytes]] = []
    with FdsnServer(events(), limit=100) as server:
        server.faults += [
            Fault("pass", "query", times=at_query - 1),
            Fault("change", "query", change=killing(started)),
        ]
        command = [sys.executable, "-c", PROGRAM, str(folder.root), server.url]
        # The first query comes after imports and counts: the process is noted long before.
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        assert started[0].wait(timeout=60) == -signal.SIGKILL
        finished = {path.stem for path in (folder.root / "windows").glob("*.json")}
        asked_before = len(server.log)

        assert len(finished) == at_query - 1
        assert not folder.manifest.exists()
        assert not folder.native.exists()

        fetched = fetch_live(
            live,
            folder,
            start="2018-01-01",
            end="2019-01-01",
            mirrors=[server.url],
            log=lambda _: None,
        )

    again = [one for one in server.log[asked_before:] if one.method == "query"]
    names = [Path(entry.path).stem for entry in fetched.manifest]
    assert len(again) == len(names) - len(finished)
    assert finished <= set(names)
    rows: list[str] = []
    for entry in fetched.manifest:
        with (fetched.root / entry.path).open(encoding="utf-8", newline="") as stream:
            rows += [row["id"] for row in csv.DictReader(stream)]
    assert sorted(rows) == sorted(f"ci{number}" for number in range(NUMBER))


def test_what_a_killed_process_left_half_written_is_no_window(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "live")
    live = load_descriptor(find_registry(), "tevolop_socal", "live")
    half = folder.partial / "comcat" / ".20180101T000000Z_20190101T000000Z.csv"
    no_sidecar = folder.partial / "comcat" / "20180101T000000Z_20190101T000000Z.csv"
    half.parent.mkdir(parents=True)
    half.write_text("time,lat")
    no_sidecar.write_text("time,lat")

    with FdsnServer(events(), limit=1000) as server:
        fetched = fetch_live(
            live,
            folder,
            start="2018-01-01",
            end="2019-01-01",
            mirrors=[server.url],
            log=lambda _: None,
        )

    assert len(server.answered("query")) == 1
    assert not list(half.parent.iterdir())
    assert fetched.manifest.total_bytes == len(server.table.csv(np.arange(NUMBER)).encode())
