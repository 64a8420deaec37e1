"""Write a CSV table with the scores of each drug, or pair of drugs, of a part."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from sciml_data.bench.scoring.predictions import Predictions

from .data import Responses, group_codes
from .scores import group_scores

COLUMNS = ("drugs", "ids", "rows", "mean_observed", "mse", "r2")


def write_drug_scores(path: Path, responses: Responses, predictions: Predictions) -> None:
    """Write a row for each drug: canonical names, ids, rows, mean, MSE, and R2 if defined."""
    rows, table = predictions.coords["response"], responses.drug_table
    groups = group_codes(responses)[rows]
    first = dict(zip(groups[::-1].tolist(), rows[::-1].tolist(), strict=True))
    observed, predicted = (
        values.astype(np.float64) for values in (predictions.observed, predictions.predicted)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for group in group_scores(observed, predicted, groups):
            drugs = sorted(int(drug) for drug in responses.drugs[first[group.number]] if drug >= 0)
            writer.writerow(
                [
                    " + ".join(table.names[drug] for drug in drugs),
                    " + ".join(table.ids[drug] for drug in drugs),
                    group.rows,
                    f"{group.observed:.6g}",
                    f"{group.mse:.6g}",
                    "" if group.r2 is None else f"{group.r2:.6g}",
                ]
            )
