"""TEvolOp as the engine sees it: parts, batches, predictions, baselines, scores and facts.

What a model says is a correction to the ridge forecast (setting `base`), so it starts as good as
that and training can only be kept where validation says that it became better.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml_data.bench.scoring.forecast import nnse_averaged, nnse_pooled, nnse_summed, skill
from sciml_data.bench.scoring.predictions import Predictions

from . import data, forecasts, scaling
from . import split as parts
from .data import WINDOWS, Fortnights
from .features import Features, make_features
from .forecasts import Forecasts
from .pieces import Cut, Cutter, Tensors, teams
from .split import TRAIN, Layout

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.task.split import Split

BACKENDS = ("tensorflow",)  # chunks.py cuts its pieces with TensorFlow
PREDICT_SEQUENCES = 512  # single-pixel pieces in one forward pass: about 250 MB of activations


def prepare(dataset: xr.Dataset, split: Split, settings: Mapping[str, Any]) -> Tevolop:
    """Return the benchmark on one catalogue and split.

    Args:
        dataset: ready form of `tevolop_socal`.
        split: stored split; each part has a period and perhaps pixels.
        settings: see task.toml.

    Raises:
        CallError: a setting names what does not exist.
        DescriptorError: the split cannot be laid out.
    """
    grid = data.read_fortnights(dataset, end=parts.period_end(split), floor=settings["floor"])
    layout = parts.lay_out(split, grid)
    train = layout.part(TRAIN)
    features = make_features(
        grid,
        layout.pixels,
        groups=settings["features"],
        train=train.has_pixel,
        stop=train.stop,
    )
    made = forecasts.make_forecasts(
        grid,
        layout,
        penalty=settings["ridge_penalty"],
        most_missing=settings["most_missing"],
    )
    problem = Tevolop(grid, layout, features, made, settings)
    problem.greatest = data.greatest_earthquakes(dataset, before=grid)
    return problem


def figures(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Draw the run: map, series and scores; see `figures.py`."""
    from .figures import draw

    return draw(run_folder, record)


class Tevolop:
    """The problem that the engine trains on; a sample is one pixel at one fortnight."""

    def __init__(
        self,
        grid: Fortnights,
        layout: Layout,
        features: Features,
        made: Forecasts,
        settings: Mapping[str, Any],
    ) -> None:
        """Keep the arrays; tensors are made when the first batch is asked for."""
        self.grid, self.layout, self.features = grid, layout, features
        self.forecasts, self.settings = made, settings
        self.parts = tuple(part.name for part in layout.parts)
        together = min(settings["locations_together"], len(layout.pixels))
        self.cut = Cut(settings["warmup"], settings["piece"], together)
        self.scale = scaling.scale_of(self.forecasts.training_targets)
        self.greatest: list[Mapping[str, Any]] = []
        self._cutters: dict[str, Cutter] = {}
        self._tensors: Tensors | None = None
        self._forward: tuple[Any, Any] | None = None

    @property
    def sizes(self) -> Mapping[str, int]:
        """Samples of each part: pixels times fortnights with at least one target."""
        known = np.isfinite(self.forecasts.observed)
        return {
            part.name: int(
                (known[part.has_pixel] & parts.inside(part, len(self.grid))).any(axis=-1).sum()
            )
            for part in self.layout.parts
        }

    def build(self) -> Any:
        """Return the model that the settings name."""
        from .models import build_model

        return build_model(
            self.settings,
            names=self.features.names,
            together=self.cut.together,
            length=self.cut.length,
        )

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch; the training part in random pieces, the others in order.

        A batch is `batch_size` pieces; see `Cutter.dataset` for the shapes.
        """
        rng = np.random.default_rng(seed) if part == TRAIN else None
        return self._cutter(part).dataset(batch_size, rng=rng)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted losses and of weights.

        Squared error, or beyond `huber` standard deviations (0: never) its tangent.
        """
        from keras import ops

        error = ops.abs(targets - predictions)
        loss = ops.square(error)
        if limit := self.settings["huber"]:
            loss = ops.where(error < limit, loss, limit * (2.0 * error - limit))
        return ops.sum(loss * weights), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        """Return how many pixels and fortnights of a batch have a target."""
        from keras import ops

        return ops.sum(ops.cast(ops.any(weights > 0, axis=-1), "int32"))

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's forecasts of a whole part, in magnitudes; see `predictions_of`."""
        forecast = np.zeros(self.forecasts.observed.shape, np.float32)
        size = max(1, PREDICT_SEQUENCES // self.cut.together)
        self._cutter(part).assemble(self._compiled(model), batch_size=size, into=forecast)
        return self.predictions_of(part, self.scale.magnitude(forecast))

    def predictions_of(self, part: str, forecast: data.Floats) -> Predictions:
        """Return forecasts (pixel, time, window) of all pixels and times as those of a part.

        Axes: pixel (number), time (first day of the first forecast fortnight), window (fortnights);
        observed is NaN where the window does not lie in the part, or nothing is known.
        """
        chosen = self.layout.part(part)
        within = parts.inside(chosen, len(self.grid))
        seen = np.flatnonzero(within.any(axis=-1))
        observed = self.forecasts.observed[chosen.has_pixel][:, seen]
        return Predictions(
            observed=np.where(within[seen], observed, np.nan).astype(np.float32),
            predicted=np.asarray(forecast[chosen.has_pixel][:, seen], np.float32),
            coords={
                "pixel": self.layout.pixels[chosen.has_pixel],
                "time": data.end_of(self.grid)[seen].astype("M8[ns]"),
                "window": np.array(WINDOWS),
            },
        )

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the forecasts of every baseline for every part."""
        return {
            name: {part: self.predictions_of(part, forecast) for part in self.parts}
            for name, forecast in self.forecasts.baselines.items()
        }

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric for each window (`.w26`), and the means of NNSE (`.mean`).

        NaN where a window has no whole target in the part.
        """
        persistence = self._persistence_at(predictions)
        scores: dict[str, float] = {}
        for index, steps in enumerate(predictions.coords["window"]):
            pair = predictions.observed[..., index], predictions.predicted[..., index]
            for name, metric in NNSE.items():
                scores[f"{name}.w{steps}"] = metric(*pair)
            scores[f"skill_persistence.w{steps}"] = skill(*pair, persistence[..., index])
        for name in NNSE:
            each = [value for key, value in scores.items() if key.startswith(f"{name}.w")]
            known = [value for value in each if np.isfinite(value)]
            scores[f"{name}.mean"] = float(np.mean(known)) if known else float("nan")
        return scores

    def diagnostics(self) -> Mapping[str, Any]:
        """Return pixels, leakage, features, scaling and gaps, for the record."""
        return {
            "pixels": {
                part.name: int(part.has_pixel.sum()) for part in self.layout.parts
            } | {"all": len(self.layout.pixels), "origin": self.layout.origin},
            "leakage": parts.leakage(self.layout, self.grid),
            "selection": "the epoch is chosen by the validation part, so that part's scores are "
            "those of a chosen model; parts after it are not looked at before",
            "features": list(self.features.names),
            "scaling": "mean and standard deviation over training pixels and dates",
            "targets": {
                "windows_fortnights": list(WINDOWS),
                "floor": self.settings["floor"],
                "overlap_with_input": "none: the window starts after the last fortnight seen",
            },
            "greatest_earthquakes": self.greatest,
            "incomplete_fortnights": data.incomplete_fortnights(self.grid),
            "floor_of_window": "an empty day has the energy of magnitude 0, as in the reference, "
            "so the least magnitude grows with the window",
        }  # fmt: skip

    def _persistence_at(self, predictions: Predictions) -> data.Floats:
        rows = np.searchsorted(self.layout.pixels, predictions.coords["pixel"])
        dates = predictions.coords["time"].astype("M8[D]")
        times = np.searchsorted(data.end_of(self.grid), dates)
        return self.forecasts.baselines["persistence"][np.ix_(rows, times)]

    def _compiled(self, model: Any) -> Any:
        """Return the model as a compiled function, made once for the model last asked with."""
        import tensorflow as tf

        if self._forward is None or self._forward[0] is not model:
            call = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)
            self._forward = (model, call)
        return self._forward[1]

    def _cutter(self, part: str) -> Cutter:
        if self._tensors is None:
            self._tensors = self._make_tensors()
        if part not in self._cutters:
            order, chosen = parts.along_curve(self.layout.pixels), self.layout.part(part)
            if self.cut.together == 1:  # nobody looks at a neighbour, so the others may stay away
                order = order[chosen.has_pixel[order]]
            team = teams(order, self.cut.together)
            self._cutters[part] = Cutter(self._tensors, chosen, self.cut, team=team)
        return self._cutters[part]

    def _make_tensors(self) -> Tensors:
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
            weights=scaling.weights_of(self.forecasts.training_targets, self.settings["even_out"]),
        )


NNSE = {
    "nnse_averaged": nnse_averaged,
    "nnse_summed": nnse_summed,
    "nnse_pooled": nnse_pooled,
}
