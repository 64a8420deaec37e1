"""Scores of one part, from stored probabilities and the materials of its stacks."""

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

BOOTSTRAP_SEED = 0  # of the resampled materials; equal in all runs, so that intervals are too


def as_predictions(
    names: npt.NDArray[Any],
    groups: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
) -> Predictions:
    """Return probabilities and one-hot labels as predictions with axes stack and space_group.

    Args:
        names: (stack,).
        groups: (stack,) space groups.
        labels: (label,) all groups of the dataset, ascending.
        probabilities: (stack, label); 0 for a group that is not a class of the classifier.
    """
    return Predictions(
        observed=(groups[:, None] == labels).astype(np.uint8),
        predicted=probabilities,
        coords={"stack": np.array(names, dtype=object), "space_group": labels},
    )


def class_predictions_of(predictions: Predictions) -> ClassPredictions:
    """Return true labels and predicted probabilities from stored predictions."""
    labels = predictions.coords["space_group"].astype(np.int64)
    return ClassPredictions(
        labels[predictions.observed.argmax(axis=1)], predictions.predicted, labels
    )


def score(
    predictions: Predictions, declared: npt.NDArray[np.int64], materials: npt.NDArray[Any] | None
) -> dict[str, float]:
    """Return every metric of one part.

    Args:
        predictions: see `as_predictions`.
        declared: (class,) groups of the training part.
        materials: (stack,); None if unknown: then there are no scores by material and no
            intervals.
    """
    classes = class_predictions_of(predictions)
    observed, predicted = classes.y_true, classes.y_pred
    computed = classification.scores(classes, declared)
    computed["classes_scored"] = float(len(np.unique(observed)))
    computed["f1_batch_mean"] = classification.batch_mean_f1(observed, predicted)
    system, predicted_system = systems_of(observed), systems_of(predicted)
    computed["system_accuracy"] = float((predicted_system == system).mean())
    computed["system_macro_f1"] = classification.macro_f1(
        system, predicted_system, np.unique(system)
    )
    if materials is not None:
        by_material = classification.average_units(classes, materials)
        computed["material_top1"] = float((by_material.y_pred == by_material.y_true).mean())
        computed["material_macro_f1"] = classification.macro_f1(
            by_material.y_true, by_material.y_pred, np.unique(by_material.y_true)
        )
        ends = classification.intervals(observed, predicted, materials, seed=BOOTSTRAP_SEED)
        for name, (low, high) in ends.items():
            computed |= {f"{name}.low": low, f"{name}.high": high}
    return computed


def write_tables(folder: Path, part: str, predictions: Predictions) -> None:
    """Write a row for each space group, and the confusion of crystal systems, as CSV."""
    classes = class_predictions_of(predictions)
    rows = classification.class_rows(classes.y_true, classes.y_pred, classes.labels)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"groups-{part}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["space_group", "system", *list(rows[0])[1:]])
        for row in rows:
            system = SYSTEMS[int(systems_of(np.array(row["label"])))]
            writer.writerow([row["label"], system, *map(_format, list(row.values())[1:])])
    table = system_table(classes)
    with (folder / f"systems-{part}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["system", *SYSTEMS])
        writer.writerows([name, *row] for name, row in zip(SYSTEMS, table.tolist(), strict=True))


def system_table(classes: ClassPredictions) -> npt.NDArray[Any]:
    """Return the confusion matrix of crystal systems: true (row), predicted (column)."""
    pair = systems_of(classes.y_true), systems_of(classes.y_pred)
    return classification.confusion(*pair, np.arange(len(SYSTEMS)))


def group_rows(classes: ClassPredictions) -> Iterator[Mapping[str, Any]]:
    """Yield the scores of each space group that has a stack."""
    for row in classification.class_rows(classes.y_true, classes.y_pred, classes.labels):
        if row["samples"]:
            yield row


def _format(value: float) -> str:
    return f"{value:.6g}"
