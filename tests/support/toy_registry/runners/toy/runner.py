"""A benchmark as small as one can be: the engine's tests run on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml_data.bench.interface import Array, ModelSpec
from sciml_data.bench.scoring.intervals import Replicates, Sampling
from sciml_data.bench.scoring.predictions import Predictions

from . import points

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.plots import Results
    from sciml_data.bench.task.split import Split

OUTPUTS = ("a", "b")
GROUPS = 10  # of rows that are left out, for intervals


def prepare(dataset: xr.Dataset, split: Split, settings: Mapping[str, Any]) -> ToyProblem:
    """Return the problem of one split."""
    inputs, targets = points.arrays(dataset)
    rows = {part: slice(*ends) for part, ends in split.members.items()}
    return ToyProblem(
        inputs={part: inputs[cut] for part, cut in rows.items()},
        targets={part: targets[cut] for part, cut in rows.items()},
        settings=settings,
    )


def figures(results: Results) -> Mapping[str, Any]:
    """Return one figure: observed and predicted values of the test part."""
    from sciml_data.bench.plots import observed_and_predicted

    values = results.predictions["test"]
    panel = ("test", values.observed, values.predicted, "values")
    return {"observed": observed_and_predicted(results, [panel])}


@dataclass(frozen=True)
class ToyProblem:
    """Inputs (row, 5) and targets (row, 2) float32 of each part."""

    inputs: Mapping[str, np.ndarray[Any, Any]]
    targets: Mapping[str, np.ndarray[Any, Any]]
    settings: Mapping[str, Any]

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts of the split."""
        return tuple(self.inputs)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the rows of each part."""
        return {part: len(rows) for part, rows in self.inputs.items()}

    def build(self) -> Any:
        """Return a model of two layers."""
        import keras

        return keras.Sequential(
            [
                keras.layers.Input((5,)),
                keras.layers.Dense(self.settings["units"], activation="tanh"),
                keras.layers.Dropout(self.settings.get("dropout", 0.0)),
                keras.layers.Dense(len(OUTPUTS), dtype="float32"),
            ]
        )

    def specification(self) -> ModelSpec:
        """Return the shapes of a model that a user brings."""
        return ModelSpec({"inputs": Array((5,))}, Array((2,), "values of a and b"))

    def plain(self, inputs: Any) -> Any:
        """Return the inputs of a user's model."""
        return inputs

    def finish(self, outputs: Any) -> Any:
        """Return the outputs of a user's model."""
        return outputs

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch in an order drawn from the seed; odd rows weigh half."""
        order = np.random.default_rng(seed).permutation(self.sizes[part])
        weights = np.where(order % 2, 0.5, 1.0).astype("float32")
        rows = (self.inputs[part][order], self.targets[part][order], weights)
        for first in range(0, len(order), batch_size):
            yield tuple(values[first : first + batch_size] for values in rows)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return weighted squared errors and weights, summed."""
        from keras import ops

        errors = ops.mean(ops.square(targets - predictions), axis=-1)
        return ops.sum(errors * weights), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        """Return the rows of a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's outputs for a part."""
        return self._predictions(part, np.asarray(model(self.inputs[part], training=False)))

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the training mean as the one baseline."""
        mean = self.targets[self.parts[0]].mean(axis=0)
        constant = {part: np.broadcast_to(mean, self.targets[part].shape) for part in self.parts}
        return {"mean": {part: self._predictions(part, constant[part]) for part in self.parts}}

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return the error of each output, and the variance explained in both."""
        error = (predictions.observed - predictions.predicted).astype("float64")
        spread = predictions.observed - predictions.observed.mean(axis=0)
        scores = {
            f"rmse.{name}": float(np.sqrt(np.mean(error[:, column] ** 2)))
            for column, name in enumerate(OUTPUTS)
        }
        return {**scores, "explained": float(1 - np.sum(error**2) / np.sum(spread**2))}

    def resample(
        self,
        part: str,  # noqa: ARG002 - the engine passes it
        predictions: Predictions,
        headline: str | None,  # noqa: ARG002 - the engine passes it
    ) -> tuple[Sampling, Mapping[str, Replicates]]:
        """Return the scores without each of ten groups of rows."""
        groups = np.arange(len(predictions.observed)) % GROUPS
        sampling = Sampling({"row": len(groups)}, {"row": GROUPS}, f"sha256:{len(groups):064x}")
        without = []
        for number in range(GROUPS):
            is_left = groups != number
            pair = predictions.observed[is_left], predictions.predicted[is_left]
            rows = {"row": predictions.coords["row"][is_left]}
            without.append(self.score(Predictions(*pair, {**predictions.coords, **rows})))
        return sampling, {
            key: Replicates.of([np.array([scores[key] for scores in without])], sampling)
            for key in without[0]
        }

    def diagnostics(self) -> Mapping[str, Any]:
        """Return what the parts share."""
        return {"shared_rows": np.int64(0), "scaling_from": self.parts[0]}

    def _predictions(self, part: str, predicted: np.ndarray[Any, Any]) -> Predictions:
        axes = {"row": np.arange(len(predicted)), "output": np.array(OUTPUTS, dtype=object)}
        return Predictions(self.targets[part], predicted, axes)
