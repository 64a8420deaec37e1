"""The rules by which parts of a catalogue become one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.errors import NativeFormatError
from sciml_data.formats.earthquake.catalogue import read_catalogue
from tests.support.problems import kinds_and_places

HEAD = "#YYY/MM/DD HH:mm:SS.ss ET GT MAG  M    LAT     LON     DEPTH Q  EVID     NPH NGRM\n"
OLD = {"name": "old", "format": "scedc", "files": "old/*.catalog"}
NEW = {"name": "new", "format": "scedc", "files": "new/*.catalog"}


def write(root: Path, path: str, *events: tuple[str, int]) -> str:
    """Write a yearly file with events of a time and a number; return its path."""
    lines = [
        f"{time} eq  l 1.50 l    35.000 -117.500   8.0 A {number:8d}   10  100\n"
        for time, number in events
    ]
    text = HEAD + "".join(lines) + f"\n### Number of rows returned:{len(lines)} \n"
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text(text, encoding="ascii")
    return path


def merged(root: Path, parts: list[dict[str, Any]], *paths: str) -> list[tuple[str, bytes]]:
    catalogue = read_catalogue(root, parts, paths)
    names = [catalogue.names[part] for part in catalogue.part]
    return list(zip(names, catalogue.events.event_id.tolist(), strict=True))


def test_an_event_in_two_parts_is_taken_from_the_first(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "old/2019.catalog", ("2019/01/01 00:00:00.00", 1)),
        write(tmp_path, "new/2019.catalog", ("2019/01/01 00:00:00.10", 1)),
    ]

    assert merged(tmp_path, [OLD, NEW], *paths) == [("old", b"ci1")]
    assert merged(tmp_path, [NEW, OLD], *paths) == [("new", b"ci1")]


def test_a_part_speaks_for_its_half_open_period_only(tmp_path: Path) -> None:
    times = ("2019/01/01 00:00:00.00", "2019/06/01 00:00:00.00", "2019/12/01 00:00:00.00")
    path = write(tmp_path, "old/2019.catalog", *zip(times, (1, 2, 3), strict=True))
    part = OLD | {"from": "2019-01-01T00:00:00", "until": "2019-12-01T00:00:00"}

    assert merged(tmp_path, [part], path) == [("old", b"ci1"), ("old", b"ci2")]


def test_a_part_speaks_for_its_half_open_box_only(tmp_path: Path) -> None:
    path = write(tmp_path, "old/2019.catalog", ("2019/01/01 00:00:00.00", 1))
    inside = OLD | {"box": {"latitude": [35.0, 36.0], "longitude": [-118.0, -117.0]}}
    outside = OLD | {"box": {"latitude": [34.0, 35.0]}}

    assert merged(tmp_path, [inside], path) == [("old", b"ci1")]
    with pytest.raises(NativeFormatError, match="problem"):
        merged(tmp_path, [outside], path)


def test_rows_are_in_the_order_of_time(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "old/2018.catalog", ("2018/06/01 00:00:00.00", 2)),
        write(
            tmp_path,
            "new/2018.catalog",
            ("2018/01/01 00:00:00.00", 3),
            ("2018/12/01 00:00:00.00", 1),
        ),
    ]

    assert [number for _, number in merged(tmp_path, [OLD, NEW], *paths)] == [
        b"ci3",
        b"ci2",
        b"ci1",
    ]


def test_ids_that_share_their_first_eight_letters_are_told_apart(tmp_path: Path) -> None:
    numbers = (38443183, 38443184, 38443185)
    path = write(
        tmp_path, "old/2019.catalog", *((f"2019/01/01 00:00:0{n % 10}.00", n) for n in numbers)
    )

    assert len(numbers) == len(merged(tmp_path, [OLD], path))


def test_the_period_of_an_incomplete_part_is_a_gap_only_where_its_files_are(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "old/2019.catalog", ("2019/01/01 00:00:00.00", 1))
    filler = NEW | {
        "from": "2019-10-15T07:10:00",
        "until": "2019-12-12T07:40:00",
        "complete_above": 2.5,
    }
    without = read_catalogue(tmp_path, [OLD, filler], [path])
    other = write(tmp_path, "new/2019.catalog", ("2019/11/01 00:00:00.00", 2))

    with_files = read_catalogue(tmp_path, [OLD, filler], [path, other])

    assert without.gaps == ()
    assert [(np.datetime64("2019-10-15T07:10:00"), np.datetime64("2019-12-12T07:40:00"), 2.5)] == [
        (gap.start, gap.end, gap.complete_above) for gap in with_files.gaps
    ]


def test_all_problems_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    good = write(tmp_path, "old/2018.catalog", ("2018/06/01 00:00:00.00", 2))
    for name in ("old/2019.catalog", "new/2019.catalog"):
        write(tmp_path, name, ("2019/01/01 00:00:00.00", 1))
        (tmp_path / name).write_text(HEAD + "nonsense\n", encoding="ascii")
    (tmp_path / "stray.txt").touch()

    with pytest.raises(NativeFormatError) as error:
        read_catalogue(
            tmp_path, [OLD, NEW], [good, "old/2019.catalog", "new/2019.catalog", "stray.txt"]
        )

    assert kinds_and_places(error) == [
        ("unexpected", "stray.txt"),
        ("malformed", "old/2019.catalog:2"),
        ("truncated", "old/2019.catalog:2"),
        ("malformed", "new/2019.catalog:2"),
        ("truncated", "new/2019.catalog:2"),
    ]
    assert "nothing was converted" in str(error.value)
