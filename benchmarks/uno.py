"""Speed of Uno's published network: computed for entities, against computed for joined rows.

Run `python benchmarks/uno.py --variant auc` (or `dose`). Both sides train the same network
(16,224,001 or 21,275,001 parameters) on the same rows in the same batches with the engine's loop,
optimiser and loss, and are measured in turn in one process. The joined side is handed every
feature of every row as float32, gathered from tables in memory, which is faster than any file
would give them. Tables are random numbers at Uno's widths; sizes are those of the real data
(1,593 cells and 1,779 drugs; 2,375 and 46,837) unless `--rows`, `--cells`, `--drugs` say less.

It prints samples a second and ratios for training and evaluation, what the ready form takes on
disk against joined rows (from the real counts, and of a file that it writes), and peak memory.
Dropout is 0, as in the published dose configuration, or `--dropout 0.1`, as in that of AUC: noise
is drawn for each row, so only the towers' first product can be shared then. `--blocks` trains on
batches of few cells and drugs on both sides.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sciml_data.bench import backend
from sciml_data.bench.runner import load_runner
from sciml_data.bench.settings import resolve_settings
from sciml_data.bench.task import load_task
from sciml_data.bench.variants import choose
from sciml_data.registry import find_registry

GENES, DESCRIPTORS, BITS = 942, 5270, 2048
# Rows, cells and drugs after the join; share, cells, drugs and whether pairs, of the dose variant's
# sources: NCI60, ALMANAC, CTRP, GDSC, CCLE with gCSI (ECP-CANDLE/Benchmarks, Pilot1/Uno/README.md).
REAL = {"auc": (529_940, 1_593, 1_779), "dose": (25_303_046, 2_375, 46_837)}
SOURCES = (
    (0.6794, 59, 46_272, False),
    (0.1408, 60, 101, True),
    (0.1343, 812, 311, False),
    (0.0404, 672, 213, False),
    (0.0051, 474, 38, False),
)
OURS, JOINED = "entity-wise", "joined"


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    backend.choose(arguments.backend)
    backend.current().set_threads(arguments.threads)
    if arguments.memory_of:
        _use_memory(arguments)
        return
    _print_bytes(arguments)
    case = _case(arguments)
    print(
        f"{arguments.variant}: {len(case.rows.responses.cells):,} cells, "
        f"{len(case.rows.responses.drug_table):,} drugs, dropout {arguments.dropout:g}, "
        f"{'blocks' if arguments.blocks else 'mixed rows'}, {arguments.threads} threads, "
        f"{arguments.rounds} rounds, {arguments.backend}{', XLA' if arguments.xla else ''}"
    )
    for size in map(int, arguments.batches.split(",")):
        _compare_training(case, size, arguments)
        _compare_evaluation(case, size, arguments)
    for side in (OURS, JOINED):
        _measure_memory(side, arguments)


def _compare_training(case: Any, size: int, arguments: argparse.Namespace) -> None:
    module = importlib.import_module("sciml_runner_uno.batches")
    together = size if arguments.blocks else 0
    order = module.epoch_order(
        case.rows.responses, case.train, rng=np.random.default_rng(1), together=together
    )[: size * arguments.steps]
    batches = list(case.rows.batches(order, batch_size=size))
    named = np.mean([[len(part) for part in x["shared"].values()] for x, _, _ in batches], axis=0)
    loops = {
        OURS: _trainer(case, case.build(), lambda: iter(batches)),
        JOINED: _trainer(case, case.build_joined(), lambda: map(case.join, batches)),
    }
    note = f"{named[0]:,.0f} cells, {named[1]:,.0f} drugs in a batch"
    _in_turn(f"training, batch {size}", loops, len(order), rounds=arguments.rounds, note=note)


def _compare_evaluation(case: Any, size: int, arguments: argparse.Namespace) -> None:
    runner = importlib.import_module("sciml_runner_uno.runner")
    model, joined = case.build(), case.build_joined()
    importlib.import_module("sciml_runner_uno.joined").copy_weights(model, joined)
    rows = case.judged
    inputs = case.rows.inputs(rows)
    pieces = [rows[first : first + size] for first in range(0, len(rows), size)]
    forward = _compiled(joined)

    def ours() -> np.ndarray[Any, Any]:
        return np.concatenate(list(runner.entity_wise(model, inputs, batch_size=size)))

    def theirs() -> np.ndarray[Any, Any]:
        found = [forward(case.join_inputs(case.rows.inputs(piece))) for piece in pieces]
        return np.concatenate([np.asarray(one) for one in found])

    found = _in_turn(
        f"evaluation, batch {size}",
        {OURS: ours, JOINED: theirs},
        len(rows),
        rounds=arguments.rounds,
        note=f"{len(inputs['shared']['cells']):,} cells and {len(inputs['shared']['drugs']):,} "
        f"drugs, once, for {len(rows):,} rows",
    )
    difference = float(np.abs(found[OURS] - found[JOINED]).max())
    print(f"{'':30} largest difference of outputs {difference:.2g}, s.d. {found[JOINED].std():.2g}")


def _in_turn(
    what: str, loops: Mapping[str, Callable[[], Any]], count: int, *, rounds: int, note: str
) -> dict[str, Any]:
    """Run both by turns, print a line for each and the ratio; return what they gave last."""
    rates: dict[str, list[float]] = {side: [] for side in loops}
    found = {side: run() for side, run in loops.items()}  # compiles
    for turn in range(rounds):
        for side in list(loops) if turn % 2 else list(loops)[::-1]:
            began = time.perf_counter()
            found[side] = loops[side]()
            rates[side].append(count / (time.perf_counter() - began))
    for side, values in rates.items():
        print(
            f"{what:22} {side:12} {np.median(values):12,.0f} samples/s "
            f"({min(values):,.0f} to {max(values):,.0f})"
        )
    ratios = [one / other for one, other in zip(rates[OURS], rates[JOINED], strict=True)]
    print(
        f"{what:22} ratio {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); {note}"
    )
    return found


def _trainer(case: Any, model: Any, batches: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that trains on the batches as `loop.py` does."""
    import keras

    used = backend.current()
    strategy = used.make_strategy("default", {})
    optimizer = keras.optimizers.get(case.settings["optimizer"])
    optimizer.build(model.trainable_variables)
    problem = SimpleNamespace(sample_loss=_squared_errors, samples_in=_count_rows)
    steps = used.make_steps(
        problem, model, optimizer=optimizer, strategy=strategy, settings=case.settings
    )
    return lambda: steps.train(used.share(strategy, batches))


def _squared_errors(targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
    from keras import ops

    return ops.sum(ops.square(targets - predictions) * weights), ops.sum(weights)


def _count_rows(weights: Any) -> Any:
    from keras import ops

    return ops.shape(weights)[0]


def _compiled(model: Any) -> Callable[[Any], Any]:
    if backend.name() == "jax":
        return lambda rows: model(rows, training=False)
    import tensorflow as tf

    forward: Callable[[Any], Any] = tf.function(
        lambda rows: model(rows, training=False), reduce_retracing=True
    )
    return forward


def _case(arguments: argparse.Namespace) -> Any:
    """Return tables, rows and makers of both networks, all from seed 0."""
    registry = find_registry()
    load_runner(registry, "uno")
    modules = {
        name: importlib.import_module(f"sciml_runner_uno.{name}")
        for name in ("data", "batches", "models", "towers", "joined")
    }
    task = choose(load_task(registry.runner("uno")), arguments.variant)
    changed = [f"dropout={arguments.dropout}", "batch_size=512", f"xla={arguments.xla}"]
    settings = resolve_settings(task, changed, model="reference", split="row")
    settings |= {"knows": [], "output_scale": 1.0}
    responses = _responses(modules["data"], arguments)
    cells, drugs = responses.cells.tables, responses.drug_table.tables
    rows = modules["batches"].Rows(
        responses, base=np.zeros(len(responses), "f4"), dose_scale=None, doubles=True,
        is_padded=backend.name() == "jax",
    )  # fmt: skip
    has_doses = arguments.variant == "dose"

    def join_inputs(inputs: Any) -> Any:
        return modules["joined"].joined_rows(cells, drugs, inputs)

    return SimpleNamespace(
        settings=settings,
        rows=rows,
        train=np.arange(len(responses)),
        judged=_judged(responses, arguments.evaluation_rows),
        join_inputs=join_inputs,
        join=lambda batch: (tuple(join_inputs(batch[0])), *batch[1:]),
        build=lambda: modules["models"].build_model(
            settings, modules["towers"].Tables(cells, drugs), has_doses=has_doses, has_pairs=False
        ),
        build_joined=lambda: modules["joined"].joined_model(
            {name: table.shape[1] for name, table in cells.items()},
            {name: table.shape[1] for name, table in drugs.items()},
            tower_widths=settings["tower_widths"],
            head_widths=settings["head_widths"],
            has_doses=has_doses,
            dropout=arguments.dropout,
        ),
    )


def _responses(data: Any, arguments: argparse.Namespace) -> Any:
    """Return random tables at Uno's widths, and rows that are spread as the real ones are."""
    random = np.random.default_rng(0)
    _, cells, drugs = REAL[arguments.variant]
    cells, drugs = arguments.cells or cells, arguments.drugs or drugs
    count = arguments.rows or REAL[arguments.variant][0]
    tables = {"descriptors": random.standard_normal((drugs, DESCRIPTORS), np.float32)}
    if arguments.variant == "dose":
        tables["fingerprints"] = (random.random((drugs, BITS), np.float32) < 0.1).astype(np.uint8)
    expression = {"expression": random.standard_normal((cells, GENES), np.float32)}
    cell, slots = _spread(random, count, arguments.variant, (cells, drugs))
    doses = random.uniform(4, 10, slots.shape).astype(np.float32)
    doses = np.where(slots < 0, np.nan, doses) if arguments.variant == "dose" else doses[:, :0]
    return data.Responses(
        variant=arguments.variant,
        target=random.normal(0.8, 0.15, count).astype(np.float32),
        cell=cell.astype(np.int32),
        drugs=slots.astype(np.int32),
        doses=doses.astype(np.float32),
        source=np.zeros(count, np.int32),
        study=np.zeros(count, np.int32),
        published=None,
        sources=("RANDOM",),
        studies=("RANDOM",),
        cells=_entities(data, "cell", expression),
        drug_table=_entities(data, "drug", tables),
        notes={},
    )


def _judged(responses: Any, count: int) -> Any:
    """Return rows to evaluate on: any of AUC, as published; of doses all rows of some drugs.

    A part of the real data holds some 540 rows of each of its drugs, and 30 of AUC.
    """
    random = np.random.default_rng(2)
    if responses.variant == "auc":
        return np.sort(random.choice(len(responses), min(count, len(responses)), replace=False))
    rank = random.permutation(len(responses.drug_table))[responses.drugs[:, 0]]
    return np.sort(np.argpartition(rank, min(count, len(rank) - 1))[:count])


def _spread(
    random: np.random.Generator, count: int, variant: str, sizes: tuple[int, int]
) -> tuple[Any, Any]:
    """Return cell (row,) and drugs (row, slot): even for AUC, by source for doses."""
    cells, drugs = sizes
    if variant == "auc":
        return random.integers(0, cells, count), random.integers(0, drugs, (count, 1))
    shares, most_cells, most_drugs, is_pair = (
        np.array(column) for column in zip(*SOURCES, strict=True)
    )
    source = random.choice(len(SOURCES), count, p=shares / shares.sum())
    first = np.minimum(np.cumsum(most_cells) - most_cells, cells - 1)
    cell = (first[source] + random.integers(0, most_cells[source])) % cells
    start = np.minimum(np.cumsum(most_drugs) - most_drugs, drugs - 1)
    width = np.minimum(most_drugs, drugs)
    slots = (start[source, None] + random.integers(0, width[source, None], (count, 2))) % drugs
    slots[~is_pair[source], 1] = -1
    return cell, slots


def _entities(data: Any, kind: str, tables: Mapping[str, Any]) -> Any:
    count = len(next(iter(tables.values())))
    ids = tuple(f"{kind}.{number}" for number in range(count))
    return data.Entities(ids, ids, tables, np.arange(count))


def _print_bytes(arguments: argparse.Namespace) -> None:
    """Print joined rows against the ready form: the real counts, and a file written here."""
    variant = arguments.variant
    rows, cells, drugs = REAL[variant]
    joined, table, of_row = _sizes(variant, cells, drugs)
    print(
        f"{variant}, {rows:,} rows, {cells:,} cells, {drugs:,} drugs: joined float32 "
        f"{rows * joined / 1e9:,.2f} GB, rows and tables {(rows * of_row + table) / 1e9:,.3f} GB, "
        f"{rows * joined / (rows * of_row + table):,.0f} times smaller (computed)"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ready.nc"
        count, cells, drugs = _write_ready(path, arguments)
        joined, _, _ = _sizes(variant, cells, drugs)
        size = path.stat().st_size
        print(
            f"{variant}, {count:,} rows, {cells:,} cells, {drugs:,} drugs of noise: joined float32 "
            f"{count * joined / 1e9:,.2f} GB, ready file {size / 1e9:,.4f} GB, "
            f"{count * joined / size:,.0f} times smaller (file written)"
        )


def _sizes(variant: str, cells: int, drugs: int) -> tuple[int, int, int]:
    """Return bytes of a joined row, of the tables, and of a row of indices in the ready form."""
    slots = 2 if variant == "dose" else 1
    of_drug = DESCRIPTORS + (BITS if variant == "dose" else 0)
    joined = 4 * (GENES + slots * (of_drug + (1 if variant == "dose" else 0)))
    table = 4 * (cells * GENES + drugs * DESCRIPTORS) + (drugs * BITS // 8 if slots > 1 else 0)
    of_row = 2 + 2 * slots + 1 + 2 + 4 + (8 if variant == "dose" else 0)
    return joined, table, of_row


def _write_ready(path: Path, arguments: argparse.Namespace) -> tuple[int, int, int]:
    """Write a ready file of a tenth of the real entities and as many rows for each of them."""
    from sciml_data import responses as form

    random = np.random.default_rng(0)
    rows, cells, drugs = (number // arguments.file_share for number in REAL[arguments.variant])
    cell, slots = _spread(random, rows, arguments.variant, (cells, drugs))
    ids = np.array([f"S.{number}" for number in range(max(cells, drugs))], object)
    none = np.array(["RANDOM"], object).repeat(rows)
    values: dict[str, Any] = {"auc": random.random(rows)}
    if arguments.variant == "dose":
        doses = np.round(random.uniform(4, 10, (2, rows)), 3)
        has = slots[:, 1] >= 0
        values = {"dose1": doses[0], "dose2": np.where(has, doses[1], np.nan)}
        values["growth"] = random.random(rows)
    known = form.Rows(
        ids[cell], ids[slots[:, 0]], none, none, values,
        np.where(slots[:, 1] >= 0, ids[slots[:, 1]], "") if slots.shape[1] > 1 else None,
    )  # fmt: skip

    def entities(count: int, width: int, bits: int) -> Any:
        table = random.standard_normal((count, width), np.float32)
        features = form.Features(table, tuple(f"f{number}" for number in range(width)))
        noise = random.random((count, bits)) < 0.1 if bits else None
        return form.Entities(tuple(ids[:count]), tuple(ids[:count]), features=features, bits=noise)

    of_cells = entities(cells, GENES, 0)
    of_drugs = entities(drugs, DESCRIPTORS, BITS if slots.shape[1] > 1 else 0)
    joined, counts = form.join(known, of_cells, of_drugs)
    form.merged(
        form.responses_dataset(joined, counts),
        form.cells_dataset(of_cells),
        form.drugs_dataset(of_drugs),
    ).to_netcdf(path, engine="h5netcdf")
    return rows, cells, drugs


def _measure_memory(side: str, arguments: argparse.Namespace) -> None:
    """Print the peak of a process that only trains and evaluates one side."""
    size = max(map(int, arguments.batches.split(",")))
    words = [sys.executable, __file__, "--memory-of", side, "--batches", str(size)]
    for name in ("variant", "cells", "drugs", "rows", "dropout", "threads", "backend"):
        if getattr(arguments, name) is not None:
            words += [f"--{name}", str(getattr(arguments, name))]
    words += ["--evaluation-rows", str(4 * size)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    print(f"peak memory, batch {size}, {side:12} {done.stdout.strip()}")


def _use_memory(arguments: argparse.Namespace) -> None:
    case = _case(arguments)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts from here
    before = _peak()
    size = max(map(int, arguments.batches.split(",")))
    batches = list(case.rows.batches(case.train[: 2 * size], batch_size=size))
    if arguments.memory_of == OURS:
        model = case.build()
        _trainer(case, model, lambda: iter(batches))()
        runner = importlib.import_module("sciml_runner_uno.runner")
        inputs = case.rows.inputs(case.judged)
        list(runner.entity_wise(model, inputs, batch_size=size))
    else:
        model = case.build_joined()
        _trainer(case, model, lambda: map(case.join, batches))()
        forward = _compiled(model)
        for first in range(0, len(case.judged), size):
            forward(case.join_inputs(case.rows.inputs(case.judged[first : first + size])))
    peak = _peak()
    print(f"{peak / 1e6:.2f} GB, {(peak - before) / 1e6:.2f} GB more than with tables alone")


def _peak() -> int:
    """Return the most memory this process has held, in kB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variant", choices=list(REAL), default="auc")
    parser.add_argument("--backend", choices=list(backend.MODULES), default="tensorflow")
    parser.add_argument("--batches", default="512,4096", help="sizes, separated by commas")
    parser.add_argument("--cells", type=int, help="rather than as many as there really are")
    parser.add_argument("--drugs", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--blocks", action="store_true", help="batches of few cells and drugs")
    parser.add_argument("--xla", action="store_true", help="training of both sides by XLA")
    parser.add_argument("--steps", type=int, default=4, help="of training in one round")
    parser.add_argument("--evaluation-rows", type=int, default=52_994)
    parser.add_argument("--file-share", type=int, default=10, help="1/N of the rows in the file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-of", choices=(OURS, JOINED), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
