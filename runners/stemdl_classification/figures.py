"""Figures of a run: patterns, confusion of crystal systems, F1 of each space group."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from sciml_data.bench import plots

from .space_groups import SYSTEMS, systems_of


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `patterns`, `systems` and `groups` of the test part."""
    values = results.predictions["test"]
    groups = values.coords["space_group"].astype(int)
    true, predicted = (groups[v.argmax(axis=1)] for v in (values.observed, values.predicted))
    drawn = {
        "systems": plots.confusion(
            results,
            systems_of(true),
            systems_of(predicted),
            SYSTEMS,
            heading="crystal systems, test",
        ),
        "groups": plots.class_scores(
            results,
            true,
            predicted,
            label="space group",
            groups=lambda classes: np.array(SYSTEMS)[systems_of(classes)],
            heading="F1 by space group, test",
        ),
    }
    stacks = [
        [
            plots.Picture(image, label if name == "view1" else "", "inferno")
            for name, image in images.items()
        ]
        for label, images in results.previews().items()
    ]
    if stacks:  # two stacks in a row
        rows = [[*chain(*stacks[start : start + 2])] for start in range(0, len(stacks), 2)]
        heading = "test stacks, logarithm of intensity"
        drawn["patterns"] = plots.image_rows(results, rows, heading=heading)
    return drawn
