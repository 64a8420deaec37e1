"""Compute the metrics of task.toml from stored predictions and a little context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import images
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.ready import SampleIndex

from .scans import DENSITY, LEGACY, MATERIAL, PIXEL, POTENTIAL

PEAK_RADIUS = 0.5  # Å within which peaks match: half of a short bond (1 Å) in projection
MIN_DISTANCE = 0.5  # Å between peaks of one image
IN_UNITS = {POTENTIAL: "potential", DENSITY: "density"}  # suffixes of metrics with a unit


@dataclass(frozen=True)
class ScoringContext:
    """What scores need besides the predictions.

    Attributes:
        learnt: names of the channels that the model learns.
        scale: (learnt channel,) standard deviation in the training part.
        pixel: size of a pixel in Å by sample name; NaN if unknown.
        group: material by sample name, or the sample's own name if materials are unknown.
    """

    learnt: tuple[str, ...]
    scale: npt.NDArray[np.float64]
    pixel: Mapping[str, float]
    group: Mapping[str, str]


def scoring_context(
    scans: SampleIndex, learnt: tuple[str, ...], scale: npt.NDArray[np.float64]
) -> ScoringContext:
    """Return the context of some scans."""
    names = scans["name"].tolist()
    materials = scans[MATERIAL].tolist() if scans.is_known(MATERIAL) else names
    return ScoringContext(
        learnt,
        scale,
        pixel=dict(zip(names, scans[PIXEL].tolist(), strict=True)),
        group=dict(zip(names, materials, strict=True)),
    )


def score(predictions: Predictions, context: ScoringContext) -> dict[str, float]:
    """Return every metric of predictions (sample, channel, row, column); NaN if undefined."""
    names = [str(name) for name in predictions.coords["sample"]]
    channels = [str(name) for name in predictions.coords["channel"]]
    scores = _scaled(predictions, names, context)
    by_channel: dict[str, dict[str, float]] = {}
    for number, channel in enumerate(channels):
        observed, predicted = predictions.observed[:, number], predictions.predicted[:, number]
        errors = images.errors(observed, predicted)
        if channel in IN_UNITS:
            scores |= {f"{key}_{IN_UNITS[channel]}": errors[key] for key in ("mae", "rmse")}
        else:
            scores["legacy_l1"] = errors["mae"]
        by_channel[channel] = {
            "relative_l2": errors["relative_l2"],
            "pearson": _mean(images.pearson(observed, predicted)),
            "ssim": _mean(images.ssim(observed, predicted)),
        }
        if channel != LEGACY:
            by_channel[channel] |= _peaks(observed, predicted, names, context)
    metrics = dict.fromkeys(metric for values in by_channel.values() for metric in values)
    for metric in metrics:
        scores |= {
            f"{metric}.{channel}": values[metric]
            for channel, values in by_channel.items()
            if metric in values
        }
    return scores


def sample_errors(predictions: Predictions, context: ScoringContext) -> npt.NDArray[np.float64]:
    """Return the mean absolute error of each sample over learnt channels, in units of the scale."""
    channels = [str(name) for name in predictions.coords["channel"]]
    learnt = [channels.index(name) for name in context.learnt]
    difference = np.abs(
        predictions.predicted[:, learnt].astype(np.float64) - predictions.observed[:, learnt]
    )
    return np.asarray((difference.mean(axis=(2, 3)) / context.scale).mean(axis=1))


def _scaled(
    predictions: Predictions, names: list[str], context: ScoringContext
) -> dict[str, float]:
    errors = sample_errors(predictions, context)
    groups = np.array([context.group[name] for name in names])
    ends = images.mean_interval(errors, groups)
    return {
        "mae_scaled": float(errors.mean()),
        **{f"mae_scaled_interval.{end}": value for end, value in ends.items()},
    }


def _peaks(
    observed: Any, predicted: Any, names: list[str], context: ScoringContext
) -> dict[str, float]:
    """Return the peak metrics in Å; NaN if the size of a pixel is unknown."""
    pixels = [context.pixel[name] for name in names]
    if not np.isfinite(pixels).all():
        return images.peak_scores([])
    matches = []
    for *pair, pixel in zip(observed, predicted, pixels, strict=True):
        min_distance = max(1, round(MIN_DISTANCE / pixel))
        true_peaks, predicted_peaks = (
            images.peaks(image, min_distance=min_distance) for image in pair
        )
        matches.append(
            images.match_peaks(true_peaks, predicted_peaks, radius=PEAK_RADIUS, pixel=pixel)
        )
    return images.peak_scores(matches)


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
