"""Every score of one part, from its stored probabilities and what is known of its stacks."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import classification
from sciml_data.bench.scoring.classification import ClassPredictions
from sciml_data.bench.scoring.predictions import Predictions

from .space_groups import SYSTEMS, systems_of
from .stacks import Texts

BOOTSTRAP_SEED = 0  # of the resampled materials: the same in every run


def collect(
    names: Texts,
    groups: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
) -> Predictions:
    """Return probabilities beside one-hot labels, with axes stack and space_group.

    Args:
        names: (stack).
        groups: (stack) space groups.
        labels: (label) every group of the dataset, ascending.
        probabilities: (stack, label); 0 for a group that was not taught.
    """
    return Predictions(
        observed=(groups[:, None] == labels).astype(np.uint8),
        predicted=probabilities,
        coords={"stack": np.array(names, dtype=object), "space_group": labels},
    )


def judged_of(predictions: Predictions) -> ClassPredictions:
    """Return what was said of which stack, from stored predictions."""
    labels = predictions.coords["space_group"].astype(np.int64)
    return ClassPredictions(
        labels[predictions.observed.argmax(axis=1)], predictions.predicted, labels
    )


def score(
    predictions: Predictions, declared: npt.NDArray[np.int64], materials: Texts | None
) -> dict[str, float]:
    """Return every metric of one part.

    Args:
        predictions: what `collect` made.
        declared: groups of the training part.
        materials: (stack), None where they are not known: then nothing is drawn or averaged by
            material.
    """
    judged = judged_of(predictions)
    truth, said = judged.y_true, judged.y_pred
    found = classification.scores(judged, declared)
    found["classes_scored"] = float(len(np.unique(truth)))
    found["f1_batch_mean"] = classification.batch_mean_f1(truth, said)
    system, called = systems_of(truth), systems_of(said)
    found["system_accuracy"] = float((called == system).mean())
    found["system_macro_f1"] = classification.macro_f1(system, called, np.unique(system))
    if materials is not None:
        whole = classification.average_units(judged, materials)
        found["material_top1"] = float((whole.y_pred == whole.y_true).mean())
        found["material_macro_f1"] = classification.macro_f1(
            whole.y_true, whole.y_pred, np.unique(whole.y_true)
        )
        ends = classification.intervals(truth, said, materials, seed=BOOTSTRAP_SEED)
        for name, (low, high) in ends.items():
            found |= {f"{name}.low": low, f"{name}.high": high}
    return found


def write_tables(folder: Path, part: str, predictions: Predictions) -> None:
    """Write a row for each space group, and the confusion of crystal systems, as CSV."""
    judged = judged_of(predictions)
    rows = classification.class_rows(judged.y_true, judged.y_pred, judged.labels)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"groups-{part}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["space_group", "system", *list(rows[0])[1:]])
        for row in rows:
            system = SYSTEMS[int(systems_of(np.array(row["label"])))]
            writer.writerow([row["label"], system, *map(_short, list(row.values())[1:])])
    table = system_table(judged)
    with (folder / f"systems-{part}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["system", *SYSTEMS])
        writer.writerows([name, *row] for name, row in zip(SYSTEMS, table.tolist(), strict=True))


def system_table(judged: ClassPredictions) -> npt.NDArray[Any]:
    """Return how many stacks of each crystal system (row) were said to be of each (column)."""
    pair = systems_of(judged.y_true), systems_of(judged.y_pred)
    return classification.confusion(*pair, np.arange(len(SYSTEMS)))


def group_rows(judged: ClassPredictions) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of the space groups that have a stack."""
    for row in classification.class_rows(judged.y_true, judged.y_pred, judged.labels):
        if row["samples"]:
            yield row


def _short(value: float) -> str:
    return f"{value:.6g}"
