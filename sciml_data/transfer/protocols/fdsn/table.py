"""What a window's CSV holds, and the windows merged to one table of events.

Columns are found by name. The service promises neither their order nor that none is added.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sciml_data.transfer.protocols.fdsn.windows import Window

if TYPE_CHECKING:
    import pandas as pd

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
