"""Charts of records: what was learnt by epoch, and how the machine was used over time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data.site.charts import Chart, Line, chart

Record = Mapping[str, Any]
# title, unit, divisor, and columns of monitor.csv with the names they go by
MONITORED = (
    ("Processor", "% of one core or of all", 1, (
        ("process_cpu_percent", "this run (100 is one core)"),
        ("system_cpu_percent", "all cores of the machine (100 is all)"),
    )),
    ("Memory", "GB", 1e9, (
        ("process_rss_bytes", "this run"), ("system_memory_used_bytes", "whole machine"),
    )),
    ("Disk, since the start", "MB", 1e6, (
        ("disk_read_bytes", "read"), ("disk_write_bytes", "written"),
    )),
    ("GPU", "%", 1, (("gpu_utilisation_percent", "busy"),)),
    ("GPU memory", "GB", 1e9, (("gpu_memory_bytes", "in use"),)),
    ("GPU power", "W", 1, (("gpu_power_w", "drawn"),)),
)  # fmt: skip


def loss_chart(record: Record) -> Chart | None:
    """Return the losses of one run by epoch."""
    lines = [
        Line("training loss", _by_epoch(record, "train_loss")),
        Line("validation loss", _by_epoch(record, "validation_loss")),
    ]
    return chart("losses", lines, title="Losses by epoch", x_label="epoch", y_label="loss")


def monitored_chart(record: Record) -> Chart | None:
    """Return what chose the epoch, where that is no loss."""
    name = monitored(record)
    if name == "loss":
        return None
    lines = [Line(f"{name}, validation", _by_epoch(record, "monitored"))]
    title = f"{name} of the validation part by epoch"
    return chart("monitored", lines, title=title, x_label="epoch", y_label=name)


def compared(identifier: str, records: Sequence[Record], names: Sequence[str]) -> Chart | None:
    """Return what chose the epoch, of several runs of one kind."""
    what = monitored(records[0])
    lines = [
        Line(name, _by_epoch(record, "monitored"))
        for record, name in zip(records, names, strict=True)
    ]
    title = f"{what} of the validation part by epoch"
    return chart(identifier, lines, title=title, x_label="epoch", y_label=what)


def monitored(record: Record) -> str:
    """Return the name of what chose the epoch: a metric, or the loss."""
    return str(record["settings"].get("monitor", "loss"))


def machine_charts(folder: Path, record: Record) -> Iterator[Chart]:
    """Yield charts of what was sampled during the run; none where nothing was."""
    listed = record["outputs"].get("monitor")
    path = folder / listed["path"] if listed else None
    if path is None or not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, (title, unit, divisor, columns) in enumerate(MONITORED):
        lines = [Line(name, _over_time(rows, column, divisor)) for column, name in columns]
        found = chart(
            f"machine-{number}", lines, title=title, x_label="seconds of the run", y_label=unit
        )
        if found is not None:
            yield found


def _by_epoch(record: Record, field: str) -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(one["epoch"]), float(one[field]))
        for one in record["curve"]
        if one[field] is not None
    )


def _over_time(
    rows: Sequence[Mapping[str, str]], column: str, divisor: float
) -> tuple[tuple[float, float], ...]:
    known = [row for row in rows if row.get(column) and row.get("time_ms")]
    if not known:
        return ()
    start = float(rows[0]["time_ms"])
    return tuple(
        ((float(row["time_ms"]) - start) / 1000, float(row[column]) / divisor) for row in known
    )
