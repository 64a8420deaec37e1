"""Event lists of the USGS Comprehensive Catalog (ComCat): CSV with 22 columns.

The header is the format's only mark; columns are found by name, so that a service which adds one is
still read. An event that stands in several files is kept once, as it was last updated.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sciml_data.errors import Problem
from sciml_data.formats.earthquake.events import (
    EVENT_TYPES,
    MAGNITUDE_TYPES,
    QUALITIES,
    Events,
    known_or_other,
    no_events,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = ("latitude", "longitude", "depth", "mag")
WORDS = ("time", "magType", "net", "id", "updated", "type", "status")
ID_BYTES = 16  # of an event id in memory; a longer one widens the column


def read_comcat(
    root: Path, files: Sequence[str], part: Mapping[str, Any]
) -> tuple[Events, list[Problem]]:
    """Return the events of CSV files and everything that is wrong with them.

    `part["networks"]`, where given, names the only networks that are kept (column `net`).
    """
    problems: list[Problem] = []
    tables = [_read_table(root / place, place, problems) for place in files]
    if not tables:
        return no_events(), problems
    table = pd.concat(tables, ignore_index=True)
    table = table[table["net"].isin(part.get("networks", table["net"].unique()))]
    newest_last = table.sort_values("updated", kind="stable")
    return _events(newest_last.drop_duplicates("id", keep="last").sort_index()), problems


def _read_table(path: Path, place: str, problems: list[Problem]) -> pd.DataFrame:
    """Return the good rows of one file; the others are added to the problems."""
    data = path.read_bytes()
    wrong_layout = _layout_problems(data, place)
    if wrong_layout:
        problems += wrong_layout
        data = ",".join([*NUMBERS, *WORDS]).encode()
    names = [*NUMBERS, *WORDS]
    table = pd.read_csv(io.BytesIO(data), usecols=names, dtype=dict.fromkeys(names, "str"))
    for name in ("time", "updated"):
        table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601", errors="coerce")
    has_magnitude = table["mag"].notna()  # an empty one is not determined
    for name in NUMBERS:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    good = table[["time", "latitude", "longitude", "id", "status"]].notna().all(axis=1)
    good &= table["mag"].notna() | ~has_magnitude
    good &= (abs(table["latitude"]) <= 90) & (abs(table["longitude"]) <= 180)
    problems += [
        Problem("malformed", f"{place}:{row + 2}", "a time, place, magnitude, id or status is none")
        for row in np.flatnonzero(~good).tolist()
    ]
    return table[good]


def _layout_problems(data: bytes, place: str) -> list[Problem]:
    """Return what is wrong with header, number of columns and end of the file."""
    rows = csv.reader(io.StringIO(data.decode("utf-8", errors="replace")))
    header = next(rows, [])
    missing = [name for name in (*NUMBERS, *WORDS) if name not in header]
    if missing:
        return [Problem("header", f"{place}:1", f"no column {', '.join(missing)}")]
    expected = f"{len(header)} fields expected"
    problems = [
        Problem("malformed", f"{place}:{rows.line_num}", f"{expected}, {len(row)} found")
        for row in rows
        if len(row) != len(header)
    ]
    if not data.endswith(b"\n"):
        problems.append(Problem("truncated", f"{place}:{rows.line_num}", "the last line is cut"))
    return problems


def _events(table: pd.DataFrame) -> Events:
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


def _flags(words: pd.Series[str], known: tuple[str, ...]) -> NDArray[np.int8]:
    """Return the flag of each word, ignoring case; a word that is not in the list is "other"."""
    lower = words.str.lower()
    flags = {word: known_or_other(word, known) for word in lower.unique()}
    return lower.map(flags).to_numpy(np.int8)
