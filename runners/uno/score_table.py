"""The score of each drug, or pair of drugs, of a part as a CSV table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from sciml_data.bench.scoring.predictions import Predictions

from .data import Responses, group_codes
from .scores import each_group

COLUMNS = ("drugs", "ids", "rows", "mean_observed", "mse", "r2")


def write_drugs(path: Path, responses: Responses, predictions: Predictions) -> None:
    """Write a row for each drug: canonical names, ids, rows, mean, squared error, R2 if any."""
    rows, table = predictions.coords["response"], responses.drug_table
    groups = group_codes(responses)[rows]
    first = dict(zip(groups[::-1].tolist(), rows[::-1].tolist(), strict=True))
    seen, said = (
        values.astype(np.float64) for values in (predictions.observed, predictions.predicted)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for group in each_group(seen, said, groups):
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
