"""How high a predicted peak has to be: chosen by the validation part, scored on the test part.

    python benchmarks/peak_height.py RUN [RUN ...] [--channel potential]

RUN is the folder of a run of `stemdl_reconstruction`. The metrics count a maximum of an image as a
peak if it rises 25 % of the image's range above its minimum, in true and in predicted images. Here
true images keep that, and predicted ones get another height. Two heights are chosen by the
validation part: that with the best F1 of peaks, and the least at which the model has no more false
peaks than the best baseline there. The table is written to
`results/stemdl_reconstruction/peak-height/table.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml_data.bench.scoring.images import (
    MIN_DISTANCE,
    PEAK_HEIGHT,
    PEAK_RADIUS,
    match_peaks,
    peak_scores,
    peaks,
)
from sciml_data.registry import find_registry
from sciml_data.results.pages import write_script_table

BENCHMARK = "stemdl_reconstruction"
HEIGHTS = np.round(np.arange(0.1, 1.0, 0.05), 2).tolist()
BASELINE = "detectors"  # the best one
Images = NDArray[np.floating[Any]]
Scores = Mapping[float, tuple[float, float]]  # height -> shares missed and false


def main() -> None:
    """Choose, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--channel", default="potential")
    arguments = parser.parse_args()
    data: dict[str, str] = {}
    found: dict[str, list[tuple[float, float, float]]] = {}
    for run in arguments.runs:
        record = json.loads((run / "record.json").read_text())
        dataset = record["dataset"]
        data[f"{dataset['id']} {dataset['version']}"] = str(dataset["manifest_digest"])
        by_part = {
            part: _scores(run, part, arguments.channel, record) for part in ("validation", "test")
        }
        limit = _baseline(record, "validation", arguments.channel)[1]
        for name, height in _chosen(by_part["validation"], limit).items():
            found.setdefault(name, []).append((height, *by_part["test"][height]))
        of_baseline = _baseline(record, "test", arguments.channel)
        found.setdefault(f"{BASELINE}, as in the metrics", []).append((PEAK_HEIGHT, *of_baseline))
    rows = [
        [name, *map(statistics.median, zip(*each, strict=True))] for name, each in found.items()
    ]
    for row in rows:
        print(*row, sep="  ")
    write_script_table(
        Path("results") / BENCHMARK / "peak-height",
        ["height of predicted peaks", "share of the range", "test: missed", "test: false"],
        rows,
        data=data,
        runner=find_registry().runner(BENCHMARK),
        remark=f"Synthetic sample. Peaks of the {arguments.channel}; median of "
        f"{len(arguments.runs)} seed{'s' if len(arguments.runs) > 1 else ''}.",
    )


def _chosen(validation: Scores, limit: float) -> dict[str, float]:
    """Return heights by name; `limit` is the share of false peaks of the baseline."""

    def f1(height: float) -> float:
        missed, false = validation[height]
        return 2 * (1 - missed) * (1 - false) / (2 - missed - false)

    few_false = [height for height in HEIGHTS if validation[height][1] <= limit]
    return {
        "as in the metrics": PEAK_HEIGHT,
        "best F1 in validation": max(HEIGHTS, key=f1),
        f"as few false as {BASELINE} in validation": min(few_false, default=HEIGHTS[-1]),
    }


def _scores(run: Path, part: str, channel: str, record: Mapping[str, Any]) -> Scores:
    """Return missed and false peaks of a part for each height."""
    pixel = record["facts"]["pixel_angstrom"][0]
    distance = max(1, round(MIN_DISTANCE / pixel))
    with xr.open_dataset(run / "predictions.nc", group=part) as predictions:
        images = predictions.sel(channel=channel)
        true, predicted = images["observed"].values, images["predicted"].values
    expected = [peaks(image, min_distance=distance) for image in true]

    def score(height: float, images: Sequence[Images]) -> tuple[float, float]:
        matches = [
            match_peaks(
                one,
                peaks(image, min_distance=distance, height=height),
                radius=PEAK_RADIUS,
                pixel=pixel,
            )
            for one, image in zip(expected, images, strict=True)
        ]
        scores = peak_scores(matches)
        return scores["peaks_missed"], scores["peaks_false"]

    return {height: score(height, list(predicted)) for height in HEIGHTS}


def _baseline(record: Mapping[str, Any], part: str, channel: str) -> tuple[float, float]:
    """Return missed and false peaks of the baseline, from the record."""
    missed, false = (
        row["baselines"][BASELINE]
        for metric in ("peaks_missed", "peaks_false")
        for row in record["metrics"]
        if (row["metric_id"], row["variant"], row["part"]) == (metric, channel, part)
    )
    return float(missed), float(false)


if __name__ == "__main__":
    main()
