"""Where, when and with what data were made, and what people who train on them should know.

The descriptor states both once: `sciml.coverage` and `sciml.responsible_ai`. How the data were
collected, and their known flaws, are sections of the data card beside it, which people write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CARD_NAME = "README.md"  # of a dataset, in the folder above its versions
# Headings of a card -> what they are about; a card has some of them.
COLLECTION = (
    "Instrument and processing", "Instruments and processing", "How it was made", "Native files",
    "Native file",
)  # fmt: skip
LIMITATIONS = ("Gaps and flaws",)
METRES = {"m": 1, "km": 1000}
# Unit of a time resolution -> designator of an ISO 8601 duration.
DURATIONS = {
    "second": "PT{}S", "minute": "PT{}M", "hour": "PT{}H", "day": "P{}D", "month": "P{}M",
    "year": "P{}Y",
}  # fmt: skip
OPEN_END = ".."  # of an interval in schema.org and ISO 8601-2


@dataclass(frozen=True)
class Resolution:
    """A distance between neighbouring values, in space or in time."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"

    @property
    def metres(self) -> float | None:
        """Return the length in metres; None for an angle or a time."""
        return self.value * METRES[self.unit] if self.unit in METRES else None

    @property
    def duration(self) -> str | None:
        """Return the time as an ISO 8601 duration; None for a length or an angle."""
        return DURATIONS[self.unit].format(f"{self.value:g}") if self.unit in DURATIONS else None


@dataclass(frozen=True)
class Box:
    """Sides in degrees; west is larger than east where the box crosses the date line."""

    north: float
    south: float
    east: float
    west: float

    @property
    def wkt(self) -> str:
        """Return the box as Well-Known Text (OGC 06-103r4), longitude first."""
        corners = (
            (self.west, self.south), (self.east, self.south), (self.east, self.north),
            (self.west, self.north), (self.west, self.south),
        )  # fmt: skip
        return f"POLYGON(({', '.join(f'{x:g} {y:g}' for x, y in corners)}))"


@dataclass(frozen=True)
class Instrument:
    """What measured or simulated the data; `bands` are names with wavelengths in micrometres."""

    name: str
    platform: str | None = None
    is_simulation: bool = False
    bands: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return the name with its platform; a program says that it simulated."""
        where = f", {self.platform}" if self.platform else ""
        return f"{'simulation: ' if self.is_simulation else ''}{self.name}{where}"


@dataclass(frozen=True)
class Coverage:
    """Where, when and with what data were made; what is not known is None or empty.

    Attributes:
        place: in words.
        box: around the place.
        crs: coordinate reference system of latitudes and longitudes, as `EPSG:4326`.
        resolution: in space.
        bias: which places are seen more or better than others.
        start: first day or year.
        end: last day or year; None if data are still added.
        step: resolution in time.
        instruments: what measured or simulated.
        sampling: how samples were chosen.
    """

    place: str | None = None
    box: Box | None = None
    crs: str | None = None
    resolution: Resolution | None = None
    bias: str | None = None
    start: str | None = None
    end: str | None = None
    step: Resolution | None = None
    instruments: tuple[Instrument, ...] = ()
    sampling: str | None = None

    @property
    def interval(self) -> str | None:
        """Return the time as `start/end`, with `..` for an end that is open."""
        return None if self.start is None else f"{self.start}/{self.end or OPEN_END}"

    @property
    def is_geographic(self) -> bool:
        """Return whether the data have places on Earth: a box, or images of an instrument."""
        return self.box is not None or bool(self.bands and self.place)

    @property
    def bands(self) -> Mapping[str, float]:
        """Return the bands of the first instrument that has any."""
        return next((item.bands for item in self.instruments if item.bands), {})


@dataclass(frozen=True)
class ResponsibleUse:
    """What people who train on the data should know; what nobody has stated is empty.

    Attributes:
        collection: how the data were collected, from the card.
        limitations: known gaps and flaws, from the card.
        collection_types: kinds of collection, in the words of Croissant RAI.
        biases: what is over- or under-represented.
        use_cases: what the data are for, and what they are not for.
        preprocessing: what was done to the values.
        missing_data: what is missing, and how that is marked.
        labels: what the labels are, and who or what made them.
        social_impact: harm that models of the data can do.
        personal: personal or sensitive information.
        maintenance: who corrects the data.
    """

    collection: str = ""
    limitations: tuple[str, ...] = ()
    collection_types: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    preprocessing: tuple[str, ...] = ()
    missing_data: str = ""
    labels: str = ""
    social_impact: str = ""
    personal: str = ""
    maintenance: str = ""


def coverage_of(block: Mapping[str, Any]) -> Coverage:
    """Return the coverage in the block `sciml` of a descriptor; empty if there is none."""
    stated = block.get("coverage", {})
    spatial, temporal = stated.get("spatial", {}), stated.get("temporal", {})
    sides = {side: spatial[side] for side in ("north", "south", "east", "west") if side in spatial}
    return Coverage(
        place=spatial.get("place"),
        box=Box(**sides) if sides else None,
        crs=spatial.get("crs"),
        resolution=_resolution(spatial),
        bias=spatial.get("bias"),
        start=temporal.get("start"),
        end=temporal.get("end"),
        step=_resolution(temporal),
        instruments=tuple(
            Instrument(
                item["name"],
                item.get("platform"),
                item.get("simulated", False),
                item.get("bands", {}),
            )
            for item in stated.get("instruments", ())
        ),
        sampling=stated.get("sampling"),
    )


def responsible_use_of(block: Mapping[str, Any], card: Path) -> ResponsibleUse:
    """Return `responsible_ai` of a descriptor with the statements of its card.

    Args:
        block: `sciml` of the descriptor.
        card: README.md of the dataset, which may be missing.
    """
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    lists = ("collection_types", "biases", "use_cases", "preprocessing")
    stated: dict[str, Any] = {
        key: tuple(value) if key in lists else value
        for key, value in block.get("responsible_ai", {}).items()
    }
    return ResponsibleUse(
        collection=" ".join(card_statements(text, COLLECTION)),
        limitations=tuple(card_statements(text, LIMITATIONS)),
        **stated,
    )


def card_statements(text: str, headings: Sequence[str]) -> list[str]:
    """Return the paragraphs and list items of sections of a card as plain sentences.

    Tables, code and headings of a lower level are left out.

    Args:
        text: Markdown of the card.
        headings: titles of sections of level 2.
    """
    return list(_statements(_lines_of(text, headings)))


def _lines_of(text: str, headings: Sequence[str]) -> Iterator[str]:
    is_inside = False
    for line in text.splitlines():
        if line.startswith("## "):
            is_inside = line.removeprefix("## ").strip() in headings
            yield ""
        elif is_inside:
            yield line


def _statements(lines: Iterator[str]) -> Iterator[str]:
    """Yield each paragraph or list item as one line."""
    current: list[str] = []
    for line in [*lines, ""]:
        begins = line.startswith(("- ", "* "))
        ends = not line.strip() or line.startswith(("|", "    ", "#", "```"))
        if (begins or ends) and current:
            if plain := _plain(" ".join(current)):
                yield plain
            current = []
        if not ends:
            current.append(line.strip().removeprefix("- ").removeprefix("* "))


def _plain(text: str) -> str:
    """Return Markdown without marks of emphasis and code, and without addresses of links."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\*\*|`", "", text).strip()


def _resolution(block: Mapping[str, Any]) -> Resolution | None:
    known = block.get("resolution")
    return None if known is None else Resolution(known["value"], known["unit"])
