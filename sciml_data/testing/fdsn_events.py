"""A table of earthquakes with the search of the USGS event service.

Bounds are inclusive and have whole seconds, as in the published source of the service
(usgs/earthquake-event-ws, FDSNIndex.class.php `getWhere`, WebService.class.php `validateTime`).
Sorted by time, so that a query of 95 years of Southern California takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# The header of ComCat's CSV, as in the mirrored files of 2015-2025.
CSV_HEADER = (
    "time,latitude,longitude,depth,mag,magType,nst,gap,dmin,rms,net,id,updated,place,type,"
    "horizontalError,depthError,magError,magNst,status,locationSource,magSource\n"
)
TEXT_HEADER = (
    "#EventID|Time|Latitude|Longitude|Depth/km|Author|Catalog|Contributor|ContributorID|MagType|"
    "Magnitude|MagAuthor|EventLocationName\n"
)
UPDATED_AFTER_MS = 30 * 86_400_000  # default: revised 30 days after the event
ORDERS = ("time", "time-asc", "magnitude", "magnitude-asc")

Texts = NDArray[np.object_]


class BadParameterError(ValueError):
    """A parameter that the service refuses with HTTP 400; the message is like the service's."""


@dataclass(frozen=True)
class EventTable:
    """Events in the order of time; an array for each column, all of the same length.

    Attributes:
        time, updated: int64, milliseconds since 1970 in UTC.
        latitude, longitude: float64, degrees; depth: float64, km.
        magnitude: float64, NaN where not determined.
        magnitude_type, event_type, event_id: str.
        is_deleted: bool; deleted events are listed with `includedeleted` only.
    """

    time: NDArray[np.int64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    depth: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    updated: NDArray[np.int64]
    magnitude_type: Texts
    event_type: Texts
    event_id: Texts
    is_deleted: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of events, including deleted events."""
        return len(self.time)

    def take(self, index: NDArray[Any]) -> EventTable:
        """Return the events at these indices."""
        return EventTable(*(getattr(self, field.name)[index] for field in fields(self)))

    def changed(self, event_id: str, *, at: datetime, **columns: Any) -> EventTable:
        """Return the table with a revised event.

        Args:
            event_id: of the event.
            at: time of the revision.
            columns: new values, e.g. `magnitude` or `is_deleted`.
        """
        values: dict[str, Any] = {}
        is_event = self.event_id == event_id
        for name, value in (columns | {"updated": milliseconds(at)}).items():
            column = getattr(self, name).copy()
            column[is_event] = value
            values[name] = column
        table = replace(self, **values)
        return table.take(np.argsort(table.time, kind="stable"))

    def find(self, parameters: Mapping[str, str]) -> NDArray[np.intp]:
        """Return the indices of the events that match a query, in its order.

        Raises:
            BadParameterError: a value is not valid.
        """
        first, last = 0, len(self)
        if "starttime" in parameters:
            bound = _second(parameters, "starttime")
            first = int(np.searchsorted(self.time, bound, side="left"))
        if "endtime" in parameters:
            bound = _second(parameters, "endtime")
            last = int(np.searchsorted(self.time, bound, side="right"))
        indices = np.arange(first, max(first, last))
        matches = self._matching(parameters, slice(first, max(first, last)))
        order = parameters.get("orderby", "time")
        if order not in ORDERS:
            raise BadParameterError(f'Bad orderby value "{order}". Valid values are {ORDERS}.')
        return _page(self._ordered(indices[matches], order), parameters)

    def csv(self, indices: NDArray[np.intp]) -> str:
        """Return events in the 22 columns of the service; columns not in the table are empty."""
        events = self.take(indices)
        return CSV_HEADER + "".join(
            f"{time},{lat},{lon},{depth},{mag},{kind},,,,,{name[:2]},{name},{updated},"
            f'"Somewhere, CA",{event},,,,,reviewed,{name[:2]},{name[:2]}\n'
            for time, lat, lon, depth, mag, kind, name, updated, event in zip(
                iso_times(events.time),
                events.latitude.tolist(),
                events.longitude.tolist(),
                events.depth.tolist(),
                _numbers(events.magnitude),
                events.magnitude_type,
                events.event_id,
                iso_times(events.updated),
                events.event_type,
                strict=True,
            )
        )

    def text(self, indices: NDArray[np.intp]) -> str:
        """Return events in the FDSN text format."""
        events = self.take(indices)
        return TEXT_HEADER + "".join(
            f"{name}|{time[:-1]}|{lat}|{lon}|{depth}|{name[:2]}|{name[:2]}|{name[:2]}|{name}|{kind}|{mag}"
            f"|{name[:2]}|Somewhere, CA\n"
            for name, time, lat, lon, depth, kind, mag in zip(
                events.event_id,
                iso_times(events.time),
                events.latitude.tolist(),
                events.longitude.tolist(),
                events.depth.tolist(),
                events.magnitude_type,
                _numbers(events.magnitude),
                strict=True,
            )
        )

    def _matching(self, parameters: Mapping[str, str], part: slice) -> NDArray[np.bool_]:
        matches = np.ones(len(self.time[part]), dtype=np.bool_)
        if parameters.get("includedeleted", "false") != "true":
            matches &= ~self.is_deleted[part]
        for name in ("latitude", "longitude", "depth", "magnitude"):
            column = getattr(self, name)[part]
            if f"min{name}" in parameters:
                matches &= column >= _number(parameters, f"min{name}")
            if f"max{name}" in parameters:
                matches &= column <= _number(parameters, f"max{name}")
        if "updatedafter" in parameters:
            matches &= self.updated[part] >= _second(parameters, "updatedafter")
        if "eventtype" in parameters:
            types = [word.replace("_", " ") for word in parameters["eventtype"].split(",")]
            matches &= np.isin(self.event_type[part].astype(str), types)
        return matches

    def _ordered(self, indices: NDArray[np.intp], order: str) -> NDArray[np.intp]:
        if order.startswith("magnitude"):
            indices = indices[np.argsort(np.nan_to_num(self.magnitude[indices], nan=-99.0))]
        return indices if order.endswith("-asc") else indices[::-1]


def from_frame(frame: pd.DataFrame) -> EventTable:
    """Return the events of a pandas table with ComCat's column names.

    `time`, `latitude`, `longitude`, `depth`, `mag`, `id` and `type` are required; `magType` and
    `updated` are optional.
    """
    import pandas as pd

    frame = frame.assign(time=pd.to_datetime(frame["time"], format="ISO8601", utc=True))
    frame = frame.sort_values("time", kind="stable")
    time = frame["time"].dt.as_unit("ms").astype("int64").to_numpy()
    updated = time + UPDATED_AFTER_MS
    if "updated" in frame:
        given = pd.to_datetime(frame["updated"], format="ISO8601", utc=True)
        updated = given.dt.as_unit("ms").astype("int64").to_numpy()
    kinds = frame["magType"].fillna("") if "magType" in frame else pd.Series([""] * len(frame))
    return EventTable(
        time=time,
        latitude=frame["latitude"].to_numpy(np.float64),
        longitude=frame["longitude"].to_numpy(np.float64),
        depth=frame["depth"].to_numpy(np.float64),
        magnitude=frame["mag"].to_numpy(np.float64),
        updated=updated,
        magnitude_type=kinds.to_numpy(np.object_),
        event_type=frame["type"].to_numpy(np.object_),
        event_id=frame["id"].to_numpy(np.object_),
        is_deleted=np.zeros(len(frame), dtype=np.bool_),
    )


def read_events(path: Path) -> EventTable:
    """Return the events of a CSV file with ComCat's column names, compressed or not."""
    import pandas as pd

    columns = ("time", "latitude", "longitude", "depth", "mag", "magType", "id", "type", "updated")
    return from_frame(pd.read_csv(path, usecols=lambda name: name in columns))


def milliseconds(time: datetime) -> int:
    """Return a time as milliseconds since 1970 in UTC; a time without a zone is UTC."""
    return round(time.replace(tzinfo=time.tzinfo or UTC).timestamp() * 1000)


def iso_times(times: NDArray[np.int64]) -> Sequence[str]:
    """Return times in the format of the service, e.g. `2019-07-06T03:19:53.040Z`."""
    texts = np.datetime_as_string(times.astype("datetime64[ms]"))
    return [f"{text}Z" for text in texts.tolist()]


def _numbers(values: NDArray[np.float64]) -> list[str]:
    return ["" if value != value else str(value) for value in values.tolist()]  # noqa: PLR0124 - NaN


def _page(indices: NDArray[np.intp], parameters: Mapping[str, str]) -> NDArray[np.intp]:
    offset = int(_number(parameters, "offset")) if "offset" in parameters else 1
    indices = indices[offset - 1 :]
    return indices[: int(_number(parameters, "limit"))] if "limit" in parameters else indices


def _number(parameters: Mapping[str, str], name: str) -> float:
    try:
        return float(parameters[name])
    except ValueError as error:
        message = f'Bad {name} value "{parameters[name]}". Valid values are numeric'
        raise BadParameterError(message) from error


def _second(parameters: Mapping[str, str], name: str) -> int:
    """Return a time parameter as milliseconds, rounded down to whole seconds."""
    try:
        time = datetime.fromisoformat(parameters[name])
    except ValueError as error:
        message = f'Bad {name} value "{parameters[name]}". Valid values are ISO-8601 timestamps.'
        raise BadParameterError(message) from error
    return milliseconds(time) // 1000 * 1000
