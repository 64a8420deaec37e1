"""The sampler of a run: a thread that writes a row of measurements at a regular interval.

The rows go into the table `monitor.csv`, which is flushed row by row. `Monitor.summary` returns the
groups of a record that follow from them.

Counters in the table (`process_cpu_s`, `disk_..._bytes`, `..._energy_j`) begin at 0 in each
process. The column `process` counts the processes of a run, so that a resumed run continues the
same table.
"""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from sciml_data.bench.monitoring.machine import peak_memory_bytes
from sciml_data.bench.monitoring.nvml import Gpus, find_nvml
from sciml_data.bench.monitoring.processes import Computer, ProcessTree, Usage
from sciml_data.bench.monitoring.rapl import POWERCAP, Rapl

INTERVAL_S = 1.0
MAX_WAIT_S = 10.0  # for the last sample; a driver that hangs must not block the run
OFF = "the monitor was off"
RESUMED = "the run was resumed; the counters are those of its last process"
COLUMNS = (
    "process",
    "time_ms",
    "elapsed_s",
    "process_cpu_s",
    "process_cpu_percent",
    "system_cpu_percent",
    "process_rss_bytes",
    "system_memory_used_bytes",
    "disk_read_bytes",
    "disk_write_bytes",
    "gpu_utilisation_percent",
    "gpu_memory_bytes",
    "gpu_power_w",
    "gpu_energy_j",
    "cpu_energy_j",
)
HEADER = ",".join(COLUMNS) + "\n"
DECIMALS = 3
MAX_NUMBER = 1e18  # no counter of a computer comes near it

Sample = Mapping[str, float | None]


@dataclass
class _Totals:
    """Totals and maxima over the samples of this process so far."""

    samples: int = 0
    peak_rss_bytes: int = 0
    peak_gpu_memory_bytes: int | None = None
    used: Usage | None = None
    cpu_energy_j: float | None = None
    gpu_energy_j: float | None = None
    thread_s: float = 0.0
    elapsed_s: float = 0.0
    loads: int = 0
    load_sum: float = 0.0


class Monitor:
    """A context manager that samples the computer during a run, in a thread of its own.

    A failure of the monitor never ends the run.

    Attributes:
        failure: why sampling ended early; None while it works.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval_s: float = INTERVAL_S,
        powercap: Path = POWERCAP,
        find_nvml: Callable[[], Any | None] = find_nvml,
    ) -> None:
        """Store the options; nothing is read before the context is entered.

        Args:
            path: of the table; an existing table is continued.
            interval_s: seconds between samples; with 0 there are no samples, and `summary` has
                the resources only.
            powercap: folder of Linux with the RAPL counters.
            find_nvml: returns NVIDIA's library, or None.
        """
        self.path = path
        self.interval_s = interval_s
        self.failure: str | None = None
        self._powercap, self._find_nvml = powercap, find_nvml
        # The lock guards the totals, which the thread writes and `summary` reads.
        self._lock, self._end = threading.Lock(), threading.Event()
        self._totals, self._earlier = _Totals(), EarlierProcesses()
        self._thread: threading.Thread | None = None
        self._tree: ProcessTree | None = None

    def __enter__(self) -> Self:
        """Open the counters and the table, and start the thread."""
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - a monitor must not end the run it watches
            self._fail(error)
        return self

    def __exit__(self, *_: object) -> None:
        """Take the last sample and end the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(MAX_WAIT_S)
            if self._thread.is_alive():
                self.failure = "the last sample did not end"
        elif self._tree is not None:
            self._add(self._usage())

    def summary(self) -> dict[str, Any]:
        """Return the groups `resources`, `monitor` and `energy` of a record, up to now."""
        with self._lock:
            return {
                "resources": self._resources(),
                "monitor": self._monitor(),
                "energy": self._energy(),
            }

    def _open(self) -> None:
        self._tree = tree = ProcessTree()
        self._begin(tree)
        if self.interval_s:
            self._open_counters()
            self._begin(tree)  # again, so that opening the counters does not count as the run's
            # A daemon thread, so that a driver that hangs does not keep the process alive.
            self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
            self._thread.start()

    def _begin(self, tree: ProcessTree) -> None:
        self._start_usage, self._start_s = tree.read(), time.perf_counter()
        self._totals.used = None
        self._add(self._usage())

    def _open_counters(self) -> None:
        self._earlier = open_table(self.path)
        self._computer = Computer()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        self._gpus = Gpus(self._find_nvml(), visible=visible)
        self._rapl = Rapl(self._powercap)

    def _run(self) -> None:
        """Take a sample at each interval, and a last one when the run ends."""
        try:
            with self.path.open("a", encoding="ascii") as table:
                due_s = self._start_s
                is_last = False
                while not is_last:
                    is_last = self._end.is_set()
                    self._sample(table)
                    # Fixed times, so that intervals do not drift; late samples are not caught up.
                    due_s = max(due_s + self.interval_s, time.perf_counter())
                    self._end.wait(due_s - time.perf_counter())
        except Exception as error:  # noqa: BLE001 - a monitor must not end the run it watches
            self._fail(error)
        finally:
            self._gpus.close()

    def _sample(self, table: IO[str]) -> None:
        clock_s, time_ms = time.perf_counter(), time.time_ns() // 1_000_000
        now_s = clock_s - self._start_s
        joules, gpu = self._rapl.read(clock_s), self._gpus.read(clock_s)
        memory = None if gpu.memory_bytes is None else int(gpu.memory_bytes)
        before, used = self._totals, self._usage()
        own_percent = _busy_percent(before, used, now_s)
        all_percent = self._computer.cpu_percent()
        row = {
            "process": self._earlier.processes + 1,
            "time_ms": time_ms,
            "elapsed_s": now_s,
            "process_cpu_s": used.cpu_s,
            "process_cpu_percent": own_percent,
            "system_cpu_percent": all_percent,
            "process_rss_bytes": used.rss_bytes,
            "system_memory_used_bytes": self._computer.memory_used_bytes(),
            "disk_read_bytes": used.read_bytes,
            "disk_write_bytes": used.write_bytes,
            "gpu_utilisation_percent": gpu.utilisation_percent,
            "gpu_memory_bytes": memory,
            "gpu_power_w": gpu.power_w,
            "gpu_energy_j": gpu.energy_j,
            "cpu_energy_j": joules,
        }
        table.write(csv_line(row))
        table.flush()
        self._add(used)
        with self._lock:
            totals = self._totals
            totals.samples, totals.elapsed_s = totals.samples + 1, now_s
            totals.cpu_energy_j, totals.gpu_energy_j = joules, gpu.energy_j
            if memory is not None:
                totals.peak_gpu_memory_bytes = max(memory, totals.peak_gpu_memory_bytes or 0)
            totals.thread_s = time.thread_time()
            if own_percent is not None and all_percent is not None:
                others = all_percent - own_percent / self._computer.processors
                totals.loads, totals.load_sum = totals.loads + 1, totals.load_sum + others

    def _usage(self) -> Usage:
        """Return the usage since the start; it never decreases.

        While a child is being reaped, its usage is for a moment in neither process.
        """
        if self._tree is None:
            return Usage(0.0, 0, None, None)
        now, start, last = self._tree.read(), self._start_usage, self._totals.used
        return Usage(
            max(now.cpu_s - start.cpu_s, last.cpu_s if last else 0.0),
            now.rss_bytes,
            _grown(now.read_bytes, start.read_bytes, last.read_bytes if last else 0),
            _grown(now.write_bytes, start.write_bytes, last.write_bytes if last else 0),
        )

    def _add(self, used: Usage) -> None:
        with self._lock:
            self._totals.used = used
            self._totals.peak_rss_bytes = max(self._totals.peak_rss_bytes, used.rss_bytes)

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}".partition("\n")[0]

    def _resources(self) -> dict[str, Any]:
        totals, earlier = self._totals, self._earlier
        used = None if earlier.rows else totals.used
        gpu_peaks = [totals.peak_gpu_memory_bytes, earlier.peak_gpu_memory_bytes]
        return {
            "peak_host_memory_bytes": max(
                peak_memory_bytes(), totals.peak_rss_bytes, earlier.peak_rss_bytes
            ),
            "peak_device_memory_bytes": max(
                (peak for peak in gpu_peaks if peak is not None), default=None
            ),
            "cpu_s": round(used.cpu_s, 6) if used else None,
            "disk_read_bytes": used.read_bytes if used else None,
            "disk_write_bytes": used.write_bytes if used else None,
        }

    def _monitor(self) -> dict[str, Any] | None:
        totals = self._totals
        if not totals.samples:
            return None
        return {
            "interval_s": self.interval_s,
            "samples": totals.samples + self._earlier.rows,
            "cost_fraction": totals.thread_s / totals.elapsed_s if totals.elapsed_s else None,
            # The clocks of system and process differ by some milliseconds, so a sum can be below 0.
            "other_cpu_fraction": (
                min(max(totals.load_sum / totals.loads / 100, 0.0), 1.0) if totals.loads else None
            ),
        }

    def _energy(self) -> dict[str, Any]:
        totals = self._totals
        no_energy = self._why_no_energy()
        counters = (
            []
            if no_energy
            else [
                ("CPU", totals.cpu_energy_j, self._rapl.method, self._rapl.reason),
                ("GPU", totals.gpu_energy_j, self._gpus.method, self._gpus.reason),
            ]
        )
        methods = [method for _, joules, method, _ in counters if joules is not None]
        reasons = [f"{kind}: {reason}" for kind, joules, _, reason in counters if joules is None]
        return {
            "measured": bool(methods),
            "method": "; ".join(methods) or None,
            "cpu_energy_j": None if no_energy else totals.cpu_energy_j,
            "gpu_energy_j": None if no_energy else totals.gpu_energy_j,
            "reason": no_energy or "; ".join(reasons) or None,
        }

    def _why_no_energy(self) -> str | None:
        """Return why the energy of the whole run is unknown; None if it may be known."""
        if not self.interval_s:
            return OFF
        if self.failure is not None:
            return f"the monitor failed: {self.failure}"
        if self._earlier.rows:
            return RESUMED
        return None if self._totals.samples else "no sample was taken yet"


def _busy_percent(before: _Totals, used: Usage, now_s: float) -> float | None:
    """Return the CPU time since the last sample in percent of one core; None at the first."""
    if before.used is None or not before.samples:
        return None
    return 100.0 * (used.cpu_s - before.used.cpu_s) / (now_s - before.elapsed_s)


def _grown(now: int | None, start: int | None, last: int | None) -> int | None:
    """Return the growth of a counter since the start, at least that of the last sample."""
    if now is None or start is None:
        return None
    return max(now - start, last or 0)


@dataclass(frozen=True)
class EarlierProcesses:
    """Totals of a table's rows that earlier processes of the same run have written."""

    rows: int = 0
    processes: int = 0
    peak_rss_bytes: int = 0
    peak_gpu_memory_bytes: int | None = None


def open_table(path: Path) -> EarlierProcesses:
    """Create a table, or reopen it after dropping a truncated last row; return its totals.

    Raises:
        OSError: the table cannot be read or written.
        ValueError: it has other columns.
    """
    if not path.is_file() or not path.stat().st_size:
        path.write_text(HEADER, encoding="ascii")
        return EarlierProcesses()
    whole, _, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        path.write_bytes(whole + b"\n")
    samples = read_samples(path)
    gpu_memory = [row["gpu_memory_bytes"] for row in samples]
    return EarlierProcesses(
        rows=len(samples),
        processes=max((int(row["process"] or 0) for row in samples), default=0),
        peak_rss_bytes=max((int(row["process_rss_bytes"] or 0) for row in samples), default=0),
        peak_gpu_memory_bytes=max(
            (int(used) for used in gpu_memory if used is not None), default=None
        ),
    )


def read_samples(path: Path) -> list[dict[str, float | None]]:
    """Return the rows of a table; a value that was not measured is None.

    Raises:
        OSError: the table cannot be read.
        ValueError: it is not ASCII or not CSV, it has other columns, or a cell is not a number.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="ascii"))))
        if not rows or tuple(rows[0]) != COLUMNS:
            raise ValueError("it has other columns than this version writes")  # noqa: TRY301
        return [
            {name: _number(cell) for name, cell in zip(COLUMNS, cells, strict=True)}
            for cells in rows[1:]
        ]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path.name} is not a table of samples: {error}") from error


def _number(cell: str) -> float | None:
    if not cell:
        return None
    number = float(cell)
    # int() of an infinite number raises an OverflowError, and so does a database for 2^63.
    if not abs(number) < MAX_NUMBER:
        raise ValueError(f"{cell[:40]!r} is not a number below {MAX_NUMBER:.0e}")
    return number


def csv_line(sample: Sample) -> str:
    """Return a sample as a line of the table."""
    return ",".join(_cell(sample.get(name)) for name in COLUMNS) + "\n"


def column(samples: Sequence[Sample], name: str) -> list[float | None]:
    """Return a column of the samples."""
    return [sample[name] for sample in samples]


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.{DECIMALS}f}"
