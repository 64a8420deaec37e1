"""Draw the overview of a version: choose the panels by its variables, and encode the picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError
from sciml_data.home import Home, why_not_plain
from sciml_data.ready import convert, find_converted, open_ready, shards_of_split
from sciml_data.registry.descriptor import Descriptor

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.stages import Converted

OVERVIEW_NAME = "overview.webp"  # beside a card
DESCRIPTION = 0x010E  # tag of Exif
WIDTH_IN, HEIGHT_IN, DOTS_PER_INCH = 11.0, 3.7, 110
QUALITIES = (82, 74, 66, 58, 50, 40, 30)  # of WebP; text stays legible
MAX_BYTES = 60_000  # so that pictures can be kept in a repository; the lowest quality may exceed it
Draw = Callable[[Any, "Parts"], None]
# Variables that a dataset has -> module that draws it. The first that fits counts.
KINDS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"cell_day_magnitude", "magnitude"}), "earthquakes"),
    (frozenset({"drug1_index", "cell_index"}), "responses"),
    (frozenset({"reflectance", "cloud"}), "scenes"),
    (frozenset({"cbed_stack"}), "patterns"),
    (frozenset({"scan", "legacy_target"}), "scans"),
    (frozenset({"position", "atomic_number"}), "clusters"),
)
OTHER = "arrays"


@dataclass(frozen=True)
class Overview:
    """A picture of a version.

    Attributes:
        content: WebP.
        width: in pixels.
        height: in pixels.
        alt: description for readers who cannot see the picture.
        caption: what the picture was drawn from.
    """

    content: bytes
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True)
class Parts:
    """The ready files of a version, which a module of panels opens by split.

    Attributes:
        converted: the files.
    """

    converted: Converted

    @property
    def descriptor(self) -> Descriptor:
        """Return the descriptor of the version."""
        return self.converted.descriptor

    @property
    def splits(self) -> list[str]:
        """Return the names of the splits that were converted."""
        return list(shards_of_split(self.converted))

    @contextmanager
    def open(self, split: str = "") -> Iterator[xr.Dataset]:
        """Open a split; the first without a name. Values are read on access."""
        with open_ready(self.converted, split=split or self.splits[0]) as dataset:
            yield dataset


def find_ready_parts(
    descriptor: Descriptor, home: Home, *, is_sample: bool = False, is_made: bool = False
) -> Converted:
    """Return ready files to draw: those of published data, else of the sample of the lowest seed.

    Args:
        descriptor: of the version.
        home: where ready files are looked for.
        is_sample: take those of a sample, even if there are published data.
        is_made: make and convert the sample of seed 0 if there are none.

    Raises:
        CallError: there are no ready files and no sample is made, or the format has no sample.
    """
    from sciml_data.synthetic.make import make_sample
    from sciml_data.transfer.verification import verify

    seeds: list[int | None] = [] if is_sample else [None]
    for seed in [*seeds, *home.sample_seeds(descriptor.dataset, descriptor.version)]:
        place = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
        if (converted := find_converted(descriptor, place)) is not None:
            return converted
    name = f"{descriptor.dataset} {descriptor.version}"
    if not is_made:
        raise CallError(
            f"{name} has no overview: no ready files and no sample are in the home",
            untouched="nothing was drawn",
            hint=f"sciml-data overview {descriptor.dataset}",
        )
    if not descriptor.native.get("reader"):
        raise CallError(
            f"{name} has no overview: no format reads its files yet",
            untouched="nothing was drawn",
        )
    return convert(verify(make_sample(descriptor, home)))


def draw_overview(converted: Converted) -> Overview:
    """Draw the overview of a version from its ready files.

    Equal files give equal bytes with the same versions of Matplotlib and Pillow.

    Args:
        converted: the ready files (`find_ready_parts`).

    Raises:
        CallError: Matplotlib is not installed, or no variable can be drawn.
        VerificationError: a ready file is missing or changed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CallError(
            "an overview cannot be drawn: matplotlib is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[site]'",
        ) from error
    from sciml_data.bench.drawing import mark_synthetic

    descriptor = converted.descriptor
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DOTS_PER_INCH, layout="constrained")
    name = f"{descriptor.dataset} {descriptor.version}"
    seed = converted.sample_seed
    origin = "published data" if seed is None else f"SYNTHETIC sample, seed {seed}"
    figure.suptitle(f"{name}: {origin}", fontsize=10, x=0.01, ha="left", weight="bold")
    _module(descriptor.variables).draw(figure, Parts(converted))
    if converted.is_synthetic:
        mark_synthetic(figure)
    words = "a synthetic sample" if converted.is_synthetic else "published data"
    width, height = (round(side * DOTS_PER_INCH) for side in (WIDTH_IN, HEIGHT_IN))
    caption = (
        f"Synthetic sample, seed {seed}: generated, and says nothing about nature."
        if converted.is_synthetic
        else "Drawn from the published data."
    )
    alt = f"What {name} looks like, drawn from {words}: {', '.join(_titles(figure))}"
    return Overview(_encoded(figure, f"{alt}\n{caption}"), width, height, alt, caption)


def read_overview(path: Path) -> Overview | None:
    """Return a picture that `draw_overview` made; None if there is no such file.

    Raises:
        CallError: the file is not such a picture, or Pillow is not installed.
    """
    if why_not_plain(path):
        return None
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise CallError(
            f"{path} cannot be read: pillow is not installed", hint="pip install 'sciml-data[site]'"
        ) from error
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=("WEBP",)) as picture:
            text = str(picture.getexif().get(DESCRIPTION, ""))
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise CallError(
            f"{path} is not a WebP picture: {error}",
            hint="sciml-data overview DATASET --card makes it again",
        ) from error
    alt, _, caption = text.partition("\n")
    return Overview(content, width, height, alt or path.parent.name, caption)


def _encoded(figure: Any, description: str) -> bytes:
    """Return a figure as WebP with a description, of the best quality that is small enough."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    content, exif = b"", Image.Exif()
    exif[DESCRIPTION] = description
    with Image.open(drawn) as picture:
        for quality in QUALITIES:
            stream = io.BytesIO()
            picture.convert("RGB").save(stream, format="webp", quality=quality, method=6, exif=exif)
            content = stream.getvalue()
            if len(content) <= MAX_BYTES:
                break
    return content


def _module(variables: Mapping[str, Any]) -> Any:
    kind = next((module for needed, module in KINDS if needed <= set(variables)), OTHER)
    return import_module(f"sciml_data.site.overview.{kind}")


def _titles(figure: Any) -> list[str]:
    titles = (chart.get_title(loc=side) for chart in figure.axes for side in ("left", "center"))
    texts = (" ".join(title.split()) for title in titles)
    return list(dict.fromkeys(text for text in texts if text))
