"""TEvolOp, the benchmark: forecasts of earthquake activity in southern California.

`prepare` is the entry point of the engine.

A model predicts a correction to the ridge forecast (setting `base`). So an untrained model is as
good as the ridge, and the epoch is chosen by validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml_data.bench.interface import SELECTION, Benchmark
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import TRAIN

from . import data, forecasts
from .data import WINDOWS, make_split, period_end, windows_in_part
from .features import make_features
from .pieces import PieceReader, PieceShape, Tensors, curve_order, location_groups

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.plots import Results
    from sciml_data.bench.task.split import Split

BACKENDS = ("tensorflow",)  # pieces.py reads with TensorFlow
PREDICT_SEQUENCES = 512  # of single pixels in one forward pass: about 250 MB of activations


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures of a run; see `figures.py`."""
    from .figures import draw

    return draw(results)


class Tevolop(Benchmark):
    """Forecasts on a catalogue, ready form of `tevolop_socal`. A sample is a pixel at a fortnight.

    Samples are pixels x fortnights, so a split has two key tables: pixels and dates; see `data.py`.
    """

    def open(self, dataset: xr.Dataset) -> None:
        """Store the catalogue; the split says how much of it is used."""
        self._catalogue = dataset

    def divide_samples(self, split: Split) -> None:
        """Read the fortnights up to the end of the last part, and divide pixels and dates.

        Raises:
            DescriptorError: the split has no valid periods.
        """
        end, floor = period_end(split), self.settings["floor"]
        self.grid = data.read_fortnights(self._catalogue, end=end, floor=floor)
        self.split = make_split(split, self.grid)
        self.leakage = self.split.facts["leakage"]

    def fit(self) -> None:
        """Compute features, targets and baselines; tensors are created for the first batch."""
        settings, train = self.settings, self.split.part(TRAIN)
        self.features = make_features(
            self.grid,
            self.split.pixels,
            groups=settings["features"],
            train=train.has_pixel,
            stop=train.stop,
        )
        self.forecasts = forecasts.make_forecasts(
            self.grid,
            self.split,
            penalty=settings["ridge_penalty"],
            max_missing=settings["most_missing"],
        )
        locations = min(settings["locations_together"], len(self.split.pixels))
        self.piece = PieceShape(settings["warmup"], settings["piece"], locations)
        self.scale = forecasts.scale_of(self.forecasts.training_targets)
        self._readers: dict[str, PieceReader] = {}
        self._forward: tuple[Any, Any] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the parts, training part first."""
        return tuple(part.name for part in self.split.parts)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the samples of each part: pixels and fortnights with at least one target."""
        known = np.isfinite(self.forecasts.observed)
        return {
            part.name: int(
                (known[part.has_pixel] & windows_in_part(part, len(self.grid))).any(axis=-1).sum()
            )
            for part in self.split.parts
        }

    def build(self) -> Any:
        """Return the configured model."""
        from .models import build_model

        return build_model(
            self.settings,
            names=self.features.names,
            locations=self.piece.locations,
            length=self.piece.length,
        )

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch: the training part in random pieces, the others in order.

        A batch is `batch_size` pieces; see `PieceReader.dataset` for the shapes.
        """
        rng = np.random.default_rng(seed) if part == TRAIN else None
        return self._reader(part).dataset(batch_size, rng=rng)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights.

        The loss is the squared error; beyond `huber` standard deviations (0: never) it continues as
        its tangent.
        """
        from keras import ops

        error = ops.abs(targets - predictions)
        loss = ops.square(error)
        if limit := self.settings["huber"]:
            loss = ops.where(error < limit, loss, limit * (2.0 * error - limit))
        return ops.sum(loss * weights), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        """Return the number of samples in a batch: pixels and fortnights with a target."""
        from keras import ops

        return ops.sum(ops.cast(ops.any(weights > 0, axis=-1), "int32"))

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's forecasts of a whole part as magnitudes; see `predictions_of`."""
        forecast = np.zeros(self.forecasts.observed.shape, np.float32)
        size = max(1, PREDICT_SEQUENCES // self.piece.locations)
        self._reader(part).assemble(self._compiled(model), batch_size=size, into=forecast)
        return self.predictions_of(part, self.scale.magnitude(forecast))

    def predictions_of(self, part: str, forecast: data.Floats) -> Predictions:
        """Return the predictions of a part from forecasts of all pixels and times.

        Axes are pixel (number), time (first day of the window) and window (fortnights). Observed is
        NaN if the window is not in the part, or its magnitude is unknown.

        Args:
            part: name of the part.
            forecast: (pixel, time, window) magnitudes.
        """
        chosen = self.split.part(part)
        in_part = windows_in_part(chosen, len(self.grid))
        times = np.flatnonzero(in_part.any(axis=-1))
        observed = self.forecasts.observed[chosen.has_pixel][:, times]
        return Predictions(
            observed=np.where(in_part[times], observed, np.nan).astype(np.float32),
            predicted=np.asarray(forecast[chosen.has_pixel][:, times], np.float32),
            coords={
                "pixel": self.split.pixels[chosen.has_pixel],
                "time": data.end_of(self.grid)[times].astype("M8[ns]"),
                "window": np.array(WINDOWS),
            },
        )

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline for each part."""
        return {
            name: {part: self.predictions_of(part, forecast) for part in self.parts}
            for name, forecast in self.forecasts.baselines.items()
        }

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the name of each window, and the persistence forecast."""
        scored = predictions.to_dataset()
        names = [f"w{steps}" for steps in predictions.coords["window"]]
        persistence = (scored["observed"].dims, self._persistence_at(predictions))
        return scored.assign_coords(window_label=("window", names)).assign(persistence=persistence)

    def diagnostics(self) -> Mapping[str, Any]:
        """Return pixels, leakage, features, scaling and gaps, for the record."""
        return {
            "pixels": {
                part.name: int(part.has_pixel.sum()) for part in self.split.parts
            } | {"all": len(self.split.pixels), "origin": self.split.origin},
            **self.split.facts,
            "selection": SELECTION,
            "features": list(self.features.names),
            "scaling": "mean and standard deviation over training pixels and dates",
            "targets": {
                "windows_fortnights": list(WINDOWS),
                "floor": self.settings["floor"],
                "overlap_with_input": "none: the window starts after the last fortnight seen",
            },
            "greatest_earthquakes": data.greatest_earthquakes(
                self._catalogue, before=self.grid
            ),
            "incomplete_fortnights": data.incomplete_fortnights(self.grid),
            "floor_of_window": "an empty day has the energy of magnitude 0, as in the reference, "
            "so the least magnitude grows with the window",
        }  # fmt: skip

    def _persistence_at(self, predictions: Predictions) -> data.Floats:
        """Return the persistence forecast at the pixels and times of some predictions."""
        rows = np.searchsorted(self.split.pixels, predictions.coords["pixel"])
        dates = predictions.coords["time"].astype("M8[D]")
        times = np.searchsorted(data.end_of(self.grid), dates)
        return self.forecasts.baselines["persistence"][np.ix_(rows, times)]

    def _compiled(self, model: Any) -> Any:
        """Return the model as a compiled function; that of the last model is cached."""
        import tensorflow as tf

        if self._forward is None or self._forward[0] is not model:
            call = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)
            self._forward = (model, call)
        return self._forward[1]

    def _reader(self, part: str) -> PieceReader:
        if part not in self._readers:
            order, chosen = curve_order(self.split.pixels), self.split.part(part)
            if self.piece.locations == 1:  # without attention over locations, others are not needed
                order = order[chosen.has_pixel[order]]
            groups = location_groups(order, self.piece.locations)
            self._readers[part] = PieceReader(self._tensors, chosen, self.piece, groups=groups)
        return self._readers[part]

    @cached_property
    def _tensors(self) -> Tensors:
        """Return the series that pieces are read from."""
        targets = self.scale.standard(self.forecasts.observed)
        known = np.isfinite(targets)
        base = np.zeros_like(targets)
        if self.settings["base"] == "ridge":
            base = self.scale.standard(self.forecasts.baselines["ridge"])
        return Tensors(
            local=self.features.local,
            shared=self.features.shared,
            base=base,
            targets=np.where(known, targets, 0.0).astype(np.float32),
            known=known.astype(np.float32),
            weights=forecasts.weights_of(
                self.forecasts.training_targets, self.settings["even_out"]
            ),
        )


prepare = Tevolop
