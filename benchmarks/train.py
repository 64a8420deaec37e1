"""Training speed of CloudMask's U-Net: the engine's loop, against `fit` of Keras.

Run `python benchmarks/train.py`. It prints patches per second of both, measured in turn in one
process, their ratio, and floating-point operations per second. The loop reads patches from the
ready files of the synthetic sample, as a run does. `fit` gets the same patches as float32 arrays in
memory, so the difference includes the time for reading and decoding. Model (the published U-Net,
1,948,609 parameters, after a normalisation), optimiser, clipping, batch size and precision are the
same. `--backend jax` measures both on JAX.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from goals import report

from sciml_data.bench.interface import load_runner
from sciml_data.bench.run.staging import Sample, stage
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import load_task
from sciml_data.bench.training import backend
from sciml_data.home import find_home
from sciml_data.registry.layout import find_registry

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "xla": {"xla": True},
    "bfloat16": {"precision": "mixed_bfloat16"},
}
ENGINE, FIT = "engine, from disk", "fit, in memory"
GOAL = 0.95  # speed of the engine, relative to `fit`


def main() -> None:
    """Measure both loops in turn for each variant, and print the medians."""
    arguments = _arguments()
    used = backend.choose(arguments.backend)
    backend.current().set_threads(arguments.threads)
    problem, settings = _problem(arguments)
    arrays = [np.concatenate(part) for part in zip(*_batches(problem, settings), strict=True)]
    models = importlib.import_module("sciml_runner_cloudmask.model")
    size = arrays[0].shape[1]
    flop = 6.0 * models.multiply_adds(
        models.reference(), size
    )  # forward pass and two gradients, 2 FLOP each
    print(
        f"{used}, {arguments.threads} threads, {arguments.rounds} rounds of {len(arrays[0])} "
        f"patches of {size} x {size} in batches of {arguments.batch}; "
        f"{flop / 1e9:.1f} GFLOP per patch (a multiplication and an addition are two)"
    )
    for name in arguments.variants.split(","):
        variant = {**settings, **VARIANTS[name]}
        loops = {ENGINE: _engine(problem, variant), FIT: _fit(problem, arrays[:2], variant)}
        _compare(name, loops, count=len(arrays[0]), rounds=arguments.rounds, flop=flop)


def _compare(
    name: str, loops: Mapping[str, Callable[[], object]], *, count: int, rounds: int, flop: float
) -> None:
    """Measure both loops with one variant, and print a line for each."""
    rates: dict[str, list[float]] = {loop: [] for loop in loops}
    spent: dict[str, list[float]] = {loop: [] for loop in loops}
    for run in loops.values():
        run()  # compiles
    for turn in range(rounds):
        for loop in list(loops) if turn % 2 else list(loops)[::-1]:
            began, before = time.perf_counter(), time.process_time()
            loops[loop]()
            rates[loop].append(count / (time.perf_counter() - began))
            spent[loop].append((time.process_time() - before) / count)
    for loop, values in rates.items():
        median = float(np.median(values))
        print(
            f"{name:9} {loop:17} {median:8.2f} patches/s ({min(values):.2f} to {max(values):.2f})  "
            f"{median * flop / 1e9:8,.0f} GFLOP/s  {np.median(spent[loop]):.3f} CPU s/patch"
        )
    wall = np.median([own / other for own, other in zip(rates[ENGINE], rates[FIT], strict=True)])
    cpu = np.median([other / own for own, other in zip(spent[ENGINE], spent[FIT], strict=True)])
    for clock, ratio in (("wall", wall), ("CPU", cpu)):
        report(f"CloudMask's U-Net, {name}: engine / fit, {clock}", float(ratio), at_least=GOAL)


class _FewBatches:
    """A problem with short epochs of `count` batches."""

    def __init__(self, problem: Any, count: int) -> None:
        self._problem, self._count = problem, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return the first `count` batches of an epoch."""
        epoch = self._problem.batches(part, batch_size=batch_size, seed=seed)
        return itertools.islice(epoch, self._count)


def _problem(arguments: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Return CloudMask on its synthetic sample, and the settings of the published model."""
    registry = find_registry()
    task = load_task(registry.runner("cloudmask"))
    overrides = [
        f"patch={arguments.size}",
        f"step={arguments.size}",
        f"batch_size={arguments.batch}",
    ]
    split = task.headline_split
    settings = resolve_settings(task, overrides, model="reference", split=split, is_sample=True)
    source = stage(task, registry, home=find_home(arguments.home), sample=Sample(0), log=print)
    runner = load_runner(registry, "cloudmask")
    problem = runner.prepare(source.dataset, load_split(task.folder, split), settings)
    return _FewBatches(problem, arguments.batches), settings


def _batches(problem: Any, settings: Mapping[str, Any]) -> Any:
    return problem.batches(problem.parts[0], batch_size=settings["batch_size"], seed=0)


def _engine(problem: Any, settings: Mapping[str, Any]) -> Callable[[], object]:
    """Return a function that trains for one epoch with the steps of the engine."""
    import keras

    used = backend.current()
    strategy = used.make_strategy("default", {})
    with strategy.scope():
        model = _build(problem, settings["precision"])
        optimizer = keras.optimizers.Adam(settings["learning_rate"])
        optimizer.build(model.trainable_variables)
    steps = used.make_steps(
        problem, model, optimizer=optimizer, strategy=strategy, settings=settings
    )
    return lambda: steps.train(
        used.distribute_batches(strategy, lambda: _batches(problem, settings))
    )


def _fit(problem: Any, arrays: list[Any], settings: Mapping[str, Any]) -> Callable[[], object]:
    """Return a function that calls `fit` of Keras for one epoch."""
    import keras

    model = _build(problem, settings["precision"])
    model.compile(
        optimizer=keras.optimizers.Adam(
            settings["learning_rate"], global_clipnorm=settings["clip_norm"]
        ),
        loss="binary_crossentropy",
        jit_compile=bool(settings["xla"]) or keras.config.backend() == "jax",
    )
    return lambda: model.fit(*arrays, batch_size=settings["batch_size"], epochs=1, verbose=0)


def _build(problem: Any, precision: str) -> Any:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return problem.build()
    finally:
        keras.config.set_dtype_policy(before)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", choices=list(backend.MODULES), default="tensorflow")
    parser.add_argument("--home", type=Path, help="home folder of the sample")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
