"""Overview of scans of diffraction patterns: patterns of the probe, and what is to be found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml_data.site.overview.panels import LABEL_SIZE, image, texts

if TYPE_CHECKING:
    from sciml_data.site.overview.drawing import Parts


def draw(figure: Any, parts: Parts) -> None:
    """Draw two patterns of a scan, and the targets under the probe."""
    import numpy as np

    with parts.open() as dataset:
        sample = dataset.isel(sample=0)
        probes = sample.sizes["probe"]
        places = [0, probes // 2]
        patterns = sample["scan"].isel(probe=places).to_numpy()
        targets = {
            name: sample[name].to_numpy()
            for name in ("potential", "electron_density", "legacy_target")
            if name in sample
        }
        formula = texts(sample["formula"])[0] if "formula" in sample else ""
    charts = figure.subplots(1, 2 + len(targets))
    for chart, pattern, place in zip(charts, patterns, places, strict=False):
        unit = "z-scored by pattern" if place else ""
        image(chart, pattern, f"pattern {place + 1} of {probes:,}", unit=unit, cmap="inferno")
    figure.text(0.99, 0.975, f"crystal: {formula}", fontsize=LABEL_SIZE, ha="right", va="top")
    words = {
        "potential": ("potential", "V, mean along the beam"),
        "electron_density": ("electron density", "electrons per Å$^3$"),
        "legacy_target": ("published target", "z-scored"),
    }
    for chart, (name, values) in zip(charts[2:], targets.items(), strict=True):
        text, unit = words[name]
        shown = values if np.isfinite(values).any() else np.zeros_like(values)
        image(chart, shown, text, unit=unit, cmap="magma")
