"""Write a CSV table with the scores of each scan of a part."""

from __future__ import annotations

import csv
from pathlib import Path

from sciml_data.bench.scoring import images
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.ready import SampleIndex

from .scores import ScoringContext, sample_errors

DIGITS = ".6g"


def write_samples(
    path: Path, scans: SampleIndex, predictions: Predictions, context: ScoringContext
) -> None:
    """Write name, material, formula, scaled error, and the correlation of each channel."""
    place = {name: number for number, name in enumerate(scans["name"].tolist())}
    channels = [str(name) for name in predictions.coords["channel"]]
    correlations = [
        images.pearson(predictions.observed[:, number], predictions.predicted[:, number])
        for number in range(len(channels))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["sample", "material", "formula", "mae_scaled", *(f"pearson_{c}" for c in channels)]
        )
        errors = sample_errors(predictions, context).tolist()
        for row, (name, error) in enumerate(zip(predictions.coords["sample"], errors, strict=True)):
            number = place[str(name)]
            names = (str(scans[key][number]) for key in ("material", "formula"))
            of_channels = (format(float(values[row]), DIGITS) for values in correlations)
            writer.writerow([name, *names, format(error, DIGITS), *of_channels])
