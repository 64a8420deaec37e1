"""The contract suite of a benchmark: its problem keeps what the training loop relies on.

    from sciml_data.testing import ProblemContract

    class TestWater(ProblemContract):
        def problem(self, folder):
            runner = load_runner(find_registry("registry"), "water")
            return runner.prepare(data, split, settings)

The suite trains nothing. It builds the model once, predicts each part, and takes a minute for a
small benchmark.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sciml_data.bench import Predictions, Problem, check_problem
from sciml_data.ready.own_rows import OwnRows, batches_with


class ProblemContract:
    """A prepared benchmark; see `sciml_data.bench.Problem` and docs/how-to/extend/benchmark.md.

    Attributes:
        batch_size: of the batches that are read.
    """

    batch_size: ClassVar[int] = 16

    def problem(self, folder: Path) -> Any:
        """Return the problem of a small dataset and a split, as the runner's `prepare` does.

        Args:
            folder: an empty folder for data.
        """
        raise NotImplementedError  # the suite of a third party has its own

    @pytest.fixture(scope="class")
    @classmethod
    def prepared(cls, tmp_path_factory: pytest.TempPathFactory) -> Problem:
        """Return the problem, which all tests share."""
        return check_problem(cls().problem(tmp_path_factory.mktemp("problem")), "contract")

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, prepared: Problem) -> Any:
        """Return an untrained model."""
        import keras

        keras.utils.set_random_seed(0)
        return prepared.build()

    def test_parts_have_samples(self, prepared: Problem) -> None:
        """Each part of the split has a name of its own, and at least one sample."""
        assert len(set(prepared.parts)) == len(prepared.parts) > 1
        assert set(prepared.sizes) == set(prepared.parts)
        assert all(int(size) > 0 for size in prepared.sizes.values()), dict(prepared.sizes)

    def test_an_epoch_has_every_sample_once(self, prepared: Problem) -> None:
        """Batches are at most of the requested size in training, and their samples add up."""
        train = prepared.parts[0]
        counts = [int(prepared.samples_in(batch[2])) for batch in self._epoch(prepared, train, 0)]

        assert sum(counts) == prepared.sizes[train]
        assert max(counts) <= self.batch_size

    def test_equal_seeds_give_equal_batches_and_others_another_order(
        self, prepared: Problem
    ) -> None:
        """A resumed run continues with the batches that it would have had."""
        train = prepared.parts[0]
        first, again, other = (self._first(prepared, train, seed) for seed in (3, 3, 4))

        assert _equal(first, again)
        if prepared.sizes[train] > self.batch_size:
            assert not _equal(first, other), "the training part has one order for all seeds"

    def test_axes_of_a_batch_agree(self, prepared: Problem) -> None:
        """The first axis of inputs, targets and weights is the batch."""
        inputs, targets, weights = self._first(prepared, prepared.parts[0], 0)
        own = (
            {k: v for k, v in inputs.items() if k != "shared"}
            if isinstance(inputs, dict)
            else inputs
        )
        lengths = {
            len(np.asarray(array)) for part in (own, targets, weights) for array in _leaves(part)
        }

        assert len(lengths) == 1, lengths

    def test_a_row_of_a_batch_depends_on_its_own_sample_alone(self, prepared: Problem) -> None:
        """Each of several processes reads its own rows, or the class has READS_OWN_ROWS = False."""
        if not getattr(prepared, "READS_OWN_ROWS", True):
            return
        for part in prepared.parts:
            for process in range(2):
                rows = OwnRows(process, process + 1, 2)
                read = batches_with(rows, self._epoch(prepared, part, 5))
                for whole, made in zip(self._epoch(prepared, part, 5), read, strict=True):
                    own = rows.of(len(_leaves(whole[1])[0]))
                    assert _equal(*(_rows(batch, own) for batch in (whole, made))), part

    def test_a_sample_of_weight_0_adds_nothing_to_the_loss(
        self, prepared: Problem, model: Any
    ) -> None:
        """Batches are filled up with such samples where a device needs equal sizes."""
        inputs, targets, weights = self._first(prepared, prepared.parts[0], 0)
        outputs = model(inputs, training=False)
        nothing = _mapped(weights, np.zeros_like)

        loss, total = (float(value) for value in prepared.sample_loss(targets, outputs, weights))
        zero, no_weight = (float(v) for v in prepared.sample_loss(targets, outputs, nothing))

        assert math.isfinite(loss)
        assert total > 0
        assert (zero, no_weight) == (0, 0)

    def test_the_loss_is_a_sum_over_samples(self, prepared: Problem, model: Any) -> None:
        """Replicas add their sums: twice the weight is twice the loss."""
        inputs, targets, weights = self._first(prepared, prepared.parts[0], 0)
        outputs = model(inputs, training=False)
        twice = _mapped(weights, lambda array: 2 * array)

        single = [float(value) for value in prepared.sample_loss(targets, outputs, weights)]
        double = [float(value) for value in prepared.sample_loss(targets, outputs, twice)]

        np.testing.assert_allclose(double, [2 * value for value in single], rtol=1e-4)

    def test_predictions_are_the_same_each_time(self, prepared: Problem, model: Any) -> None:
        """Scores can be recomputed from stored predictions only if these are deterministic."""
        for part in prepared.parts:
            first, second = prepared.predict(model, part), prepared.predict(model, part)
            np.testing.assert_array_equal(first.predicted, second.predicted)
            np.testing.assert_array_equal(first.observed, second.observed)
            assert 0 < first.observed.shape[0] <= prepared.sizes[part]

    def test_scores_are_numbers(self, prepared: Problem, model: Any) -> None:
        """A key is `metric` or `metric.variant`."""
        scores = prepared.score(prepared.predict(model, prepared.parts[-1]))

        assert scores
        assert all(isinstance(float(score), float) for score in scores.values()), dict(scores)

    def test_perfect_predictions_have_finite_scores(self, prepared: Problem, model: Any) -> None:
        """Observed values can be scored against themselves."""
        given = prepared.predict(model, prepared.parts[-1])
        if given.observed.shape != given.predicted.shape or given.observed.dtype.kind != "f":
            return
        perfect = Predictions(given.observed, given.observed.copy(), given.coords)

        assert all(math.isfinite(score) for score in prepared.score(perfect).values())

    def test_baselines_are_predictions_of_the_same_samples(
        self, prepared: Problem, model: Any
    ) -> None:
        """A score means little without the score of a forecast that learns nothing."""
        baselines = prepared.baselines()

        assert baselines, "a benchmark has at least one baseline"
        for name, parts in baselines.items():
            assert set(parts) <= set(prepared.parts), name
            part = prepared.parts[-1]
            if part in parts:
                own = prepared.predict(model, part)
                np.testing.assert_array_equal(parts[part].observed, own.observed, err_msg=name)

    def test_diagnostics_are_json(self, prepared: Problem) -> None:
        """The record has them."""
        from sciml_data.bench.record.record import as_json

        assert json.dumps(as_json(prepared.diagnostics()), allow_nan=False)

    def _epoch(self, problem: Problem, part: str, seed: int) -> Any:
        return iter(problem.batches(part, batch_size=self.batch_size, seed=seed))

    def _first(self, problem: Problem, part: str, seed: int) -> tuple[Any, Any, Any]:
        inputs, targets, weights = next(self._epoch(problem, part, seed))
        return inputs, targets, weights


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _rows(batch: Any, own: slice) -> Any:
    """Return rows of a batch, and its shared inputs whole."""
    inputs, *others = batch
    shared = inputs.get("shared") if isinstance(inputs, dict) else None
    if shared is not None:
        inputs = {name: value for name, value in inputs.items() if name != "shared"}
    return shared, _mapped((inputs, *others), lambda array: array[own])


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_mapped(item, change) for item in value)
    return change(np.asarray(value))


def _equal(first: Any, second: Any) -> bool:
    pairs = zip(_leaves(first), _leaves(second), strict=True)
    return all(_equal_arrays(np.asarray(a), np.asarray(b)) for a, b in pairs)


def _equal_arrays(first: Any, second: Any) -> bool:
    return np.array_equal(first, second, equal_nan=first.dtype.kind in "fc")
