"""TEvolOp, the benchmark: forecasts of earthquake activity in southern California.

`prepare` is the entry point of the engine.

A model predicts a correction to the ridge forecast (setting `base`). So an untrained model is as
good as the ridge, and the epoch is chosen by validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import Array, Benchmark, ModelSpec
from sciml_data.bench.scoring.classification import require_sklearn
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TEST, TRAIN, VALIDATION, Options

from . import data
from .baselines import make_baselines
from .blend import fit_blend
from .features import is_encoding, make_features
from .pieces import Batch, Pieces, Scale, curve_order, scale_of, weights_of

if TYPE_CHECKING:
    from sciml_data.bench.plots import Results
    from sciml_data.bench.task.split import Split

PREDICT_FORTNIGHTS = 512 * 78  # of single pixels in one forward pass: about 250 MB of activations
FRESH = "fresh"  # part of `temporal` that is scored once, at the end; see the setting
ENCODING_WEIGHT = 0.25  # of a target that is no window (FFFFWNPF-...-Transformer1.ipynb, cell 85)


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures of a run; see `figures.py`."""
    from .figures import draw

    return draw(results)


class Tevolop(Benchmark):
    """Forecasts on a catalogue, ready form of `tevolop_socal`. A sample is a pixel at a fortnight.

    Arrays of forecasts are magnitudes (pixel, time, window=8), of all chosen pixels and all times.
    Time is the last fortnight that a forecast may know; its windows start with the next one.
    """

    LEAKAGE = (
        "where parts share dates, a model that knows the date knows what happened then: compare "
        "with the baseline same_date_mean; shared pixels of other dates are the past of a forecast"
    )

    def open(self, dataset: xr.Dataset) -> None:
        """Store the catalogue; the split says how much of it is used.

        Raises:
            CallError: scikit-learn, which fits the ridge, is not installed.
        """
        require_sklearn()
        self._catalogue = dataset

    def divide_samples(self, split: Split) -> None:
        """Read the fortnights up to the end of the last part, choose pixels, and divide samples.

        Raises:
            DescriptorError: the split has no valid periods.
        """
        if not self.settings["fresh"]:
            members = {name: each for name, each in split.members.items() if name != FRESH}
            split = replace(split, members=members)
        end, floor = data.period_end(split), self.settings["floor"]
        self.grid = data.read_fortnights(self._catalogue, end=end, floor=floor)
        self.pixels, split, self.origin = data.choose_pixels(split, self.grid)
        super().divide_samples(split)
        self.areas = data.parts_of(self.division, self.table, self.pixels)

    def keys(self) -> pd.DataFrame:
        """Return pixel, date and period of each sample."""
        return data.keys_of(self.grid, self.pixels)

    def split_options(self) -> Options:
        """Return that a catalogue may end before the later parts begin."""
        return Options(optional=(VALIDATION, TEST, FRESH))

    def fit(self) -> None:
        """Compute targets, baselines, and the series that batches are cut from."""
        settings, train = self.settings, self.areas[TRAIN]
        self.spans = data.PUBLISHED_SPANS if settings["further_targets"] else data.SPANS
        self.ahead = data.windows_ahead(self.grid.target_magnitude[:, self.pixels], self.spans)
        has_gap = data.missing_share(self.grid.complete, self.spans) > settings["most_missing"]
        self.ahead[:, has_gap] = np.nan
        self.observed = self.ahead[..., : len(data.WINDOWS)]
        self.forecasts = make_baselines(
            self.grid,
            self.pixels,
            self.observed,
            is_training=train.has_windows(len(self.grid)),
            penalty=settings["ridge_penalty"],
        )
        self.features, self.feature_names = make_features(
            self.grid,
            self.pixels,
            groups=settings["features"],
            train=train.has_pixel,
            stop=train.stop,
            scaling=settings["scaling"],
        )
        self._set_targets()
        self.base = None
        if not settings["model"].startswith("reference-"):
            self.base = np.zeros_like(self.target_values)
            if settings["base"] == "ridge":
                self.base = self.scale.scaled(self.forecasts["ridge"])

    def _set_targets(self) -> None:
        """Scale the targets, and set their weights in the loss."""
        is_training = self.areas[TRAIN].has_windows(len(self.grid), self.spans)
        training = np.where(is_training, self.ahead, np.nan)
        self.weights = weights_of(training, self.settings["even_out"])
        scale = scale_of(training, self.settings["scaling"])
        self.target_values = np.nan_to_num(scale.scaled(self.ahead))
        count = len(data.WINDOWS)
        self.scale = Scale(scale.centre[:count], scale.spread[:count])
        if self.settings["further_targets"]:  # the encodings of the next fortnight
            known = [index for index, name in enumerate(self.feature_names) if is_encoding(name)]
            following = np.roll(self.features[..., known], -1, axis=1)
            self.target_values = np.concatenate([self.target_values, following], axis=-1)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the samples of each part: pixels and fortnights with at least one target."""
        return {part: int(self._has_target(part).any(axis=-1).sum()) for part in self.parts}

    def build(self) -> Any:
        """Return the configured model."""
        from .model import build_model

        length = self.settings["warmup"] + self.settings["piece"]
        return build_model(
            self.settings,
            names=self.feature_names,
            locations=self._locations,
            length=length,
            outputs=self.target_values.shape[-1],
        )

    def specification(self) -> ModelSpec:
        """Return the shapes of a model; an output may depend on earlier fortnights only."""
        axes = (self._locations, self.settings["warmup"] + self.settings["piece"])
        windows = (*axes, len(data.WINDOWS))
        base = Array(windows, "ridge forecast (pixel, time, window), scaled magnitude")
        features = Array((*axes, len(self.feature_names)), "features (pixel, time, feature)")
        output = Array(windows, "forecast (pixel, time, window), scaled magnitude")
        return ModelSpec({"series": features, "base": base}, output, time_axis=2)

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[Batch]:
        """Return one epoch: the training part in random pieces, the others in order.

        A batch is `batch_size` pieces; see `Pieces.batches` for the shapes.
        """
        rng = np.random.default_rng(seed) if part == TRAIN else None
        return self._pieces(part).batches(batch_size, rng)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights; see the setting `error`."""
        from keras import ops

        loss = ops.square if self.settings["error"] == "squared" else ops.abs
        return ops.sum(loss(targets - predictions) * weights), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        """Return the number of samples in a batch: pixels and fortnights with a target."""
        from keras import ops

        return ops.sum(ops.cast(ops.any(weights > 0, axis=-1), "int32"))

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's forecasts of a whole part as magnitudes; see `predictions_of`."""
        forecast = self._forecast(model, part)
        if self.settings["blend"] and VALIDATION in self.parts:
            known = forecast if part == VALIDATION else self._forecast(model, VALIDATION)
            observed = np.where(self._has_target(VALIDATION), self.observed, np.nan)
            blend = fit_blend(observed, known, self.forecasts)
            forecast = blend.apply(forecast, self.forecasts)
        return self.predictions_of(part, forecast)

    def _forecast(self, model: Any, part: str) -> data.Singles:
        """Return the model's own forecasts at the times of a part, as magnitudes."""
        forecast = np.zeros_like(self.observed)
        pieces, steps = self._pieces(part), self.settings["warmup"] + self.settings["piece"]
        size = max(1, PREDICT_FORTNIGHTS // (self._locations * steps))
        starts = pieces.starts(None)
        for first in range(0, len(starts), size):
            chosen = starts[first : first + size]
            outputs = model(pieces.read(chosen)[0], training=False)
            pieces.write(chosen, np.asarray(outputs), forecast)
        return self.scale.magnitude(forecast)

    def predictions_of(self, part: str, forecast: data.Floats) -> Predictions:
        """Return the predictions of a part from forecasts of all pixels and times.

        Axes are pixel (number), time (first day of the window) and window (fortnights). Observed is
        NaN if the window is not in the part, or its magnitude is unknown.

        Args:
            part: name of the part.
            forecast: (pixel, time, window) magnitudes.
        """
        area = self.areas[part]
        observed = np.where(self._has_target(part), self.observed, np.nan)
        return Predictions(
            observed=observed[area.has_pixel][:, area.times],
            predicted=np.asarray(forecast[area.has_pixel][:, area.times], np.float32),
            coords={
                "pixel": self.pixels[area.has_pixel],
                "time": self.grid.end[area.times].astype("M8[ns]"),
                "window": np.array(data.WINDOWS),
            },
        )

    def samples(self, part: str) -> xr.Dataset:
        """Return the features of pixels and times of a part, and the targets of their windows."""
        area, axes = self.areas[part], ("pixel", "time", "feature")
        features = self.features[area.has_pixel][:, area.times]
        return xr.Dataset(
            {"features": (axes, features), "magnitude": self.scored_targets(part)},
            {"feature": list(self.feature_names)},
            attrs={"target": "magnitude"},
        )

    def scored_targets(self, part: str) -> xr.DataArray:
        """Return magnitudes (pixel, time, window), NaN if not in the part or not known."""
        values = self.predictions_of(part, self.observed)
        axes = list(values.coords.items())
        return xr.DataArray(values.observed, axes, name="magnitude", attrs={"units": "1"})

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline for each part."""
        return {
            name: {part: self.predictions_of(part, forecast) for part in self.parts}
            for name, forecast in self.forecasts.items()
        }

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the name of each window, and the persistence forecast."""
        scored = predictions.to_dataset()
        names = [f"w{steps}" for steps in predictions.coords["window"]]
        rows = np.searchsorted(self.pixels, predictions.coords["pixel"])
        times = np.searchsorted(self.grid.end, predictions.coords["time"].astype("M8[D]"))
        persistence = (scored["observed"].dims, self.forecasts["persistence"][np.ix_(rows, times)])
        return scored.assign_coords(window_label=("window", names)).assign(persistence=persistence)

    def facts(self) -> Mapping[str, Any]:
        """Return pixels, features, targets, gaps and the greatest earthquakes, for the record."""
        gaps = self.grid.start[~self.grid.complete].astype(str).tolist()
        return {
            "pixels": {"all": len(self.pixels), "origin": self.origin},
            "features": list(self.feature_names),
            "scaling": f"{self.settings['scaling']}, over training pixels and dates",
            "targets": {
                "windows_fortnights": list(data.WINDOWS),
                "floor": self.settings["floor"],
                "overlap_with_input": "none: the window starts after the last fortnight seen",
            },
            "greatest_earthquakes": data.greatest_earthquakes(self._catalogue, self.grid),
            "incomplete_fortnights": {
                "count": len(gaps),
                "first": min(gaps, default=None),
                "last": max(gaps, default=None),
                "effect": "small earthquakes are missing there: counts and small magnitudes are "
                "too low",
            },
            "floor_of_window": "an empty day has the energy of magnitude 0, as in the reference, "
            "so the least magnitude grows with the window",
        }

    @property
    def _locations(self) -> int:
        return min(int(self.settings["locations_together"]), len(self.pixels))

    def _has_target(self, part: str) -> data.Flags:
        """Return which windows are in a part and known: (pixel, time, window)."""
        return np.isfinite(self.observed) & self.areas[part].has_windows(len(self.grid))

    def _target_weights(self, part: str) -> data.Singles:
        """Return the weight of each target in the loss: (pixel, time, output)."""
        is_known = np.isfinite(self.ahead) & self.areas[part].has_windows(
            len(self.grid), self.spans
        )
        has_target = is_known[..., : len(data.WINDOWS)].any(axis=-1, keepdims=True)
        weights = self.weights[:, None] * (is_known & has_target)
        encodings = self.target_values.shape[-1] - weights.shape[-1]
        beside = np.repeat(ENCODING_WEIGHT * has_target, encodings, axis=-1)
        return np.concatenate([weights, beside], axis=-1, dtype=np.float32)

    def _pieces(self, part: str) -> Pieces:
        area, order = self.areas[part], curve_order(self.pixels)
        if self._locations == 1:  # without attention over locations, other pixels are not needed
            order = order[area.has_pixel[order]]
        return Pieces(
            self.features,
            self.base,
            self.target_values,
            weights=self._target_weights(part),
            times=area.times,
            order=order,
            locations=self._locations,
            warmup=self.settings["warmup"],
            scored=self.settings["piece"],
        )


prepare = Tevolop
