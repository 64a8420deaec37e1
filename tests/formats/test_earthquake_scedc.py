"""The two formats of the Southern California Earthquake Data Center, and files that break them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.formats.earthquake import (
    EVENT_TYPES,
    MAGNITUDE_TYPES,
    QUALITIES,
    Events,
    fixed_width,
    read_scedc,
    read_scsn,
)
from sciml_data.formats.earthquake.scedc import SCEDC, SCEDC_UNTIL_2015, SCSN

HEAD = "#YYY/MM/DD HH:mm:SS.ss ET GT MAG  M    LAT     LON     DEPTH Q  EVID     NPH NGRM\n"
OLD_HEAD = "#YYY/MM/DD HH:mm:SS.ss ET MAG  M    LAT     LON     DEPTH Q  EVID     NPH NGRM\n"
LINE = "2019/07/06 03:19:53.04 eq  l 7.10 w    35.770 -117.599   8.0 A 38457511   68 1520\n"
OLD_LINE = "1992/06/28 11:57:34.13 le 7.30 w    34.200 -116.437   1.0 A  3031111   97    0\n"
SCSN_LINE = "2019 01 01  01 39 57.67  33 30.35-116 47.65 A 0.8      5.00 45     0.10 38412384\n"
SCSN_PART = {"event_type": "earthquake", "magnitude_type": "ml"}

# SCEDC's format page (http://www.data.scec.org/ftp/catalogs/SCEC_DC, named in the head of each
# file), and `lr` and `un`, which occur in files.
MAGNITUDES_OF_THE_PAGE = {
    "e": "me", "w": "mw", "b": "mb", "s": "ms", "l": "ml", "c": "mc", "h": "mh", "d": "md",
    "n": "not_determined", "lr": "mlr", "un": "mun",
}  # fmt: skip
EVENTS_OF_THE_PAGE = {
    "eq": "earthquake", "qb": "quarry_blast", "ex": "explosion", "nt": "nuclear_explosion",
    "sn": "sonic_boom", "st": "subnet_trigger", "uk": "not_known",
}  # fmt: skip
# Until 2015 the event type says how far away an earthquake is: local, regional, teleseismic.
DISTANCES_OF_THE_PAGE = {"le": "earthquake", "re": "earthquake", "ts": "earthquake"}
DAYS_OF_2019 = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def closing(rows: int) -> str:
    return f"\n### Number of rows returned:{rows} \n"


def write(root: Path, text: str) -> list[str]:
    (root / "year.catalog").write_text(text, encoding="ascii", newline="")
    return ["year.catalog"]


def read(root: Path, text: str, part: dict[str, Any] | None = None) -> Events:
    """Return the events of a text without problems."""
    events, problems = read_scedc(root, write(root, text), part or {})
    assert problems == []
    return events


def problems_of(root: Path, text: str, part: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    _, problems = read_scedc(root, write(root, text), part or {})
    return [(problem.kind, problem.place) for problem in problems]


def test_a_line_is_read_in_all_its_fields(tmp_path: Path) -> None:
    events = read(tmp_path, HEAD + LINE + closing(1))

    assert np.datetime64("2019-07-06T03:19:53.040") == events.time[0]
    assert (events.latitude[0], events.longitude[0]) == (35.77, -117.599)
    assert (events.depth[0], events.magnitude[0]) == (8.0, 7.1)
    assert MAGNITUDE_TYPES[events.magnitude_type[0]] == "mw"
    assert EVENT_TYPES[events.event_type[0]] == "earthquake"
    assert QUALITIES[events.quality[0]] == "A"
    assert events.event_id[0] == b"ci38457511"


def test_the_variant_without_the_column_gt_is_read(tmp_path: Path) -> None:
    events = read(tmp_path, OLD_HEAD + OLD_LINE + closing(1))

    assert np.datetime64("1992-06-28T11:57:34.130") == events.time[0]
    assert (
        events.latitude[0],
        events.longitude[0],
        events.depth[0],
        events.magnitude[0],
    ) == (34.2, -116.437, 1.0, 7.3)
    assert events.event_id[0] == b"ci3031111"


def test_a_magnitude_of_code_n_is_not_a_number(tmp_path: Path) -> None:
    line = LINE.replace("7.10 w ", "0.00 n ")

    events = read(tmp_path, HEAD + line + closing(1))

    assert np.isnan(events.magnitude[0])


def test_a_magnitude_of_zero_is_zero_where_it_was_determined(tmp_path: Path) -> None:
    events = read(tmp_path, HEAD + LINE.replace("7.10 w ", "0.00 l ") + closing(1))

    assert events.magnitude[0] == 0.0


def test_quarry_blasts_are_told_from_earthquakes(tmp_path: Path) -> None:
    events = read(tmp_path, HEAD + LINE.replace(" eq ", " qb ") + closing(1))

    assert EVENT_TYPES[events.event_type[0]] == "quarry_blast"


@pytest.mark.parametrize(("letter", "word"), MAGNITUDES_OF_THE_PAGE.items())
@pytest.mark.parametrize("number", ["38457511", "105309165"])  # the longer one widens the line
def test_each_magnitude_type_of_the_format_page_is_known(
    tmp_path: Path, letter: str, word: str, number: str
) -> None:
    line = LINE.replace("7.10 w ", f"7.10 {letter:2}").replace("38457511", number)

    events = read(tmp_path, HEAD + line + closing(1))

    assert MAGNITUDE_TYPES[events.magnitude_type[0]] == word


@pytest.mark.parametrize(("letters", "word"), EVENTS_OF_THE_PAGE.items())
def test_each_event_type_of_the_format_page_is_known(
    tmp_path: Path, letters: str, word: str
) -> None:
    events = read(tmp_path, HEAD + LINE.replace(" eq ", f" {letters} ") + closing(1))

    assert EVENT_TYPES[events.event_type[0]] == word


@pytest.mark.parametrize(("letters", "word"), (EVENTS_OF_THE_PAGE | DISTANCES_OF_THE_PAGE).items())
def test_each_event_type_of_the_old_variant_is_known(
    tmp_path: Path, letters: str, word: str
) -> None:
    events = read(tmp_path, OLD_HEAD + OLD_LINE.replace(" le ", f" {letters} ") + closing(1))

    assert EVENT_TYPES[events.event_type[0]] == word


@pytest.mark.parametrize(("month", "days"), list(enumerate(DAYS_OF_2019, start=1)))
def test_the_last_day_of_a_month_is_a_date_and_the_day_after_is_not(
    tmp_path: Path, month: int, days: int
) -> None:
    last, after = (LINE.replace("2019/07/06", f"2019/{month:02}/{day}") for day in (days, days + 1))

    events = read(tmp_path, HEAD + last + closing(1))

    assert str(events.time[0]) == f"2019-{month:02}-{days}T03:19:53.040"
    assert problems_of(tmp_path, HEAD + after + closing(1)) == [("malformed", "year.catalog:2")]


def test_a_leap_year_has_a_29th_of_february(tmp_path: Path) -> None:
    events = read(tmp_path, HEAD + LINE.replace("2019/07/06", "2020/02/29") + closing(1))

    assert str(events.time[0]) == "2020-02-29T03:19:53.040"
    beyond = LINE.replace("2019/07/06", "2020/02/30")
    assert problems_of(tmp_path, HEAD + beyond + closing(1)) == [("malformed", "year.catalog:2")]


@pytest.mark.parametrize(
    ("old", "last", "beyond"),
    [
        ("-117.599", "-180.000", "-180.001"),
        ("-117.599", " 180.000", " 180.001"),
        ("  35.770", "  90.000", "  90.001"),
        ("  35.770", " -90.000", " -90.001"),
        ("03:19:53.04", "23:59:60.99", "23:59:61.00"),
        ("03:19:53.04", "23:59:53.04", "24:00:00.00"),
        ("03:19:53.04", "23:59:53.04", "23:60:00.00"),
        ("2019/07/06", "2019/01/01", "2019/00/01"),
        ("2019/07/06", "2019/12/01", "2019/13/01"),
        ("2019/07/06", "2019/07/01", "2019/07/00"),
    ],
)
def test_the_last_possible_number_is_read_and_the_one_beyond_is_refused(
    tmp_path: Path, old: str, last: str, beyond: str
) -> None:
    possible, impossible = LINE.replace(old, last), LINE.replace(old, beyond)

    assert len(read(tmp_path, HEAD + possible + closing(1))) == 1
    assert problems_of(tmp_path, HEAD + LINE + impossible + closing(2)) == [
        ("malformed", "year.catalog:3")
    ]


def test_lines_of_unusual_width_are_read_and_stay_in_their_place(tmp_path: Path) -> None:
    wide_quality = LINE.replace(" A 38457511", " 0.75 38457512")
    long_number = LINE.replace("38457511", "105309165")

    events = read(tmp_path, HEAD + LINE + wide_quality + long_number + LINE + closing(4))

    assert events.event_id.tolist() == [b"ci38457511", b"ci38457512", b"ci105309165", b"ci38457511"]
    assert [QUALITIES[flag] for flag in events.quality] == ["A", "0.75", "A", "A"]


def test_seconds_past_sixty_are_carried_over_as_the_data_center_does(tmp_path: Path) -> None:
    events = read(tmp_path, HEAD + LINE.replace("03:19:53.04", "23:59:60.99") + closing(1))

    assert np.datetime64("2019-07-07T00:00:00.990") == events.time[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("35.770", "35.7x0"),
        ("35.770", "35 770"),
        ("2019/07", "2019-07"),
        ("   8.0", " - 8.0"),
        (" eq ", " zz "),
        ("7.10 w", "7.10 q"),
        (" A ", " ? "),
        ("2019/07/06", "2019/02/30"),
        ("2019/07/06", "2019/13/06"),
        ("03:19", "24:19"),
        (" 35.770", " 95.770"),
    ],
)
def test_a_line_out_of_format_is_named_by_file_and_line(tmp_path: Path, old: str, new: str) -> None:
    broken = LINE.replace(old, new)
    assert broken != LINE

    found = problems_of(tmp_path, HEAD + LINE + broken + LINE + closing(3))

    assert found == [("malformed", "year.catalog:3")]


def test_every_bad_line_is_listed_once(tmp_path: Path) -> None:
    text = HEAD + LINE + "nonsense\n" + LINE[:40] + "\n" + LINE + LINE[:-5] + "x\n" + closing(5)

    found = problems_of(tmp_path, text)

    assert [("malformed", f"year.catalog:{line}") for line in (3, 4, 6)] == found


def test_a_file_without_its_closing_line_is_cut(tmp_path: Path) -> None:
    assert problems_of(tmp_path, HEAD + LINE + LINE) == [("truncated", "year.catalog:3")]


def test_a_file_with_fewer_rows_than_it_says_is_cut(tmp_path: Path) -> None:
    assert problems_of(tmp_path, HEAD + LINE + closing(2)) == [("truncated", "year.catalog:4")]


def test_damage_that_the_descriptor_names_is_passed_over(tmp_path: Path) -> None:
    part = {"damage": {"year.catalog": {"rows": 2, "lines": [3]}}}

    events = read(tmp_path, HEAD + LINE + "2019/0", part)

    assert len(events) == 1


def test_more_damage_than_the_descriptor_names_is_reported(tmp_path: Path) -> None:
    part = {"damage": {"year.catalog": {"rows": 3, "lines": [4]}}}

    found = problems_of(tmp_path, HEAD + LINE + "2019/0", part)

    assert found == [("malformed", "year.catalog:3"), ("truncated", "year.catalog:3")]


def test_line_ends_of_two_characters_are_read(tmp_path: Path) -> None:
    events = read(tmp_path, (HEAD + LINE + LINE + closing(2)).replace("\n", "\r\n"))

    assert len(events) == 2


def test_an_empty_file_is_cut(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "") == [("truncated", "year.catalog:0")]


def test_a_line_of_scsn_format_is_read_in_all_its_fields(tmp_path: Path) -> None:
    events, problems = read_scsn(tmp_path, write(tmp_path, SCSN_LINE + closing(1)), SCSN_PART)

    assert problems == []
    assert np.datetime64("2019-01-01T01:39:57.670") == events.time[0]
    assert pytest.approx(events.latitude[0], abs=1e-12) == 33 + 30.35 / 60
    assert pytest.approx(events.longitude[0], abs=1e-12) == -(116 + 47.65 / 60)
    assert (events.depth[0], events.magnitude[0]) == (5.0, 0.8)
    assert MAGNITUDE_TYPES[events.magnitude_type[0]] == "ml"
    assert events.event_id[0] == b"ci38412384"


def test_a_depth_of_an_scsn_line_may_be_above_the_datum(tmp_path: Path) -> None:
    line = SCSN_LINE.replace("  5.00 45", " -0.97 45")

    events, _ = read_scsn(tmp_path, write(tmp_path, line + closing(1)), SCSN_PART)

    assert events.depth[0] == -0.97


@given(
    latitude=st.integers(-89_999, 89_999),
    depth=st.integers(-99, 9_999),
    number=st.integers(1, 99_999_999),
)
def test_every_number_that_fits_its_columns_is_read_back(
    latitude: int, depth: int, number: int
) -> None:
    line = (
        f"2019/07/06 03:19:53.04 eq  l 7.10 w   {latitude / 1000:7.3f} -117.599 "
        f"{depth / 10:5.1f} A {number:8d}   68 1520"
    )
    lines = fixed_width.split_lines(line.encode())

    fields, bad = fixed_width.decode(lines, fixed_width.data_lines(lines), SCEDC)

    assert bad == []
    assert [latitude] == fields["latitude"].tolist()
    assert [depth] == fields["depth"].tolist()
    assert [number] == fields["number"].tolist()


@pytest.mark.parametrize(
    ("layout", "line"),
    [(SCEDC, LINE), (SCEDC_UNTIL_2015, OLD_LINE), (SCSN, SCSN_LINE)],
    ids=["scedc", "scedc-until-2015", "scsn"],
)
def test_whatever_letter_is_wrong_the_quick_way_reads_only_what_the_expression_reads(
    layout: fixed_width.LineFormat, line: str
) -> None:
    changed = [
        line[:place] + chr(letter) + line[place + 1 : -1]
        for place in range(len(line) - 1)
        for letter in range(ord(" "), ord("~") + 1)
    ]
    lines = fixed_width.split_lines("\n".join(changed).encode())
    rows = fixed_width.data_lines(lines)

    matrix = fixed_width._matrix(lines, rows, layout.width)
    fields, good = fixed_width._decode_matrix(matrix, layout)

    assert 500 < good.sum() < len(rows)
    for place in np.flatnonzero(good).tolist():
        match = layout.pattern.fullmatch(changed[int(rows[place])].rstrip())
        assert match is not None, changed[int(rows[place])]
        expected = fixed_width._fields_of(match, layout)
        assert expected == {name: int(column[place]) for name, column in fields.items()}
