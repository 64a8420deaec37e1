"""The thread that samples, and what is said of it in a record."""

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
LONGEST_WAIT_S = 10.0  # for a last sample; a driver that hangs must not hold up the run
OFF = "the monitor was off"
RESUMED = "the run was resumed; the counters are those of its last process"


@dataclass
class _Seen:
    """What the samples of this process came to so far."""

    samples: int = 0
    peak_rss_bytes: int = 0
    peak_gpu_memory_bytes: int | None = None
    used: Usage | None = None
    cpu_energy_j: float | None = None
    gpu_energy_j: float | None = None
    thread_s: float = 0.0
    elapsed_s: float = 0.0


class Monitor:
    """Samples the computer beside a run into a table; a context manager.

    Attributes:
        failure: why no more samples are taken or written; None while all is well. The run goes on.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval_s: float = INTERVAL_S,
        powercap: Path = POWERCAP,
        find_nvml: Callable[[], Any | None] = find_nvml,
    ) -> None:
        """Prepare; nothing is read before the context is entered.

        Args:
            path: the table; one that is there already is gone on with.
            interval_s: between samples; 0 takes none, and `summary` still tells the resources.
            powercap: where Linux shows RAPL counters.
            find_nvml: returns NVIDIA's library, or None.
        """
        self.path = path
        self.interval_s = interval_s
        self.failure: str | None = None
        self._powercap, self._find_nvml = powercap, find_nvml
        self._lock, self._end = threading.Lock(), threading.Event()
        self._seen, self._earlier = _Seen(), Earlier()
        self._thread: threading.Thread | None = None
        self._tree: ProcessTree | None = None

    def __enter__(self) -> Self:
        """Open the counters and the table, and begin to sample."""
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - a monitor must not end the run it watches
            self._fail(error)
        return self

    def __exit__(self, *_: object) -> None:
        """Take a last sample and end the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(LONGEST_WAIT_S)
            if self._thread.is_alive():
                self.failure = "the last sample did not end"
        elif self._tree is not None:
            self._note(self._usage())

    def summary(self) -> dict[str, Any]:
        """Return the groups `resources`, `monitor` and `energy` of a record, as of now."""
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
            self._begin(tree)  # once more: what opening the counters took is not the run's
            self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
            self._thread.start()

    def _begin(self, tree: ProcessTree) -> None:
        self._start_usage, self._start_s = tree.read(), time.perf_counter()
        self._seen.used = None
        self._note(self._usage())

    def _open_counters(self) -> None:
        self._earlier = begin_table(self.path)
        self._computer = Computer()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        self._gpus = Gpus(self._find_nvml(), visible=visible)
        self._rapl = Rapl(self._powercap)

    def _run(self) -> None:
        """Sample until the end, once then, and whenever an interval has passed."""
        try:
            with self.path.open("a", encoding="ascii") as table:
                due_s = self._start_s
                is_last = False
                while not is_last:
                    is_last = self._end.is_set()
                    self._sample(table)
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
        before, used = self._seen, self._usage()
        row = {
            "process": self._earlier.processes + 1,
            "time_ms": time_ms,
            "elapsed_s": now_s,
            "process_cpu_s": used.cpu_s,
            "process_cpu_percent": _busy_percent(before, used, now_s),
            "system_cpu_percent": self._computer.cpu_percent(),
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
        table.write(line_of(row))
        table.flush()
        self._note(used)
        with self._lock:
            seen = self._seen
            seen.samples, seen.elapsed_s = seen.samples + 1, now_s
            seen.cpu_energy_j, seen.gpu_energy_j = joules, gpu.energy_j
            if memory is not None:
                seen.peak_gpu_memory_bytes = max(memory, seen.peak_gpu_memory_bytes or 0)
            seen.thread_s = time.thread_time()

    def _usage(self) -> Usage:
        """Return what was used since the start; a child that is being reaped takes nothing back."""
        if self._tree is None:
            return Usage(0.0, 0, None, None)
        now, start, last = self._tree.read(), self._start_usage, self._seen.used
        return Usage(
            max(now.cpu_s - start.cpu_s, last.cpu_s if last else 0.0),
            now.rss_bytes,
            _grown(now.read_bytes, start.read_bytes, last.read_bytes if last else 0),
            _grown(now.write_bytes, start.write_bytes, last.write_bytes if last else 0),
        )

    def _note(self, used: Usage) -> None:
        with self._lock:
            self._seen.used = used
            self._seen.peak_rss_bytes = max(self._seen.peak_rss_bytes, used.rss_bytes)

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}".partition("\n")[0]

    def _resources(self) -> dict[str, Any]:
        seen, earlier = self._seen, self._earlier
        used = None if earlier.rows else seen.used
        gpu = [seen.peak_gpu_memory_bytes, earlier.peak_gpu_memory_bytes]
        return {
            "peak_host_memory_bytes": max(
                peak_memory_bytes(), seen.peak_rss_bytes, earlier.peak_rss_bytes
            ),
            "peak_device_memory_bytes": max((one for one in gpu if one is not None), default=None),
            "cpu_s": round(used.cpu_s, 6) if used else None,
            "disk_read_bytes": used.read_bytes if used else None,
            "disk_write_bytes": used.write_bytes if used else None,
        }

    def _monitor(self) -> dict[str, Any] | None:
        seen = self._seen
        if not seen.samples:
            return None
        return {
            "interval_s": self.interval_s,
            "samples": seen.samples + self._earlier.rows,
            "cost_fraction": seen.thread_s / seen.elapsed_s if seen.elapsed_s else None,
        }

    def _energy(self) -> dict[str, Any]:
        seen = self._seen
        whole = self._why_no_energy()
        parts = (
            []
            if whole
            else [
                ("CPU", seen.cpu_energy_j, self._rapl.method, self._rapl.reason),
                ("GPU", seen.gpu_energy_j, self._gpus.method, self._gpus.reason),
            ]
        )
        methods = [method for _, joules, method, _ in parts if joules is not None]
        reasons = [f"{kind}: {reason}" for kind, joules, _, reason in parts if joules is None]
        return {
            "measured": bool(methods),
            "method": "; ".join(methods) or None,
            "cpu_energy_j": None if whole else seen.cpu_energy_j,
            "gpu_energy_j": None if whole else seen.gpu_energy_j,
            "reason": whole or "; ".join(reasons) or None,
        }

    def _why_no_energy(self) -> str | None:
        """Return why neither energy is of the whole run; None where that is not so."""
        if not self.interval_s:
            return OFF
        if self.failure is not None:
            return f"the monitor failed: {self.failure}"
        if self._earlier.rows:
            return RESUMED
        return None if self._seen.samples else "no sample was taken yet"


def _busy_percent(before: _Seen, used: Usage, now_s: float) -> float | None:
    """Return the share of one core since the last sample; None at the first."""
    if before.used is None or not before.samples:
        return None
    return 100.0 * (used.cpu_s - before.used.cpu_s) / (now_s - before.elapsed_s)


def _grown(now: int | None, start: int | None, last: int | None) -> int | None:
    if now is None or start is None:
        return None
    return max(now - start, last or 0)


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

Sample = Mapping[str, float | None]


@dataclass(frozen=True)
class Earlier:
    """What a table holds already: of processes that worked on the same run before."""

    rows: int = 0
    processes: int = 0
    peak_rss_bytes: int = 0
    peak_gpu_memory_bytes: int | None = None


def begin_table(path: Path) -> Earlier:
    """Make the table, or get it ready to be gone on with: a row that was cut off is taken away.

    Raises:
        OSError: it cannot be read or written.
        ValueError: it has other columns.
    """
    if not path.is_file() or not path.stat().st_size:
        path.write_text(HEADER, encoding="ascii")
        return Earlier()
    whole, _, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        path.write_bytes(whole + b"\n")
    samples = read_samples(path)
    memory = [row["gpu_memory_bytes"] for row in samples]
    return Earlier(
        rows=len(samples),
        processes=max((int(row["process"] or 0) for row in samples), default=0),
        peak_rss_bytes=max((int(row["process_rss_bytes"] or 0) for row in samples), default=0),
        peak_gpu_memory_bytes=max((int(one) for one in memory if one is not None), default=None),
    )


def read_samples(path: Path) -> list[dict[str, float | None]]:
    """Return the rows of a table; what could not be read is None.

    Raises:
        OSError: it cannot be read.
        ValueError: it has other columns, or something in it is no number.
    """
    text = path.read_text(encoding="ascii")
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise ValueError(f"{path.name} has other columns than this version writes")
    return [
        {name: float(cell) if cell else None for name, cell in zip(COLUMNS, cells, strict=True)}
        for cells in rows[1:]
    ]


def line_of(sample: Sample) -> str:
    """Return a sample as a line of the table."""
    return ",".join(_cell(sample.get(name)) for name in COLUMNS) + "\n"


def column(samples: Sequence[Sample], name: str) -> list[float | None]:
    """Return one column."""
    return [sample[name] for sample in samples]


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.{DECIMALS}f}"
