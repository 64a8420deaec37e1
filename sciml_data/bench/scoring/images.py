"""Metrics of images of a projected quantity: errors, similarity, and positions of peaks.

Each metric is computed from a whole stack of images (image, row, column), never averaged over
batches. Structural similarity and peaks are computed by scikit-image, and the matching of peaks by
SciPy. Both libraries are imported when they are needed.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.forecast import deviations
from sciml_data.bench.scoring.metrics import metric
from sciml_data.errors import CallError, SciMLDataError

# Side of the uniform window in pixels: the default of scikit-image, and of the code of Wang et al.
# 2004.
SSIM_WINDOW = 7
# Share of an image's range that a peak must rise above its minimum; lower maxima are noise.
PEAK_HEIGHT = 0.25
PEAK_RADIUS = 0.5  # Å within which peaks match: half of a short bond (1 Å) in projection
MIN_DISTANCE = 0.5  # Å between peaks of one image

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PeakMatch:
    """Peaks of a predicted image, matched with the peaks of the true image.

    Attributes:
        distances: (pair) float64, in the unit of `pixel`.
        true_count: all true peaks, with a partner or without.
        predicted_count: all predicted peaks.
    """

    distances: Doubles
    true_count: int
    predicted_count: int


def require_libraries() -> None:
    """Check that scikit-image is installed, before a run spends time on training.

    Raises:
        CallError: it is not installed.
    """
    if importlib.util.find_spec("skimage") is None:
        raise CallError(
            "the scores of images need scikit-image, which is not installed",
            untouched="nothing was trained",
            hint="pip install 'sciml-data[train,stemdl]'",
        )


@metric(
    "mae_scaled", name="mean absolute error in units of a scale", lower_is_better=True, minimum=0.0,
    formula="mean over samples, channels and pixels of |predicted - true| / scale of the channel",
)  # fmt: skip
def scaled_error(observed: Floats, predicted: Floats, *, scale: Doubles) -> Doubles:
    """Return the mean absolute error of each sample in units of a scale: (sample) float64.

    Args:
        observed: (sample, channel, row, column) any float.
        predicted: the same shape and unit.
        scale: (channel) for example the standard deviation in the training part.
    """
    difference = np.abs(predicted.astype(np.float64) - observed)
    return np.asarray((difference.mean(axis=(2, 3)) / scale).mean(axis=1))


@metric(
    "relative_l2", name="relative error", lower_is_better=True, minimum=0.0,
    last=("row", "column"), formula="root of sum (predicted - true)^2 / sum true^2",
)  # fmt: skip
def relative_l2(observed: Floats, predicted: Floats) -> float:
    """Return the root of sum (predicted - observed)^2 / sum observed^2; NaN if the latter is 0.

    Args:
        observed: (image, row, column) any float, finite.
        predicted: the same shape and unit.

    Raises:
        CallError: the shapes differ, or are not (image, row, column).
        SciMLDataError: a value is not finite.
    """
    observed, predicted = _checked(observed, predicted)
    power = float((observed**2).sum())
    square = float(((predicted - observed) ** 2).sum())
    return float(np.sqrt(square / power)) if power > 0 else float("nan")


@metric(
    "image_pearson", name="correlation with the true image, mean over images", minimum=-1.0,
    maximum=1.0, last=("row", "column"),
    formula="mean over images of Pearson's correlation over the image's pixels, 0 for an image "
    "that is the same everywhere",
)  # fmt: skip
def pearson(observed: Floats, predicted: Floats) -> Doubles:
    """Return Pearson's correlation of each predicted image with the true image: (image) float64.

    It is 0 where the predicted image is constant, and NaN where the true image is constant.

    Args:
        observed: (image, row, column) any float, finite.
        predicted: the same shape.
    """
    pair = _checked(observed, predicted)
    true, other = (deviations(values.reshape(len(values), -1)) for values in pair)
    true_norm, other_norm = (np.sqrt((values**2).sum(axis=1)) for values in (true, other))
    correlation = np.divide(
        (true * other).sum(axis=1),
        true_norm * other_norm,
        out=np.zeros(len(true)),
        where=(true_norm > 0) & (other_norm > 0),
    )
    # Rounding may lead outside of -1 to 1, the declared bounds of the metric.
    return np.where(true_norm > 0, np.clip(correlation, -1.0, 1.0), np.nan)


@metric(
    "ssim", name="structural similarity, mean over images", minimum=-1.0, maximum=1.0,
    last=("row", "column"),
    formula="mean over images of scikit-image's structural_similarity, flat windows of 7 pixels, "
    "data range that of the true image",
)  # fmt: skip
def ssim(observed: Floats, predicted: Floats) -> Doubles:
    """Return the structural similarity of each predicted image with the true one: (image) float64.

    It is `skimage.metrics.structural_similarity` with uniform windows of `SSIM_WINDOW` pixels,
    over the pixels with a whole window. The data range is the maximum minus the minimum of the
    true image; the result is NaN where the range is 0.

    Args:
        observed: (image, row, column) any float, finite.
        predicted: the same shape and unit.
    """
    from skimage.metrics import structural_similarity

    observed, predicted = _checked(observed, predicted)
    similarity = np.full(len(observed), np.nan)
    for number, (true, other) in enumerate(zip(observed, predicted, strict=True)):
        if (span := float(np.ptp(true))) > 0:
            similarity[number] = structural_similarity(
                true, other, win_size=SSIM_WINDOW, data_range=span
            )
    return similarity


def peaks(image: Floats, *, min_distance: int, height: float = PEAK_HEIGHT) -> Doubles:
    """Return the positions of the peaks of an image in pixels: (peak, 2) float64, highest first.

    A peak is the maximum within `min_distance` pixels (`skimage.feature.peak_local_max`) and rises
    at least `height` of the image's range above its minimum. Pixels at the border are
    excluded, because their neighbours outside of the image are not known. The position (row,
    column) is refined by at most half a pixel to the vertices of the parabolas through the peak
    and its neighbours.

    Args:
        image: (row, column) any float, finite.
        min_distance: between peaks in pixels, 1 or more.
        height: share of the image's range; the metrics have the default.
    """
    from skimage.feature import peak_local_max

    low, high = float(image.min()), float(image.max())
    if not high > low:
        return np.zeros((0, 2))
    values = np.asarray(image, np.float64)
    places = peak_local_max(
        values,
        min_distance=min_distance,
        threshold_abs=low + height * (high - low),
        exclude_border=1,
    )
    return np.array([_refined(values, *place) for place in places]).reshape(-1, 2)


def match_peaks(true: Doubles, predicted: Doubles, *, radius: float, pixel: float) -> PeakMatch:
    """Match the peaks of two images: most pairs within a radius, then smallest total distance.

    Args:
        true: (peak, 2) rows and columns of the true peaks, in pixels.
        predicted: (peak, 2) rows and columns of the predicted peaks, in pixels.
        radius: maximum distance of a pair, in the unit of `pixel`.
        pixel: side of a pixel.
    """
    from scipy.optimize import linear_sum_assignment

    distance = pixel * np.sqrt(((true[:, None] - predicted[None]) ** 2).sum(axis=-1))
    # Pairs beyond the radius cost more than all pairs within it, so that the assignment avoids
    # them where it can; those it could not avoid are dropped.
    pairs = linear_sum_assignment(np.where(distance <= radius, distance, 1e3 * radius))
    paired = distance[pairs]
    return PeakMatch(paired[paired <= radius], len(true), len(predicted))


def peak_scores(matches: list[PeakMatch]) -> dict[str, float]:
    """Return the keys peak_error, peaks_missed and peaks_false of several images together.

    `peak_error` is the mean distance over all pairs, in the unit of the matches. The other two are
    the share of true peaks that are missed and the share of predicted peaks that are false. A value
    is NaN where there is no pair, no true peak or no predicted peak.
    """
    distances = np.concatenate([match.distances for match in matches]) if matches else np.zeros(0)
    true = sum(match.true_count for match in matches)
    predicted = sum(match.predicted_count for match in matches)
    pairs, nan = len(distances), float("nan")
    return {
        "peak_error": float(distances.mean()) if pairs else nan,
        "peaks_missed": (true - pairs) / true if true else nan,
        "peaks_false": (predicted - pairs) / predicted if predicted else nan,
    }


@metric(
    "peak_error", name="distance of peaks from the true ones", unit="Angstrom",
    lower_is_better=True, minimum=0.0, maximum=0.5, last=("row", "column"),
    formula="mean over all pairs of a true and a predicted peak that are at most 0.5 Angstrom "
    "apart; peaks stand 25 % of their image's range above its least value and 0.5 Angstrom apart, "
    "refined by parabolas",
)  # fmt: skip
@metric(
    "peaks_missed", name="true peaks without a predicted one", lower_is_better=True, minimum=0.0,
    maximum=1.0, last=("row", "column"),
    formula="share of the true peaks that have no partner within 0.5 Angstrom",
)  # fmt: skip
@metric(
    "peaks_false", name="predicted peaks without a true one", lower_is_better=True, minimum=0.0,
    maximum=1.0, last=("row", "column"),
    formula="share of the predicted peaks that have no partner within 0.5 Angstrom; not defined "
    "where none is predicted",
)  # fmt: skip
def peak_metrics(observed: Floats, predicted: Floats, *, pixel: Doubles) -> dict[str, float]:
    """Return the scores of peaks in the unit of `pixel`; NaN if the size of a pixel is unknown.

    Args:
        observed: (image, row, column) any float.
        predicted: the same shape.
        pixel: (image) side of a pixel in Å; NaN if unknown.
    """
    if not np.isfinite(pixel).all():
        return peak_scores([])
    matches = []
    for true, other, side in zip(observed, predicted, pixel.tolist(), strict=True):
        distance = max(1, round(MIN_DISTANCE / side))
        found = (peaks(image, min_distance=distance) for image in (true, other))
        matches.append(match_peaks(*found, radius=PEAK_RADIUS, pixel=side))
    return peak_scores(matches)


def _refined(values: Doubles, row: int, column: int) -> tuple[float, float]:
    """Return the vertices of the parabolas along rows and along columns through a peak."""
    along = values[row - 1 : row + 2, column], values[row, column - 1 : column + 2]
    return row + _vertex(along[0]), column + _vertex(along[1])


def _vertex(three: Doubles) -> float:
    """Return the offset in pixels from the middle value to the vertex of the parabola."""
    before, middle, after = three.tolist()
    curvature = before - 2 * middle + after
    # A flat top has no vertex; the clip keeps a nearly flat one in its pixel.
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))


def _checked(observed: Floats, predicted: Floats) -> tuple[Doubles, Doubles]:
    """Return both stacks as float64, after checking that they fit each other.

    Raises:
        CallError: the shapes differ, or are not (image, row, column).
        SciMLDataError: a value is not finite.
    """
    if np.shape(observed) != np.shape(predicted) or np.ndim(observed) != 3:
        raise CallError(
            f"scoring images: observed has shape {np.shape(observed)}, predicted "
            f"{np.shape(predicted)}; (image, row, column) is expected of both",
            untouched="nothing was scored",
        )
    true, other = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    if broken := int((~np.isfinite(true)).sum() + (~np.isfinite(other)).sum()):
        raise SciMLDataError(
            f"scoring images: {broken} of {true.size} pixels are NaN or infinite",
            untouched="nothing was scored",
            hint="a model that gives NaN has diverged: lower its learning rate",
        )
    return true, other
