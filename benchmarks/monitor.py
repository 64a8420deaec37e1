"""What the system monitor costs a run: a fixed load of the processor, with and without it.

Run `python benchmarks/monitor.py`. In turn, in one process: the load alone, sampled every second,
and sampled ten times a second; medians of CPU seconds and of wall time, and their ratios to the
load alone, and what the thread says a sample took it. On a computer busy with other work the load
waits and is sampled more often for each second of its own: the CPU of a sample is then the figure
to trust. The load is matrix products of NumPy on one thread and sums of Python, so that both
who computes outside the interpreter's lock and who computes in it are held up where they are.
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

from sciml_data.bench.monitoring import Monitor  # noqa: E402

ALONE = 0.0
INTERVALS_S = (ALONE, 1.0, 0.1)
SIDE = 256


def main() -> None:
    """Measure by turns and print medians and ratios."""
    arguments = _arguments()
    found: dict[float, list[tuple[float, float, float]]] = {one: [] for one in INTERVALS_S}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds + 1):
            for interval_s in INTERVALS_S:
                table = Path(folder) / f"{number}-{interval_s}.csv"
                measured = _measure(table, interval_s, arguments.steps)
                if number:  # the first round warms up
                    found[interval_s].append(measured)
    print(
        f"{arguments.rounds} rounds of {arguments.steps} steps by turns, "
        f"{len(psutil.pids())} processes on the computer"
    )
    alone = [(cpu_s, wall_s) for cpu_s, wall_s, _ in found[ALONE]]
    for interval_s, rows in found.items():
        _tell(interval_s, rows, alone)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000, help="Of the load; about 10 ms each.")
    return parser.parse_args()


def _measure(table: Path, interval_s: float, steps: int) -> tuple[float, float, float]:
    """Return CPU and wall seconds of one load, and the monitor's own CPU seconds for a sample."""
    monitor = Monitor(table, interval_s=interval_s) if interval_s else None
    with monitor or contextlib.nullcontext():
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        _load(steps)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    if monitor is None:
        return cpu_s, wall_s, 0.0
    told = monitor.summary()["monitor"]
    return cpu_s, wall_s, told["cost_fraction"] * wall_s / told["samples"]


def _load(steps: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype("float32") / SIDE
    state = np.eye(SIDE, dtype="float32")
    for _ in range(steps):
        for _ in range(10):
            state = np.tanh(state @ matrix + 1.0)
        sum(range(100_000))


def _tell(
    interval_s: float,
    rows: Sequence[tuple[float, float, float]],
    alone: Sequence[tuple[float, float]],
) -> None:
    cpu_s, wall_s, sample_s = (statistics.median(values) for values in zip(*rows, strict=True))
    cpu, wall = (
        statistics.median(row[part] / one[part] for row, one in zip(rows, alone, strict=True))
        for part in (0, 1)
    )
    name = f"sampled each {interval_s:g} s" if interval_s else "alone"
    print(
        f"{name:<20} CPU {cpu_s:7.2f} s  wall {wall_s:7.2f} s  "
        f"ratio of CPU {cpu:.3f}  of wall {wall:.3f}  a sample {1000 * sample_s:.2f} ms of CPU"
    )


if __name__ == "__main__":
    main()
