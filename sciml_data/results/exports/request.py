"""What exports of a run are made from: the request, the run's files and common facts."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, is_external
from sciml_data.bench.record.runs import (
    LOG_NAME,
    MISSING,
    describe_output,
    why_not_output,
)
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.bench.task.task import Task
from sciml_data.errors import CallError, Problem, RecordError
from sciml_data.home import why_not_plain
from sciml_data.metadata.addresses import landing_page_address, registry_identity
from sciml_data.registry.layout import Registry, registry_of

SOFTWARE = "sciml-data"
# As registered by IANA; any other file is a stream of bytes.
MEDIA_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".nc": "application/netcdf",
    ".h5": "application/x-hdf5",
}
BYTES = "application/octet-stream"
# Outputs of a run that are small texts. Of the others, an export has the digest only.
SMALL_OUTPUTS = ("curve", "monitor", "files", "log")


@dataclass(frozen=True)
class ExportRequest:
    """A run to be exported.

    Attributes:
        folder: of the run.
        record: as it was read from the folder.
        registry: describes benchmark and dataset.
        to: target; None for forms that return a document.
        org: organisation that made the run, which no record contains; None if unknown.
        with_predictions: include the predictions, not only their digest.
    """

    folder: Path
    record: Mapping[str, Any]
    registry: Registry
    to: str | None = None
    org: str | None = None
    with_predictions: bool = False


@dataclass(frozen=True)
class BenchmarkRequest:
    """A benchmark to be exported, and the registry that describes it and its datasets."""

    task: Task
    registry: Registry


def landing_page(request: ExportRequest) -> str | None:
    """Return the address of the page of the run's dataset; None if it is not known.

    It is known if a registry in use describes this version, and says where it is published.
    """
    data = request.record["dataset"]
    try:
        package = request.registry.package(data["id"], data["version"])
    except CallError:
        return None
    return landing_page_address(
        registry_identity(registry_of(package)), data["id"], data["version"]
    )


@dataclass(frozen=True)
class RunFile:
    """A file of a run; `is_included` tells whether the export has its bytes or only its digest."""

    name: str
    path: str
    sha256: str
    size_bytes: int
    form: str
    is_included: bool

    @property
    def media_type(self) -> str:
        """Return the media type, by the file's suffix."""
        return MEDIA_TYPES.get(Path(self.path).suffix, BYTES)


def files_of(request: ExportRequest) -> list[RunFile]:
    """Return the files of a run: the record, its log, and all outputs that the record names.

    Raises:
        RecordError: an included file is missing or was changed; `.problems` lists each.
    """
    named = dict(request.record["outputs"])
    if "log" not in named and not why_not_plain(request.folder / LOG_NAME):
        named["log"] = describe_output(request.folder, LOG_NAME, "a line for each epoch")
    blocks = {
        "record": describe_output(request.folder, RECORD_NAME, "the record of the run"),
        **named,
    }
    included = {"record", *SMALL_OUTPUTS, *(["predictions"] if request.with_predictions else [])}
    files = [
        RunFile(
            name,
            block["path"],
            block["sha256"],
            block["size_bytes"],
            block["format"],
            name in included,
        )
        for name, block in blocks.items()
    ]
    problems = [
        problem for file in files if file.is_included for problem in _problems(request, file)
    ]
    if request.with_predictions and "predictions" not in blocks:
        problems.append(Problem("missing", "predictions", "the run stored none"))
    if problems:
        raise RecordError(
            f"files of {request.folder.name} differ from its record",
            problems=problems,
            untouched="nothing was written",
        )
    return files


def _problems(request: ExportRequest, file: RunFile) -> list[Problem]:
    stated = {"path": file.path, "size_bytes": file.size_bytes}
    if reason := why_not_output(request.folder, stated):
        kind = "missing" if reason == MISSING else "changed"
        return [Problem(kind, file.path, reason)]
    actual = describe_output(request.folder, file.path, file.form)["sha256"]
    if actual != file.sha256:
        return [
            Problem("changed", file.path, f"sha256 {file.sha256[:12]}… expected, {actual[:12]}…")
        ]
    return []


def title_of(record: Mapping[str, Any]) -> str:
    """Return one line that names a run; a run on synthetic data says so first."""
    data, benchmark = record["dataset"], record["benchmark"]
    mark = "SYNTHETIC DATA, no result: " if record["synthetic"] else ""
    mark += "external predictions: " if is_external(record) else ""
    variant = f" {benchmark['variant']}" if benchmark.get("variant") else ""
    return (
        f"{mark}{benchmark['name']}{variant}: {record['model']['name']} on {data['id']} "
        f"{data['version']}, split {record['split']['name']}, seed {record['seeds']['seed']}"
    )


def definitions_of(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the definition of each metric by its id."""
    return {block["metric_id"]: block for block in record["metric_definitions"]}


def computed_scores(record: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (metric key, row) of every score that could be computed, in the record's order."""
    return [(row_key(row), row) for row in record["metrics"] if row["score"] is not None]


def milliseconds(time: str) -> int:
    """Return the milliseconds since 1970 of a time such as ``2026-08-07T12:00:00.000Z``."""
    return round(datetime.datetime.fromisoformat(time).timestamp() * 1000)
