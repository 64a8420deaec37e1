"""Pictures of the site: files that are copied, with the size that a browser wants to know."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from sciml_data.bench.plots import FIGURES_FOLDER

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A PNG: its name, its bytes, and what it shows in words."""

    name: str
    content: bytes
    width: int
    height: int
    alt: str
    caption: str


def run_pictures(folder: Path, what: str) -> list[Picture]:
    """Return the figures that a run's runner drew, sorted by name; other files are left out.

    Args:
        folder: of the run.
        what: the run's name, for who cannot see the picture.
    """
    found = []
    for path in sorted((folder / FIGURES_FOLDER).glob("*.png")):
        name = path.stem.replace("_", " ")
        alt = f"Figure {name} of {what}"
        picture = read_picture(path.read_bytes(), name=path.name, alt=alt, caption=name)
        found += [picture] if picture else []
    return found


def read_picture(content: bytes, *, name: str, alt: str, caption: str) -> Picture | None:
    """Return a picture with its size; None where the bytes are no PNG."""
    if content[:8] != PNG or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", content[16:24])
    return Picture(name, content, width, height, alt, caption)
