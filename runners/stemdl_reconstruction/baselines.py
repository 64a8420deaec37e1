"""Images that need no network: a constant, the mean image, linear maps of what detectors see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.baselines import fit_ridge

from . import virtual_detectors as moments
from .data import Data, evenly
from .scans import SCAN, Floats, Numbers
from .split import TRAIN, VALIDATION

CONSTANT, MEAN_IMAGE, BRIGHT_FIELD, ICOM, DETECTORS = (
    "constant",
    "mean_image",
    "bright_field",
    "icom",
    "detectors",
)
NAMES = (CONSTANT, MEAN_IMAGE, BRIGHT_FIELD, ICOM, DETECTORS)
PENALTY = 1e-4  # of the ridge, on standardised features, where there is one of them
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # where there are many; the validation part chooses
Doubles = npt.NDArray[np.float64]
Forecast = Callable[[Numbers], Floats]  # numbers to (sample, row, column, channel)


class Baselines:
    """Forecasts by name, fitted on the training part when they are first asked for."""

    def __init__(self, data: Data) -> None:
        """Keep the data; moments of scans are kept as they are worked out: they are small."""
        self._data = data
        self._moments: dict[int, Doubles] = {}
        self._fitted: dict[str, Forecast] = {}
        self.penalty: float | None = None  # of the detectors' ridge, once it is fitted

    def forecast(self, name: str, numbers: Numbers) -> Floats:
        """Return a baseline's images of some samples: (sample, row, column, channel) float32."""
        if name not in self._fitted:
            self._fitted[name] = self._fit(name)
        return self._fitted[name](numbers)

    def _fit(self, name: str) -> Forecast:
        statistics = self._data.statistics
        if name == CONSTANT:
            return lambda numbers: _spread(
                np.broadcast_to(statistics.mean, statistics.image.shape), len(numbers)
            )
        if name == MEAN_IMAGE:
            return lambda numbers: _spread(statistics.image, len(numbers))
        features = {
            BRIGHT_FIELD: lambda number: self._images(number)[..., [moments.BRIGHT_FIELD]],
            ICOM: lambda number: self._images(number)[..., [moments.ICOM]],
            DETECTORS: self._all,
        }[name]
        if name != DETECTORS:
            return self._line(features, PENALTY)
        lines = {penalty: self._line(features, penalty) for penalty in PENALTIES}
        self.penalty = min(lines, key=lambda penalty: self._error(lines[penalty]))
        return lines[self.penalty]

    def _line(self, features: Callable[[int], Doubles], penalty: float) -> Forecast:
        """Return the ridge from features of each pixel to the target."""
        line = fit_ridge(self._blocks(features), penalty=penalty)
        return lambda numbers: np.stack(
            [line.predict(features(number)).astype(np.float32) for number in numbers.tolist()]
        )

    def _error(self, forecast: Forecast) -> float:
        """Return the mean absolute error over the validation part, in units of the scale."""
        data = self._data
        numbers = evenly(data.layout.parts[VALIDATION], data.settings["most_fitted"])
        total = 0.0
        for number in numbers.tolist():
            true = data.scans.read_targets(data.channels, [number])
            errors = np.abs(forecast(np.array([number])) - true) / data.statistics.deviation
            total += float(errors.mean())
        return total / len(numbers)

    def _blocks(self, features: Callable[[int], Doubles]) -> Iterator[tuple[Doubles, Floats]]:
        """Yield features (pixel, feature) and targets (pixel, channel), a training sample each."""
        data = self._data
        train = evenly(data.layout.parts[TRAIN], data.settings["most_fitted"])
        for number in train.tolist():
            target = data.scans.read_targets(data.channels, [number])[0]
            known = features(number)
            yield known.reshape(-1, known.shape[-1]), target.reshape(-1, target.shape[-1])

    def _images(self, number: int) -> Doubles:
        """Return the moments of a sample on the view's pixels."""
        if number not in self._moments:
            scan = self._data.scans.read(SCAN, [number])[0]
            self._moments[number] = moments.moments(scan)
        return moments.on_view(self._moments[number], self._data.scans.view)

    def _all(self, number: int) -> Doubles:
        """Return moments, and their means over the scan, of each pixel: what the material is."""
        images = self._images(number)
        means = np.broadcast_to(images.mean(axis=(0, 1)), images.shape)
        return np.concatenate([images, means, images * means], axis=-1)


def facts(settings: Mapping[str, Any], penalty: float | None) -> dict[str, Any]:
    """Return what the baselines are, and the ridge's penalty, for the record."""
    return {
        CONSTANT: "mean of the training part",
        MEAN_IMAGE: "mean image of the training part",
        BRIGHT_FIELD: "share of each pattern in the centre disc, splined to the view, a straight "
        "line to the target",
        ICOM: "integrated centre of mass, splined to the view, a straight line to the target",
        DETECTORS: f"ridge on {moments.COUNT} detector images (bright field, iCOM, length of the "
        f"centre of mass, {moments.RINGS} rings), their means over the scan, and products of "
        "both; the validation part chooses its penalty",
        f"{DETECTORS}_penalty": penalty,
        "fitted_on_at_most": settings["most_fitted"],
    }


def _spread(image: Doubles, count: int) -> Floats:
    return np.broadcast_to(image.astype(np.float32), (count, *image.shape))
