"""The table of earthquakes that every catalogue is read into.

Magnitude type, event type and quality are CF flags: a small integer for each word; the ready file
has the words beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

# ComCat's spelling (its `magType` column); SCEDC's letters are mapped to it in scedc.py.
MAGNITUDE_TYPES = (
    "not_determined",
    "mb",
    "mc",
    "md",
    "me",
    "mh",
    "ml",
    "mlr",
    "ms",
    "mun",
    "mw",
    "mwr",
    "mww",
    "mwc",
    "mwb",
    "mb_lg",
    "mfa",
    "other",
)
EVENT_TYPES = (
    "earthquake",
    "quarry_blast",
    "explosion",
    "nuclear_explosion",
    "sonic_boom",
    "subnet_trigger",
    "not_known",
    "other",
)
# Location quality: SCEDC's letters, A best; Z is not among them. Since 2023 some rows have 0.75.
QUALITIES = ("not_given", "A", "B", "C", "D", "Z", "0.75", "other")


@dataclass(frozen=True)
class Events:
    """Events as columns of one length.

    Attributes:
        time: datetime64[ms], UTC, origin time.
        latitude, longitude: float64, degrees north and east, as in the catalogue.
        depth: float64, km below the catalogue's datum, positive down.
        magnitude: float64, NaN where the catalogue has none.
        magnitude_type, event_type, quality: int8, positions in the tuples above.
        event_id: bytes of fixed length, network code and number, for example b"ci38443183".
    """

    time: NDArray[np.datetime64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    depth: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    magnitude_type: NDArray[np.int8]
    event_type: NDArray[np.int8]
    quality: NDArray[np.int8]
    event_id: NDArray[np.bytes_]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.time)

    def take(self, index: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Events:
        """Return the events at these positions, or where the mask is true."""
        return Events(*(getattr(self, field.name)[index] for field in fields(self)))


def concatenate(tables: Sequence[Events]) -> Events:
    """Return all events of the tables in order; without tables an empty table."""
    if not tables:
        return no_events()
    if len(tables) == 1:
        return tables[0]
    columns = (field.name for field in fields(Events))
    return Events(*(np.concatenate([getattr(t, name) for t in tables]) for name in columns))


def no_events() -> Events:
    """Return a table without rows."""
    real, flag = np.empty(0, np.float64), np.empty(0, np.int8)
    return Events(
        np.empty(0, "M8[ms]"), real, real, real, real, flag, flag, flag, np.empty(0, "S16")
    )


def known_or_other(word: str, words: tuple[str, ...]) -> int:
    """Return the position of a word in its list, or the position of "other"."""
    return words.index(word) if word in words else words.index("other")
