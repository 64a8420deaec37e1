"""Counts of what was predicted beside what the label says: the benchmark's predictions.

Whole scenes are too many pixels to keep twice. What every score is computed from is kept instead:
for each scene, how many pixels got each level of probability (`predicted`), and how many of them
are cloud (`observed`), apart for valid pixels and for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import segmentation
from sciml_data.bench.scoring.predictions import Predictions

from .channels import Floats
from .scenes import Scene

VALID, OTHER = "valid", "other"
REGIONS = (VALID, OTHER)
ILLUMINATION = ("night", "twilight", "day")  # as the ready form numbers them
BY_LIGHT = ("accuracy", "balanced_accuracy", "kuiper", "brier")
NAMES = {"positive_share": "cloud_share"}  # a general score's name here
Integers = npt.NDArray[np.int64]
Row = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


def count(scene: Scene, probability: Floats) -> Row:
    """Return (cloudy pixels, all pixels) of a scene: each (region, level) int32.

    A valid pixel's label is the ready form's. Any other pixel that was in the native file counts
    as the reference reads it, where any bit of `bayes` is cloud, also in 255 (not computed).
    """
    others = ~scene.valid & scene.native
    rows = [
        segmentation.tabulate(probability, scene.cloud, scene.valid),
        segmentation.tabulate(probability, scene.bayes > 0, others),
    ]
    positive, total = (np.stack(table).astype(np.int32) for table in zip(*rows, strict=True))
    return positive, total


def collect(granules: Sequence[str], rows: Iterable[Row]) -> Predictions:
    """Return the counts of scenes as predictions with axes scene, region and level."""
    shape = (len(granules), len(REGIONS), segmentation.LEVELS)
    observed, predicted = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for number, (positive, total) in enumerate(rows):
        observed[number], predicted[number] = positive, total
    return Predictions(
        observed=observed,
        predicted=predicted,
        coords={
            "scene": np.array(granules, dtype=object),
            "region": np.array(REGIONS, dtype=object),
            "level": segmentation.probabilities(),
        },
    )


def given(predictions: Predictions) -> Integers:
    """Return (scene, region, 2) what every predictor's counts share: cloudy pixels, all pixels."""
    sums = [
        values.sum(axis=-1, dtype=np.int64)
        for values in (predictions.observed, predictions.predicted)
    ]
    return np.stack(sums, axis=-1)


def score(predictions: Predictions, light: Mapping[str, int]) -> dict[str, float]:
    """Return every metric of the counts, and its variants.

    Args:
        predictions: what `collect` made.
        light: illumination of each granule, 0 night, 1 twilight, 2 day.
    """
    positive, total = predictions.observed.astype(np.int64), predictions.predicted.astype(np.int64)
    valid = positive[:, 0], total[:, 0]
    whole = positive.sum(axis=1), total.sum(axis=1)
    scores = _all(valid)
    kinds = np.array([light[str(name)] for name in predictions.coords["scene"]])
    for number, word in enumerate(ILLUMINATION):
        chosen = kinds == number
        if chosen.any():
            some = _all((valid[0][chosen], valid[1][chosen]))
            scores |= {f"{name}.{word}": some[name] for name in BY_LIGHT}
    for name, (cloudy, seen) in (("", valid), ("_all_pixels", whole)):
        each = segmentation.by_scene(cloudy, seen, "accuracy")
        scores |= {f"scene_accuracy{name}.{which}": value for which, value in each.items()}
    scores["accuracy_all_pixels"] = _all(whole)["accuracy"]
    return scores


def scene_rows(predictions: Predictions, light: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return one row of scores for each scene, valid pixels only."""
    rows = []
    for number, granule in enumerate(predictions.coords["scene"]):
        tables = predictions.observed[number, 0], predictions.predicted[number, 0]
        rows.append(
            {
                "granule": str(granule),
                "light": ILLUMINATION[light[str(granule)]],
                "valid_pixels": int(tables[1].sum()),
                **_named(segmentation.scores(*tables)),
            }
        )
    return rows


def _all(tables: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> dict[str, float]:
    return _named(segmentation.scores(tables[0].sum(axis=0), tables[1].sum(axis=0)))


def _named(scores: Mapping[str, float]) -> dict[str, float]:
    return {NAMES.get(name, name): value for name, value in scores.items()}
