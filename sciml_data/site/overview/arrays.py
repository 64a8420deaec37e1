"""Overview of any other dataset: its images by class or in pairs, else histograms of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError
from sciml_data.site.overview.panels import histogram, image, quantity, texts

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.site.overview.drawing import Parts

PLANES = (("row", "column"), ("y", "x"), ("v", "u"))  # dimensions of images in the formats
MAX_IMAGES = 4  # beside each other
MAX_SAMPLES = 2000  # labels that are read to find one of each class
MAX_VALUES = 1_000_000  # of a histogram
BRIGHT = 30.0  # if the brightest pixel is this many times the median: logarithmic scale


def draw(figure: Any, parts: Parts) -> None:
    """Draw images, and a histogram where there is room; without images, histograms.

    Raises:
        CallError: no variable can be drawn.
    """
    panels: list[tuple[Any, str, str]] = []
    shown: dict[str, Any] = {}
    units: dict[str, str] = {}
    for split in parts.splits:
        with parts.open(split) as dataset:
            declared = [name for name in parts.descriptor.variables if name in dataset.variables]
            images = [name for name in declared if _plane(dataset[name])]
            panels += _images(dataset, images[:2], known={text for _, text, _ in panels})
            values = [name for name in declared if _is_measured(dataset[name])]
            shown = {name: _values(dataset[name]) for name in (images[:1] or values[:3])}
            units = {name: quantity(dataset, name) for name in shown}
        if len(panels) >= MAX_IMAGES - 1 or not images:
            break
    panels = panels[: MAX_IMAGES - 1]
    if not panels and not shown:
        raise CallError(
            f"{parts.descriptor.dataset} has no overview: no variable can be drawn",
            untouched="nothing was written",
            hint=f"sciml-data describe {parts.descriptor.dataset}",
        )
    charts = figure.subplots(1, len(panels) + len(shown), squeeze=False)[0]
    for chart, (pixels, text, unit) in zip(charts, panels, strict=False):
        import numpy as np

        if pixels.ndim == 3:
            image(chart, pixels, text)
        else:
            is_log = float(np.nanmax(pixels)) > BRIGHT * max(float(np.nanmedian(pixels)), 1e-9)
            image(chart, pixels, text, unit=unit, cmap="magma" if is_log else "gray", is_log=is_log)
    for chart, (name, numbers) in zip(charts[len(panels) :], shown.items(), strict=True):
        histogram(chart, numbers, f"values of {name}", units[name])
        if panels:
            chart.set_yscale("log")


def _plane(variable: xr.DataArray) -> tuple[str, str] | None:
    """Return the two dimensions of a variable that make an image, or None."""
    if variable.dtype.kind not in "fui":
        return None
    return next((plane for plane in PLANES if set(plane) <= set(variable.dims)), None)


def _is_measured(variable: xr.DataArray) -> bool:
    return variable.dtype.kind == "f" and variable.size > 1


def _values(variable: xr.DataArray) -> Any:
    """Return values of a variable; the first samples of a large one."""
    import numpy as np

    rest = max(1, variable.size // max(variable.sizes[variable.dims[0]], 1))
    first = variable.isel({variable.dims[0]: slice(0, max(1, MAX_VALUES // rest))})
    return np.asarray(first.to_numpy(), float).ravel()


def _images(
    dataset: xr.Dataset, names: list[str], *, known: set[str]
) -> list[tuple[Any, str, str]]:
    """Return images with title and unit: of each class the first, or of each variable."""
    import numpy as np

    drawn = []
    for name in names:
        variable = dataset[name]
        plane = _plane(variable) or ("", "")
        sample = next((str(axis) for axis in variable.dims if axis not in plane), "")
        chosen = [0]
        labels = None
        if "label" in dataset and dataset["label"].dims == (sample,):
            labels = dataset["label"].isel({sample: slice(0, MAX_SAMPLES)}).to_numpy()
            chosen = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)]
        for number in chosen:
            text = name
            if labels is not None:
                text = _class_name(dataset, int(labels[number]))
            if text in known:
                continue
            pixels = variable.isel({sample: number} if sample else {}).to_numpy()
            drawn.append((_as_colour(pixels), text, quantity(dataset, name)))
    return drawn


def _class_name(dataset: xr.Dataset, label: int) -> str:
    if "class_name" in dataset:
        return texts(dataset["class_name"])[label]
    return f"class {label}"


def _as_colour(pixels: Any) -> Any:
    """Return an image with channels as colours from 0 to 1; of other numbers of channels, one."""
    import numpy as np

    if pixels.ndim < 3:
        return np.asarray(pixels, float)
    if pixels.shape[-1] != 3:
        return np.asarray(pixels[..., 0], float)
    low, high = np.nanpercentile(pixels, [0.5, 99.5])
    return np.clip((pixels - low) / max(float(high - low), 1e-12), 0.0, 1.0)
