"""What an export is made of: what is asked for, and the files of a run, as its record has them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME
from sciml_data.bench.record.runs import LOG_NAME, describe_output
from sciml_data.bench.scoring.scores import row_key
from sciml_data.errors import Problem, RecordError
from sciml_data.registry.layout import Registry

SOFTWARE = "sciml-data"
# As IANA has registered them; what is not is a stream of bytes.
MEDIA_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".nc": "application/netcdf",
    ".h5": "application/x-hdf5",
}
BYTES = "application/octet-stream"
# Of the outputs a record names, those that are small and text; the rest goes by digest.
LIGHT = ("curve", "monitor", "files", "log")


@dataclass(frozen=True)
class Ask:
    """What is asked for.

    Attributes:
        folder: of the run.
        record: as it was read from there.
        registry: where benchmark and dataset are described.
        to: a place; None for a document.
        org: the organisation that ran it; None is not known, since no record says.
        with_predictions: whether the predictions go along, or their digest only.
    """

    folder: Path
    record: Mapping[str, Any]
    registry: Registry
    to: str | None = None
    org: str | None = None
    with_predictions: bool = False


@dataclass(frozen=True)
class RunFile:
    """A file of a run; `goes_along` says whether its bytes do, or only its digest."""

    name: str
    path: str
    sha256: str
    size_bytes: int
    form: str
    goes_along: bool

    @property
    def media_type(self) -> str:
        """Return the media type that follows from the file's name."""
        return MEDIA_TYPES.get(Path(self.path).suffix, BYTES)


def files_of(ask: Ask) -> list[RunFile]:
    """Return the files of a run: the record, its log, and all that the record names.

    Raises:
        RecordError: one that goes along is missing or was changed; `.problems` names each.
    """
    named = dict(ask.record["outputs"])
    if "log" not in named and (ask.folder / LOG_NAME).is_file():
        named["log"] = describe_output(ask.folder, LOG_NAME, "a line for each epoch")
    blocks = {"record": describe_output(ask.folder, RECORD_NAME, "the record of the run"), **named}
    along = {"record", *LIGHT, *(["predictions"] if ask.with_predictions else [])}
    files = [
        RunFile(name, one["path"], one["sha256"], one["size_bytes"], one["format"], name in along)
        for name, one in blocks.items()
    ]
    problems = [problem for one in files if one.goes_along for problem in _problems(ask, one)]
    if ask.with_predictions and "predictions" not in blocks:
        problems.append(Problem("missing", "predictions", "the run stored none"))
    if problems:
        raise RecordError(
            f"the files of {ask.folder.name} are not as its record says",
            problems=problems,
            untouched="nothing was written",
        )
    return files


def _problems(ask: Ask, file: RunFile) -> list[Problem]:
    if not (ask.folder / file.path).is_file():
        return [Problem("missing", file.path, "the record names it")]
    found = describe_output(ask.folder, file.path, file.form)["sha256"]
    if found != file.sha256:
        return [
            Problem("changed", file.path, f"sha256 {file.sha256[:12]}… expected, {found[:12]}…")
        ]
    return []


def title_of(record: Mapping[str, Any]) -> str:
    """Return one line that names a run; one on synthetic data says so first."""
    data, benchmark = record["dataset"], record["benchmark"]
    mark = "SYNTHETIC DATA, no result: " if record["synthetic"] else ""
    variant = f" {benchmark['variant']}" if benchmark.get("variant") else ""
    return (
        f"{mark}{benchmark['name']}{variant}: {record['model']['name']} on {data['id']} "
        f"{data['version']}, split {record['split']['name']}, seed {record['seeds']['seed']}"
    )


def definitions_of(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the definition of each metric by its id."""
    return {one["metric_id"]: one for one in record["metric_definitions"]}


def computed(record: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (metric key, row) of every score that could be computed, in order."""
    return [(row_key(row), row) for row in record["metrics"] if row["score"] is not None]


def milliseconds(time: str) -> int:
    """Return milliseconds since 1970 of a time such as ``2026-08-07T12:00:00.000Z``."""
    return round(datetime.datetime.fromisoformat(time).timestamp() * 1000)
