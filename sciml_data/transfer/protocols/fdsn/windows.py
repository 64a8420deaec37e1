"""Periods of time, cut into windows that the service answers in one piece. No I/O.

A window is half-open in our use, `start <= time < end`. The service's bounds are both inclusive,
and its published source reads them to the whole second (usgs/earthquake-event-ws,
src/lib/classes/pdl/WebService.class.php, `validateTime`: strtotime). Asking for `end` less a
millisecond would therefore lose up to a second of events at every edge. So windows begin and end
at whole seconds and are asked for with both ends; an event on an edge comes twice and is kept once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sciml_data.errors import CallError

if TYPE_CHECKING:
    import pandas as pd

SHORTEST = timedelta(seconds=1)  # the service reads bounds to the second
TIME_FORM = "an ISO 8601 time to the second, UTC unless it says otherwise"
EXAMPLE = "sciml-data get tevolop_socal --version live --start 2019-07-01 --end 2019-08-01"


@dataclass(frozen=True, order=True)
class Window:
    """A half-open period, both ends UTC and whole seconds."""

    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        """Return the name of the window's file, without its suffix; names sort by time."""
        return f"{self.start:%Y%m%dT%H%M%SZ}_{self.end:%Y%m%dT%H%M%SZ}"

    @property
    def bounds(self) -> dict[str, str]:
        """Return the window as the service's parameters; a time without zone is UTC there."""
        return {
            "starttime": f"{self.start:%Y-%m-%dT%H:%M:%S}",
            "endtime": f"{self.end:%Y-%m-%dT%H:%M:%S}",
        }

    @property
    def can_be_halved(self) -> bool:
        """Return whether two windows of at least a second can be made of it."""
        return self.end - self.start >= 2 * SHORTEST

    def halves(self) -> tuple[Window, Window]:
        """Return the window as two, cut at the whole second in the middle."""
        seconds = (self.end - self.start) // SHORTEST
        middle = self.start + (seconds // 2) * SHORTEST
        return Window(self.start, middle), Window(middle, self.end)

    def __contains__(self, other: Window) -> bool:
        return self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ} to {self.end:%Y-%m-%dT%H:%M:%SZ}"


def usable(period: Window, windows: Iterable[Window]) -> list[Window]:
    """Return windows that lie in the period and do not overlap, in the order of time."""
    chosen: list[Window] = []
    for window in sorted(windows, key=lambda one: (one.start, -one.end.timestamp())):
        if window in period and (not chosen or window.start >= chosen[-1].end):
            chosen.append(window)
    return chosen


def gaps(period: Window, windows: Iterable[Window]) -> list[Window]:
    """Return what of the period the windows leave open; they are sorted and do not overlap."""
    open_from = period.start
    found = []
    for window in windows:
        if open_from < window.start:
            found.append(Window(open_from, window.start))
        open_from = window.end
    if open_from < period.end:
        found.append(Window(open_from, period.end))
    return found


def read_period(start: str | None, end: str | None, *, earliest: str, now: datetime) -> Window:
    """Return the period that a call asks for: start inclusive, end exclusive.

    Args:
        start: ISO 8601; None means `earliest`.
        end: ISO 8601; None means the present second.
        earliest: ISO 8601, before which the dataset holds nothing.
        now: the present, with its zone.

    Raises:
        CallError: a time cannot be read, or the period is empty, too early or in the future.
    """
    present = now.astimezone(UTC).replace(microsecond=0)
    first = read_time(earliest, "earliest")
    period = Window(
        first if start is None else read_time(start, "--start"),
        present if end is None else read_time(end, "--end"),
    )
    wrong = ""
    if period.start >= period.end:
        wrong = f"--start is not before --end: {period}"
    elif period.start < first:
        wrong = f"--start {start} is before {earliest}, the earliest that this dataset holds"
    elif period.end > present:
        wrong = f"--end {end} lies in the future: now is {present:%Y-%m-%dT%H:%M:%SZ}"
    if wrong:
        raise CallError(wrong, untouched="nothing was asked for", hint=EXAMPLE)
    return period


def read_time(text: str, option: str) -> datetime:
    """Return a time in UTC, whole seconds; `option` is named where the text cannot be read.

    Raises:
        CallError: not ISO 8601, or finer than a second.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        time = None
    if time is None or time.microsecond:
        raise CallError(
            f"{option}: {TIME_FORM}, is expected, {text!r} found",
            untouched="nothing was asked for",
            hint=EXAMPLE,
        )
    return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)


NEEDED = ("time", "latitude", "longitude", "mag", "id", "updated")


class BodyError(Exception):
    """The body of an answer is no whole CSV of events: cut, or something else altogether."""


@dataclass(frozen=True)
class Box:
    """Half-open ranges in degrees: south and west edges belong to the box, the others do not."""

    south: float
    north: float
    west: float
    east: float


def box_of(parameters: Mapping[str, str]) -> Box:
    """Return the half-open box of a service's parameters; without them, the whole Earth."""
    return Box(
        south=float(parameters.get("minlatitude", "-inf")),
        north=float(parameters.get("maxlatitude", "inf")),
        west=float(parameters.get("minlongitude", "-inf")),
        east=float(parameters.get("maxlongitude", "inf")),
    )


def count_rows(body: bytes) -> int:
    """Return the number of events in a CSV body, after reading every field of it.

    An empty body is none: a service may say "no events" so, or with the header alone.

    Raises:
        BodyError: not UTF-8, no header of events, a row too short or too long, or a last line cut.
    """
    if not body:
        return 0
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(f"it is not UTF-8: {error.reason}") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(rows, [])
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise BodyError(f"its header has no column {', '.join(missing)}")
    if not text.endswith("\n"):
        raise BodyError("its last line is cut")
    number = 0
    try:
        for row in rows:
            if len(row) != len(header):
                place = f"line {rows.line_num}"
                raise BodyError(f"{place} has {len(row)} fields, {len(header)} expected")
            number += 1
    except csv.Error as error:
        raise BodyError(f"line {rows.line_num}: {error}") from error
    return number


def read_window(body: bytes) -> pd.DataFrame:
    """Return one window's events as they came: times as datetime64 in UTC, the rest by name."""
    import pandas as pd

    numbers = ("latitude", "longitude", "mag")
    words = ("time", "id", "updated")
    types = dict.fromkeys(numbers, "float64") | dict.fromkeys(words, "str")
    table = pd.read_csv(io.BytesIO(body), usecols=list(NEEDED), dtype=types)
    for name in ("time", "updated"):
        table[name] = pd.to_datetime(table[name], format="ISO8601", utc=True).dt.as_unit("ms")
    return table


def merge_windows(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return one row for each event id: the last updated, of equal ones that of the later window.

    The rows are in the order of time; the column `window` is the position of the table they are of.
    """
    import pandas as pd

    numbered = [table.assign(window=number) for number, table in enumerate(tables)]
    merged = pd.concat(numbered, ignore_index=True).sort_values(
        ["updated", "window"], kind="stable"
    )
    return merged.drop_duplicates("id", keep="last").sort_values(["time", "id"], ignore_index=True)


def outdated(tables: Sequence[pd.DataFrame], merged: pd.DataFrame) -> list[int]:
    """Return the positions of the windows that hold an older state of an event than another."""
    newest = merged.set_index("id")["updated"]
    return [
        number
        for number, table in enumerate(tables)
        if (table["updated"].to_numpy() < newest.loc[table["id"]].to_numpy()).any()
    ]


def half_open(merged: pd.DataFrame, period: Window, box: Box) -> pd.DataFrame:
    """Return the events inside the half-open period and box: those on the far edges are out."""
    time, latitude, longitude = merged["time"], merged["latitude"], merged["longitude"]
    inside = (time >= period.start) & (time < period.end)
    inside &= (latitude >= box.south) & (latitude < box.north)
    inside &= (longitude >= box.west) & (longitude < box.east)
    return merged[inside].reset_index(drop=True)
