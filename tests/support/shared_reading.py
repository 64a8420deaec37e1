"""Batches and losses of one of several processes, for the tests of runners."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.bench.training.backend import RowCheck
from sciml_data.bench.training.loop import Training, train
from sciml_data.bench.training.tensorflow_backend import _own_batches
from sciml_data.ready.own_rows import OwnRows
from sciml_data.registry.layout import find_registry

PROCESSES = 2


class CountedPredictions:
    """A problem that counts how often this process predicts a part."""

    def __init__(self, problem: Any) -> None:
        self._problem, self.count = problem, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def predict(self, model: Any, part: str) -> Any:
        self.count += 1
        return self._problem.predict(model, part)


def require_own_rows(problem: Any, part: str, *, batch_size: int) -> None:
    """Check that each of two processes reads its rows alone, and gets those of whole batches."""
    import tensorflow as tf

    def make() -> Any:
        return problem.batches(part, batch_size=batch_size, seed=3)

    wholes = list(make())
    for process in range(PROCESSES):
        check, rows = RowCheck(part), OwnRows(process, process + 1, PROCESSES)
        batches = list(_own_batches(make, rows, check))
        assert check.holds
        assert len(batches) == len(wholes)
        unread = 0
        for batch, whole in zip(batches, wholes, strict=True):
            own = rows.of(len(whole[1]))
            arrays = tf.nest.flatten(tuple(batch)), tf.nest.flatten(tuple(whole))
            for made, expected in zip(*arrays, strict=True):
                np.testing.assert_array_equal(np.asarray(made)[own], np.asarray(expected)[own])
                unread += not np.array_equal(made, expected, equal_nan=True)
        assert unread


def tevolop_losses(strategy: Any) -> list[tuple[float, float]]:
    """Return losses of TEvolOp, which cuts the pieces of this process alone."""
    from tests.support.quake_catalogue import quake_catalogue

    overrides = ("dense=3", "units=2", "head=3", "features=own,dates", "batch_size=24", "epochs=2")
    return _losses("tevolop", quake_catalogue(), (*overrides, "blend=false"), strategy)


def uno_losses(strategy: Any) -> list[tuple[float, float]]:
    """Return losses of Uno, of which every process makes whole batches."""
    from tests.support.uno_samples import ready

    widths = ("cell_widths=8", "drug_widths=8", "head_widths=6,5", "process_share=0")
    dropout = ("dropout=0", "input_dropout=0")
    overrides = (*widths, *dropout, "batch_size=64", "epochs=2", "boosting_trees=5")
    return _losses("uno", ready("auc"), overrides, strategy, variant="auc", split="row")


def _losses(
    name: str, data: Any, overrides: tuple[str, ...], strategy: Any, **chosen: str
) -> list[tuple[float, float]]:
    registry = find_registry()
    task = load_task(registry.runner(name))
    if "variant" in chosen:
        task = choose_variant(task, chosen["variant"])
    split = load_split(task.folder, chosen.get("split") or task.headline_split)
    settings = resolve_settings(task, overrides, model=task.default_model, split=split.name)
    problem = load_runner(registry, name).prepare(data, split, settings)
    curve = train(problem, Training(settings, 0, strategy)).progress.curve
    return [(row["train_loss"], row["validation_loss"]) for row in curve]
