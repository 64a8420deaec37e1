"""A user's own Keras model in the place of a benchmark's model.

A benchmark calls its model with the inputs of its batches, such as numbers of cells and drugs. A
user's model gets plain arrays. `Adapted` converts inputs and outputs with the benchmark's `plain`
and `finish`. The model is made and called on a batch before anything is trained, so that a mistake
shows at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from sciml_data.bench.interface import ModelSpec
from sciml_data.bench.record.record import KERAS
from sciml_data.bench.training.own_model import (
    UNTOUCHED,
    OwnModel,
    failures_named,
    make,
)
from sciml_data.errors import CallError
from sciml_data.progress import counted


class Adapted(keras.Model):  # type: ignore[misc] # Keras ships no types
    """A user's Keras model that a benchmark calls with the inputs of its batches.

    Attributes:
        body: the user's model.
    """

    def __init__(self, body: Any, problem: Any) -> None:
        # The body casts its inputs itself; indices and coordinates keep their precision.
        super().__init__(name=body.name, autocast=False)
        self.body = body
        self._plain, self._finish = problem.plain, problem.finish

    def call(self, inputs: Any) -> Any:
        """Return the outputs for a batch; Keras tells the body whether it is trained."""
        return self._finish(self.body(self._plain(inputs)))


@dataclass(frozen=True)
class OwnTraining:
    """A user's own model on a benchmark.

    Attributes:
        own: the model.
        problem: of the benchmark.
        settings: of the run.
    """

    own: OwnModel
    problem: Any
    settings: Mapping[str, Any]

    @cached_property
    def spec(self) -> ModelSpec:
        """Return the shapes of the benchmark.

        Raises:
            CallError: the benchmark does not describe them.
        """
        if not hasattr(self.problem, "specification"):
            raise CallError(
                "this benchmark trains its own models only: its problem "
                f"{type(self.problem).__name__} has no method `specification`",
                untouched=UNTOUCHED,
                hint="a runner that is a sciml_data.bench.Benchmark has it",
            )
        spec: ModelSpec = self.problem.specification()
        return spec

    def check(self) -> str:
        """Make the model once before anything is trained, and return its kind.

        Raises:
            CallError: the model fails on a batch, or its output has another shape.
        """
        body, kind = make(self.own, self.spec, self.settings, seed=0)
        if kind == KERAS:
            self._checked(body)
        return kind

    def build(self, seed: int) -> Any:
        """Return a new, built Keras model for the benchmark."""
        return self._checked(make(self.own, self.spec, self.settings, seed)[0])

    def _checked(self, body: Any) -> Adapted:
        """Return the adapted model, built by calling it on a batch."""
        model, (inputs, targets) = Adapted(body, self.problem), self._batch
        with failures_named(self.own, "calling the model on a batch"):
            outputs = body(self.problem.plain(inputs))
            lengths = np.shape(targets)[1:]  # of the axes that may have any length
            expected = tuple(
                lengths[axis] if length is None else length
                for axis, length in enumerate(self.spec.output.shape)
            )
            check_shape(self, outputs.shape, (len(outputs), *expected), UNTOUCHED)
            self._check_causal(body, self.problem.plain(inputs), np.asarray(outputs))
            model(inputs)
        return model

    def _check_causal(self, body: Any, plain: Any, outputs: Any) -> None:
        """Check that the second half of the times does not change outputs of the first half.

        Raises:
            CallError: it does, so that a forecast would know what it forecasts.
        """
        axis = self.spec.time_axis
        if axis is None:
            return
        half = outputs.shape[axis] // 2
        is_late = np.arange(outputs.shape[axis]) >= half

        def changed(array: Any) -> Any:
            values = np.moveaxis(np.array(array), axis, 0)
            values[is_late] = 1 - values[is_late]
            return np.moveaxis(values, 0, axis)

        other = np.asarray(body(keras.tree.map_structure(changed, plain)))
        before, after = (values.take(range(half), axis) for values in (outputs, other))
        if not np.allclose(before, after, rtol=1e-4, atol=1e-4):  # rounding is smaller
            raise CallError(
                f"{self.own.file}: outputs depend on later inputs, so that forecasts would know "
                "what they forecast",
                untouched=UNTOUCHED,
                hint='use layers that look back only, such as LSTM, or Conv1D(padding="causal")',
            )

    @cached_property
    def _batch(self) -> tuple[Any, Any]:
        """Return inputs and targets of one batch of the training part."""
        part, size = self.problem.parts[0], self.settings["batch_size"]
        batches = iter(self.problem.batches(part, batch_size=size, seed=0))
        inputs, targets, _ = next(batches)
        getattr(batches, "close", lambda: None)()  # ends the threads that read ahead
        return inputs, targets


def check_shape(training: OwnTraining, given: Any, expected: Any, untouched: str = "") -> None:
    """Check the shape of outputs: (sample, ...).

    Raises:
        CallError: it is not the expected one.
    """
    if tuple(given) != expected:
        raise CallError(
            f"{training.own.file}: the output for {counted(expected[0], 'sample')} has the shape "
            f"{tuple(given)}; {expected} is expected: {training.spec.output.meaning}",
            untouched=untouched,
        )
