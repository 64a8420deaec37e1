"""Read yearly catalogues of the Southern California Earthquake Data Center (SCEDC, SCSN format).

Both formats are fixed-width text with `#` comments. A file ends with the number of its rows, so a
file that was cut short is detected. The SCEDC format has two variants, which the header
distinguishes: until 2015 the event type included the distance class (`le`, `re`), since then there
is a separate column GT.

SCEDC: UTC time to 0.01 s, event type, magnitude to 0.01 with its type, degrees to 0.001, km to 0.1.
SCSN: the same events with degrees and minutes to 0.01', km to 0.01, magnitude to 0.1, but neither
event type nor magnitude type; these come from the descriptor's part (`event_type`,
`magnitude_type`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import Problem
from sciml_data.formats.earthquake import fixed_width
from sciml_data.formats.earthquake.events import (
    EVENT_TYPES,
    MAGNITUDE_TYPES,
    QUALITIES,
    Events,
    concatenate,
)
from sciml_data.formats.earthquake.fixed_width import LineFormat, Lines, NumberField, WordField

NETWORK = b"ci"  # ComCat's name of this network's events: ci + EVID
HEAD_BYTES = 2000  # comments at the head of a file; the last one names the columns
ID_DIGITS = 14  # room for EVID in the 16 bytes of an event id

# SCEDC's description of the format, to which the head of each file links. `lr` and `un` are not in
# it, but occur in files.
MAGNITUDE_LETTERS = {
    "n": "not_determined",
    "b": "mb",
    "c": "mc",
    "d": "md",
    "e": "me",
    "h": "mh",
    "l": "ml",
    "lr": "mlr",
    "s": "ms",
    "un": "mun",
    "w": "mw",
}
EVENT_LETTERS = {
    "eq": "earthquake",
    "le": "earthquake",
    "re": "earthquake",
    "ts": "earthquake",
    "qb": "quarry_blast",
    "ex": "explosion",
    "nt": "nuclear_explosion",
    "sn": "sonic_boom",
    "st": "subnet_trigger",
    "uk": "not_known",
}
MAGNITUDE_FLAGS = {key: MAGNITUDE_TYPES.index(word) for key, word in MAGNITUDE_LETTERS.items()}
EVENT_FLAGS = {key: EVENT_TYPES.index(word) for key, word in EVENT_LETTERS.items()}
DISTANCE_FLAGS = {"l": 0, "r": 1, "t": 2}  # local, regional, teleseism: checked, not stored
QUALITY_FLAGS = {word: QUALITIES.index(word) for word in ("A", "B", "C", "D", "Z", "0.75")}

NUMBER = r"(?P<{}>-?\d+\.\d+)"
CLOCK = {
    "year": NumberField(0, 4, before=""),
    "month": NumberField(5, 7, before=""),
    "day": NumberField(8, 10, before=""),
}


def _scedc_format(*, has_distance_class: bool) -> LineFormat:
    shift = 3 if has_distance_class else 0
    fields: dict[str, NumberField | WordField] = {
        **CLOCK,
        "hour": NumberField(11, 13, before=""),
        "minute": NumberField(14, 16, before=""),
        "second": NumberField(17, 22, 2, before=""),
        "event_type": WordField(23, 25, EVENT_FLAGS),
        "magnitude": NumberField(25 + shift, 30 + shift, 2),
        "magnitude_type": WordField(31 + shift, 33 + shift, MAGNITUDE_FLAGS),
        "latitude": NumberField(34 + shift, 42 + shift, 3),
        "longitude": NumberField(42 + shift, 51 + shift, 3),
        "depth": NumberField(51 + shift, 57 + shift, 1),
        "quality": WordField(58 + shift, 59 + shift, QUALITY_FLAGS),
        "number": NumberField(60 + shift, 68 + shift, before=" "),
        "phases": NumberField(69 + shift, 73 + shift, before=" "),
        "records": NumberField(74 + shift, 78 + shift, before=" "),
    }
    marks = {4: "/", 7: "/", 10: " ", 13: ":", 16: ":", 19: ".", 22: " ", 25: " "}
    marks |= {column + shift: " " for column in (30, 33, 57, 59, 68, 73)}
    if has_distance_class:
        fields["distance"] = WordField(27, 28, DISTANCE_FLAGS)
        marks[26] = " "
    pattern = (
        r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d) "
        r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d\.\d\d) "
        rf"(?P<event_type>[a-z]+) {' *(?P<distance>[a-z])' if has_distance_class else ''} *"
        rf"{NUMBER.format('magnitude')} +(?P<magnitude_type>[a-z]+) +{NUMBER.format('latitude')} +"
        rf"{NUMBER.format('longitude')} +{NUMBER.format('depth')} +"
        r"(?P<quality>\S+) +(?P<number>\d{1,14}) +(?P<phases>\d+) +(?P<records>\d+)"
    )
    return LineFormat(78 + shift, marks, fields, re.compile(pattern))


SCEDC = _scedc_format(has_distance_class=True)
SCEDC_UNTIL_2015 = _scedc_format(has_distance_class=False)
SCSN = LineFormat(
    width=80,
    marks={4: " ", 7: " ", 10: " ", 11: " ", 14: " ", 17: " ", 23: " ", 27: " "}
    | {37: " ", 43: " ", 45: " ", 49: " ", 71: " "},
    fields={
        **CLOCK,
        "hour": NumberField(12, 14, before=""),
        "minute": NumberField(15, 17, before=""),
        "second": NumberField(18, 23, 2, before=""),
        "latitude_degrees": NumberField(24, 27),
        "latitude_minutes": NumberField(28, 33, 2, before=" "),
        "longitude_degrees": NumberField(33, 37),
        "longitude_minutes": NumberField(38, 43, 2, before=" "),
        "quality": WordField(44, 45, QUALITY_FLAGS),
        "magnitude": NumberField(46, 49, 1),
        "depth": NumberField(50, 59, 2),
        "phases": NumberField(59, 62, before=" "),
        "residual": NumberField(62, 71, 2, before=" "),
        "number": NumberField(72, 80, before=" "),
    },
    pattern=re.compile(
        r"(?P<year>\d{4}) (?P<month>\d\d) (?P<day>\d\d)  (?P<hour>\d\d) (?P<minute>\d\d) "
        r"(?P<second>\d\d\.\d\d) +(?P<latitude_degrees>-?\d+) +(?P<latitude_minutes>\d+\.\d\d) *"
        r"(?P<longitude_degrees>-?\d+) +(?P<longitude_minutes>\d+\.\d\d) +(?P<quality>\S+) +"
        r"(?P<magnitude>-?\d+\.\d) +(?P<depth>-?\d+\.\d\d) *(?P<phases>\d+) +"
        r"(?P<residual>\d+\.\d\d) +(?P<number>\d{1,14})"
    ),
)


def read_scedc(
    root: Path, files: Sequence[str], part: Mapping[str, Any]
) -> tuple[Events, list[Problem]]:
    """Return the events of files in SCEDC format and everything that is wrong with them."""
    problems: list[Problem] = []
    tables = []
    for place in files:
        data = (root / place).read_bytes()
        line_format = SCEDC if b" ET GT MAG " in data[:HEAD_BYTES] else SCEDC_UNTIL_2015
        fields = _read_rows(data, place, part, line_format=line_format, problems=problems)
        fields["latitude"] = fields["latitude"] / 1000
        fields["longitude"] = fields["longitude"] / 1000
        fields["magnitude"] = fields["magnitude"] / 100
        fields["depth"] = fields["depth"] / 10
        tables.append(_events(fields, place, problems))
    return concatenate(tables), problems


def read_scsn(
    root: Path, files: Sequence[str], part: Mapping[str, Any]
) -> tuple[Events, list[Problem]]:
    """Return the events of files in SCSN format and everything that is wrong with them."""
    problems: list[Problem] = []
    tables = []
    for place in files:
        data = (root / place).read_bytes()
        fields = _read_rows(data, place, part, line_format=SCSN, problems=problems)
        for name in ("latitude", "longitude"):
            degrees, minutes = fields.pop(f"{name}_degrees"), fields.pop(f"{name}_minutes")
            fields[name] = np.where(degrees < 0, -1, 1) * (abs(degrees) * 6000 + minutes) / 6000
        fields["magnitude"] = fields["magnitude"] / 10
        fields["depth"] = fields["depth"] / 100
        for name, words in (("event_type", EVENT_TYPES), ("magnitude_type", MAGNITUDE_TYPES)):
            fields[name] = np.full(len(fields["number"]), words.index(part[name]), np.int8)
        tables.append(_events(fields, place, problems))
    return concatenate(tables), problems


def _read_rows(
    data: bytes,
    place: str,
    part: Mapping[str, Any],
    *,
    line_format: LineFormat,
    problems: list[Problem],
) -> dict[str, NDArray[Any]]:
    """Return the fields of all good lines; lines that the part names as damaged are skipped."""
    damage = part.get("damage", {}).get(place, {})
    lines = fixed_width.split_lines(data)
    rows = fixed_width.data_lines(lines)
    fields, bad = fixed_width.decode(lines, rows, line_format)
    skipped = {line - 1 for line in damage.get("lines", ())}
    problems += [
        Problem("malformed", f"{place}:{row + 1}", f"not in its format: {lines.string(row)!r}")
        for row in bad
        if row not in skipped
    ]
    problems += _row_count(data, place, lines, rows=len(fields["line"]) + len(bad), damage=damage)
    return dict(fields)


def _row_count(
    data: bytes, place: str, lines: Lines, *, rows: int, damage: Mapping[str, Any]
) -> list[Problem]:
    """Compare the number of rows with the file's last line, or with the known damage."""
    match = fixed_width.ROWS_RETURNED.search(data[-200:])
    expected = damage["rows"] if damage else match and int(match[1])
    if expected == rows:
        return []
    at = f"{place}:{len(lines.starts)}"
    if expected is None:
        message = f"the closing line with the number of rows is missing after {rows} rows"
    else:
        message = f"{expected} rows expected, {rows} found"
    return [Problem("truncated", at, message)]


def _events(fields: Mapping[str, NDArray[Any]], place: str, problems: list[Problem]) -> Events:
    """Return the events with possible dates and places; add a problem for each other event."""
    time, possible = _times(fields)
    possible &= (abs(fields["latitude"]) <= 90) & (abs(fields["longitude"]) <= 180)
    for row in np.flatnonzero(~possible).tolist():
        line = int(fields["line"][row]) + 1
        problems.append(Problem("malformed", f"{place}:{line}", "no such date or place"))
    undetermined = fields["magnitude_type"] == MAGNITUDE_TYPES.index("not_determined")
    events = Events(
        time=time,
        latitude=fields["latitude"],
        longitude=fields["longitude"],
        depth=fields["depth"],
        magnitude=np.where(undetermined, np.nan, fields["magnitude"]),
        magnitude_type=fields["magnitude_type"].astype(np.int8),
        event_type=fields["event_type"].astype(np.int8),
        quality=fields["quality"].astype(np.int8),
        event_id=_event_ids(fields["number"]),
    )
    return events if possible.all() else events.take(possible)


def _times(
    fields: Mapping[str, NDArray[Any]],
) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """Return origin times, and which dates and times of day are possible."""
    months = (fields["year"].astype(np.int64) - 1970) * 12 + fields["month"] - 1
    first = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    after = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64)
    days = first + fields["day"] - 1
    possible = (fields["month"] >= 1) & (fields["month"] <= 12)
    possible &= (fields["day"] >= 1) & (days < after)
    # SCEDC rounds up to the next minute without carrying: seconds reach 60.99.
    possible &= (fields["hour"] < 24) & (fields["minute"] < 60) & (fields["second"] < 6100)
    hundredths = (fields["hour"] * 60 + fields["minute"]) * 6000 + fields["second"]
    return (days * 86_400_000 + hundredths * 10).astype("M8[ms]"), possible


def _event_ids(numbers: NDArray[Any]) -> NDArray[np.bytes_]:
    """Return b"ci" and the digits, without leading zeros, as 16 bytes each."""
    characters = np.zeros((len(numbers), 16), np.uint8)
    characters[:, :2] = np.frombuffer(NETWORK, np.uint8)
    left = numbers.astype(np.int64)
    lengths = np.searchsorted(10 ** np.arange(1, ID_DIGITS), left, side="right") + 1
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        rest = left[rows]
        for column in range(length + 1, 1, -1):
            tenth = rest // 10  # NumPy's divmod is five times slower
            characters[rows, column] = rest - 10 * tenth + ord("0")
            rest = tenth
    return characters.view("S16").ravel()
