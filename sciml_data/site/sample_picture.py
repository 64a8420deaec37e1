"""A picture of a dataset's synthetic sample, made of its ready form by what it declares.

Variables on a plane are shown as images, others as histograms. It shows what kind of values the
files hold, and says that these are made up.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, SciMLDataError
from sciml_data.home import Home
from sciml_data.ready.convert import convert, find_converted, shards_of_split
from sciml_data.ready.open import open_ready
from sciml_data.registry.descriptor import Descriptor
from sciml_data.site.pictures import Picture, read_picture
from sciml_data.synthetic.make import make_sample
from sciml_data.transfer.verification import verify

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.registry.stages import Converted

PLANES = (("row", "column"), ("y", "x"), ("v", "u"))  # dimensions that readers give to images
MOST_PANELS = 4
MOST_VALUES = 200_000  # of a histogram
DOTS_PER_INCH = 100
NAME = "sample.png"


def sample_picture(
    descriptor: Descriptor, home: Home, *, is_made: bool = False
) -> tuple[Picture | None, str]:
    """Return a picture of a version's sample, or None and why there is none.

    Args:
        descriptor: of the version.
        home: where the sample lies.
        is_made: make and convert the sample of seed 0 where the home has none.
    """
    if not descriptor.variables or not descriptor.native.get("reader"):
        return None, "nothing reads these files yet"
    try:
        converted, seed = _converted(descriptor, home, is_made=is_made)
        if converted is None:
            return None, "the home that this site was made from holds no sample of it"
        with open_ready(converted, split=next(iter(shards_of_split(converted)))) as opened:
            content = _draw(opened, descriptor)
    except SciMLDataError as error:
        return None, error.message
    if content is None:
        return None, "no variable can be drawn"
    what = f"values of the synthetic sample of {descriptor.dataset} {descriptor.version}"
    caption = f"Synthetic sample, seed {seed}: generated, and says nothing about nature."
    return read_picture(content, name=NAME, alt=f"Pictures of {what}", caption=caption), ""


def _converted(
    descriptor: Descriptor, home: Home, *, is_made: bool
) -> tuple[Converted | None, int]:
    """Return the ready files of the sample with the lowest seed, and the seed."""
    folder = home.dataset(descriptor.dataset, descriptor.version)
    prefix = f"{descriptor.version}-sample-"
    seeds = [path.name.removeprefix(prefix) for path in folder.root.parent.glob(f"{prefix}*")]
    for seed in sorted(int(one) for one in seeds if one.isdigit()):
        place = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
        if (found := find_converted(descriptor, place)) is not None:
            return found, seed
    if not is_made:
        return None, 0
    return convert(verify(make_sample(descriptor, home))), 0


def _draw(opened: xr.Dataset, descriptor: Descriptor) -> bytes | None:
    """Return a PNG of images, or of histograms where there is none."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CallError("matplotlib, which draws, is not installed") from error
    declared = [name for name in descriptor.variables if name in opened.variables]
    images = [name for name in declared if _plane(opened[name])][:MOST_PANELS]
    values = [name for name in declared if _is_measured(opened[name])][:MOST_PANELS]
    chosen = images or values
    if not chosen:
        return None
    figure: Any = Figure(figsize=(2.9 * len(chosen), 3.1), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        label = descriptor.variables[name].long_name or name
        axes.set_title(f"{name}\n{_short(label)}", fontsize=8)
        (_image if images else _histogram)(axes, opened[name], descriptor.variables[name].units)
    figure.text(
        0.5, 0.45, "SYNTHETIC", rotation=20, fontsize=40, color="red", alpha=0.2, ha="center",
        va="center", weight="bold",
    )  # fmt: skip
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _plane(variable: xr.DataArray) -> tuple[str, str] | None:
    """Return the two dimensions of a variable that are a plane."""
    if variable.dtype.kind not in "fui":
        return None
    return next((one for one in PLANES if set(one) <= set(variable.dims)), None)


def _is_measured(variable: xr.DataArray) -> bool:
    return variable.dtype.kind == "f" and variable.size > 1


def _image(axes: Any, variable: xr.DataArray, units: str | None) -> None:
    """Show the first plane that there is along all other dimensions."""
    plane = _plane(variable)
    first = {name: 0 for name in variable.dims if plane is None or name not in plane}
    shown = axes.imshow(variable.isel(first).values, cmap="viridis", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    bar = axes.figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.9)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(units or "", fontsize=7)


def _histogram(axes: Any, variable: xr.DataArray, units: str | None) -> None:
    import numpy as np

    first = variable.isel({variable.dims[0]: slice(0, MOST_VALUES)}).values.ravel()
    known = first[np.isfinite(first)][:MOST_VALUES]
    axes.hist(known, bins=40, color="#3b6ea5")
    axes.set_xlabel(units or "", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.set_yticks([])


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
