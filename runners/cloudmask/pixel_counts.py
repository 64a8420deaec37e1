"""Histograms of predicted probability for each scene, which all scores are computed from.

Storing the prediction of every pixel of every scene would take too much space. The predictions of
this benchmark are histograms instead: for each scene, the number of pixels at each level of
predicted probability (`predicted`), and how many of them are cloud by the label (`observed`).
Valid pixels and the others are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import segmentation
from sciml_data.bench.scoring.predictions import Predictions

from .channels import Floats
from .scenes import Scene

VALID, OTHER = "valid", "other"
REGIONS = (VALID, OTHER)
ILLUMINATION = ("night", "twilight", "day")  # in the order of their numbers in ready files
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
