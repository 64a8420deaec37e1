"""Overview of diffraction patterns: the views of two crystals, and how many of which class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml_data.site.overview.panels import LABEL_SIZE, TITLE_SIZE, image, texts

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.site.overview.drawing import Parts

MAX_STACKS = 400  # among which crystals are chosen
DECADES = 1e-4  # of the brightest pixel, the darkest that is drawn


def draw(figure: Any, parts: Parts) -> None:
    """Draw the patterns of a crystal of low and one of high symmetry: a panel for each view."""
    import numpy as np

    with parts.open() as dataset:
        few = dataset.isel(sample=slice(0, MAX_STACKS))
        groups = few["space_group"].to_numpy()
        chosen = [int(np.argmin(groups)), int(np.argmax(groups))]
        stacks = few["cbed_stack"].isel(sample=chosen).to_numpy()
        labels = [_label(few, number) for number in chosen]
    views = stacks.shape[1]
    charts = figure.subplots(1, 2 * views)
    drawn = None
    for place, chart in enumerate(charts):
        which, view = divmod(place, views)
        pattern = stacks[which, view]
        shown = pattern / (float(np.nanmax(pattern)) or 1.0)
        image(chart, shown, "", cmap="inferno", ends=(DECADES, 1.0), is_log=True)
        chart.set_xlabel(f"view {view + 1}", fontsize=LABEL_SIZE)
        if view == 0:
            chart.set_title(labels[which], fontsize=TITLE_SIZE, loc="left")
        drawn = chart.images[0]
    bar = figure.colorbar(drawn, ax=charts, shrink=0.8, pad=0.01)
    bar.set_label("intensity, share of the brightest", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=LABEL_SIZE)


def _label(dataset: xr.Dataset, number: int) -> str:
    sample = dataset.isel(sample=number)
    words = [f"space group {int(sample['space_group'])}"]
    if "formula" in sample and (formula := texts(sample["formula"])[0]):
        words.append(formula)
    if "energy" in sample and float(sample["energy"]) > 0:
        words.append(f"{float(sample['energy']):.0f} keV")
    return ", ".join(words)
