"""Pictures of the site: figures of runs, and the overview of a dataset."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from sciml_data.bench.drawing import FIGURES_FOLDER
from sciml_data.errors import SciMLDataError
from sciml_data.home import Home, why_not_plain
from sciml_data.registry.descriptor import Descriptor
from sciml_data.site.overview import OVERVIEW_NAME

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD_BYTES = 24  # signature, length and name of the first chunk, width, height
MAX_PICTURE_BYTES = 64 << 20


@dataclass(frozen=True)
class Picture:
    """A PNG or WebP: its name, its bytes, its size in pixels, and a description in words."""

    name: str
    content: bytes
    width: int
    height: int
    alt: str
    caption: str


def run_pictures(folder: Path, run_name: str) -> list[Picture]:
    """Return the figures that a run's runner drew, sorted by name; other files are ignored.

    Links are not followed: a page must not publish a picture from elsewhere on this computer.

    Args:
        folder: folder of the run.
        run_name: name of the run, for readers who cannot see the picture.
    """
    pictures = []
    figures = folder / FIGURES_FOLDER
    for path in [] if figures.is_symlink() else sorted(figures.glob("*.png")):
        if why_not_plain(path) or path.lstat().st_size > MAX_PICTURE_BYTES:
            continue
        name = path.stem.replace("_", " ")
        alt = f"Figure {name} of {run_name}"
        picture = read_picture(path.read_bytes(), name=path.name, alt=alt, caption=name)
        pictures += [picture] if picture else []
    return pictures


def read_picture(content: bytes, *, name: str, alt: str, caption: str) -> Picture | None:
    """Return a picture with its size, which browsers need; None if the bytes are not a PNG.

    Args:
        content: bytes of the file.
        name: file name of the picture beside its page.
        alt: description for readers who cannot see the picture.
        caption: text below the picture.
    """
    if content[:8] != PNG_SIGNATURE or content[12:16] != b"IHDR" or len(content) < HEAD_BYTES:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return Picture(name, content, width, height, alt, caption)


def dataset_picture(
    descriptor: Descriptor, home: Home, *, is_made: bool = False
) -> tuple[Picture | None, str]:
    """Return the overview of a version, or None and the reason why there is none.

    The overview beside the card in the registry comes first. Without it, an overview is drawn from
    the ready files in the home.

    Args:
        descriptor: the version.
        home: where ready files are looked for.
        is_made: make and convert the sample of seed 0 if the home has no ready files.
    """
    from sciml_data.site.overview import draw_overview, find_ready_parts, read_overview

    try:
        overview = read_overview(descriptor.folder.parent / OVERVIEW_NAME)
        if overview is None:
            overview = draw_overview(find_ready_parts(descriptor, home, is_made=is_made))
    except SciMLDataError as error:
        return None, error.message
    size = overview.width, overview.height
    return Picture(OVERVIEW_NAME, overview.content, *size, overview.alt, overview.caption), ""
