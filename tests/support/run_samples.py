"""The folder of a made-up run: record, log, curve, monitor samples, predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sciml_data.bench.monitoring.sampler import COLUMNS, HEADER
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import write_record
from tests.support.records import sample_record

EPOCH_MS = 1_786_104_000_000  # 2026-08-07T12:00:00Z
REAL = {
    "benchmark": {
        "name": "tevolop",
        "title": "TEvolOp",
        "division": "open",
        "headline_metric": "rmse.a",
    },
    "verification": {"state": "rescored", "checks": []},
}


def curve_row(epoch: int) -> dict[str, Any]:
    start_ms = EPOCH_MS + 200 * epoch
    return {
        "epoch": epoch,
        "samples": 203,
        "learning_rate": 0.01,
        "train_loss": 1.0 / epoch,
        "validation_loss": None,
        "monitored": 0.5,
        "train_s": 0.1,
        "evaluation_s": 0.05,
        "is_first_of_process": epoch == 1,
        "start_time_ms": start_ms,
        "train_stop_time_ms": start_ms + 100,
        "stop_time_ms": start_ms + 150,
    }


def write_as_run(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write a record with the log and the curve that a run leaves beside it, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runs.LOG_NAME).write_text("epoch 1/1\n")
    (folder / runs.CURVE_NAME).write_text("".join(f"{json.dumps(r)}\n" for r in record["curve"]))
    curve = runs.describe_output(folder, runs.CURVE_NAME, "JSON lines")
    return write_record(folder, {**record, "outputs": {"curve": curve}})


def written_run(folder: Path, **changed: Any) -> dict[str, Any]:
    """Write a run of tevolop on real data into a folder, and return its record."""
    folder.mkdir(parents=True, exist_ok=True)
    curve = [curve_row(1), curve_row(2)]
    (folder / runs.LOG_NAME).write_text("epoch 1/2\nepoch 2/2\n")
    (folder / runs.CURVE_NAME).write_text("".join(f"{json.dumps(row)}\n" for row in curve))
    (folder / runs.PREDICTIONS_NAME).write_bytes(b"not opened by an export")
    cells = dict.fromkeys(COLUMNS, "") | {"process": "1", "time_ms": str(EPOCH_MS)}
    cells |= {"elapsed_s": "0.5", "process_rss_bytes": "1000000"}
    (folder / runs.MONITOR_NAME).write_text(HEADER + ",".join(cells.values()) + "\n")
    record = sample_record(**{"curve": curve, **REAL, **changed})
    record["dataset"] = {**record["dataset"], "id": "tevolop_socal", "version": "1.0"}
    record["outputs"] = {
        name: runs.describe_output(folder, path, "x")
        for name, path in (
            ("predictions", runs.PREDICTIONS_NAME),
            ("curve", runs.CURVE_NAME),
            ("monitor", runs.MONITOR_NAME),
        )
    }
    return write_record(folder, record)
