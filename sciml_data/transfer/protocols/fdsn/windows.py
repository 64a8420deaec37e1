"""Windows of time that the service answers in one piece, and the events in each. No I/O.

A window is half-open here, `start <= time < end`. The service includes both ends, and reads them to
the whole second (its source: usgs/earthquake-event-ws, src/lib/classes/pdl/WebService.class.php,
`validateTime`: strtotime). A request that ends a millisecond before `end` would therefore lose up
to a second of events at every edge. So windows begin and end at whole seconds, and both ends are
requested. An event on an edge comes twice and is stored once.

The columns of a CSV are found by name: the service promises neither their order nor their number.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sciml_data.errors import CallError

if TYPE_CHECKING:
    import pandas as pd

MIN_LENGTH = timedelta(seconds=1)  # the service reads bounds to the second
TIME_FORM = "an ISO 8601 time to the second (UTC unless it has a zone)"
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
        """Return the window as parameters of the service, for which a time without zone is UTC."""
        return {
            "starttime": f"{self.start:%Y-%m-%dT%H:%M:%S}",
            "endtime": f"{self.end:%Y-%m-%dT%H:%M:%S}",
        }

    @property
    def can_be_halved(self) -> bool:
        """Return whether both halves would have at least a second."""
        return self.end - self.start >= 2 * MIN_LENGTH

    def halves(self) -> tuple[Window, Window]:
        """Return two windows that meet at the whole second in the middle."""
        seconds = (self.end - self.start) // MIN_LENGTH
        middle = self.start + (seconds // 2) * MIN_LENGTH
        return Window(self.start, middle), Window(middle, self.end)

    def __contains__(self, other: Window) -> bool:
        return self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ} to {self.end:%Y-%m-%dT%H:%M:%SZ}"


def usable(period: Window, windows: Iterable[Window]) -> list[Window]:
    """Return windows inside a period that do not overlap, in the order of time.

    Of windows that overlap, the one that starts first is taken, and of these the longest.
    """
    chosen: list[Window] = []
    for window in sorted(windows, key=lambda window: (window.start, -window.end.timestamp())):
        if window in period and (not chosen or window.start >= chosen[-1].end):
            chosen.append(window)
    return chosen


def gaps(period: Window, windows: Iterable[Window]) -> list[Window]:
    """Return the parts of a period without a window; windows are sorted and do not overlap."""
    open_from = period.start
    uncovered = []
    for window in windows:
        if open_from < window.start:
            uncovered.append(Window(open_from, window.start))
        open_from = window.end
    if open_from < period.end:
        uncovered.append(Window(open_from, period.end))
    return uncovered


def read_period(start: str | None, end: str | None, *, earliest: str, now: datetime) -> Window:
    """Return the period between two times: start inclusive, end exclusive.

    Args:
        start: ISO 8601; None means `earliest`.
        end: ISO 8601; None means the present second.
        earliest: ISO 8601; the dataset has no event before it.
        now: the present time, with its zone.

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
        wrong = f"--start {start} is before {earliest}, when this dataset begins"
    elif period.end > present:
        wrong = f"--end {end} is in the future: now is {present:%Y-%m-%dT%H:%M:%SZ}"
    if wrong:
        raise CallError(wrong, untouched="nothing was fetched", hint=EXAMPLE)
    return period


def read_time(text: str, option: str) -> datetime:
    """Return a time in UTC, in whole seconds.

    Args:
        text: ISO 8601; without a zone it is UTC.
        option: name of the option, for the error.

    Raises:
        CallError: not ISO 8601, or finer than a second.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        time = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC it may be before the year 1
        time = None
    if time is None or time.microsecond:
        raise CallError(
            f"{option}: {TIME_FORM} is expected, {text!r} found",
            untouched="nothing was fetched",
            hint=EXAMPLE,
        )
    return time


NEEDED = ("time", "latitude", "longitude", "mag", "id", "updated")


class BodyError(Exception):
    """The body of an answer is not a complete CSV file of events: cut off, or something else."""


@dataclass(frozen=True)
class Box:
    """Half-open ranges in degrees: only the south and west edges belong to the box."""

    south: float
    north: float
    west: float
    east: float


def box_of(parameters: Mapping[str, str]) -> Box:
    """Return the half-open box in a service's parameters; without them it is the whole Earth."""
    return Box(
        south=float(parameters.get("minlatitude", "-inf")),
        north=float(parameters.get("maxlatitude", "inf")),
        west=float(parameters.get("minlongitude", "-inf")),
        east=float(parameters.get("maxlongitude", "inf")),
    )


def _header(rows: Iterator[list[str]]) -> list[str]:
    try:
        return next(rows, [])
    except csv.Error as error:
        raise BodyError(f"line 1: {error}") from error


def count_rows(body: bytes) -> int:
    """Return the number of events in a CSV body, after reading all of its fields.

    An empty body has no events; neither has a header alone. Services use both.

    Raises:
        BodyError: not UTF-8, not a header of events, a row that is too short or too long, or a
            last line that is cut off.
    """
    if not body:
        return 0
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(f"it is not UTF-8: {error.reason}") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = _header(rows)
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise BodyError(f"its header has no column {', '.join(missing)}")
    if not text.endswith("\n"):
        raise BodyError("its last line is cut off")
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
    """Return the events of one window, in the columns `NEEDED`.

    Times are datetime64 in UTC, to the millisecond; coordinates (degrees) and magnitudes float64.

    Raises:
        BodyError: a number or a time cannot be read, or an event has no id.
    """
    import pandas as pd

    numbers = ("latitude", "longitude", "mag")
    texts = ("time", "id", "updated")
    types = dict.fromkeys(numbers, "float64") | dict.fromkeys(texts, "str")
    try:
        table = pd.read_csv(io.BytesIO(body), usecols=list(NEEDED), dtype=types)
        for name in ("time", "updated"):
            table[name] = pd.to_datetime(table[name], format="ISO8601", utc=True).dt.as_unit("ms")
    except (ValueError, ArithmeticError) as error:  # pandas' own errors are ValueErrors
        raise BodyError(f"a number or a time cannot be read: {error}") from error
    if table[list(texts)].isna().any(axis=None):
        raise BodyError("an event has no id, or no time")
    return table


def merge_windows(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return one row for each event id: the one updated last, of equal ones that of the last table.

    The rows are sorted by time. The column `window` is the position of the table of each row.
    """
    import pandas as pd

    numbered = [table.assign(window=number) for number, table in enumerate(tables)]
    merged = pd.concat(numbered, ignore_index=True).sort_values(
        ["updated", "window"], kind="stable"
    )
    return merged.drop_duplicates("id", keep="last").sort_values(["time", "id"], ignore_index=True)


def outdated(tables: Sequence[pd.DataFrame], merged: pd.DataFrame) -> list[int]:
    """Return the positions of tables that have an older state of an event than another table."""
    newest = merged.set_index("id")["updated"]
    return [
        number
        for number, table in enumerate(tables)
        if (table["updated"].to_numpy() < newest.loc[table["id"]].to_numpy()).any()
    ]


def half_open(merged: pd.DataFrame, period: Window, box: Box) -> pd.DataFrame:
    """Return the events inside a half-open period and box: those on the upper edges are not.

    Args:
        merged: events, as `merge_windows` returns them.
        period: start inclusive, end exclusive.
        box: in degrees, south and west inclusive.
    """
    time, latitude, longitude = merged["time"], merged["latitude"], merged["longitude"]
    inside = (time >= period.start) & (time < period.end)
    inside &= (latitude >= box.south) & (latitude < box.north)
    inside &= (longitude >= box.west) & (longitude < box.east)
    return merged[inside].reset_index(drop=True)
