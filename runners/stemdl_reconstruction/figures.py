"""Figures of a run: true and predicted images, and their pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml_data.bench import plots

from .data import DENSITY, LEGACY, POTENTIAL

LABELS = {
    POTENTIAL: "potential, V",
    DENSITY: "electron density, e/Å$^3$",
    LEGACY: "published target",
}


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `images` and `pixels` of the test part."""
    part = "test" if "test" in results.predictions else next(iter(results.predictions))
    values = results.predictions[part]
    channels = [str(name) for name in values.coords["channel"]]
    learnt = {name: LABELS[name] for name in channels if name in results.record["facts"]["scale"]}
    rows = results.table(f"samples-{part}.csv")
    names = [f"{row['material']} {row['formula']}".strip() or row["sample"] for row in rows]
    panels = []
    for number, name in enumerate(channels):
        error = results.rows(f"relative_l2.{name}")[part]["score"] or float("nan")
        pair = values.observed[:, number], values.predicted[:, number]
        panels.append((f"relative error {error:.3f}", *pair, LABELS[name]))
    return {
        "images": plots.best_and_worst(results, part, learnt, names),
        "pixels": plots.observed_and_predicted(
            results, panels, heading=f"{part}, {len(values.observed)} scans"
        ),
    }
