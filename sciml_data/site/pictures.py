"""Pictures of the site: figures of runs, and a picture of a dataset's synthetic sample.

The picture of a sample is drawn from its ready form: variables on a plane as images, others as
histograms. It shows what kind of values the files hold, and says that these are synthetic.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.bench.drawing import FIGURES_FOLDER
from sciml_data.errors import CallError, SciMLDataError
from sciml_data.home import Home, why_not_plain
from sciml_data.ready import convert, find_converted, open_ready, shards_of_split
from sciml_data.registry.descriptor import Descriptor
from sciml_data.synthetic.make import make_sample
from sciml_data.transfer.verification import verify

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.stages import Converted

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD_BYTES = 24  # signature, length and name of the first chunk, width, height
MAX_PICTURE_BYTES = 64 << 20
SAMPLE_PICTURE = "sample.png"
PLANES = (("row", "column"), ("y", "x"), ("v", "u"))  # dimensions of images in the formats
MAX_PANELS = 4  # fit beside each other
MAX_VALUES = 200_000  # of a histogram
MAX_LABEL = 34  # characters above a panel
DOTS_PER_INCH = 100


@dataclass(frozen=True)
class Picture:
    """A PNG: its name, its bytes, its size in pixels, and a description in words."""

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


def sample_picture(
    descriptor: Descriptor, home: Home, *, is_made: bool = False
) -> tuple[Picture | None, str]:
    """Return a picture of a version's sample, or None and the reason why there is none.

    Args:
        descriptor: the version.
        home: where the sample is looked for.
        is_made: make and convert the sample of seed 0 if the home has none.
    """
    if not descriptor.variables or not descriptor.native.get("reader"):
        return None, "there is no reader for these files yet"
    try:
        converted, seed = _converted(descriptor, home, is_made=is_made)
        if converted is None:
            return None, "there was no sample in the home that this site was made from"
        with open_ready(converted, split=next(iter(shards_of_split(converted)))) as dataset:
            content = _draw(dataset, descriptor)
    except SciMLDataError as error:
        return None, error.message
    if content is None:
        return None, "no variable can be drawn"
    alt = f"Values of the synthetic sample of {descriptor.dataset} {descriptor.version}"
    caption = f"Synthetic sample, seed {seed}: generated, and says nothing about nature."
    return read_picture(content, name=SAMPLE_PICTURE, alt=alt, caption=caption), ""


def _converted(
    descriptor: Descriptor, home: Home, *, is_made: bool
) -> tuple[Converted | None, int]:
    """Return the ready files of the sample with the lowest seed, and the seed."""
    for seed in home.sample_seeds(descriptor.dataset, descriptor.version):
        place = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
        if (converted := find_converted(descriptor, place)) is not None:
            return converted, seed
    if not is_made:
        return None, 0
    return convert(verify(make_sample(descriptor, home))), 0


def _draw(dataset: xr.Dataset, descriptor: Descriptor) -> bytes | None:
    """Return a PNG of images, or of histograms if there is no image."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CallError(
            "a sample cannot be drawn: matplotlib is not installed",
            hint="pip install 'sciml-data[site]'",
        ) from error
    declared = [name for name in descriptor.variables if name in dataset.variables]
    images = [name for name in declared if _plane(dataset[name])][:MAX_PANELS]
    values = [name for name in declared if _is_measured(dataset[name])][:MAX_PANELS]
    chosen = images or values
    if not chosen:
        return None
    figure: Any = Figure(figsize=(2.9 * len(chosen), 3.1), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        label = descriptor.variables[name].long_name or name
        axes.set_title(f"{name}\n{_short(label)}", fontsize=8)
        (_image if images else _histogram)(axes, dataset[name], descriptor.variables[name].units)
    figure.text(
        0.5, 0.45, "SYNTHETIC", rotation=20, fontsize=40, color="red", alpha=0.2, ha="center",
        va="center", weight="bold",
    )  # fmt: skip
    stream = io.BytesIO()
    # Without the version of Matplotlib in the file, equal samples give equal bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _plane(variable: xr.DataArray) -> tuple[str, str] | None:
    """Return the two dimensions of a variable that make an image, or None."""
    if variable.dtype.kind not in "fui":
        return None
    return next((plane for plane in PLANES if set(plane) <= set(variable.dims)), None)


def _is_measured(variable: xr.DataArray) -> bool:
    return variable.dtype.kind == "f" and variable.size > 1


def _image(axes: Any, variable: xr.DataArray, units: str | None) -> None:
    """Draw the first image along all other dimensions."""
    plane = _plane(variable)
    first = {name: 0 for name in variable.dims if plane is None or name not in plane}
    image = axes.imshow(variable.isel(first).values, cmap="viridis", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    bar = axes.figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.9)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(units or "", fontsize=7)


def _histogram(axes: Any, variable: xr.DataArray, units: str | None) -> None:
    import numpy as np

    # The slice bounds what is read from the file; the second bound is for further dimensions.
    first = variable.isel({variable.dims[0]: slice(0, MAX_VALUES)}).values.ravel()
    known = first[np.isfinite(first)][:MAX_VALUES]
    axes.hist(known, bins=40, color="#3b6ea5")
    axes.set_xlabel(units or "", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.set_yticks([])


def _short(text: str) -> str:
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"
