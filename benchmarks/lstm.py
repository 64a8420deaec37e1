"""Training speed of the TEvolOp LSTM: pieces that are read in batches, against stored windows.

Run `python benchmarks/lstm.py`. It prints samples per second of both loops, measured in turn in one
process, and their ratio. A sample is one forecast: one location at one time.

The other loop reimplements the training of the published notebook (laszewsk/mlcommons,
FFFFWNPF-EARTHQDGX-Transformer1.ipynb, cells 121 to 123 and 196): each window of 26 times is copied
into memory, a batch is one window of each location, and only the last time of a window is forecast.
Model, optimiser, features, precision and machine are the same in both. It runs with the notebook's
batch of 400 windows, and with a batch of as many samples as ours, because large batches are faster.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from goals import report

from sciml_data.bench.interface import load_runner
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.registry.layout import find_registry

FEATURES = 33  # of the default settings of the temporal split
WINDOWS = 8  # outputs
SEQUENCE = 26  # published length of an input window (Tseq)
PUBLISHED_BATCH = 400
NAMES = [f"feature_{index}" for index in range(FEATURES)]
WARM_UP_STEPS = 3  # compilation, and the first memory allocations
PIECES = "pieces"


def main() -> None:
    """Measure both loops in turn and print the medians."""
    arguments = _arguments()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    load_runner(find_registry(), "tevolop")
    task = load_task(find_registry().runner("tevolop"))
    settings = resolve_settings(task, model="residual-lstm", split=task.headline_split)
    rng = np.random.default_rng(0)
    series = rng.normal(size=(arguments.locations, arguments.times, FEATURES)).astype(np.float32)
    targets = rng.normal(size=(*series.shape[:2], WINDOWS)).astype(np.float32)

    began = time.perf_counter()
    windows, answers = _stored_windows(series, targets)
    print(
        f"stored windows: {windows.nbytes / 1e6:,.0f} MB in {time.perf_counter() - began:.1f} s, "
        f"from {series.nbytes / 1e6:,.0f} MB"
    )
    loops = {PIECES: _pieces(series, targets, settings, arguments.batches)}
    for batch in (PUBLISHED_BATCH, settings["batch_size"] * settings["piece"]):
        trainer = _Trainer(settings, SEQUENCE, arguments.batches)
        loops[f"stored windows, batch {batch}"] = _windows(windows, answers, batch, trainer)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(arguments.rounds):
        for name, loop in loops.items():
            rates[name].append(loop())
    ours = float(np.median(rates[PIECES]))
    print(f"{arguments.threads} threads, {arguments.rounds} rounds of {arguments.batches} batches")
    for name, values in rates.items():
        median = float(np.median(values))
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name:34} {median:10,.0f} samples/s ({spread})")
        if name != PIECES:
            report(f"TEvolOp's LSTM: pieces / {name}", ours / median)


def _pieces(
    series: Any, targets: Any, settings: Mapping[str, Any], batches: int
) -> Callable[[], float]:
    """Return a function that trains on some batches of pieces and returns samples per second."""
    pieces = importlib.import_module("sciml_runner_tevolop.pieces")
    count, times = series.shape[:2]
    warmup, scored = settings["warmup"], settings["piece"]
    cut = pieces.Pieces(
        features=series,
        base=np.zeros_like(targets),
        targets=targets,
        weights=np.ones_like(targets),
        times=np.arange(warmup, times - 1),
        order=np.arange(count),
        locations=1,
        warmup=warmup,
        scored=scored,
    )

    def data() -> Iterator[Any]:
        while True:
            yield from cut.batches(settings["batch_size"], np.random.default_rng(0))

    return _Trainer(settings, warmup + scored, batches).over(data())


def _windows(windows: Any, answers: Any, batch: int, trainer: _Trainer) -> Callable[[], float]:
    """Return a function that trains on some batches of windows and returns samples per second."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    weights = np.zeros((batch, 1, SEQUENCE, WINDOWS), np.float32)
    weights[:, :, -1] = 1.0
    base = np.zeros((batch, 1, SEQUENCE, WINDOWS), np.float32)
    target = np.zeros_like(base)

    def data() -> Iterator[Any]:
        while True:
            chosen = rng.integers(len(windows), size=batch)
            target[:, 0, -1] = answers[chosen]
            inputs = {"series": tf.constant(windows[chosen][:, None]), "base": tf.constant(base)}
            yield inputs, tf.constant(target), tf.constant(weights)

    return trainer.over(data())


class _Trainer:
    """A new model and optimiser for series of one length."""

    def __init__(self, settings: Mapping[str, Any], length: int, batches: int) -> None:
        import keras

        models = importlib.import_module("sciml_runner_tevolop.model")
        keras.utils.set_random_seed(0)
        self.batches = batches
        self.model = models.build_model(settings, names=NAMES, locations=1, length=length)
        self.optimizer = keras.optimizers.Adam(1e-3)
        self.optimizer.build(self.model.trainable_variables)

    def over(self, data: Iterator[Any]) -> Callable[[], float]:
        """Return a function that trains on some batches and returns samples per second."""
        import tensorflow as tf

        step = tf.function(self._step, reduce_retracing=True)
        for _ in range(WARM_UP_STEPS):
            step(*next(data))

        def measure() -> float:
            began = time.perf_counter()
            samples = sum(int(step(*next(data))) for _ in range(self.batches))
            return samples / (time.perf_counter() - began)

        return measure

    def _step(self, inputs: Any, targets: Any, weights: Any) -> Any:
        import tensorflow as tf

        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            error = (targets - self.model(inputs, training=True)) * weights
            loss = tf.reduce_sum(tf.square(error)) / tf.reduce_sum(weights)
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return tf.reduce_sum(tf.cast(weights[..., 0] > 0, tf.int32))


def _stored_windows(series: Any, targets: Any) -> tuple[Any, Any]:
    """Return copies of all windows (sample, 26, feature), and their targets (sample, 8)."""
    view = np.lib.stride_tricks.sliding_window_view(series, SEQUENCE, axis=1)
    windows = np.ascontiguousarray(view.transpose(0, 1, 3, 2)).reshape(-1, SEQUENCE, FEATURES)
    return windows, targets[:, SEQUENCE - 1 :].reshape(-1, WINDOWS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--locations", type=int, default=100)
    parser.add_argument("--times", type=int, default=1801)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
