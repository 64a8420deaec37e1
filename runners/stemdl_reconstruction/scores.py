"""Every metric of task.toml from stored predictions alone; what a sample is, the problem knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring import images
from sciml_data.bench.scoring.predictions import Predictions

from .scans import DENSITY, LEGACY, POTENTIAL, Scans

PEAK_RADIUS = 0.5  # Å; farther off a peak is another one: half a short bond (1 Å) of the projection
LEAST_DISTANCE = 0.5  # Å between peaks of one image
IN_UNITS = {POTENTIAL: "potential", DENSITY: "density"}  # of the names of metrics with a unit


@dataclass(frozen=True)
class Meaning:
    """What scores are read with: learnt channels and their scale, and what samples are.

    scale: (learnt channel,). pixel: Å by sample name, NaN where not known. group: by sample name,
    its material, or the sample itself where no material is known.
    """

    learnt: tuple[str, ...]
    scale: npt.NDArray[np.float64]
    pixel: Mapping[str, float]
    group: Mapping[str, str]


def meaning_of(scans: Scans, learnt: tuple[str, ...], scale: npt.NDArray[np.float64]) -> Meaning:
    """Return what scores are read with."""
    names = scans.names.tolist()
    materials = scans.texts["material"].tolist() if scans.has_materials else names
    return Meaning(
        learnt,
        scale,
        pixel=dict(zip(names, scans.pixel.tolist(), strict=True)),
        group=dict(zip(names, materials, strict=True)),
    )


def score(predictions: Predictions, meaning: Meaning) -> dict[str, float]:
    """Return every metric of predictions (sample, channel, row, column); NaN where not defined."""
    names = [str(name) for name in predictions.coords["sample"]]
    channels = [str(name) for name in predictions.coords["channel"]]
    scores = _scaled(predictions, names, meaning)
    by_channel: dict[str, dict[str, float]] = {}
    for number, channel in enumerate(channels):
        observed, predicted = predictions.observed[:, number], predictions.predicted[:, number]
        found = images.errors(observed, predicted)
        if channel in IN_UNITS:
            scores |= {f"{key}_{IN_UNITS[channel]}": found[key] for key in ("mae", "rmse")}
        else:
            scores["legacy_l1"] = found["mae"]
        by_channel[channel] = {
            "relative_l2": found["relative_l2"],
            "pearson": _mean(images.pearson(observed, predicted)),
            "ssim": _mean(images.ssim(observed, predicted)),
        }
        if channel != LEGACY:
            by_channel[channel] |= _peaks(observed, predicted, names, meaning)
    metrics = dict.fromkeys(metric for found in by_channel.values() for metric in found)
    for metric in metrics:
        scores |= {
            f"{metric}.{channel}": found[metric]
            for channel, found in by_channel.items()
            if metric in found
        }
    return scores


def sample_errors(predictions: Predictions, meaning: Meaning) -> npt.NDArray[np.float64]:
    """Return the mean absolute error of each sample over learnt channels, in units of the scale."""
    channels = [str(name) for name in predictions.coords["channel"]]
    learnt = [channels.index(name) for name in meaning.learnt]
    difference = np.abs(
        predictions.predicted[:, learnt].astype(np.float64) - predictions.observed[:, learnt]
    )
    return np.asarray((difference.mean(axis=(2, 3)) / meaning.scale).mean(axis=1))


def _scaled(predictions: Predictions, names: list[str], meaning: Meaning) -> dict[str, float]:
    each = sample_errors(predictions, meaning)
    groups = np.array([meaning.group[name] for name in names])
    ends = images.mean_interval(each, groups)
    return {
        "mae_scaled": float(each.mean()),
        **{f"mae_scaled_interval.{end}": value for end, value in ends.items()},
    }


def _peaks(observed: Any, predicted: Any, names: list[str], meaning: Meaning) -> dict[str, float]:
    """Return how well peaks are placed, in Å; NaN where a pixel's size is not known."""
    pixels = [meaning.pixel[name] for name in names]
    if not np.isfinite(pixels).all():
        return images.peak_scores([])
    matched = []
    for one, other, pixel in zip(observed, predicted, pixels, strict=True):
        apart = max(1, round(LEAST_DISTANCE / pixel))
        true, found = (images.peaks(image, min_distance=apart) for image in (one, other))
        matched.append(images.match_peaks(true, found, radius=PEAK_RADIUS, pixel=pixel))
    return images.peak_scores(matched)


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
