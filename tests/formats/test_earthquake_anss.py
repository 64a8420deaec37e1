"""Lists of the ANSS catalogue: seven fields between tabs, no ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.earthquake import EVENT_TYPES, MAGNITUDE_TYPES, Events, read_anss
from sciml_data.formats.earthquake.catalogue import read_catalogue
from tests.support.problems import kinds_and_places

ROW = "2011/03/11\t05:46:24.12\t2011.191257\t142.3730\t38.2970\t9.10\t29.00\n"
PART = {
    "name": "anss",
    "format": "anss",
    "files": "*.catalog",
    "event_type": "earthquake",
    "magnitude_type": "mun",
}


def read(root: Path, *texts: str) -> tuple[Events, list[Problem]]:
    files = []
    for number, text in enumerate(texts):
        (root / f"{number}.catalog").write_bytes(text.encode("latin-1"))
        files.append(f"{number}.catalog")
    return read_anss(root, files, PART)


def test_a_row_is_read_in_all_its_fields(tmp_path: Path) -> None:
    events, problems = read(tmp_path, ROW)

    assert problems == []
    assert np.datetime64("2011-03-11T05:46:24.120") == events.time[0]
    assert (events.latitude[0], events.longitude[0]) == (38.297, 142.373)
    assert (events.depth[0], events.magnitude[0]) == (29, 9.1)
    assert MAGNITUDE_TYPES[events.magnitude_type[0]] == "mun"
    assert EVENT_TYPES[events.event_type[0]] == "earthquake"


def test_events_have_the_numbers_of_their_lines_over_all_files(tmp_path: Path) -> None:
    events, _ = read(tmp_path, ROW * 9, ROW * 2)

    assert [name.decode() for name in events.event_id] == [f"anss-{n}" for n in range(1, 12)]
    merged = read_catalogue(tmp_path, [PART], ["0.catalog", "1.catalog"])
    assert len(merged.events) == 11


@pytest.mark.parametrize(
    "bad",
    [
        ROW.replace("\t29.00", ""),
        ROW.replace("\t", " "),
        ROW.replace("38.2970", "98.2970"),
        ROW.replace("142.3730", "182.3730"),
        ROW.replace("03/11", "13/11"),
        ROW.replace("05:46", "25:46"),
        ROW.replace("9.10", "nan"),
        ROW.replace("9.10", "9.10\xff"),
        "\n",
    ],
)
def test_a_row_that_is_not_in_its_format_is_named(tmp_path: Path, bad: str) -> None:
    events, problems = read(tmp_path, ROW + bad + ROW)

    assert len(events) == 2
    assert [(problem.kind, problem.place) for problem in problems] == [("malformed", "0.catalog:2")]


def test_a_list_that_is_cut_in_a_line_is_named(tmp_path: Path) -> None:
    read(tmp_path, ROW + ROW[:-1])

    with pytest.raises(NativeFormatError) as caught:
        read_catalogue(tmp_path, [PART], ["0.catalog"])
    assert kinds_and_places(caught) == [("truncated", "0.catalog:2")]
