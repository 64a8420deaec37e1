"""What a run shows beside its scores: tables of each part, preview images, and figures."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sciml_data.bench import plots
from sciml_data.bench.previews import save_previews as write_previews
from sciml_data.bench.scoring import classification
from sciml_data.bench.scoring.compute import write_table
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.ready.samples import Numbers

from .data import FORMULA, GROUP, SYSTEMS, Groups, Patterns, systems_of

MAX_PREVIEWS = 8


def write_tables(folder: Path, part: str, predictions: Predictions) -> None:
    """Write a row for each space group, and the confusion of crystal systems, as CSV."""
    true, predicted = _groups(predictions)
    rows = []
    for row in classification.class_rows(true, predicted, predictions.coords["space_group"]):
        group = row.pop("label")
        rows.append({"space_group": group, "system": SYSTEMS[int(systems_of(group))], **row})
    write_table(folder / f"groups-{part}.csv", rows)
    systems = np.arange(len(SYSTEMS))
    counts = classification.confusion(systems_of(true), systems_of(predicted), systems)
    confusion = [
        {"system": name, **dict(zip(SYSTEMS, row, strict=True))}
        for name, row in zip(SYSTEMS, counts.tolist(), strict=True)
    ]
    write_table(folder / f"systems-{part}.csv", confusion)


def save_previews(
    path: Path, patterns: Patterns, numbers: Numbers, predictions: Predictions
) -> None:
    """Store the views of the first stack of up to eight groups, spread over crystal systems.

    Args:
        path: of the file.
        patterns: of all stacks.
        numbers: (stack,) stacks that were predicted.
        predictions: of these stacks.
    """
    stacks, labels, previews = patterns.stacks, predictions.coords["space_group"], {}
    for place in _chosen_stacks(stacks[GROUP][numbers]):
        number, best = numbers[place], int(predictions.predicted[place].argmax())
        group, energy = int(stacks[GROUP][number]), float(stacks["energy"][number])
        outcome = "right" if group == labels[best] else f"predicted {labels[best]}"
        beam = f", {energy:.0f} keV" if np.isfinite(energy) else ""
        name = stacks[FORMULA][number] or stacks["native_sample"][number]
        label = (
            f"{group} {SYSTEMS[int(systems_of(np.array(group)))]}\n{name}{beam}\n"
            f"{outcome} ({predictions.predicted[place, best]:.2f})"
        )
        image = np.rint(patterns.take(numbers[[place]])[0]).astype(np.uint8)
        previews[label] = {f"view{view + 1}": image[..., view] for view in range(3)}
    write_previews(path, previews)


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `patterns`, `systems` and `groups` of the test part."""
    true, predicted = _groups(results.predictions["test"])
    confusion = plots.confusion(
        results, systems_of(true), systems_of(predicted), SYSTEMS, heading="crystal systems, test"
    )
    scores = plots.class_scores(
        results, true, predicted, label="space group", heading="F1 by space group, test",
        groups=lambda classes: np.array(SYSTEMS)[systems_of(classes)],
    )  # fmt: skip
    drawn = {"systems": confusion, "groups": scores}
    stacks = [
        [
            plots.Picture(view, text, "inferno")
            for view, text in zip(views.values(), (label, "", ""), strict=True)
        ]
        for label, views in results.previews().items()
    ]
    if stacks:  # two stacks in a row
        rows = [[*chain(*stacks[start : start + 2])] for start in range(0, len(stacks), 2)]
        heading = "test stacks, logarithm of intensity"
        drawn["patterns"] = plots.image_rows(results, rows, heading=heading)
    return drawn


def _groups(predictions: Predictions) -> tuple[Groups, Groups]:
    """Return the true and the predicted space group of each stack."""
    labels = predictions.coords["space_group"].astype(int)
    return classification.true_and_predicted(
        predictions.observed, predictions.predicted, labels=labels
    )


def _chosen_stacks(groups: Groups) -> Numbers:
    """Return the first stack of each chosen group: a group of each system first, then more."""
    present, first = np.unique(groups, return_index=True)
    rank = pd.Series(present).groupby(systems_of(present)).cumcount().to_numpy()
    chosen = np.argsort(rank, kind="stable")[:MAX_PREVIEWS]
    return np.asarray(first[np.sort(chosen)])
