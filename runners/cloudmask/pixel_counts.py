"""Histograms of predicted probability for each scene, which all scores are computed from.

Storing the prediction of every pixel of every scene would take too much space. The predictions of
this benchmark are histograms instead: for each scene, the number of pixels at each level of
predicted probability (`predicted`), and how many of them are cloud by the label (`observed`).
Valid pixels and the others are counted apart.
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
ILLUMINATION = ("night", "twilight", "day")  # in the order of their numbers in ready files
BY_LIGHT = ("accuracy", "balanced_accuracy", "kuiper", "brier")
METRIC_NAMES = {"positive_share": "cloud_share"}  # general name -> name in task.toml
Integers = npt.NDArray[np.int64]
Counts = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


def count_pixels(scene: Scene, probability: Floats) -> Counts:
    """Return (cloudy pixels, all pixels) of a scene: each (region, level) int32.

    The label of a valid pixel is that of the ready file. The other pixels of the native file have
    the label of the published code: cloud if any bit of `bayes` is set, which includes 255 (not
    computed).
    """
    others = ~scene.valid & scene.native
    rows = [
        segmentation.tabulate(probability, scene.cloud, scene.valid),
        segmentation.tabulate(probability, scene.bayes > 0, others),
    ]
    positive, total = (np.stack(table).astype(np.int32) for table in zip(*rows, strict=True))
    return positive, total


def as_predictions(granules: Sequence[str], rows: Iterable[Counts]) -> Predictions:
    """Return the counts of scenes as predictions with axes scene, region and level.

    Args:
        granules: name of each scene.
        rows: counts of each scene; see `count_pixels`.
    """
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


def pixel_totals(predictions: Predictions) -> Integers:
    """Return cloudy pixels and all pixels, (scene, region, 2) int64.

    They depend on the data alone and are the same for every model.
    """
    sums = [
        values.sum(axis=-1, dtype=np.int64)
        for values in (predictions.observed, predictions.predicted)
    ]
    return np.stack(sums, axis=-1)


def score(predictions: Predictions, light: Mapping[str, int]) -> dict[str, float]:
    """Return every metric of task.toml, and its variants.

    Args:
        predictions: counts; see `as_predictions`.
        light: illumination of each granule: 0 night, 1 twilight, 2 day.
    """
    positive, total = predictions.observed.astype(np.int64), predictions.predicted.astype(np.int64)
    valid = positive[:, 0], total[:, 0]
    whole = positive.sum(axis=1), total.sum(axis=1)
    scores = _overall(valid)
    kinds = np.array([light[str(name)] for name in predictions.coords["scene"]])
    for number, word in enumerate(ILLUMINATION):
        chosen = kinds == number
        if chosen.any():
            of_kind = _overall((valid[0][chosen], valid[1][chosen]))
            scores |= {f"{name}.{word}": of_kind[name] for name in BY_LIGHT}
    for suffix, (cloudy, pixels) in (("", valid), ("_all_pixels", whole)):
        by_scene = segmentation.by_scene(cloudy, pixels, "accuracy")
        scores |= {f"scene_accuracy{suffix}.{name}": value for name, value in by_scene.items()}
    scores["accuracy_all_pixels"] = _overall(whole)["accuracy"]
    return scores


def scene_rows(predictions: Predictions, light: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return a row of scores for each scene, over its valid pixels."""
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


def _overall(tables: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> dict[str, float]:
    """Return the scores over all pixels of some scenes, from counts (scene, level)."""
    return _named(segmentation.scores(tables[0].sum(axis=0), tables[1].sum(axis=0)))


def _named(scores: Mapping[str, float]) -> dict[str, float]:
    return {METRIC_NAMES.get(name, name): value for name, value in scores.items()}
