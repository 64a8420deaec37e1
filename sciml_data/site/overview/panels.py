"""Panels that several overviews have: images, categories, histograms and matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

TITLE_SIZE, LABEL_SIZE = 9, 8  # points
BLUE = "#2f6ca8"
MISSING_COLOUR = "#b5b5b5"
MAX_QUANTITY = 26  # characters that fit beside a panel, with a unit
MAX_TITLE = 44  # characters that fit above a panel


def title(chart: Any, text: str) -> None:
    """Write a title above a panel; a long one is cut at a word."""
    if len(text) > MAX_TITLE:
        text = text[:MAX_TITLE].rsplit(" ", 1)[0].rstrip(",;:") + " …"
    chart.set_title(text, fontsize=TITLE_SIZE)


def plain(chart: Any, x: str = "", y: str = "") -> None:
    """Label the axes of a panel in the common size."""
    chart.set_xlabel(x, fontsize=LABEL_SIZE)
    chart.set_ylabel(y, fontsize=LABEL_SIZE)
    chart.tick_params(labelsize=LABEL_SIZE)


def image(  # noqa: PLR0913 - the look of one image
    chart: Any,
    values: Any,
    text: str,
    *,
    unit: str = "",
    cmap: str = "viridis",
    ends: tuple[float, float] | None = None,
    is_log: bool = False,
) -> None:
    """Draw an image (row, column), or (row, column, 3) in colours, without ticks.

    Args:
        chart: matplotlib axes.
        values: numbers, NaN where missing.
        text: title.
        unit: quantity and unit at the colour bar; without it there is no bar.
        cmap: colours of numbers.
        ends: lowest and highest number of the colours; None takes the 1st and the 99th of 100.
        is_log: colours follow the logarithm; values of 0 and less are the darkest.
    """
    import numpy as np
    from matplotlib.colors import LogNorm, Normalize

    norm = None
    if values.ndim == 2:
        known = values[np.isfinite(values) & ((values > 0) | (not is_log))]
        low, high = ends or (np.percentile(known, [1, 99.7]) if known.size else (0.0, 1.0))
        high = max(float(high), float(low) + 1e-12)
        norm = LogNorm(low, high, clip=True) if is_log else Normalize(low, high)
        values = np.maximum(values, low) if is_log else values
    drawn = chart.imshow(values, cmap=cmap, norm=norm, interpolation="nearest")
    chart.set(xticks=[], yticks=[], facecolor=MISSING_COLOUR)
    title(chart, text)
    if unit:
        bar = chart.figure.colorbar(drawn, ax=chart, shrink=0.8, pad=0.02)
        bar.ax.tick_params(labelsize=LABEL_SIZE)
        bar.set_label(unit, fontsize=LABEL_SIZE)


def categories(
    chart: Any, values: Any, text: str, names: Mapping[int, tuple[str, str]], *, ncols: int = 3
) -> None:
    """Draw classes of pixels in colours by category, with a legend below.

    Args:
        chart: matplotlib axes.
        values: (row, column) numbers of classes.
        text: title.
        names: number -> name and colour; other numbers are grey.
        ncols: columns of the legend.
    """
    import numpy as np
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    pixels = np.full((*values.shape, 3), to_rgb(MISSING_COLOUR))
    for number, (_, colour) in names.items():
        pixels[values == number] = to_rgb(colour)
    chart.imshow(pixels, interpolation="nearest")
    chart.set(xticks=[], yticks=[])
    title(chart, text)
    keys = [Patch(fc=colour, ec="black", lw=0.6, label=name) for name, colour in names.values()]
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.02)}
    chart.legend(handles=keys, ncols=ncols, fontsize=LABEL_SIZE, frameon=False, **place)


def histogram(chart: Any, values: Any, text: str, unit: str, *, counts: str = "values") -> None:
    """Draw a histogram of the finite values of an array."""
    import numpy as np

    known = values[np.isfinite(values)]
    chart.hist(known, bins=40, color=BLUE)
    title(chart, text)
    plain(chart, unit, counts)
    chart.grid(alpha=0.3)


def matrix(  # noqa: PLR0913 - the look of one matrix
    chart: Any, values: Any, text: str, *, unit: str, x: str, y: str, columns: Sequence[str] = (),
    cmap: str = "viridis",
) -> None:  # fmt: skip
    """Draw a matrix (row, column) that fills the panel; NaN is grey.

    Args:
        chart: matplotlib axes.
        values: numbers.
        text: title.
        unit: quantity and unit at the colour bar.
        x: what a column is.
        y: what a row is.
        columns: names of the columns.
        cmap: colours.
    """
    import numpy as np

    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [1, 99]) if known.size else (0.0, 1.0)
    look = {"aspect": "auto", "cmap": cmap, "vmin": low, "vmax": high, "interpolation": "nearest"}
    drawn = chart.imshow(values, **look)
    chart.set_facecolor(MISSING_COLOUR)
    title(chart, text)
    plain(chart, x, y)
    if columns:
        chart.set_xticks(range(len(columns)), columns, rotation=90, fontsize=6)
    bar = chart.figure.colorbar(drawn, ax=chart, pad=0.02)
    bar.ax.tick_params(labelsize=LABEL_SIZE)
    bar.set_label(unit, fontsize=LABEL_SIZE)


def quantity(dataset: xr.Dataset, name: str) -> str:
    """Return what a variable is and its unit, for an axis; a long name is replaced."""
    attributes = dataset[name].attrs
    words = str(attributes.get("long_name", name)).split(",")[0]
    words = words if len(words) <= MAX_QUANTITY else name
    unit = attributes.get("units")
    return f"{words} (unit not stated)" if unit is None else f"{words}, {unit}"


def texts(variable: xr.DataArray) -> list[str]:
    """Return a variable of bytes as texts; of a scalar, one."""
    return [value.decode("utf-8", errors="replace") for value in variable.to_numpy().ravel()]
