"""Where the runs of a home lie, and how one is named: by path, by id, or `latest`."""

from __future__ import annotations

import datetime
import hashlib
import re
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, load_record
from sciml_data.errors import CallError, nearest
from sciml_data.home import Home, write_atomically
from sciml_data.registry.manifest import manifest_of, read_manifest

LATEST = "latest"
STATE_FOLDER = "checkpoint"
CURVE_NAME = "curve.jsonl"
LOG_NAME = "log.txt"
PREDICTIONS_NAME = "predictions.nc"
MONITOR_NAME = "monitor.csv"
OUTPUTS_FOLDER = "outputs"  # files that the benchmark writes besides
OUTPUTS_NAME = "outputs.csv"  # their manifest
WEIGHTS_NAME = "best.weights.h5"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SHORTEST_ID = 4  # characters of a run id that may stand for the whole


def new_run_folder(home: Home, benchmark: str, label: str) -> Path:
    """Make and return `<home>/runs/<benchmark>/<UTC time>-<label>`; a second one gets a number."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        suffix = "" if number == 1 else f"-{number}"
        folder = home.runs(benchmark) / f"{now}-{label}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise CallError(f"there are a thousand runs named {now}-{label} already")


def named_run_folder(home: Home, benchmark: str, name: str) -> Path:
    """Return `<home>/runs/<benchmark>/<name>`, the same in every process that asks.

    Raises:
        CallError: it cannot be the name of a folder, or means something else.
    """
    if not NAME.fullmatch(name) or name == LATEST:
        raise CallError(
            f"a run cannot be named {name!r}",
            hint="letters, digits, '.', '_' and '-', as in slurm-42",
        )
    return home.runs(benchmark) / name


def all_runs(home: Home) -> list[Path]:
    """Return the folders of all runs that have a record, oldest first."""
    records = home.runs("x").parent.glob(f"*/*/{RECORD_NAME}")
    return sorted(
        (path.parent for path in records), key=lambda folder: (folder.name, folder.parent)
    )


def find_run(home: Home, name: str) -> Path:
    """Return the folder of a run.

    Args:
        home: where runs are kept.
        name: the run's folder, its name, the first characters of its id, `latest`, or
            `<benchmark>/latest`.

    Raises:
        CallError: there is no such run, or several ids begin so.
    """
    path = Path(name).expanduser()
    if (path / RECORD_NAME).is_file():
        return path.resolve()
    runs = all_runs(home)
    benchmark, _, last = name.rpartition("/")
    if last == LATEST:
        found = [run for run in runs if benchmark in {"", run.parent.name}][-1:]
    else:
        found = [run for run in runs if run.name == name]
        found = found or [run for run in runs if _has_id(run, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CallError(f"{len(found)} runs have an id that begins with {name!r}")
    names = [run.name for run in runs]
    raise CallError(
        f"there is no run {name!r}{nearest(name, names)}; "
        f"{len(runs)} run{'s are' if len(runs) != 1 else ' is'} kept in this home",
        hint="a folder, a folder's name, the first characters of a run id, or `latest`",
    )


def list_outputs(folder: Path) -> None:
    """Write the manifest of what the benchmark wrote besides, if it wrote anything."""
    written = manifest_of(folder / OUTPUTS_FOLDER)
    if len(written):
        write_atomically(folder / OUTPUTS_NAME, written.dump())


def changed_outputs(folder: Path) -> list[str]:
    """Return the paths of what the benchmark wrote besides that are no more as listed."""
    if not (folder / OUTPUTS_NAME).is_file():
        return []
    found = manifest_of(folder / OUTPUTS_FOLDER).by_path
    listed = read_manifest(folder / OUTPUTS_NAME)
    return [entry.path for entry in listed if found.get(entry.path) != entry]


def output(folder: Path, name: str, form: str) -> dict[str, Any]:
    """Return path, hash, size and format of a file of a run, for its record."""
    path = folder / name
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": name, "sha256": sha256, "size_bytes": path.stat().st_size, "format": form}


def _has_id(run: Path, start: str) -> bool:
    return len(start) >= SHORTEST_ID and str(load_record(run)["run_id"]).startswith(start)
