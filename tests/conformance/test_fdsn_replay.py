"""All earthquakes of Southern California 1950-2019 through the FDSN client, from the real table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Fetched
from sciml_data.testing.fdsn_events import EventTable, milliseconds, read_events
from sciml_data.testing.fdsn_server import Fault, FdsnServer
from sciml_data.transfer.protocols.fdsn import fetch_live
from sciml_data.transfer.protocols.fdsn.windows import (
    box_of,
    half_open,
    merge_windows,
    read_period,
    read_window,
)

START, END = "1950-01-01", "2020-01-01"
# Earthquakes with a magnitude, 32 <= latitude < 36, -120 <= longitude < -114, 1950-2019:
# README.md beside the reference table.
WITH_MAGNITUDE = 603_769

PROGRAM = f"""
import sys
from pathlib import Path
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.home import DatasetFolder
from sciml_data.registry.layout import find_registry
from sciml_data.transfer.protocols.fdsn import fetch_live

fetch_live(
    load_descriptor(find_registry(), "tevolop_socal", "live"), DatasetFolder(Path(sys.argv[1])),
    start="{START}", end="{END}", mirrors=[sys.argv[2]], log=print,
)
"""

pytestmark = [pytest.mark.reference, pytest.mark.slow]


@pytest.fixture(scope="module")
def table(shared: Path) -> EventTable:
    return read_events(shared / "data" / "tevolop" / "socal_events_1932_2026.csv.xz")


@pytest.fixture(scope="module")
def wanted(table: EventTable) -> set[str]:
    """Return the ids that a plain look at the table finds in the closed box and period."""
    period = read_period(START, END, earliest=START, now=pd.Timestamp.now(tz="UTC"))
    inside = (table.time >= milliseconds(period.start)) & (table.time <= milliseconds(period.end))
    inside &= (table.latitude >= 32) & (table.latitude <= 36)
    inside &= (table.longitude >= -120) & (table.longitude <= -114)
    return set(table.event_id[inside & (table.event_type == "earthquake")].tolist())


def get(folder: DatasetFolder, server: FdsnServer) -> Fetched:
    live = load_descriptor(find_registry(), "tevolop_socal", "live")
    return fetch_live(live, folder, start=START, end=END, mirrors=[server.url], log=lambda _: None)


def test_no_earthquake_is_lost_or_doubled_also_after_a_kill(
    tmp_path: Path, table: EventTable, wanted: set[str]
) -> None:
    folder = DatasetFolder(tmp_path / "live")
    started: list[subprocess.Popen[bytes]] = []

    def kill(table: EventTable) -> EventTable:
        os.kill(started[0].pid, signal.SIGKILL)
        return table

    with FdsnServer(table) as server:
        server.faults += [Fault("pass", times=20), Fault("change", change=kill)]
        command = [sys.executable, "-c", PROGRAM, str(folder.root), server.url]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        assert started[0].wait(timeout=300) == -signal.SIGKILL
        finished = len(list((folder.root / "windows").glob("*.json")))
        assert finished >= 20

        fetched = get(folder, server)
        queries = server.answered("query")
        sizes = [len(table.find(one.parameters)) for one in queries]

    tables = [read_window((fetched.root / entry.path).read_bytes()) for entry in fetched.manifest]
    merged = merge_windows(tables)
    live = load_descriptor(find_registry(), "tevolop_socal", "live").live
    assert live is not None
    period = read_period(START, END, earliest=START, now=pd.Timestamp.now(tz="UTC"))
    inside = half_open(merged, period, box_of(live.parameters))

    assert set(merged["id"]) == wanted
    assert merged["id"].is_unique
    assert int(inside["mag"].notna().sum()) == WITH_MAGNITUDE
    assert len(queries) >= 31
    assert max(sizes) <= 15_000
    # The query during which the process was killed was answered, but never arrived: it comes twice.
    times_asked = Counter(one.parameters["starttime"] for one in queries).values()
    assert sorted(times_asked)[-2:] == [1, 2]
    events = json.loads((folder.root / "retrieval.json").read_text(encoding="utf-8"))["events"]
    assert events["counted_by_service"] == events["events"] == len(wanted)
    assert events["inside_with_magnitude"] == WITH_MAGNITUDE


def test_values_are_those_of_the_table(tmp_path: Path, table: EventTable) -> None:
    with FdsnServer(table) as server:
        live = load_descriptor(find_registry(), "tevolop_socal", "live")
        fetched = fetch_live(
            live,
            DatasetFolder(tmp_path / "live"),
            start="2019-07-01",
            end="2019-08-01",
            mirrors=[server.url],
            log=lambda _: None,
        )

    tables = [read_window((fetched.root / entry.path).read_bytes()) for entry in fetched.manifest]
    merged = merge_windows(tables).set_index("id")
    places = pd.Index(table.event_id).get_indexer(merged.index)
    np.testing.assert_array_equal(merged["latitude"], table.latitude[places])
    np.testing.assert_array_equal(merged["mag"], table.magnitude[places])
    np.testing.assert_array_equal(merged["time"].astype("int64"), table.time[places])
