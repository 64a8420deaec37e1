"""A user's own model with `fit(x, y)` and `predict(x)`, as in scikit-learn.

    x   (row, feature) float32, all inputs of the benchmark, flattened and joined
    y   (row,) or (row, value), the targets that a Keras model is trained on; numbers of classes

There are no epochs and no checkpoint, and the fitted model is not stored: a stored one would be a
pickle, which executes code when it is read. Its predictions are stored, as those of every run.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.interface import Benchmark, ModelSpec
from sciml_data.bench.training import backend
from sciml_data.bench.training.adapted import check_shape
from sciml_data.bench.training.own_model import MEMORY, UNTOUCHED, failures_named, make
from sciml_data.errors import CallError
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.bench.training.adapted import OwnTraining

MEBIBYTE = 1 << 20
MIN_PROBABILITY = 1e-7  # as Keras clips probabilities before their logarithm
Rows = npt.NDArray[np.float32]


class FitPredict:
    """A fitted model that a benchmark calls as it calls a Keras model."""

    def __init__(self, training: OwnTraining, seed: int) -> None:
        """Make the model, and fit it to the training part."""
        # Seed before the model is made, so that its random numbers follow from the seed.
        settings = training.settings
        backend.current().seed_everything(seed, deterministic=settings["deterministic"])
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(seed)
        self.training = training
        self.body = make(training.own, training.spec, settings, seed)[0]
        x, y = _training_rows(training)
        self.rows, self.features = x.shape
        with failures_named(training.own, "fit", untouched=""):
            self.body.fit(x, y)

    def __call__(self, inputs: Any, **_: Any) -> Any:
        """Return the outputs for the inputs of a batch, for the benchmark's `outputs`."""
        problem, spec = self.training.problem, self.training.spec
        x = _rows(spec, problem.plain(inputs))
        with failures_named(self.training.own, "predict", untouched=""):
            values = self._logits(x) if spec.has_classes else np.asarray(self.body.predict(x))
            if values.ndim == 1 and spec.output.size == 1:
                values = values[:, None]
            expected = (len(x), *(length or 1 for length in spec.output.shape))
            if values.shape != (len(x), spec.output.size):  # that is the flat form
                check_shape(self.training, values.shape, expected)
            if not np.isfinite(values).all():
                raise CallError(f"{self.training.own.file}: predict returned NaN or infinity")
        return problem.finish(values.reshape(expected).astype(np.float32))

    def _logits(self, x: Rows) -> npt.NDArray[Any]:
        """Return logits (row, class) from probabilities, from classes, or as `predict` has them."""
        count = self.training.spec.output.size
        if hasattr(self.body, "predict_proba"):
            probability = np.zeros((len(x), count))
            probability[:, np.asarray(self.body.classes_, int)] = self.body.predict_proba(x)
        else:
            values = np.asarray(self.body.predict(x))
            if values.ndim > 1:
                return values
            probability = np.eye(count)[values.astype(int)]
        return np.log(np.maximum(probability, MIN_PROBABILITY))


def check_rows(training: OwnTraining, replicas: int) -> None:
    """Check that the training part can be given to `fit`.

    Raises:
        CallError: samples are not rows of one length, they do not fit into memory, or the run has
            several devices.
    """
    spec, problem = training.spec, training.problem
    reason = ""
    if not isinstance(problem, Benchmark) or type(problem).batch is Benchmark.batch:
        reason = "the samples of this benchmark are not rows of a table"
    elif any(None in array.shape for array in (*spec.inputs.values(), spec.output)):
        reason = "the samples of this benchmark differ in their size"
    elif replicas > 1:
        reason = f"the run has {replicas} devices, and `fit` would use one"
    if reason:
        raise CallError(
            f"{training.own.file}: a model with fit and predict cannot be trained: {reason}",
            untouched=UNTOUCHED,
            hint="return a Keras model, or score the predictions of any program: `sciml-data score`"
            if replicas == 1
            else "--strategy default",
        )
    rows = problem.sizes[problem.parts[0]]
    size = 4 * rows * (_width(spec) + spec.output.size) / MEBIBYTE
    limit = training.settings[MEMORY]
    if size > limit:
        raise CallError(
            f"the training part has {counted(rows, 'row')} of "
            f"{counted(_width(spec), 'feature')}, {size:,.0f} MiB, and the setting "
            f"{MEMORY} is {limit}",
            untouched=UNTOUCHED,
            hint=f"--set {MEMORY}={int(size) + 1} if this computer has as much free memory, or "
            "return a Keras model, which is trained batch by batch",
        )


def _width(spec: ModelSpec) -> int:
    return sum(array.size for array in spec.inputs.values())


def _training_rows(training: OwnTraining) -> tuple[Rows, npt.NDArray[Any]]:
    """Return features and targets of the training part; samples of weight 0 are left out."""
    problem, settings = training.problem, training.settings
    numbers = problem.division.parts[problem.parts[0]]
    size = settings.get("evaluation_batch", settings["batch_size"])
    x = np.empty((len(numbers), _width(training.spec)), np.float32)
    learnt, is_used = [], []
    for start in range(0, len(numbers), size):
        inputs, targets, weights = problem.batch(numbers[start : start + size], None)
        x[start : start + size] = _rows(training.spec, problem.plain(inputs))
        learnt.append(_flat(problem.plain_targets(targets)))
        is_used.append(_flat(weights)[:, 0] > 0)
    y, used = np.concatenate(learnt), np.concatenate(is_used)
    y = y[:, 0] if y.shape[1] == 1 else y
    return (x, y) if used.all() else (x[used], y[used])


def _rows(spec: ModelSpec, plain: Any) -> Rows:
    """Return (row, feature): plain inputs in the order of the specification, flattened, joined."""
    arrays = [plain[name] for name in spec.inputs] if isinstance(plain, dict) else [plain]
    flat = [_flat(array).astype(np.float32, copy=False) for array in arrays]
    return np.concatenate(flat, axis=1) if len(flat) > 1 else flat[0]


def _flat(values: Any) -> npt.NDArray[Any]:
    return np.asarray(values).reshape(len(values), -1)
