"""Scores of images of a projected quantity: errors, likeness, and how well its peaks are placed.

Everything is over whole stacks of images (image, row, column), never averaged over batches.
Structural similarity and peaks are those of scikit-image, the pairing of peaks is SciPy's; both
are imported when they are asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, SciMLDataError

SSIM_WINDOW = (
    7  # pixels along a side, flat: the default of scikit-image and of Wang et al. 2004's code
)
PEAK_HEIGHT = (
    0.25  # of the way from an image's least to its greatest value; lower bumps are no peaks
)
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # per cent of the resampled means: a 95 % interval

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Doubles: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """Peaks of one image paired with the true ones.

    distances: (pair,) float64, in the units of `pixel`. missed: true peaks without a partner;
    false: found ones without; true, found: how many there are of each.
    """

    distances: Doubles
    missed: int
    false: int
    true: int
    found: int


def require_libraries() -> None:
    """Refuse to go on where scores could not be computed in the end.

    Raises:
        CallError: scikit-image, or SciPy that it stands on, is not installed.
    """
    if importlib.util.find_spec("skimage") is None:
        raise CallError(
            "images are scored with scikit-image, which is not installed",
            untouched="nothing was trained",
            hint="pip install 'sciml-data[train,stemdl]'",
        )


def errors(observed: Floats, predicted: Floats) -> dict[str, float]:
    """Return mae, rmse and relative_l2 over all pixels of all images, in float64.

    `relative_l2` is the root of sum (predicted - observed)^2 / sum observed^2; NaN of nothing.

    Raises:
        CallError: the shapes differ, or are not (image, row, column).
        SciMLDataError: a value is not finite.
    """
    seen, said = _paired(observed, predicted)
    difference = said - seen
    power = float((seen**2).sum())
    square = float((difference**2).sum())
    return {
        "mae": float(np.abs(difference).mean()),
        "rmse": float(np.sqrt(square / seen.size)),
        "relative_l2": float(np.sqrt(square / power)) if power > 0 else float("nan"),
    }


def pearson(observed: Floats, predicted: Floats) -> Doubles:
    """Return the correlation of each image with the true one: (image,) float64.

    An image that says nothing, because it is the same everywhere, has 0; NaN where the true image
    is the same everywhere.
    """
    seen, said = (values.reshape(len(values), -1) for values in _paired(observed, predicted))
    seen, said = (values - values.mean(axis=1, keepdims=True) for values in (seen, said))
    own, other = (np.sqrt((values**2).sum(axis=1)) for values in (seen, said))
    tiny = 1e-9 * np.sqrt(seen.shape[1]) * (1 + np.abs(predicted).max(axis=(1, 2)))
    known = other > tiny
    found = np.divide(
        (seen * said).sum(axis=1), own * other, out=np.zeros(len(seen)), where=known & (own > 0)
    )
    return np.where(own > 0, np.clip(found, -1.0, 1.0), np.nan)


def ssim(observed: Floats, predicted: Floats) -> Doubles:
    """Return the structural similarity of each image with the true one: (image,) float64.

    `skimage.metrics.structural_similarity` with flat windows of `SSIM_WINDOW` pixels, over those
    pixels whose window is whole. The data range is that of the true image, its greatest less its
    least value; NaN where that is 0.
    """
    from skimage.metrics import structural_similarity

    seen, said = _paired(observed, predicted)
    found = np.full(len(seen), np.nan)
    for number, (one, other) in enumerate(zip(seen, said, strict=True)):
        if (span := float(np.ptp(one))) <= 0:
            continue
        found[number] = structural_similarity(one, other, win_size=SSIM_WINDOW, data_range=span)
    return found


def peaks(image: Floats, *, least_distance: int) -> Doubles:
    """Return rows and columns of the peaks of one image: (peak, 2) float64, highest first.

    A peak is the greatest pixel within `least_distance` pixels (`skimage.feature.peak_local_max`)
    that stands `PEAK_HEIGHT` of the image's range above its least value; the outermost pixels are
    none, for nobody knows what lies beyond. Its place is refined to the top of the parabolas
    through it and its neighbours, by at most half a pixel.

    Args:
        image: (row, column).
        least_distance: pixels between peaks, 1 or more.
    """
    from skimage.feature import peak_local_max

    low, high = float(image.min()), float(image.max())
    if not high > low:
        return np.zeros((0, 2))
    values = np.asarray(image, np.float64)
    places = peak_local_max(
        values,
        min_distance=least_distance,
        threshold_abs=low + PEAK_HEIGHT * (high - low),
        exclude_border=1,
    )
    return np.array([_refined(values, *place) for place in places]).reshape(-1, 2)


def match_peaks(true: Doubles, found: Doubles, *, radius: float, pixel: float) -> Matched:
    """Pair peaks so that as many as can be are within a radius, and those as near as can be.

    Args:
        true: (peak, 2) rows and columns.
        found: the same, of another image.
        radius: the farthest that partners may lie apart, in the unit of `pixel`.
        pixel: side of a pixel.
    """
    from scipy.optimize import linear_sum_assignment

    counts = {"true": len(true), "found": len(found)}
    if not len(true) or not len(found):
        return Matched(np.zeros(0), missed=len(true), false=len(found), **counts)
    distance = pixel * np.sqrt(((true[:, None] - found[None]) ** 2).sum(axis=-1))
    pairs = linear_sum_assignment(np.where(distance <= radius, distance, 1e3 * radius))
    near = distance[pairs]
    near = near[near <= radius]
    return Matched(near, missed=len(true) - len(near), false=len(found) - len(near), **counts)


def peak_scores(matched: list[Matched]) -> dict[str, float]:
    """Return peak_error (mean distance of all pairs), and the shares missed and false of all peaks.

    NaN where there is no pair, no true peak, or no found one.
    """
    distances = np.concatenate([one.distances for one in matched]) if matched else np.zeros(0)
    true, found = sum(one.true for one in matched), sum(one.found for one in matched)
    nan = float("nan")
    return {
        "peak_error": float(distances.mean()) if len(distances) else nan,
        "peaks_missed": sum(one.missed for one in matched) / true if true else nan,
        "peaks_false": sum(one.false for one in matched) / found if found else nan,
    }


def mean_interval(
    values: Floats, groups: npt.NDArray[Any], *, seed: int = 0
) -> Mapping[str, float]:
    """Return low and high ends of the 95 % interval of a mean, by drawing whole groups again.

    Images of one group (one material) are alike, so it is the groups that are drawn with
    replacement, `RESAMPLES` times; NaN for fewer than two.

    Args:
        values: (image,) what is averaged.
        groups: (image,) any labels.
        seed: of the draws.
    """
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return {"low": float("nan"), "high": float("nan")}
    total = np.bincount(codes, weights=np.asarray(values, np.float64))
    count = np.bincount(codes).astype(np.float64)
    draws = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    means = total[draws].sum(axis=1) / count[draws].sum(axis=1)
    low, high = np.percentile(means, INTERVAL)
    return {"low": float(low), "high": float(high)}


def _refined(values: Doubles, row: int, column: int) -> tuple[float, float]:
    """Return where the parabolas along rows and columns through a peak have their tops."""
    along = values[row - 1 : row + 2, column], values[row, column - 1 : column + 2]
    return row + _top(along[0]), column + _top(along[1])


def _top(three: Doubles) -> float:
    before, middle, after = three.tolist()
    bend = before - 2 * middle + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def _paired(observed: Floats, predicted: Floats) -> tuple[Doubles, Doubles]:
    """Return both as float64, or say why they do not belong together."""
    if np.shape(observed) != np.shape(predicted) or np.ndim(observed) != 3:
        raise CallError(
            f"scoring images: observed has shape {np.shape(observed)}, predicted "
            f"{np.shape(predicted)}; (image, row, column) is expected of both",
            untouched="nothing was scored",
        )
    seen, said = np.asarray(observed, np.float64), np.asarray(predicted, np.float64)
    if absent := int((~np.isfinite(seen)).sum() + (~np.isfinite(said)).sum()):
        raise SciMLDataError(
            f"scoring images: {absent} of {seen.size} pixels are not finite",
            untouched="nothing was scored",
            hint="a model that gives NaN has diverged: lower its learning rate",
        )
    return seen, said
