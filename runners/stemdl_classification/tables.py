"""Tables of a part: scores of each space group, and the confusion of crystal systems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import classification
from sciml_data.bench.scoring.compute import write_table
from sciml_data.bench.scoring.predictions import Predictions

from .space_groups import SYSTEMS, systems_of


def write_tables(folder: Path, part: str, predictions: Predictions) -> None:
    """Write a row for each space group, and the confusion of crystal systems, as CSV."""
    rows = []
    for row in group_rows(predictions):
        group = row.pop("label")
        rows.append({"space_group": group, "system": SYSTEMS[int(systems_of(group))], **row})
    write_table(folder / f"groups-{part}.csv", rows)
    counts = zip(SYSTEMS, system_table(predictions).tolist(), strict=True)
    confusion = [{"system": name, **dict(zip(SYSTEMS, row, strict=True))} for name, row in counts]
    write_table(folder / f"systems-{part}.csv", confusion)


def system_table(predictions: Predictions) -> npt.NDArray[Any]:
    """Return the confusion matrix of crystal systems: true (row), predicted (column)."""
    y_true, y_pred = map(systems_of, _groups(predictions))
    return classification.confusion(y_true, y_pred, np.arange(len(SYSTEMS)))


def group_rows(predictions: Predictions) -> list[dict[str, Any]]:
    """Return the scores of each space group of the dataset."""
    return classification.class_rows(*_groups(predictions), predictions.coords["space_group"])


def _groups(predictions: Predictions) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the true and the predicted space group of each stack."""
    return classification.true_and_predicted(
        predictions.observed, predictions.predicted, labels=predictions.coords["space_group"]
    )
