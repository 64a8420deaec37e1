"""Overhead of the resource monitor: a fixed load of the processor, with and without it.

Run `python benchmarks/monitor.py`. It runs the load in turn without the monitor, with a sample
every second, and with ten samples per second, in one process. It prints medians of CPU seconds and
wall time, their ratios to the load without the monitor, and the CPU time of a sample as the monitor
reports it. On a busy computer the load waits and gets more samples for each of its own seconds; the
CPU time of a sample is the reliable figure then.

The load is matrix products of NumPy on one thread and sums in Python. So it measures the effect on
code that holds Python's global interpreter lock and on code that releases it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # read when NumPy is imported

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from goals import report  # noqa: E402

from sciml_data.bench.monitoring import Monitor  # noqa: E402

ALONE = 0.0
INTERVALS_S = (ALONE, 1.0, 0.1)
SIDE = 256


def main() -> None:
    """Measure in turn and print medians and ratios."""
    arguments = _arguments()
    results: dict[float, list[tuple[float, float, float]]] = {
        interval_s: [] for interval_s in INTERVALS_S
    }
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds + 1):
            for interval_s in INTERVALS_S:
                table = Path(folder) / f"{number}-{interval_s}.csv"
                measured = _measure(table, interval_s, arguments.steps)
                if number:  # the first round warms up
                    results[interval_s].append(measured)
    print(
        f"{arguments.rounds} rounds of {arguments.steps} steps in turn, "
        f"{len(psutil.pids())} processes on this computer"
    )
    alone = [(cpu_s, wall_s) for cpu_s, wall_s, _ in results[ALONE]]
    for interval_s, rows in results.items():
        _print_row(interval_s, rows, alone)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000, help="Steps of the load (about 10 ms).")
    return parser.parse_args()


def _measure(table: Path, interval_s: float, steps: int) -> tuple[float, float, float]:
    """Return CPU and wall seconds of the load, and the monitor's CPU seconds per sample."""
    monitor = Monitor(table, interval_s=interval_s) if interval_s else None
    with monitor or contextlib.nullcontext():
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        _load(steps)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    if monitor is None:
        return cpu_s, wall_s, 0.0
    summary = monitor.summary()["monitor"]
    return cpu_s, wall_s, summary["cost_fraction"] * wall_s / summary["samples"]


def _load(steps: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype("float32") / SIDE
    state = np.eye(SIDE, dtype="float32")
    for _ in range(steps):
        for _ in range(10):
            state = np.tanh(state @ matrix + 1.0)
        sum(range(100_000))


def _print_row(
    interval_s: float,
    rows: Sequence[tuple[float, float, float]],
    alone: Sequence[tuple[float, float]],
) -> None:
    cpu_s, wall_s, sample_s = (statistics.median(values) for values in zip(*rows, strict=True))
    cpu, wall = (
        statistics.median(row[column] / base[column] for row, base in zip(rows, alone, strict=True))
        for column in (0, 1)
    )
    name = f"sample every {interval_s:g} s" if interval_s else "no monitor"
    print(
        f"{name:<20} CPU {cpu_s:7.2f} s  wall {wall_s:7.2f} s  "
        f"ratio of CPU {cpu:.3f}  of wall {wall:.3f}"
    )
    if interval_s:
        report(f"monitor, {name}: cost of a sample", 1000 * sample_s, "CPU ms")


if __name__ == "__main__":
    main()
