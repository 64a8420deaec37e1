"""Speed of Uno's published network: computed for distinct entities, against joined rows.

Run `python benchmarks/uno.py --variant auc` (or `dose`). All contenders train the same network
(16,224,001 or 21,275,001 parameters) on the same rows in the same batches with the engine's loop,
optimiser and loss. They run in turn in one process:

* entity-wise: each tower once for each distinct cell or drug of a batch, as the runner does;
* joined, in memory: all features of each row as float32, gathered from tables in memory;
* joined, from a file: rows that were joined before and written to disk, read with pandas, as the
  published code does (`uno_joined.py`; training only);
* bare arithmetic: the matrix products of the entity-wise network and the optimiser's pass with
  nothing around them (`uno_floor.py`), the least time that it could take. The goal is 0.9 of its
  speed by CPU time.

Tables are random numbers with Uno's numbers of features (`uno_case.py`), in the real sizes (1,593
cells and 1,779 drugs; 2,375 and 46,837) unless `--rows`, `--cells` or `--drugs` are smaller.

The script prints samples per second, ratios of wall time and CPU time, multiply-adds per row
(`uno_work.py`; they bound what sharing can gain), bytes on disk of the ready form and of joined
rows (computed from the real counts, and of a file that it writes), and peak memory.

A round of training includes the start of an epoch, which costs the same for 4 `--steps` as for
1,000. Evaluation is in the runner's own batches.

Dropout is 0, as in the published dose configuration. `--dropout 0.1` is that of AUC: dropout is
drawn for each row, so only the first product of each tower can be shared. `--blocks` trains on
batches with few cells and drugs. `--bfloat16` adds the entity-wise contender in that precision; the
joined contenders stay float32.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from goals import report
from uno_bytes import print_bytes
from uno_case import REAL, make_case
from uno_floor import make_products, make_update, products
from uno_joined import JoinedFile, copy_weights
from uno_work import Network, gain

from sciml_data.bench.training import backend

OURS, BFLOAT16 = "entity-wise", "entity-wise, bfloat16"
MEMORY, FILE = "joined, in memory", "joined, from a file"
FLOOR = "bare arithmetic"  # of the entity-wise network; see `uno_floor.py`
GOAL = 0.9  # of the bare arithmetic's speed, by CPU time


def main() -> None:
    """Measure all contenders and print the results."""
    arguments = _arguments()
    backend.choose(arguments.backend)
    backend.current().set_threads(arguments.threads)
    if arguments.memory_of:
        _use_memory(arguments)
        return
    print_bytes(arguments)
    case = make_case(arguments)
    print(
        f"{arguments.variant}: {len(case.rows.responses.cells):,} cells, "
        f"{len(case.rows.responses.drug_table):,} drugs, dropout {arguments.dropout:g}, "
        f"{'blocks' if arguments.blocks else 'mixed rows'}, {arguments.threads} threads, "
        f"{arguments.rounds} rounds, {arguments.backend}{', XLA' if arguments.xla else ''}, "
        f"load average {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    )
    for size in map(int, arguments.batches.split(",")):
        _compare_training(case, size, arguments)
        if arguments.evaluation_rows:
            _compare_evaluation(case, size, arguments)
    print(f"load average {os.getloadavg()[0]:.0f} at the end")
    for side in (OURS, MEMORY) if arguments.memory else ():
        _measure_memory(side, arguments)


def _compare_training(case: Any, size: int, arguments: argparse.Namespace) -> None:
    module = importlib.import_module("sciml_runner_uno.inputs")
    together = size if arguments.blocks else 0
    order = module.epoch_order(
        case.rows.responses, case.train, rng=np.random.default_rng(1), together=together
    )[: size * arguments.steps]
    batches = list(case.rows.batches(order, batch_size=size))
    title = f"training, batch {size:,}"
    distinct = {
        kind: round(np.mean([len(inputs["shared"][kind]) for inputs, _, _ in batches]))
        for kind in ("cells", "drugs")
    }
    print(f"{title}: {distinct['cells']:,} cells, {distinct['drugs']:,} drugs in a batch")
    print(f"{title}: {_gain(case, distinct, size, training=True)}")
    with tempfile.TemporaryDirectory() as folder:
        file = JoinedFile(Path(folder) / "joined.h5", batches, case.join_inputs)
        loops = {
            OURS: _trainer(case, case.build(), lambda: iter(batches)),
            MEMORY: _trainer(case, case.build_joined(), lambda: map(case.join, batches)),
            FILE: _trainer(case, case.build_joined(), file.read),
        }
        if arguments.bfloat16:
            rounded = case.build("mixed_bfloat16")
            loops[BFLOAT16] = _trainer(case, rounded, lambda: iter(batches))
        if arguments.backend == "tensorflow" and not arguments.dropout:
            loops[FLOOR] = _floor(case, batches, arguments)
        taken, _ = _in_turn(title, loops, len(order), rounds=arguments.rounds)
        _report(f"{'blocks' if arguments.blocks else 'mixed'}, {title}", taken, arguments)
        began = time.perf_counter()
        read = sum(len(targets) for _, targets, _ in file.read())
        seconds = time.perf_counter() - began
        print(
            f"{title}: reading the file only: {read / seconds:,.0f} samples/s "
            f"({file.size_bytes / seconds / 1e6:,.0f} MB/s)"
        )


def _floor(case: Any, batches: list[Any], arguments: argparse.Namespace) -> Callable[[], None]:
    """Return a function that computes the products of training steps, and their updates."""
    import keras

    model, optimizer = case.build(), keras.optimizers.get(case.settings["optimizer"])
    optimizer.build(model.trainable_variables)
    update = make_update(model, optimizer, is_compiled=arguments.xla)
    steps = []
    for inputs, targets, _ in batches:
        distinct = {kind: len(entities) for kind, entities in inputs["shared"].items()}
        wanted = products(_network(case), distinct, len(targets))
        steps.append(make_products(wanted, training=True))

    def run() -> None:
        for step in steps:
            step()
            update()

    return run


def _compare_evaluation(case: Any, size: int, arguments: argparse.Namespace) -> None:
    predict = importlib.import_module("sciml_runner_uno.model").predict_by_entity
    model, joined = case.build(), case.build_joined()
    copy_weights(model, joined)
    rows = case.evaluation
    inputs = case.rows.inputs(rows)
    pieces = [rows[first : first + size] for first in range(0, len(rows), size)]
    forward = _compiled(joined)

    def by_entity(built: Any) -> np.ndarray[Any, Any]:
        return np.asarray(predict(built, inputs))

    def joined_outputs() -> np.ndarray[Any, Any]:
        outputs = [forward(case.join_inputs(case.rows.inputs(piece))) for piece in pieces]
        return np.concatenate([np.asarray(output) for output in outputs])

    loops: dict[str, Callable[[], Any]] = {
        OURS: partial(by_entity, model),
        MEMORY: joined_outputs,
    }
    if arguments.bfloat16:
        rounded = case.build("mixed_bfloat16")
        rounded.set_weights(model.get_weights())
        loops[BFLOAT16] = partial(by_entity, rounded)
    if arguments.backend == "tensorflow":
        counts = {kind: len(entities) for kind, entities in inputs["shared"].items()}
        loops[FLOOR] = make_products(products(_network(case), counts, len(rows)), training=False)
    title = f"evaluation, batch {size:,}"
    distinct = {kind: len(entities) for kind, entities in inputs["shared"].items()}
    print(f"{title}: {distinct['cells']:,} cells, {distinct['drugs']:,} drugs, {len(rows):,} rows")
    print(f"{title}: {_gain(case, distinct, len(rows), training=False)}")
    taken, outputs = _in_turn(title, loops, len(rows), rounds=arguments.rounds)
    _report(title, taken, arguments)
    for side in (name for name in loops if name in (OURS, BFLOAT16)):
        difference = float(np.abs(outputs[side] - outputs[MEMORY]).max())
        deviation = outputs[MEMORY].std()
        print(
            f"{title}: {side}: largest difference of outputs {difference:.2g}, their standard "
            f"deviation {deviation:.2g}"
        )


def _in_turn(
    title: str, loops: Mapping[str, Callable[[], Any]], count: int, *, rounds: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run all contenders in turn, and print rates and ratios.

    Returns:
        (round, 2) wall and CPU seconds of each contender, and the last outputs of each.
    """
    taken: dict[str, list[tuple[float, float]]] = {side: [] for side in loops}
    outputs = {side: run() for side, run in loops.items()}  # compiles
    for turn in range(rounds):
        for side in list(loops) if turn % 2 else list(loops)[::-1]:
            began = time.perf_counter(), time.process_time()
            outputs[side] = loops[side]()
            taken[side].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    seconds = {side: np.array(times) for side, times in taken.items()}
    for side, times in seconds.items():
        rates = count / times[:, 0]
        print(
            f"{title:22} {side:22} {np.median(rates):10,.0f} samples/s ({min(rates):,.0f} to "
            f"{max(rates):,.0f}), CPU ms per sample {np.median(times[:, 1]) / count * 1e3:.3f}"
        )
    for ours in (side for side in loops if side in (OURS, BFLOAT16)):
        for joined in (side for side in loops if side in (MEMORY, FILE, FLOOR)):
            ratios = seconds[joined] / seconds[ours]
            (wall, cpu), low, high = np.median(ratios, 0), ratios.min(0), ratios.max(0)
            print(
                f"{title:22} {ours} / {joined}: {wall:.2f} ({low[0]:.2f} to {high[0]:.2f}), "
                f"by CPU time {cpu:.2f} ({low[1]:.2f} to {high[1]:.2f})"
            )
    return seconds, outputs


def _report(title: str, seconds: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """Print the speed relative to the bare arithmetic, which is measured on TensorFlow only."""
    if FLOOR in seconds:
        ratio = float(np.median(seconds[FLOOR][:, 1] / seconds[OURS][:, 1]))
        report(f"Uno {arguments.variant}, {title} / arithmetic", ratio, at_least=GOAL)


def _gain(case: Any, distinct: Mapping[str, int], count: int, *, training: bool) -> str:
    """Return the multiply-adds of both ways in a sentence."""
    has_dropout = training and case.settings["dropout"] > 0
    return gain(_network(case), distinct, count, training=training, has_dropout=has_dropout)


def _network(case: Any) -> Network:
    responses, settings = case.rows.responses, case.settings
    cells, drugs = (
        tuple(table.shape[1] for table in entities.tables.values())
        for entities in (responses.cells, responses.drug_table)
    )
    tower, head = tuple(settings["tower_widths"]), tuple(settings["head_widths"])
    slots = responses.drugs.shape[1]
    return Network(cells, drugs, tower, head, slots, responses.doses.shape[1])


def _trainer(case: Any, model: Any, batches: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that trains on the batches with the steps of the engine."""
    import keras

    used = backend.current()
    strategy = used.make_strategy("default", {})
    optimizer = keras.optimizers.get(case.settings["optimizer"])
    optimizer.build(model.trainable_variables)
    problem = SimpleNamespace(sample_loss=_squared_errors, samples_in=_count_rows)
    steps = used.make_steps(
        problem, model, optimizer=optimizer, strategy=strategy, settings=case.settings
    )
    return lambda: steps.train(used.distribute_batches(strategy, batches))


def _squared_errors(targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
    from keras import ops

    return ops.sum(ops.square(targets - predictions) * weights), ops.sum(weights)


def _count_rows(weights: Any) -> Any:
    from keras import ops

    return ops.shape(weights)[0]


def _compiled(model: Any) -> Callable[[Any], Any]:
    """Return the forward pass of a model, compiled if the backend is TensorFlow."""
    if backend.name() == "jax":
        return lambda rows: model(rows, training=False)
    import tensorflow as tf

    forward: Callable[[Any], Any] = tf.function(
        lambda rows: model(rows, training=False), reduce_retracing=True
    )
    return forward


def _measure_memory(side: str, arguments: argparse.Namespace) -> None:
    """Print the peak memory of a process that trains and evaluates only one contender."""
    size = max(map(int, arguments.batches.split(",")))
    command = [sys.executable, __file__, "--memory-of", side, "--batches", str(size)]
    for name in ("variant", "cells", "drugs", "rows", "dropout", "threads", "backend"):
        if getattr(arguments, name) is not None:
            command += [f"--{name}", str(getattr(arguments, name))]
    command += ["--evaluation-rows", str(4 * size), *(["--blocks"] if arguments.blocks else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(f"peak memory, batch {size}, {side:12} {done.stdout.strip()}")


def _use_memory(arguments: argparse.Namespace) -> None:
    """Train and evaluate one contender, and print the peak memory of this process (Linux)."""
    case = make_case(arguments)
    size = max(map(int, arguments.batches.split(",")))
    module = importlib.import_module("sciml_runner_uno.inputs")
    together = size if arguments.blocks else 0
    order = module.epoch_order(
        case.rows.responses, case.train, rng=np.random.default_rng(1), together=together
    )[: 2 * size]
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the recorded peak
    before = _peak()
    batches = list(case.rows.batches(order, batch_size=size))
    if arguments.memory_of == OURS:
        model = case.build()
        _trainer(case, model, lambda: iter(batches))()
        predict = importlib.import_module("sciml_runner_uno.model").predict_by_entity
        predict(model, case.rows.inputs(case.evaluation), batch_size=size)
    else:
        model = case.build_joined()
        _trainer(case, model, lambda: map(case.join, batches))()
        forward = _compiled(model)
        for first in range(0, len(case.evaluation), size):
            forward(case.join_inputs(case.rows.inputs(case.evaluation[first : first + size])))
    peak = _peak()
    print(f"{peak / 1e6:.2f} GB, {(peak - before) / 1e6:.2f} GB more than the tables")


def _peak() -> int:
    """Return the peak memory of this process in kB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variant", choices=list(REAL), default="auc")
    parser.add_argument("--backend", choices=list(backend.MODULES), default="tensorflow")
    parser.add_argument("--batches", default="512,4096", help="batch sizes, separated by commas")
    parser.add_argument("--cells", type=int, help="number of cells (the real number by default)")
    parser.add_argument("--drugs", type=int, help="number of drugs (the real number by default)")
    parser.add_argument("--rows", type=int, help="number of rows (the real number by default)")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument(
        "--blocks", action="store_true", help="use batches with few cells and drugs"
    )
    parser.add_argument(
        "--xla", action="store_true", help="compile training of all contenders with XLA"
    )
    parser.add_argument("--steps", type=int, default=4, help="training steps in one round")
    parser.add_argument("--evaluation-rows", type=int, default=52_994)
    parser.add_argument(
        "--file-share", type=int, default=10, help="write 1/N of the rows to the file"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bfloat16", action="store_true", help="measure entity-wise in bfloat16 too"
    )
    parser.add_argument("--memory", action="store_true", help="measure peak memory too")
    parser.add_argument("--memory-of", choices=(OURS, MEMORY), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
