"""The table of samples, `monitor.csv`: a row for each, written as it is taken.

Counters (names that end in `_cpu_s`, `disk_..._bytes`, `energy_j`) begin at zero in each process;
`process` counts the processes of a run, so that one which was resumed goes on in the same table.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
