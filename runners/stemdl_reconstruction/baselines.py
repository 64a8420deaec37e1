"""Baselines without a network: a constant, the mean image, ridge on virtual detectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.baselines import fit_ridge
from sciml_data.bench.task.splits import TRAIN, VALIDATION, evenly_spaced
from sciml_data.ready.samples import Floats, Numbers

from . import virtual_detectors as detectors
from .data import SCAN, read_targets

if TYPE_CHECKING:
    from .runner import Reconstruction

CONSTANT, MEAN_IMAGE, BRIGHT_FIELD, ICOM, DETECTORS = (
    "constant",
    "mean_image",
    "bright_field",
    "icom",
    "detectors",
)
NAMES = (CONSTANT, MEAN_IMAGE, BRIGHT_FIELD, ICOM, DETECTORS)
PENALTY = 1e-4  # of the ridge with a single feature
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # with many features; the validation part selects one
Doubles = npt.NDArray[np.float64]
Predictor = Callable[[Numbers], Floats]  # sample numbers to (sample, row, column, channel)


class Baselines:
    """Baselines by name, each fitted to the training part when it is first used."""

    def __init__(self, problem: Reconstruction) -> None:
        """Store the problem; images of virtual detectors are small and stay in memory."""
        self._problem = problem
        self._virtual_images: dict[int, Doubles] = {}
        self._fitted: dict[str, Predictor] = {}
        self.penalty: float | None = None  # of the detectors' ridge, once it is fitted

    def by_name(self) -> Mapping[str, Predictor]:
        """Return a function from sample numbers to images for each baseline."""
        return {name: partial(self.predict, name) for name in NAMES}

    def predict(self, name: str, numbers: Numbers) -> Floats:
        """Return a baseline's images of some samples: (sample, row, column, channel) float32."""
        if name not in self._fitted:
            self._fitted[name] = self._fit(name)
        return self._fitted[name](numbers)

    @property
    def description(self) -> Mapping[str, Any]:
        """Return what the baselines are, and the penalty of the ridge, for the record."""
        return {
            CONSTANT: "mean of the training part",
            MEAN_IMAGE: "mean image of the training part",
            BRIGHT_FIELD: "share of each pattern in the centre disc, splined to the view, a "
            "straight line to the target",
            ICOM: "integrated centre of mass, splined to the view, a straight line to the target",
            DETECTORS: f"ridge on {detectors.COUNT} detector images (bright field, iCOM, length of "
            f"the centre of mass, {detectors.ANNULI} rings), their means over the scan, and "
            "products of both; the validation part chooses its penalty",
            f"{DETECTORS}_penalty": self.penalty,
            "fitted_on_at_most": self._problem.settings["most_fitted"],
        }

    def _fit(self, name: str) -> Predictor:
        statistics = self._problem.statistics
        if name == CONSTANT:
            return lambda numbers: _repeated(
                np.broadcast_to(statistics.mean, statistics.image.shape), len(numbers)
            )
        if name == MEAN_IMAGE:
            return lambda numbers: _repeated(statistics.image, len(numbers))
        features = {
            BRIGHT_FIELD: lambda number: self._images(number)[..., [detectors.BRIGHT_FIELD]],
            ICOM: lambda number: self._images(number)[..., [detectors.ICOM]],
            DETECTORS: self._all_features,
        }[name]
        if name != DETECTORS:
            return self._ridge(features, PENALTY)
        lines = {penalty: self._ridge(features, penalty) for penalty in PENALTIES}
        self.penalty = min(lines, key=lambda penalty: self._error(lines[penalty]))
        return lines[self.penalty]

    def _ridge(self, features: Callable[[int], Doubles], penalty: float) -> Predictor:
        """Return the ridge regression from the features of each pixel to its target."""
        line = fit_ridge(self._blocks(features), penalty=penalty)
        return lambda numbers: np.stack(
            [line.predict(features(number)).astype(np.float32) for number in numbers.tolist()]
        )

    def _error(self, predictor: Predictor) -> float:
        """Return the mean absolute error over the validation part, in standard deviations."""
        problem = self._problem
        limit = problem.settings["most_fitted"]
        numbers = evenly_spaced(problem.division.parts[VALIDATION], limit)
        total = 0.0
        for number in numbers.tolist():
            true = read_targets(problem.scans, problem.channels, [number])
            errors = np.abs(predictor(np.array([number])) - true) / problem.statistics.deviation
            total += float(errors.mean())
        return total / len(numbers)

    def _blocks(self, features: Callable[[int], Doubles]) -> Iterator[tuple[Doubles, Floats]]:
        """Yield features (pixel, feature) and targets (pixel, channel) of each training sample."""
        problem = self._problem
        train = evenly_spaced(problem.division.parts[TRAIN], problem.settings["most_fitted"])
        for number in train.tolist():
            target = read_targets(problem.scans, problem.channels, [number])[0]
            inputs = features(number)
            yield inputs.reshape(-1, inputs.shape[-1]), target.reshape(-1, target.shape[-1])

    def _images(self, number: int) -> Doubles:
        """Return the virtual detectors of a sample on the pixels of the view: (row, column, c)."""
        if number not in self._virtual_images:
            scan = self._problem.scans.read(SCAN, [number])[0]
            self._virtual_images[number] = detectors.virtual_images(scan)
        return detectors.on_view(self._virtual_images[number], self._problem.view)

    def _all_features(self, number: int) -> Doubles:
        """Return virtual detectors, their means over the scan, and products: (row, column, 3 c).

        The means tell the ridge which material it is.
        """
        images = self._images(number)
        means = np.broadcast_to(images.mean(axis=(0, 1)), images.shape)
        return np.concatenate([images, means, images * means], axis=-1)


def _repeated(image: Doubles, count: int) -> Floats:
    """Return the same image for each sample: (sample, row, column, channel) float32."""
    return np.broadcast_to(image.astype(np.float32), (count, *image.shape))
