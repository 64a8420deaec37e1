"""Figures of a run: scenes with their masks, and a reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml_data.bench import plots

from .pixel_counts import REGIONS, VALID


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `scenes`, if scenes were stored, and `reliability`."""
    region = REGIONS.index(VALID)
    counts = {
        part: (values.observed[:, region].sum(axis=0), values.predicted[:, region].sum(axis=0))
        for part, values in results.predictions.items()
    }
    drawn = {}
    if results.previews():
        drawn["scenes"] = plots.masks(results, positive="cloud", negative="clear")
    return {**drawn, "reliability": plots.reliability(results, counts, label="cloud")}
