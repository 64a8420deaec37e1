"""Bytes that a process reads of a benchmark's data, and rows that it assembles, of 1, 2 and 4.

    python benchmarks/shares.py [BENCHMARK...] [--variant NAME] [--dataset ID] [--set KEY=VALUE]
    python benchmarks/shares.py tevolop --real       # real data, which is in the home

The first of 1, 2 and 4 processes is measured: an epoch of the training part and one of the
validation part, with the rows that the engine lets it read (`sciml_data/ready/own_rows.py`). No
model is trained. The problem is prepared anew for each number of processes, so that its caches are
empty. Bytes are `rchar` of `/proc/self/io`, which counts reads from the disk and from the page
cache. A benchmark that asks for no share assembles all rows.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import sciml_data
from sciml_data.bench import Benchmark
from sciml_data.ready.own_rows import OwnRows, batches_with

BENCHMARKS = (
    "cloudmask", "stemdl_classification", "stemdl_reconstruction", "em_denoise", "tevolop", "uno",
)  # fmt: skip
PROCESSES = (1, 2, 4)


@dataclass(frozen=True)
class CountedRows(OwnRows):
    """The rows of a process, counted when readers ask for them."""

    counts: dict[int, int] = field(default_factory=dict)  # rows, by the number of the batch

    def of(self, count: int, batch: int = 0) -> slice:
        """Return the rows of a batch of `count` rows, and count them."""
        own = super().of(count, batch)
        self.counts[batch] = own.stop - own.start
        return own


def main() -> None:
    """Measure each benchmark, and print a row of a table for each number of processes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("benchmarks", nargs="*", default=BENCHMARKS)
    parser.add_argument("--variant")
    parser.add_argument("--dataset")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--real", action="store_true", help="real data instead of the sample")
    arguments = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # so that its name needs no import
    print("| benchmark | processes | preparing: MB (CPU s) | training: MB, rows (CPU ms) |", end="")
    print(" validation |\n|---|---|---|---|---|")
    for name in arguments.benchmarks:
        _loaded(name, arguments)  # the first import reads modules, too
        for processes in PROCESSES:
            before, started = _bytes_read(), time.process_time()
            problem = _loaded(name, arguments).opened.problem
            columns = [f"{_megabytes(before)} ({time.process_time() - started:.1f})"]
            columns += [_epoch(problem, part, processes) for part in problem.parts[:2]]
            print(f"| {name} | {processes} | {' | '.join(columns)} |", flush=True)


def _loaded(name: str, arguments: argparse.Namespace) -> sciml_data.LoadedBenchmark:
    return sciml_data.load_benchmark(
        name,
        variant=arguments.variant,
        dataset=arguments.dataset,
        sample=not arguments.real,
        settings=arguments.settings,
    )


def _epoch(problem: Benchmark, part: str, processes: int) -> str:
    """Return bytes, rows of all rows, and processor time of an epoch of the first process."""
    rows, total = CountedRows(0, 1, processes), 0
    before, started = _bytes_read(), time.process_time()
    batches = problem.batches(part, batch_size=problem.settings["batch_size"], seed=0)
    for _, _, weights in batches_with(rows, batches):
        total += len(weights)
    spent = 1000 * (time.process_time() - started)
    own = sum(rows.counts.values()) or total
    return f"{_megabytes(before)}, {own:,} of {total:,} ({spent:.0f})"


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(lines[0].split()[1])


def _megabytes(before: int) -> str:
    return f"{(_bytes_read() - before) / 1e6:.2f}"


if __name__ == "__main__":
    main()
