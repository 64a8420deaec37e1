"""ComCat's CSV: 22 columns, read by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.errors import Problem
from sciml_data.formats.earthquake import MAGNITUDE_TYPES, Events, read_comcat

HEADER = (
    "time,latitude,longitude,depth,mag,magType,nst,gap,dmin,rms,net,id,updated,place,type,"
    "horizontalError,depthError,magError,magNst,status,locationSource,magSource\n"
)
ROW = (
    "2019-12-06T05:33:20.720Z,36.105667,-117.855667,2.63,3.31,ml,50,54,0.01,0.18,ci,ci39219160,"
    '2021-10-12T15:51:29.916Z,"11km NE of Coso Junction, CA",earthquake,0.16,0.28,0.151,91,'
    "reviewed,ci,ci\n"
)


def read(
    root: Path, *texts: str, part: dict[str, Any] | None = None
) -> tuple[Events, list[Problem]]:
    files = []
    for number, text in enumerate(texts):
        (root / f"{number}.csv").write_text(text, encoding="utf-8")
        files.append(f"{number}.csv")
    return read_comcat(root, files, part or {})


def test_a_row_is_read_in_all_its_fields(tmp_path: Path) -> None:
    events, problems = read(tmp_path, HEADER + ROW)

    assert problems == []
    assert np.datetime64("2019-12-06T05:33:20.720") == events.time[0]
    assert (events.latitude[0], events.longitude[0]) == (36.105667, -117.855667)
    assert (events.depth[0], events.magnitude[0]) == (2.63, 3.31)
    assert MAGNITUDE_TYPES[events.magnitude_type[0]] == "ml"
    assert events.event_id[0] == b"ci39219160"


def test_only_the_networks_asked_for_are_kept(tmp_path: Path) -> None:
    other = ROW.replace(",ci,ci39219160", ",nc,nc1")

    events, _ = read(tmp_path, HEADER + ROW + other, part={"networks": ["ci"]})

    assert events.event_id.tolist() == [b"ci39219160"]


def test_of_an_event_in_two_files_the_row_updated_last_is_kept(tmp_path: Path) -> None:
    newer = ROW.replace("2021-10-12", "2024-01-01").replace("3.31", "3.42")

    first, _ = read(tmp_path, HEADER + newer, HEADER + ROW)
    second, _ = read(tmp_path, HEADER + ROW, HEADER + newer)

    assert first.magnitude.tolist() == [3.42]
    assert second.magnitude.tolist() == [3.42]


def test_an_empty_magnitude_is_not_a_number_and_no_mistake(tmp_path: Path) -> None:
    events, problems = read(tmp_path, HEADER + ROW.replace(",3.31,ml,", ",,,"))

    assert problems == []
    assert np.isnan(events.magnitude[0])
    assert MAGNITUDE_TYPES[events.magnitude_type[0]] == "not_determined"


def test_an_unknown_magnitude_type_is_kept_as_other(tmp_path: Path) -> None:
    events, _ = read(tmp_path, HEADER + ROW.replace(",ml,", ",mzz,"))

    assert MAGNITUDE_TYPES[events.magnitude_type[0]] == "other"


def test_ids_of_any_length_are_kept_whole(tmp_path: Path) -> None:
    long_id = "official20190706031953040_29"

    events, _ = read(tmp_path, HEADER + ROW.replace("ci39219160", long_id))

    assert [long_id.encode()] == events.event_id.tolist()


def test_every_bad_row_is_named_by_file_and_line(tmp_path: Path) -> None:
    no_time = ROW.replace("2019-12-06T", "2019-99-06T")
    no_number = ROW.replace(",3.31,", ",big,")
    cut = ROW[:60]

    _, problems = read(tmp_path, HEADER + no_time + ROW + no_number, HEADER + ROW + cut)

    assert {"0.csv:2", "0.csv:4", "1.csv:3"} == {p.place for p in problems}
    assert "truncated" in {p.kind for p in problems}


def test_a_quotation_mark_that_is_not_closed_is_named(tmp_path: Path) -> None:
    unclosed = ROW.replace(",ci,ci\n", ',ci,"ci\n')

    events, problems = read(tmp_path, HEADER + ROW + unclosed)

    assert [(problem.kind, problem.place) for problem in problems] == [("malformed", "0.csv")]
    assert len(events) == 0


def test_a_file_of_another_kind_is_told_by_its_header(tmp_path: Path) -> None:
    events, problems = read(tmp_path, "<html>\n<body>busy</body>\n")

    assert [(p.kind, p.place) for p in problems] == [("header", "0.csv:1")]
    assert len(events) == 0


@pytest.mark.parametrize(
    ("before", "after", "kind", "place"),
    [
        (b"reviewed", b"x" * 200_000, "malformed", "0.csv:2"),
        (b"reviewed", b"revi\rewed", "malformed", "0.csv:2"),
        (b"magNst", b"x" * 200_000, "header", "0.csv:1"),
        (b"reviewed", b"\xff\xfe", "malformed", "0.csv:2"),
        (b"magNst", b"\xed\xa0\x80", "malformed", "0.csv:1"),
        (b"ci39219160", "é".encode(), "malformed", "0.csv:2"),
        (b"ci39219160", b"x" * 100_000, "malformed", "0.csv:2"),
        (b",3.31,", b",1e400,", "malformed", "0.csv:2"),
        (b",2.63,", b",-inf,", "malformed", "0.csv:2"),
    ],
    ids=[
        "a field above the limit of csv", "a carriage return in a field", "a name above the limit",
        "a field that is not UTF-8", "a name that is not UTF-8", "an id that is not ASCII",
        "an id that would widen all ids", "an infinite magnitude", "an infinite depth",
    ],
)  # fmt: skip
def test_text_that_csv_or_a_column_cannot_hold_is_named_by_file_and_line(
    before: bytes, after: bytes, kind: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "0.csv").write_bytes((HEADER + ROW).encode().replace(before, after))

    events, problems = read_comcat(tmp_path, ["0.csv"], {})

    assert [(problem.kind, problem.place) for problem in problems] == [(kind, place)]
    assert len(events) == 0
