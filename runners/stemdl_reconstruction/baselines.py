"""Baselines without a network: a constant, the mean image, ridge on virtual detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.task.splits import TRAIN, VALIDATION, evenly_spaced
from sciml_data.ready.samples import Floats, Numbers

from . import virtual_detectors as detectors
from .data import SCAN, read_targets

if TYPE_CHECKING:
    from sciml_data.bench.interface import Baseline

    from .runner import Reconstruction

CONSTANT, MEAN_IMAGE = "constant", "mean_image"
BRIGHT_FIELD, ICOM, DETECTORS = "bright_field", "icom", "detectors"
# Penalties of each ridge regression. The validation part selects one where there are several.
PENALTIES = {BRIGHT_FIELD: (1e-4,), ICOM: (1e-4,), DETECTORS: (1e-3, 1e-2, 1e-1, 1.0)}
DESCRIPTIONS = {
    CONSTANT: "mean of the training part",
    MEAN_IMAGE: "mean image of the training part",
    BRIGHT_FIELD: "share of each pattern in the centre disc, splined to the view, a straight line "
    "to the target",
    ICOM: "integrated centre of mass, splined to the view, a straight line to the target",
    DETECTORS: f"ridge on {detectors.COUNT} detector images (bright field, iCOM, length of the "
    f"centre of mass, {detectors.ANNULI} rings), their means over the scan, and products of both; "
    "the validation part chooses its penalty",
}
Doubles = npt.NDArray[np.float64]


def fit(problem: Reconstruction) -> tuple[dict[str, Baseline], dict[str, Any]]:
    """Return each baseline as a function from scans to images, and notes for the record.

    Images are (scan, row, column, channel) float32.
    """
    image = problem.statistics.image.astype(np.float32)
    mean = np.broadcast_to(problem.statistics.mean.astype(np.float32), image.shape)
    fitted: dict[str, Baseline] = {
        CONSTANT: lambda numbers: np.broadcast_to(mean, (len(numbers), *mean.shape)),
        MEAN_IMAGE: lambda numbers: np.broadcast_to(image, (len(numbers), *image.shape)),
    }
    features = PixelFeatures(problem)
    chosen = {}
    for name, penalties in PENALTIES.items():
        fitted[name], chosen[name] = _fit_ridge(problem, features, name, penalties)
    return fitted, {
        **DESCRIPTIONS,
        f"{DETECTORS}_penalty": chosen[DETECTORS],
        "fitted_on_at_most": problem.settings["most_fitted"],
        "ridge_pixels_at_most": problem.settings["ridge_pixels"],
    }


class PixelFeatures:
    """Features of the pixels of scans; images of virtual detectors are small and stay in memory."""

    def __init__(self, problem: Reconstruction) -> None:
        """Read nothing yet."""
        self._problem = problem
        self._virtual_images: dict[int, Doubles] = {}

    def of(self, name: str, number: int) -> Doubles:
        """Return the features of a scan for a baseline: (pixel, feature), pixels row by row.

        `detectors` has all images, their means over the scan, which tell the ridge which material
        it is, and products of both.
        """
        if number not in self._virtual_images:
            scan = self._problem.scans.read(SCAN, [number])[0]
            self._virtual_images[number] = detectors.virtual_images(scan)
        images = detectors.on_view(self._virtual_images[number], self._problem.view)
        pixels = images.reshape(-1, detectors.COUNT)
        if name != DETECTORS:
            channel = {BRIGHT_FIELD: detectors.BRIGHT_FIELD, ICOM: detectors.ICOM}[name]
            return pixels[:, [channel]]
        means = np.broadcast_to(pixels.mean(axis=0), pixels.shape)
        return np.concatenate([pixels, means, pixels * means], axis=-1)


def _fit_ridge(
    problem: Reconstruction, features: PixelFeatures, name: str, penalties: Sequence[float]
) -> tuple[Baseline, float]:
    """Return the ridge regression from the features of a pixel to its targets, and its penalty."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, targets = _training_pixels(problem, features, name)
    # The penalty is for each pixel, so that it means the same for any number of scans.
    lines = {
        penalty: make_pipeline(StandardScaler(), Ridge(penalty * len(values))).fit(values, targets)
        for penalty in penalties
    }
    penalty = penalties[0] if len(lines) == 1 else _best_penalty(problem, features, name, lines)

    def images(numbers: Numbers) -> Floats:
        lists = [lines[penalty].predict(features.of(name, number)) for number in numbers.tolist()]
        return np.array(lists, np.float32).reshape(len(numbers), *problem.statistics.image.shape)

    return images, penalty


def _training_pixels(
    problem: Reconstruction, features: PixelFeatures, name: str
) -> tuple[Doubles, Doubles]:
    """Return features (pixel, feature) and targets (pixel, channel) of at most `ridge_pixels`.

    Each scan gives the same number. Its pixels are drawn at random, because evenly spaced pixels of
    an image may be those of a few columns, or of a diagonal.
    """
    train = evenly_spaced(problem.division.parts[TRAIN], problem.settings["most_fitted"])
    pixels = problem.statistics.image[..., 0].size
    count = min(pixels, max(1, problem.settings["ridge_pixels"] // len(train)))
    rng = np.random.default_rng(0)
    values, targets = [], []
    for number in train.tolist():
        drawn = np.sort(rng.choice(pixels, count, replace=False))
        target = read_targets(problem.scans, problem.channels, [number])
        values.append(features.of(name, number)[drawn])
        targets.append(target.reshape(pixels, -1)[drawn])
    return np.concatenate(values), np.concatenate(targets).astype(np.float64)


def _best_penalty(
    problem: Reconstruction, features: PixelFeatures, name: str, lines: Mapping[float, Any]
) -> float:
    """Return the penalty with the least mean absolute error over scans of the validation part.

    Errors are in standard deviations of each channel.
    """
    numbers = evenly_spaced(problem.division.parts[VALIDATION], problem.settings["most_fitted"])
    errors = dict.fromkeys(lines, 0.0)
    for number in numbers.tolist():
        values = features.of(name, number)
        true = read_targets(problem.scans, problem.channels, [number])
        for penalty, line in lines.items():
            predicted = line.predict(values).reshape(true.shape)
            errors[penalty] += float((abs(predicted - true) / problem.statistics.deviation).mean())
    return min(errors, key=lambda penalty: errors[penalty])
