"""Merge the files of several catalogues into one table, by rules in the descriptor.

The block `sciml.native.parts` lists the parts; the first one has the highest priority. A part has

* `name`: of the part, stored for each of its events (variable `catalogue`);
* `files`, `format`: the native files to read, and their format: `scedc`, `scsn`, `comcat`, `anss`;
* `from`, `until`: the half-open period, UTC, from which events are taken; without them, all;
* `box`: half-open ranges of `latitude` and `longitude` from which events are taken;
* `networks`: for ComCat, the networks of which events are taken;
* `event_type`, `magnitude_type`: for SCSN and ANSS files, which have neither;
* `damage`: files that are damaged as published, with their numbers of rows and torn lines;
* `complete_above`: the part only has events of this magnitude and more, so its period is a gap.

An event that two parts have (the same id) is taken from the first part. The periods of
tevolop_socal's parts do not overlap: where an older revision of a yearly file ends, the next newer
one continues. So every event has the location of the revision that is closest in time, and no event
occurs twice under two ids. Rows are sorted by time, and rows of equal time by part, file and line.

An independent merge of the same files has 889,758 rows, of which one differs (measured by
tests/conformance/test_tevolop_reference.py): ci38925255, M 2.51 of 2019-10-31, is in none of the
files.
"""

from __future__ import annotations

import csv
import fnmatch
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.earthquake.events import (
    EVENT_TYPES,
    MAGNITUDE_TYPES,
    QUALITIES,
    Events,
    concatenate,
    known_or_other,
    no_events,
)
from sciml_data.formats.earthquake.scedc import read_scedc, read_scsn
from sciml_data.progress import counted

COMCAT_NUMBERS = ("latitude", "longitude", "depth", "mag")
COMCAT_WORDS = ("time", "magType", "net", "id", "updated", "type", "status")
# Numbers of an ANSS list, in the order of its columns; before them date, time and decimal year.
ANSS_NUMBERS = ("longitude", "latitude", "magnitude", "depth")
NUMBER = r"-?\d+\.\d+"
ANSS_LINE = (
    rf"^(?P<time>[\d/]+\t[\d:.]+)\t{NUMBER}\t"
    + r"\t".join(rf"(?P<{name}>{NUMBER})" for name in ANSS_NUMBERS)
    + "$"
)
ID_BYTES = 16  # of an event id in memory; a longer one widens the column
# Ids are letters, digits and underscores; the longest known one has 28 characters. A limit, because
# one long id would widen the ids of all events.
ID_PATTERN = r"[!-~]{1,64}"


@dataclass(frozen=True)
class Gap:
    """A period in which the catalogue only has events of a minimum magnitude."""

    start: np.datetime64
    end: np.datetime64
    complete_above: float


@dataclass(frozen=True)
class Catalogue:
    """The merged table.

    Attributes:
        events: sorted by time.
        part: (event) int8, position in `names` of the part that the event comes from.
        names: of the parts.
        gaps: periods without small events.
    """

    events: Events
    part: NDArray[np.int8]
    names: tuple[str, ...]
    gaps: tuple[Gap, ...]


def read_catalogue(
    root: Path, parts: Sequence[Mapping[str, Any]], paths: Iterable[str]
) -> Catalogue:
    """Return the events of all parts as one table.

    Args:
        root: folder of the native files.
        parts: the descriptor's `sciml.native.parts`.
        paths: existing native files, relative to `root`.

    Raises:
        NativeFormatError: `.problems` has every bad line of every file, every file that is cut
            short, and every file that no part reads.
    """
    paths = sorted(paths)
    problems = _unexpected(parts, paths)
    tables, parts_with_files = [], []
    for part in parts:
        files = fnmatch.filter(paths, part["files"])
        parts_with_files += [part] if files else []
        tables.append(_read_part(root, files, part, problems))
    if not any(len(table) for table in tables):
        problems.append(Problem("empty", root.name, "no event in any file"))
    if problems:
        raise NativeFormatError(
            f"native files of an earthquake catalogue: {counted(len(problems), 'problem')}",
            problems=problems,
            untouched="nothing was converted",
            hint="`sciml-data verify` compares the files with the published ones",
        )
    events = concatenate(_same_width(tables))
    origin = np.repeat(np.arange(len(parts), dtype=np.int8), [len(table) for table in tables])
    first = np.flatnonzero(~pd.Series(_id_keys(events.event_id)).duplicated().to_numpy())
    order = first[np.argsort(events.time[first], kind="stable")]
    gaps = tuple(gap for part in parts_with_files for gap in _gaps(part))
    return Catalogue(events.take(order), origin[order], tuple(part["name"] for part in parts), gaps)


def read_comcat(
    root: Path, files: Sequence[str], part: Mapping[str, Any]
) -> tuple[Events, list[Problem]]:
    """Return the events of ComCat event lists (CSV), and everything that is wrong with the files.

    The header is the format's only mark. Columns are found by name, so a service may add some. An
    event that occurs in several files is taken from the row that was updated last.

    Args:
        root: native folder.
        files: paths in it.
        part: of the descriptor; `networks`, if given, names the networks to keep (column `net`).
    """
    problems: list[Problem] = []
    tables = [_read_table(root / place, place, problems) for place in files]
    if not tables:
        return no_events(), problems
    table = pd.concat(tables, ignore_index=True)
    table = table[table["net"].isin(part.get("networks", table["net"].unique()))]
    newest_last = table.sort_values("updated", kind="stable")
    return _comcat_events(newest_last.drop_duplicates("id", keep="last").sort_index()), problems


def read_anss(
    root: Path, files: Sequence[str], part: Mapping[str, Any]
) -> tuple[Events, list[Problem]]:
    """Return the events of lists of the ANSS catalogue, and everything that is wrong with them.

    A line has seven fields between tabs: date, time (UTC), decimal year (not used), longitude,
    latitude, magnitude, depth in km. Lines have no id: an event gets the name of the part and the
    number of its line, counted through all files.

    Args:
        root: native folder.
        files: paths in it.
        part: of the descriptor; `event_type` and `magnitude_type` of all events.
    """
    problems: list[Problem] = []
    tables, before = [], 0
    for place in files:
        lines = (root / place).read_bytes().decode("utf-8", errors="replace").split("\n")
        if lines.pop():
            message = "the last line is cut short"
            problems.append(Problem("truncated", f"{place}:{len(lines) + 1}", message))
        rows = pd.Series(lines, dtype="str").str.extract(ANSS_LINE)
        time = pd.to_datetime(rows["time"], format="%Y/%m/%d\t%H:%M:%S.%f", errors="coerce")
        numbers = rows.drop(columns="time").astype(np.float64)
        good = time.notna() & (abs(numbers["latitude"]) <= 90) & (abs(numbers["longitude"]) <= 180)
        problems += [
            Problem("malformed", f"{place}:{row + 1}", f"not in its format: {lines[row]!r}")
            for row in np.flatnonzero(~good).tolist()
        ]
        tables.append(_anss_events(time[good], numbers[good], part, before=before))
        before += len(lines)
    return concatenate(_same_width(tables)), problems


# A reader takes the native folder, files in it and the part; it returns events and problems.
READERS = {"scedc": read_scedc, "scsn": read_scsn, "comcat": read_comcat, "anss": read_anss}


def _unexpected(parts: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> list[Problem]:
    read = {path for part in parts for path in fnmatch.filter(paths, part["files"])}
    return [
        Problem("unexpected", path, "no part of the descriptor reads it")
        for path in paths
        if path not in read
    ]


def _read_part(
    root: Path, files: Sequence[str], part: Mapping[str, Any], problems: list[Problem]
) -> Events:
    """Return the events of a part's files that are in its period and box."""
    events, of_part = READERS[part["format"]](root, files, part)
    problems += of_part
    if not part.keys() & {"from", "until", "box"}:
        return events
    is_inside = np.ones(len(events), np.bool_)
    if "from" in part:
        is_inside &= events.time >= np.datetime64(part["from"])
    if "until" in part:
        is_inside &= events.time < np.datetime64(part["until"])
    for name, (low, high) in part.get("box", {}).items():
        is_inside &= (getattr(events, name) >= low) & (getattr(events, name) < high)
    return events.take(is_inside)


def _same_width(tables: Sequence[Events]) -> list[Events]:
    """Return the tables with event ids of one length."""
    width = max((table.event_id.dtype.itemsize for table in tables), default=0)
    return [replace(table, event_id=table.event_id.astype(f"S{width}")) for table in tables]


def _id_keys(ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """Return a number for each id, equal for equal ids; sorting numbers is faster than text.

    Ids are read as integers of eight bytes, which are combined one after the other.
    """
    first, *others = ids.view(np.int64).reshape(len(ids), ids.dtype.itemsize // 8).T
    key = first
    for column in others:
        places, _ = pd.factorize(key)
        codes, known = pd.factorize(column)
        key = places * max(len(known), 1) + codes  # less than the square of the number of ids
    return key


def _gaps(part: Mapping[str, Any]) -> list[Gap]:
    if "complete_above" not in part:
        return []
    start, end = np.datetime64(part["from"], "ms"), np.datetime64(part["until"], "ms")
    return [Gap(start, end, float(part["complete_above"]))]


def _read_table(path: Path, place: str, problems: list[Problem]) -> pd.DataFrame:
    """Return the good rows of one file; other rows are added to the problems."""
    data = path.read_bytes()
    wrong_layout = _layout_problems(data, place)
    if wrong_layout:
        problems += wrong_layout
        data = ",".join([*COMCAT_NUMBERS, *COMCAT_WORDS]).encode()
    names = [*COMCAT_NUMBERS, *COMCAT_WORDS]
    try:
        table = pd.read_csv(io.BytesIO(data), usecols=names, dtype=dict.fromkeys(names, "str"))
    except ValueError as error:  # pandas is stricter: a quotation mark that is not closed
        problems.append(Problem("malformed", place, f"it is not CSV: {error}".strip()))
        table = pd.DataFrame({name: pd.Series(dtype="str") for name in names})
    for name in ("time", "updated"):
        table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601", errors="coerce")
    has_magnitude = table["mag"].notna()  # an empty field: not determined
    for name in COMCAT_NUMBERS:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    good = table[["time", "latitude", "longitude", "id", "status"]].notna().all(axis=1)
    good &= table["mag"].notna() | ~has_magnitude
    good &= ~table["depth"].abs().eq(np.inf) & ~table["mag"].abs().eq(np.inf)
    good &= table["id"].str.fullmatch(ID_PATTERN, na=False)
    good &= (abs(table["latitude"]) <= 90) & (abs(table["longitude"]) <= 180)
    problems += [
        Problem(
            "malformed",
            f"{place}:{row + 2}",
            "a time, place, magnitude, id or status is missing or impossible",
        )
        for row in np.flatnonzero(~good).tolist()
    ]
    return table[good]


def _layout_problems(data: bytes, place: str) -> list[Problem]:
    """Return what is wrong with the header, the numbers of columns, and the end of the file."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return [Problem("malformed", f"{place}:{line}", f"it is not UTF-8: {error.reason}")]
    rows = csv.reader(io.StringIO(text))
    try:
        header = next(rows, [])
    except csv.Error as error:
        return [Problem("header", f"{place}:1", f"it is not a line of CSV: {error}")]
    missing = [name for name in (*COMCAT_NUMBERS, *COMCAT_WORDS) if name not in header]
    if missing:
        return [Problem("header", f"{place}:1", f"there is no column {', '.join(missing)}")]
    expected = f"{len(header)} fields expected"
    try:
        problems = [
            Problem("malformed", f"{place}:{rows.line_num}", f"{expected}, {len(row)} found")
            for row in rows
            if len(row) != len(header)
        ]
    except csv.Error as error:
        where = f"{place}:{rows.line_num}"
        return [Problem("malformed", where, f"it is not a line of CSV: {error}")]
    if not data.endswith(b"\n"):
        problems.append(
            Problem("truncated", f"{place}:{rows.line_num}", "the last line is cut short")
        )
    return problems


def _comcat_events(table: pd.DataFrame) -> Events:
    magnitude_type = _flags(table["magType"].fillna("not_determined"), MAGNITUDE_TYPES)
    event_type = _flags(table["type"].fillna("not_known").str.replace(" ", "_"), EVENT_TYPES)
    ids = table["id"].to_numpy(dtype=np.bytes_)
    width = max(ID_BYTES, -(-ids.dtype.itemsize // 8) * 8)
    return Events(
        time=table["time"].dt.tz_localize(None).to_numpy().astype("M8[ms]"),
        latitude=table["latitude"].to_numpy(np.float64),
        longitude=table["longitude"].to_numpy(np.float64),
        depth=table["depth"].to_numpy(np.float64),
        magnitude=table["mag"].to_numpy(np.float64),
        magnitude_type=magnitude_type,
        event_type=event_type,
        quality=np.full(len(table), QUALITIES.index("not_given"), np.int8),
        event_id=ids.astype(f"S{width}"),
    )


def _anss_events(
    time: pd.Series[Any], numbers: pd.DataFrame, part: Mapping[str, Any], *, before: int
) -> Events:
    def flag(key: str, words: tuple[str, ...]) -> NDArray[np.int8]:
        return np.full(len(time), words.index(part[key]), np.int8)

    ids = [f"{part['name']}-{before + row + 1}" for row in time.index]
    width = -(-max(map(len, ids), default=1) // 8) * 8  # whole numbers of 8 bytes: `_id_keys`
    return Events(
        time=time.to_numpy().astype("M8[ms]"),
        **{column: numbers[column].to_numpy() for column in ANSS_NUMBERS},
        magnitude_type=flag("magnitude_type", MAGNITUDE_TYPES),
        event_type=flag("event_type", EVENT_TYPES),
        quality=np.full(len(time), QUALITIES.index("not_given"), np.int8),
        event_id=np.array(ids, f"S{width}"),
    )


def _flags(words: pd.Series[str], known: tuple[str, ...]) -> NDArray[np.int8]:
    """Return the flag of each word, ignoring case; the flag of an unknown word is "other"."""
    lower = words.str.lower()
    flags = {word: known_or_other(word, known) for word in lower.unique()}
    return lower.map(flags).to_numpy(np.int8)
