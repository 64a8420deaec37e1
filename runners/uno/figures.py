"""Figures of a run: predicted against observed responses, and R2 of each drug."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml_data.bench import plots

QUANTITIES = {"auc": "AUC", "dose": "growth"}
PARTS = ("validation", "test")
R2 = "r2_per_drug"  # column of the tables of drugs


def draw(results: plots.Results) -> Mapping[str, Any]:
    """Return the figures `observed` and, if a drug has an R2, `drugs`."""
    quantity = QUANTITIES[results.record["benchmark"]["variant"]]
    mse = {part: row["score"] or float("nan") for part, row in results.rows("mse").items()}
    panels = [
        (
            f"{part}, {len(values.observed):,} rows, MSE {mse[part]:.4g}",
            values.observed,
            values.predicted,
            quantity,
        )
        for part, values in results.predictions.items()
    ]
    drawn = {"observed": plots.observed_and_predicted(results, panels)}
    tables = {part: results.table(f"drugs-{part}.csv") for part in PARTS}
    scores = {
        part: {row["drugs"]: float(row[R2]) for row in rows if row[R2]}
        for part, rows in tables.items()
    }
    if scores := {part: of_part for part, of_part in scores.items() if of_part}:
        label = "R2 within the drug (0 = predicting the drug's mean)"
        drawn["drugs"] = plots.group_scores(results, scores, label=label)
    return drawn
